"""`selfinstruct generate`: seeds in, instruction data out, each call paid once.

In: seeds, perhaps documents, a model or the rules of the template teacher. Out: a run with instructions.jsonl,
rejected.jsonl, the ledger of calls, summary.json and report.html. A start goes through all answers from the first one
again, those of earlier starts out of the ledger, so it ends as if it had never been stopped. Price: 0.6 ms for each
item that was answered before; tokens otherwise.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.chat import Failure, Reply, Request
from runkit.console import Terminated, emit_json, progress, say
from runkit.errors import InputError, TooManyFailures, UsageError, UserError, check_failures
from runkit.files import sha256_file, write_bytes, write_json
from runkit.instructions import INSTRUCTIONS
from runkit.ledger import LEDGER, Ledger
from runkit.llm_client import Client, Policy, check
from runkit.llm_order import Estimate, Progress, estimate, run_all, run_steps
from runkit.models import Model, resolve
from runkit.planned import keep_apart, manifest_inputs
from runkit.rundir import RunDir, note_usage, usage
from selfinstruct.asking import USUAL_YIELD, Asking
from selfinstruct.balance import Balance
from selfinstruct.collect import REJECTED, Collector
from selfinstruct.config import GenerateConfig
from selfinstruct.kinds import shares
from selfinstruct.material import Material, Sources, gather, plan_sources
from selfinstruct.output import Lines
from selfinstruct.prompts import SCHEMA, VERSION, Example
from selfinstruct.seeds import Seed, read_seeds
from selfinstruct.stats import write_stats
from selfinstruct.teaching import teach
from selfinstruct.template import NAME as TEMPLATE
from selfinstruct.topics import OURS, read_topics

COMMAND: Final = "selfinstruct generate"
CALLS: Final = "calls.json"
FAILURES: Final = "failures.jsonl"
MADE_LAST: Final = ("summary.json", "report.html", "usage.json")
# Nothing of this changes which prompts are made.
_FREE: Final = {"patience"}
_PROBE: Final = "用 JSON 给出一条任务：instruction 写“说一个颜色的名字”，input 写空字符串，output 写“蓝色”。"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    seeds: list[Path]
    out: Path
    n: int
    model: str
    config: GenerateConfig
    documents: list[str]  # of --from-docs
    topics: Path | None
    models_file: Path | None
    prices_file: Path | None
    budget_usd: float | None
    concurrency: int | None  # None: found out while running
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float
    retry_failed: bool = False  # ask again what failed in an earlier start


@dataclass(frozen=True, slots=True)
class _Prepared:
    seeds: list[Seed]
    topics: tuple[str, ...]
    sources: Sources
    model: Model | None  # None: the template teacher

    @property
    def examples(self) -> list[Example]:
        return [Example(one.id, one.instruction, one.input, one.output, one.category) for one in self.seeds]


def generate(call: GenerateCall) -> None:
    """Make `call.n` items. UsageError, InputError: what was given; RefusedError: budget or key; TooManyFailures."""
    prepared = _prepared(call)
    if call.dry_run:
        _dry_run(call, prepared)
        return
    with RunDir.open(call.out, COMMAND, _bound(call, prepared), _inputs(call, prepared)) as run:
        note_usage(run, usage(call.started))
        collector = Collector(run, prepared.seeds, call.config, call.n)
        balance = Balance(shares(call.config.kinds), call.config.items_per_request, call.config.patience)
        counts: dict[str, Any] = {"made": 0, "failed": 0, "surplus": 0}
        stopped: BaseException | None = None
        try:
            if prepared.model is None:
                counts = teach(call, prepared.seeds, gather(prepared.sources, call.config), collector, balance)
            else:
                _ask(call, prepared, prepared.model, run, (collector, balance, counts))
        except (UserError, KeyboardInterrupt, Terminated) as error:
            stopped = error
            raise
        finally:
            collector.close()
            summary = _summary(call, collector, balance, counts, stopped)
            if isinstance(stopped, UserError) and _nothing_came(run):
                _give_back(run)
            else:
                write_json(run.file("summary.json"), summary)
                note_usage(run, usage(call.started))
                write_stats(run.path, call.lang)
    if call.as_json:
        emit_json({**summary, **_calls(call.out), **usage(call.started), "run": str(call.out)})
    _tell(call, summary)
    check_failures(counts["failed"], counts["made"], "requests failed", call.max_bad, call.out / FAILURES)


def _prepared(call: GenerateCall) -> _Prepared:
    keep_apart(call.out, [*map(str, call.seeds), *call.documents])
    for path in (*call.seeds, *([call.topics] if call.topics else ())):
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would keep us waiting for ever
            raise InputError(f"{path} is not a regular file; name a file.")
    if not call.model.strip():
        raise UsageError(
            "No model is named; give --model name@https://host/v1, a name in models.yaml or at OPENAI_BASE_URL, or "
            "template for rules without a model."
        )
    seeds = read_seeds(call.seeds)
    topics = read_topics(call.topics)
    model = None if call.model == TEMPLATE else resolve(call.model, call.models_file, call.prices_file)
    if model is not None:
        check(model, call.budget_usd)
    return _Prepared(seeds, topics, plan_sources(call.documents), model)


def _bound(call: GenerateCall, prepared: _Prepared) -> dict[str, Any]:
    """What decides which items come; --n, --budget and --concurrency may change from start to start."""
    model = prepared.model
    who = {"name": TEMPLATE} if model is None else {"url": model.url, "model": model.model, "extra": model.extra_body}
    return {**call.config.model_dump(mode="json", exclude=_FREE), "model": who, "prompts": VERSION}


def _inputs(call: GenerateCall, prepared: _Prepared) -> list[dict[str, Any]]:
    files = [(f"seeds {number}", path) for number, path in enumerate(call.seeds)]
    files.append(("topics", call.topics or OURS))
    found = [{"name": name, "size": path.stat().st_size, "fingerprint": sha256_file(path)} for name, path in files]
    return [*found, *(manifest_inputs(prepared.sources.plan) if prepared.sources.plan is not None else [])]


def _ask(
    call: GenerateCall,
    prepared: _Prepared,
    model: Model,
    run: RunDir,
    into: tuple[Collector, Balance, dict[str, Any]],
) -> None:
    """Ask until the set is full; what was asked is in `into` however it ends."""
    collector, balance, counts = into
    config = call.config
    materials = gather(prepared.sources, config)
    with Ledger.open(run.file(LEDGER)) as ledger:
        policy = Policy(retry_failed=call.retry_failed)
        client = Client(model, ledger, budget_usd=call.budget_usd, concurrency=call.concurrency, policy=policy)
        say(_estimated(_estimate(call, prepared, model, materials), call.n))
        try:
            structured = config.structured == "on" or (config.structured == "auto" and _has_schemas(client))
            asking = Asking(
                config, prepared.examples, prepared.topics, materials, collector, balance, model.model, structured
            )
            counts["structured"] = structured
            try:
                _go(call, client, asking, collector)
            finally:
                counts |= {"made": asking.answers, "failed": len(asking.failures), "surplus": asking.surplus}
                _write_failures(run, asking.failures)
        finally:
            totals = ledger.totals()
            write_json(run.file(CALLS), {**asdict(totals), "cost_usd": totals.spent_usd if model.price else None})


def _go(call: GenerateCall, client: Client, asking: Asking, collector: Collector) -> None:
    with progress("Generating", call.n, "items", call.quiet) as advance:
        shown = 0

        def show(state: Progress) -> None:
            nonlocal shown
            advance(len(collector.accepted) - shown)
            shown = len(collector.accepted)

        run_steps(client, asking, call.config.window, show)
    if not collector.full:
        raise TooManyFailures(
            f"No kind brings anything any more: the last {call.config.patience} answers of each gave no item "
            "that was kept; rejected.jsonl and report.html say why."
        )


def _has_schemas(client: Client) -> bool:
    """Whether the endpoint keeps to a JSON schema; asked once, for the answer stays in the ledger."""
    request = Request(
        messages=[{"role": "user", "content": _PROBE}], max_tokens=200, temperature=0, response_format=SCHEMA
    )
    found: list[Reply | Failure] = []
    run_all(client, [request], lambda _, answer: found.append(answer))
    answer = found[0]
    return isinstance(answer, Reply) and answer.text.lstrip().startswith("{") and '"items"' in answer.text


def _nothing_came(run: RunDir) -> bool:
    """Whether no call of this run was ever answered or paid for: a wrong address, key or name of a model."""
    found = _calls(run.path).get("calls")
    return found is not None and not found["spent_usd"] and not {"done", "failed"} & set(found["calls"])


def _give_back(run: RunDir) -> None:
    """Leave the folder to the mended call, which has another address or model."""
    ledger = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm")
    for name in (*ledger, CALLS, INSTRUCTIONS, REJECTED, *MADE_LAST, "resolved.yaml", "manifest.json"):
        run.file(name).unlink(missing_ok=True)


def _write_failures(run: RunDir, failures: Sequence[tuple[int, Failure]]) -> None:
    if failures:
        lines = Lines(run.file(FAILURES))
        for number, failure in failures:
            lines.write(
                {"request": number, "kind": failure.kind, "message": failure.message, "call_id": failure.call_id}
            )
        lines.close()
    elif run.file(FAILURES).is_file():
        write_bytes(run.file(FAILURES), b"")


def _estimate(call: GenerateCall, prepared: _Prepared, model: Model, materials: Sequence[Material]) -> Estimate:
    config = call.config
    balance = Balance(shares(config.kinds), config.items_per_request, config.patience)
    asking = Asking(config, prepared.examples, prepared.topics, materials, None, balance, model.model, True)
    requests = asking.sample(2 * len(balance.shares))
    items = config.items_per_request * USUAL_YIELD
    calls = -(-call.n // items) + (call.n if config.two_phase else 0)
    return estimate(requests, model, int(calls))


def _estimated(found: Estimate, n: int) -> str:
    cost = "its price is not known" if found.usd is None else f"about {found.usd:.2f} USD"
    most = "" if found.most_usd is None else f", {found.most_usd:.2f} if each answer is as long as it may be"
    return (
        f"For {n:,} items about {found.calls:,} calls, {found.prompt_tokens:,} tokens asked and "
        f"{found.completion_tokens:,} answered; {cost}{most}."
    )


def _dry_run(call: GenerateCall, prepared: _Prepared) -> None:
    wanted = shares(call.config.kinds)
    if prepared.model is None:
        say(f"{call.n:,} items by rules, without a model; {len(prepared.seeds):,} seeds. Nothing was written.")
        found: dict[str, Any] = {"n": call.n, "model": TEMPLATE, "seeds": len(prepared.seeds)}
    else:
        guess = _estimate(call, prepared, prepared.model, gather(prepared.sources, call.config))
        say(f"{prepared.model.name} at {prepared.model.host}, {len(prepared.seeds):,} seeds, {len(wanted)} kinds.")
        say(_estimated(guess, call.n) + " Nothing was written or sent.")
        found = {"n": call.n, "model": prepared.model.name, "seeds": len(prepared.seeds), **asdict(guess)}
    if call.as_json:
        emit_json({**found, "wanted": wanted})


def _summary(
    call: GenerateCall, collector: Collector, balance: Balance, counts: dict[str, Any], stopped: BaseException | None
) -> dict[str, Any]:
    return {
        "n": call.n,
        "kept": len(collector.accepted),
        "rejected": collector.rejected,
        "reasons": dict(sorted(collector.reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        "wanted": balance.shares,
        "set_aside": balance.set_aside,
        "threshold": call.config.novelty.threshold,
        "requests": counts,
        "stopped": None if stopped is None else str(stopped) or "It was interrupted; the same command goes on.",
    }


def _calls(run: Path) -> dict[str, Any]:
    file = run / CALLS
    return {"calls": orjson.loads(file.read_bytes())} if file.is_file() else {}


def _tell(call: GenerateCall, summary: dict[str, Any]) -> None:
    say(f"{summary['kept']:,} items kept of {summary['kept'] + summary['rejected']:,}.")
    for reason, count in list(summary["reasons"].items())[:5]:
        say(f"  {count:>8,}  {reason}")
    if calls := _calls(call.out).get("calls"):
        cost = "" if calls["cost_usd"] is None else f"; {calls['cost_usd']:.4f} USD"
        say(
            f"{sum(calls['attempts'].values()):,} requests to the model, {calls['prompt_tokens']:,} tokens asked and "
            f"{calls['completion_tokens']:,} answered{cost}."
        )
    if summary["set_aside"]:
        say(f"Set aside, for their requests brought nothing: {', '.join(summary['set_aside'])}.")
    if summary["kept"] < call.n:
        raise InputError(
            f"Only {summary['kept']:,} of {call.n:,} items: there is not enough in the documents and seeds for more; "
            "give more of them with --from-docs, or a model."
        )
    say(f"Report: {call.out / 'report.html'}")
