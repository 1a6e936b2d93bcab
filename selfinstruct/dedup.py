"""`selfinstruct dedup` and `selfinstruct overlap`: what is too like something before it, and what two sets share.

In: sets of instructions. Out of `dedup`: RUN/instructions.jsonl with the records that are new, in their order and with
all their fields, RUN/rejected.jsonl with what each of the others is too near. Out of `overlap`: how near each item of
one set comes to the other one, as figures and if wanted as a file. Instructions are compared, not inputs: sets are made
of instructions that share their input's form. Price: 26 µs an item among 50,000, 0.1 ms among a million.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.console import emit_json, printable, progress, say
from runkit.errors import InputError, UsageError, check_failures
from runkit.fields import Fault, fault_lines
from runkit.files import atomic_write, sha256_file, write_bytes, write_json
from runkit.instructions import INSTRUCTIONS, Item, Items, find_items
from runkit.planned import keep_apart
from runkit.rundir import RunDir, note_usage, usage
from selfinstruct.novelty import Nearest, Novelty, Tokenizer
from selfinstruct.scales import NEAREST, binned

COMMAND: Final = "selfinstruct dedup"
REJECTED: Final = "rejected.jsonl"
QUARANTINE: Final = "quarantine.jsonl"
_BATCH: Final = 8192
_FAR_BATCH: Final = 512  # each takes long enough for progress to be seen
_OURS: Final = ("nearest", "nearest_rouge_l", "reasons")
_WORST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupCall:
    """The command line of `dedup`, parsed; `started` is a `time.monotonic()`."""

    files: list[str]
    out: Path
    tokenizer: Tokenizer
    threshold: float
    with_nearest: bool  # of what is kept too
    as_json: bool
    quiet: bool
    max_bad: float
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapCall:
    """The command line of `overlap`, parsed."""

    ours: str
    theirs: str
    out: Path | None
    tokenizer: Tokenizer
    threshold: float
    as_json: bool
    quiet: bool


def dedup(call: DedupCall) -> None:
    """Keep what is new. InputError: nothing can be read. TooManyFailures: more bad records than --max-bad."""
    keep_apart(call.out, call.files)
    items = find_items(call.files)
    settings = {"tokenizer": call.tokenizer, "threshold": call.threshold, "nearest": call.with_nearest}
    with RunDir.open(call.out, COMMAND, settings, items.inputs()) as run:
        mark = run.done("dedup")
        counts = dict(mark.data) if mark is not None else _dedup(call, items, run)
        write_json(run.file("summary.json"), {**counts, **settings})
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**counts, **settings, **spent, "run": str(call.out)})
    if not counts["read"]:
        raise InputError(f"There is no instruction in {', '.join(call.files)}; see {call.out / QUARANTINE}.")
    say(
        f"{counts['read']:,} read, {counts['kept']:,} kept, {counts['rejected']:,} rejected, {counts['bad']:,} bad; "
        f"{spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s. See {call.out / INSTRUCTIONS}."
    )
    records = counts["read"] + counts["bad"]
    check_failures(counts["bad"], records, "records were bad", call.max_bad, call.out / QUARANTINE)


def overlap(call: OverlapCall) -> None:
    """How near each item of `ours` comes to `theirs`."""
    if call.out is not None:
        keep_apart(call.out, [call.ours, call.theirs])
        if call.out.exists():
            what = "a folder" if call.out.is_dir() else "there already"
            raise UsageError(f"{call.out} is {what}; give --out a new file.")
    novelty = Novelty(call.tokenizer, call.threshold)
    others: list[Item] = []  # by number: sets of others may use an id twice
    for batch in _sound(call.theirs, _BATCH):
        novelty.add_all([(str(number), item.instruction) for number, item in enumerate(batch, len(others))])
        others += batch
    found: list[tuple[Item, Nearest]] = []
    with progress("Comparing", None, "items", call.quiet) as advance:
        for batch in _sound(call.ours, _FAR_BATCH):
            found += zip(batch, novelty.nearest_all([item.instruction for item in batch]), strict=True)
            advance(len(batch))
    found.sort(key=lambda pair: (-pair[1].score, pair[0].id))
    rows = [
        {
            "id": item.id,
            "instruction": item.instruction,
            "nearest": others[int(near.id)].id if near.id is not None else None,
            "nearest_instruction": others[int(near.id)].instruction if near.id is not None else None,
            "rouge_l": round(near.score, 4),
        }
        for item, near in found
    ]
    if call.out is not None:
        write_bytes(call.out, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    over = sum(near.over for _, near in found)
    if call.as_json:
        scores = [near.score for _, near in found]
        emit_json(
            {
                "items": len(found),
                "others": len(novelty),
                "over": over,
                "mean": sum(scores) / len(scores) if scores else None,
                "edges": NEAREST,
                "histogram": binned(scores, NEAREST),
                "nearest": rows[:_WORST],
            }
        )
    if not (call.as_json and call.quiet):
        share = over / max(1, len(found))
        say(f"{over:,} of {len(found):,} ({share:.1%}) are above {call.threshold:g} to one of {len(novelty):,}.")
        for row in rows[:_WORST]:
            said, other = (
                " ".join(printable(str(row[key] or "–")).split())[:60] for key in ("instruction", "nearest_instruction")
            )
            say(f"  {row['rouge_l']:.2f}  {said}  |  {other}")


def _dedup(call: DedupCall, items: Items, run: RunDir) -> dict[str, Any]:
    """All of it; the files get their names when they are whole."""
    counts = {"read": 0, "kept": 0, "rejected": 0, "bad": 0}
    faults: list[Fault] = []
    novelty = Novelty(call.tokenizer, call.threshold)
    files = [run.file(name) for name in (INSTRUCTIONS, REJECTED)]
    with ExitStack() as stack:
        advance = stack.enter_context(progress("Comparing", None, "items", call.quiet))
        kept, rejected = (stack.enter_context(atomic_write(file)) for file in files)
        for batch in _batches(items.read(), faults, _BATCH):
            judged = novelty.judge([(item.id, item.instruction) for item in batch], call.with_nearest)
            lines: tuple[list[bytes], list[bytes]] = ([], [])
            for item, near in zip(batch, judged, strict=True):
                record = item.record
                record["id"] = item.id
                for old in _OURS:  # of the run that it comes from
                    record.pop(old, None)
                if near.id is not None:
                    record["nearest"], record["nearest_rouge_l"] = near.id, round(near.score, 4)
                if near.over:
                    record["reasons"] = ["novelty"]
                lines[near.over].append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            kept.write(b"".join(lines[0]))
            rejected.write(b"".join(lines[1]))
            counts["rejected"] += len(lines[1])
            counts["read"] += len(batch)
            advance(len(batch))
    counts["kept"] = counts["read"] - counts["rejected"]
    counts["bad"] = len(faults)
    write_bytes(run.file(QUARANTINE), fault_lines(faults))
    names = [INSTRUCTIONS, REJECTED, QUARANTINE]
    run.mark("dedup", {name: sha256_file(run.file(name)) for name in names}, counts)
    return counts


def _batches(found: Iterator[Item | Fault], faults: list[Fault], size: int) -> Iterator[Sequence[Item]]:
    def sound() -> Iterator[Item]:
        for one in found:
            if isinstance(one, Fault):
                faults.append(one)
            else:
                yield one

    items = sound()
    while batch := list(islice(items, size)):
        yield batch


def _sound(path: str, size: int) -> Iterator[Sequence[Item]]:
    """What could be read; the rest is told. InputError: nothing could."""
    faults: list[Fault] = []
    count = 0
    for batch in _batches(find_items([path]).read(), faults, size):
        count += len(batch)
        yield batch
    said = ""
    if faults:
        first = faults[0]
        where = f"line {first.line}" if first.line is not None else f"item {first.offset}"
        said = f"{first.name}, {where}: {first.reason}: {first.detail}"
    if not count:
        raise InputError(f"There is no instruction in {path}{': ' if said else ''}{said}.")
    if said:
        say(f"{len(faults):,} records of {path} left out, the first: {said}.")
