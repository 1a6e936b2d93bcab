"""Which request comes next, and what its answer brings: the state of a run that asks a model.

In: seeds, topics, documents, settings; the answers in the order of their requests. Out: prompts, and items offered to
the `Collector`. Request i depends on the state after answer i - window and on nothing else, not even on how many items
are wanted: the same seed gives the same prompts, and a larger set begins with the smaller one. With `two_phase` a
request asks for tasks, and one request for each of them follows. Price: at the end of a run up to a window of prompts
is made that are not sent.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final

from runkit.chat import Failure, Reply, Request
from selfinstruct.balance import Balance
from selfinstruct.collect import Collector, Offered
from selfinstruct.config import GenerateConfig
from selfinstruct.filters import Reason
from selfinstruct.kinds import BY_KEY, Kind
from selfinstruct.material import Material
from selfinstruct.parse import Parsed, parse, without_thinking
from selfinstruct.prompts import Example, Prompt, answer_prompt, draw_examples, items_prompt, tasks_prompt

USUAL_YIELD: Final = 0.6  # of the items that are asked for, to estimate by
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


class Asking:
    """Steps of `run_steps`, for one run; without a collector `sample` is all."""

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
        self.answers = 0
        self.failures: list[tuple[int, Failure]] = []
        self.surplus = 0  # answers that came when the set was full
        self._config, self._seeds, self._topics, self._materials = config, seeds, topics, materials
        self._items, self._balance = collector, balance
        self._model, self._structured = model, structured
        self._asked: deque[_Asked] = deque()  # built and without an answer
        self._taken = 0
        self._grounded = 0  # requests that were given a document

    @property
    def _collector(self) -> Collector:
        assert self._items is not None, "without a collector there are only samples"
        return self._items

    def build(self, number: int) -> Request | None:
        """The next request; None: the set is full, or all kinds are set aside."""
        key = self._balance.next_kind()
        if self._collector.full or key is None:
            return None
        self._balance.ask(key)
        asked = self._about(BY_KEY[key], number)
        self._asked.append(asked)
        return Request(
            messages=asked.prompt.messages,
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            response_format=asked.prompt.response_format,
            repetition=number,
        )

    def wanted(self, number: int) -> bool:
        """Whether what is in flight before this request is expected to leave something missing."""
        missing = self._collector.wanted - len(self._collector.accepted)
        flying = islice(self._asked, number - self._taken)
        return missing > 0 and sum(self._balance.expected(asked.kind.key) for asked in flying) < missing + _ENOUGH

    def follow(self, number: int, answer: Reply | Failure) -> list[Request]:
        """With `two_phase` a request for the answer to each task."""
        asked = self._asked[number - self._taken]
        if isinstance(answer, Failure) or not self._promises(asked):
            return []
        return [
            Request(
                messages=answer_prompt(task.instruction, task.input).messages,
                max_tokens=self._config.max_tokens,
                temperature=self._config.answer_temperature,
            )
            for task in self._parsed(asked, answer)
            if task.fault is None
        ]

    def take(self, number: int, answers: Sequence[Reply | Failure]) -> None:
        """Offer what the answers hold."""
        asked = self._asked.popleft()
        self._taken += 1
        self.answers += len(answers)
        self.failures += [(number, answer) for answer in answers if isinstance(answer, Failure)]
        if isinstance(answers[0], Failure):
            self._balance.failed(asked.kind.key)
            return
        kept = 0
        if self._collector.full:
            self.surplus += len(answers)
        else:
            kept = self._take_items(asked, answers[0], iter(answers[1:]))
        self._balance.answer(asked.kind.key, kept)

    def sample(self, count: int) -> list[Request]:
        """Some requests as the first ones will be, with two phases and their answers in proportion, to estimate by."""
        found = []
        rng = Random(0)
        for number in range(count):
            kind = BY_KEY[list(self._balance.shares)[number % len(self._balance.shares)]]
            asked = self._about(kind, number)
            tasks = rng.choices(self._seeds, k=self._follow_usually if self._promises(asked) else 0)
            prompts = [asked.prompt, *(answer_prompt(task.instruction, task.input) for task in tasks)]
            found += [Request(messages=one.messages, max_tokens=self._config.max_tokens) for one in prompts]
        return found

    @property
    def _follow_usually(self) -> int:
        return round(USUAL_YIELD * self._config.items_per_request)

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

    def _parsed(self, asked: _Asked, reply: Reply) -> list[Parsed]:
        return parse(reply.text, reply.finish_reason, self._structured, self._promises(asked))

    def _promises(self, asked: _Asked) -> bool:
        """Whether its answer holds tasks that are answered later."""
        return self._config.two_phase and asked.material is None

    def _take_items(self, asked: _Asked, reply: Reply, answers: Iterator[Reply | Failure]) -> int:
        kept = 0
        for place, found in enumerate(self._parsed(asked, reply), 1):
            if self._collector.full:
                break
            item = self._offered(asked, reply, place, found.instruction, found.input, found.output)
            if found.fault is not None:
                self._collector.fault(item, Reason(found.fault, found.detail))
            elif self._promises(asked):
                kept += self._take_answer(asked, item, next(answers))
            else:
                kept += self._collector.offer(item, asked.examples, asked.prompt.text)
        return kept

    def _take_answer(self, asked: _Asked, task: Offered, answer: Reply | Failure) -> bool:
        if isinstance(answer, Failure):
            return False
        text = without_thinking(answer.text)
        whole = replace(task, output=(text or "").strip(), call_id=answer.call_id, task_call_id=task.call_id)
        if text is None or answer.finish_reason == "length":
            self._collector.fault(whole, Reason("parse.cut", "the answer does not end"))
            return False
        return self._collector.offer(whole, asked.examples, asked.prompt.text)

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
