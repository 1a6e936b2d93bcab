"""Calls to one model of a run, through the one client: ledger, retries, budget and resume are its own.

In: a run's ledger and limits, a `System` with a model, requests. Out: answers in the order of the requests. A
checkpoint is served while something is left to ask; what is known of how it is asked stands in RUN/systems.json. Price:
systems are asked one after the other, so that the budget and the order of the calls are easy to follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from judge.served import ServedClient, Serving, serving
from judge.systems import System
from runkit.chat import Failure, Reply, Request, prepare
from runkit.console import progress
from runkit.files import write_json
from runkit.ledger import Ledger
from runkit.llm_client import Client, Policy
from runkit.llm_order import Progress, estimate, run_all
from runkit.models import Model
from runkit.plain_prompts import PLAIN_PROMPTS, PlainPrompt

SYSTEMS: Final = "systems.json"
Build = Callable[[PlainPrompt | None], Sequence[Request]]
Take = Callable[[int, Reply | Failure], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the command line says of calls."""

    budget_usd: float | None = None
    concurrency: int | None = None  # None: found out while running
    retry_failed: bool = False
    quiet: bool = False


@dataclass(slots=True)
class Desk:
    """Asks for one run."""

    run: Path
    ledger: Ledger
    limits: Limits
    plain_prompt: str
    prompts: dict[str, str | None] = field(default_factory=dict)
    """Name of a checkpoint -> of the plain prompt that it is asked by; None: by its chat template."""

    def ask(self, who: System, build: Build, take: Take, label: str, unit: str) -> None:
        """All requests; RefusedError, EnvironmentFault, KeyboardInterrupt and Terminated as `run_all`."""
        assert who.model is not None
        limits = self.limits
        options: dict[str, Any] = {
            "budget_usd": limits.budget_usd,
            "concurrency": limits.concurrency,
            "policy": Policy(retry_failed=limits.retry_failed),
        }
        if who.checkpoint is None:
            self._go(Client(who.model, self.ledger, **options), build(None), take, label, unit)
            return
        client = ServedClient(who.model, self.ledger, **options)
        if who.name in self.prompts and self._all_known(who.model, requests := build(self.prompt_of(who))):
            self._go(client, requests, take, label, unit)
            return
        with serving(who.checkpoint, who.model.model, self.plain_prompt) as server:
            self._note(who, server)
            client.reach(server.url)
            self._go(client, build(server.prompt), take, label, unit)

    def prompt_of(self, who: System) -> PlainPrompt | None:
        """How a checkpoint is asked, as an earlier start found out."""
        name = self.prompts.get(who.name)
        return None if name is None else PLAIN_PROMPTS[name]

    def _note(self, who: System, server: Serving) -> None:
        self.prompts[who.name] = None if server.prompt is None else server.prompt.name
        write_json(self.run / SYSTEMS, {"plain_prompts": self.prompts})

    def _all_known(self, model: Model, requests: Sequence[Request]) -> bool:
        known = {"done"} if self.limits.retry_failed else {"done", "failed"}
        calls = (self.ledger.find(prepare(request, model).key) for request in requests)
        return all(call is not None and call.state in known for call in calls)

    def _go(self, client: Client, requests: Sequence[Request], take: Take, label: str, unit: str) -> None:
        with progress(label, len(requests), unit, self.limits.quiet) as advance:
            shown = 0

            def show(state: Progress) -> None:
                nonlocal shown
                advance(state.taken - shown)
                shown = state.taken

            run_all(client, requests, take, on_progress=show)


def read_prompts(run: Path) -> dict[str, str | None]:
    """What an earlier start found out of its checkpoints."""
    file = run / SYSTEMS
    found = orjson.loads(file.read_bytes())["plain_prompts"] if file.is_file() else {}
    return {str(name): prompt for name, prompt in found.items()}


def known_calls(ledger: Ledger) -> int:
    """Calls that ended in earlier starts."""
    calls = ledger.totals().calls
    return calls.get("done", 0) + calls.get("failed", 0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls will take, added up over models; `usd` counts those whose price is known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    most_usd: float = 0.0
    unpriced: tuple[str, ...] = ()  # models without a known price
    served: tuple[str, ...] = ()  # checkpoints, whose calls cost nothing and are not counted

    def plus(self, model: Model, sample: Sequence[Request], calls: int, completion_tokens: int) -> "Cost":
        """With `calls` more that are like `sample`."""
        if not calls or not sample:
            return self
        found = estimate(sample, model, calls, completion_tokens)
        unpriced = self.unpriced if found.usd is not None else (*self.unpriced, model.name)
        return Cost(
            self.calls + found.calls,
            self.prompt_tokens + found.prompt_tokens,
            self.completion_tokens + found.completion_tokens,
            self.usd + (found.usd or 0.0),
            self.most_usd + (found.most_usd or 0.0),
            tuple(dict.fromkeys(unpriced)),
            self.served,
        )

    def with_served(self, name: str) -> "Cost":
        """With a checkpoint more that this machine runs."""
        return replace(self, served=(*self.served, name))

    def told(self, known: int = 0) -> str:
        """For people. `known`: calls that earlier starts have made."""
        here = f" {', '.join(self.served)}: run on this machine, not counted." if self.served else ""
        if not self.calls:
            return here.strip() or "No model is asked."
        already = f" {known:,} calls were made before and are not made again." if known else ""
        cost = f"about {self.usd:.2f} USD, {self.most_usd:.2f} if each reply is as long as it may be"
        if self.unpriced:
            names = ", ".join(self.unpriced)
            cost = (
                f"{cost}, without {names}, whose price is not known"
                if self.usd
                else f"the price of {names} is not known"
            )
        return (
            f"About {self.calls:,} calls, {self.prompt_tokens:,} tokens asked and {self.completion_tokens:,} "
            f"answered; {cost}.{already}{here}"
        )

    def record(self) -> Mapping[str, Any]:
        """For --json."""
        return {
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "usd": None if self.unpriced else self.usd,
            "most_usd": None if self.unpriced else self.most_usd,
        }
