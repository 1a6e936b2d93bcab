"""What becomes of an item: filtered, compared with all before it, kept or rejected with every reason.

In: items in a fixed order, from a model or from rules. Out: RUN/instructions.jsonl and RUN/rejected.jsonl, whose lines
depend on the items and the settings alone. Price: 0.5 ms an item, most of it filters.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from runkit.instructions import INSTRUCTIONS
from runkit.rundir import RunDir
from selfinstruct.config import GenerateConfig
from selfinstruct.filters import Checked, Context, Reason, check
from selfinstruct.novelty import Novelty
from selfinstruct.output import Lines
from selfinstruct.prompts import Example
from selfinstruct.seeds import Seed

NOVELTY: Final = "novelty"
REJECTED: Final = "rejected.jsonl"
DETAIL_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Offered:
    """An item and where it comes from."""

    id: str
    instruction: str
    input: str
    output: str
    category: str
    model: str
    prompt_sha256: str | None = None
    call_id: str | None = None  # the key in the ledger, of the call that gave the output
    task_call_id: str | None = None  # with two phases: of the call that gave the task
    seed_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    topic: str | None = None
    rule: str | None = None  # of the template teacher


class Collector:
    """All items of a run so far; `close` at its end."""

    def __init__(self, run: RunDir, seeds: Sequence[Seed], config: GenerateConfig, wanted: int) -> None:
        self.wanted = wanted
        self.accepted: list[Example] = []
        self.reasons: Counter[str] = Counter()
        self.rejected = 0
        self._config = config
        self._novelty = Novelty(config.novelty.tokenizer, config.novelty.threshold)
        for seed in seeds:
            self._novelty.add(seed.id, seed.instruction)
        self._kept_lines = Lines(run.file(INSTRUCTIONS))
        self._rejected_lines = Lines(run.file(REJECTED))

    @property
    def full(self) -> bool:
        """As many items are kept as were wanted."""
        return len(self.accepted) >= self.wanted

    def offer(self, item: Offered, examples: Sequence[Example] = (), prompt: str = "") -> bool:
        """Keep it or not; call it only while not `full`. `examples` and `prompt` are what a model was shown."""
        checked = Checked(item.instruction, item.input, item.output, item.category)
        context = Context([(one.instruction, one.input, one.output) for one in examples], prompt)
        reasons = check(checked, context, self._config.filters)
        nearest = self._novelty.nearest(item.instruction)
        if nearest.over:
            reasons.append(Reason(NOVELTY, f"ROUGE-L {nearest.score:.2f} to {nearest.id}"))
        near = {"nearest": nearest.id, "nearest_rouge_l": round(nearest.score, 4)}
        if reasons:
            self._reject({**_plain(item), **near}, reasons)
            return False
        self._novelty.add(item.id, item.instruction)
        self.accepted.append(Example(item.id, item.instruction, item.input, item.output, item.category))
        self._kept_lines.write({**_plain(item), **near})
        return True

    def fault(self, item: Offered, reason: Reason) -> None:
        """A part of a reply that is no item."""
        self._reject(_plain(item), [reason])

    def close(self) -> None:
        """All lines are on the disk."""
        self._kept_lines.close()
        self._rejected_lines.close()

    def _reject(self, record: dict[str, Any], reasons: Sequence[Reason]) -> None:
        self.rejected += 1
        names = list(dict.fromkeys(reason.name for reason in reasons))
        self.reasons.update(names)
        detail = "；".join(f"{reason.name}: {reason.detail}" for reason in reasons if reason.detail)
        self._rejected_lines.write({**record, "reasons": names, "detail": detail[:DETAIL_CHARACTERS]})


def _plain(item: Offered) -> dict[str, Any]:
    """Without what does not apply."""
    return {key: value for key, value in asdict(item).items() if value not in (None, ())}
