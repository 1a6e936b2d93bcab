"""Which request comes next, and what its answer brings: the state of a run that asks a model.

In: seeds, topics, documents, settings; the answers in the order of their requests. Out: prompts, and items offered to
the `Collector`. Request i depends on the state after answer i - window and on nothing else, so the same seed gives the
same prompts. With `two_phase` a request asks either for tasks or for the answer to one of them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from runkit.chat import Failure, Reply, Request
from runkit.errors import TooManyFailures
from selfinstruct.balance import Balance
from selfinstruct.collect import Collector, Offered
from selfinstruct.config import GenerateConfig
from selfinstruct.filters import Reason
from selfinstruct.kinds import BY_KEY, Kind
from selfinstruct.material import Material
from selfinstruct.parse import parse, without_thinking
from selfinstruct.prompts import Example, Prompt, answer_prompt, draw_examples, items_prompt, tasks_prompt

_ENOUGH: Final = 1.0  # no more is asked for than is expected to be missing


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request that has no answer yet."""

    number: int  # of all requests of the run
    kind: Kind
    prompt: Prompt
    examples: tuple[Example, ...] = ()
    topic: str | None = None
    material: Material | None = None
    task: Offered | None = None  # which task it answers


class Asking:
    """Give `build` and `take` to `run_in_order`, again and again until `done`; without a collector `sample` is all."""

    def __init__(
        self,
        config: GenerateConfig,
        seeds: Sequence[Example],
        topics: Sequence[str],
        materials: Sequence[Material],
        collector: Collector | None,
        balance: Balance,
        model: str,
        structured: bool,
    ) -> None:
        self.requests = 0
        self.failures: list[tuple[int, Failure]] = []
        self.surplus = 0  # answers that came when the set was full
        self._config, self._seeds, self._topics, self._materials = config, seeds, topics, materials
        self._items, self._balance = collector, balance
        self._model, self._structured = model, structured
        self._asked: deque[_Asked] = deque()
        self._tasks: deque[Offered] = deque()  # of the first phase, without an answer yet
        self._answering = 0
        self._grounded = 0  # requests that were given a document

    @property
    def _collector(self) -> Collector:
        assert self._items is not None, "without a collector there are only samples"
        return self._items

    @property
    def done(self) -> bool:
        """Nothing more will be asked."""
        return self._collector.full or self._balance.next_kind() is None

    def build(self, _: int) -> Request | None:
        """The next request; None: what is in flight is expected to be enough, or nothing is left to ask."""
        coming = self._balance.coming() + len(self._tasks) + self._answering
        missing = self._collector.wanted - len(self._collector.accepted)
        if self._collector.full or (not self._tasks and coming >= missing + _ENOUGH):
            return None
        asked = self._answer() if self._tasks else self._new()
        if asked is None:
            return None
        self.requests += 1
        self._asked.append(asked)
        config = self._config
        return Request(
            messages=asked.prompt.messages,
            max_tokens=config.max_tokens,
            temperature=config.temperature if asked.task is None else config.answer_temperature,
            response_format=asked.prompt.response_format,
            repetition=asked.number,
        )

    def take(self, _: int, answer: Reply | Failure) -> None:
        """Offer what an answer holds. TooManyFailures: no kind is left that brings anything."""
        asked = self._asked.popleft()
        kept = 0
        if isinstance(answer, Failure):
            self.failures.append((asked.number, answer))
        elif self._collector.full:
            self.surplus += 1
        elif asked.task is not None:
            kept = self._take_answer(asked, asked.task, answer)
        else:
            kept = self._take_items(asked, answer)
        if asked.task is None:
            self._balance.answer(asked.kind.key, kept, settled=not self._promises(asked))
        else:
            self._answering -= 1
            self._balance.answered_task(asked.kind.key, bool(kept))
        if self._balance.next_kind() is None and not self._collector.full and not self._asked:
            raise TooManyFailures(
                f"No kind brings anything any more: the last {self._config.patience} requests of each gave no item "
                "that was kept; rejected.jsonl and report.html say why."
            )

    def sample(self, count: int) -> list[Request]:
        """Some requests as the first ones will be, to estimate by."""
        found = []
        for number in range(count):
            kind = BY_KEY[list(self._balance.shares)[number % len(self._balance.shares)]]
            asked = self._about(kind, number)
            found.append(Request(messages=asked.prompt.messages, max_tokens=self._config.max_tokens))
        return found

    def _new(self) -> _Asked | None:
        key = self._balance.next_kind()
        if key is None:
            return None
        self._balance.ask(key)
        return self._about(BY_KEY[key], self.requests)

    def _about(self, kind: Kind, number: int) -> _Asked:
        config = self._config
        rng = Random(f"{config.seed}\n{number}")
        own = [seed for seed in self._seeds if seed.kind == kind.key]
        # A third of the time examples of other kinds too: the form is learnt from any, variety from many.
        pool = own if len(own) >= config.examples and rng.random() < 2 / 3 else list(self._seeds)
        examples = tuple(draw_examples(rng, pool, self._items.accepted if self._items else [], config.examples))
        topic = rng.choice(self._topics)
        if self._materials and kind.from_document:
            material = self._materials[self._grounded % len(self._materials)]
            self._grounded += 1
            prompt = items_prompt(
                kind, topic, examples, config.items_per_request, self._structured, document=material.text
            )
            return _Asked(number, kind, prompt, examples, None, material)
        ask = tasks_prompt if config.two_phase else items_prompt
        prompt = ask(kind, topic, examples, config.items_per_request, self._structured)
        return _Asked(number, kind, prompt, examples, topic)

    def _answer(self) -> _Asked:
        task = self._tasks.popleft()
        self._answering += 1
        return _Asked(self.requests, BY_KEY[task.category], answer_prompt(task.instruction, task.input), task=task)

    def _take_items(self, asked: _Asked, reply: Reply) -> int:
        kept = 0
        for place, found in enumerate(
            parse(reply.text, reply.finish_reason, self._structured, self._promises(asked)), 1
        ):
            if self._collector.full:
                break
            item = self._offered(asked, reply, place, found.instruction, found.input, found.output)
            if found.fault is not None:
                self._collector.fault(item, Reason(found.fault, found.detail))
            elif self._promises(asked):
                self._tasks.append(replace(item, output=""))
                kept += 1
            else:
                kept += self._collector.offer(item, asked.examples, asked.prompt.text)
        return kept

    def _promises(self, asked: _Asked) -> bool:
        """Whether its answer holds tasks that are answered later."""
        return self._config.two_phase and asked.material is None

    def _take_answer(self, asked: _Asked, task: Offered, reply: Reply) -> int:
        text = without_thinking(reply.text)
        whole = replace(task, output=(text or "").strip(), call_id=reply.call_id)
        if text is None or reply.finish_reason == "length":
            self._collector.fault(whole, Reason("parse.cut", "the answer does not end"))
            return 0
        return int(self._collector.offer(whole))

    def _offered(self, asked: _Asked, reply: Reply, place: int, instruction: str, input: str, output: str) -> Offered:
        return Offered(
            id=f"{asked.number:06}-{place}",
            instruction=instruction,
            input=asked.material.text if asked.material is not None else input,
            output=output,
            category=asked.kind.key,
            model=self._model,
            prompt_sha256=asked.prompt.sha256,
            call_id=reply.call_id,
            seed_ids=tuple(one.id for one in asked.examples),
            document_ids=() if asked.material is None else (asked.material.id,),
            topic=asked.topic,
        )
