"""`corpus dedup`: read the shards, find copies, find what repeats, cut and write. Resumes from whatever is done.

Marks, in the order in which they appear: `work-<shard>` (its parts lie in `work/`), `copies`, `cuts` (what goes is
decided), `done-<shard>` (its documents lie in place). Shards of an earlier run are named `old-<shard>` and never come
to `done`. When a finished file is missing or altered, its shard alone is read again and the decisions are applied.
"""

import functools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from corpus.dedup_config import DeepDedupConfig
from corpus.dedup_decide import Part, decide_copies, decide_cuts
from corpus.dedup_finish import finish_unit, total
from corpus.dedup_parts import OLD, Job, Unit, read_unit, warm_kernels
from corpus.dedup_report import write_report
from corpus.dedup_summary import summarise, tell
from corpus.minhash import BANDS
from runkit.console import emit_json, progress
from runkit.documents import plan_documents
from runkit.errors import check_failures
from runkit.files import write_json
from runkit.inputs import Plan
from runkit.planned import keep_apart, manifest_inputs, tell_plan, tell_rebuilt, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from runkit.workers import in_processes

COMMAND = "corpus dedup"
VERSIONED = ("wenhai", "numba", "numpy", "polars")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupCall:
    """The command line of `corpus dedup`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    against: list[str]
    out: Path
    config: DeepDedupConfig
    workers: int
    limit: int | None
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


def dedup(call: DedupCall) -> None:
    """Run to the end, or go on where an earlier start was stopped."""
    keep_apart(call.out, [*call.inputs, *call.against])
    shard_bytes = max(1, round(call.config.shard_mb * 1e6))
    plan = plan_documents(call.inputs, shard_bytes=shard_bytes)
    old = plan_documents(call.against, shard_bytes=shard_bytes) if call.against else None
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    config = call.config.model_dump(mode="json") | {"limit": call.limit}
    inputs = manifest_inputs(plan)
    if old is not None:
        inputs += [{**entry, "name": f"--against {entry['name']}"} for entry in manifest_inputs(old)]
    with RunDir.open(call.out, COMMAND, config, inputs, {name: version(name) for name in VERSIONED}) as run:
        marks = _Run(run, plan, old, call).carry_out()
        summary = summarise(run, total(mark.data["counts"] for mark in marks), marks, plan, old)
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    tell(call.out, summary, spent)
    bad, read = summary["records"]["quarantined"], summary["documents"]["read"]
    check_failures(bad, bad + read, "records were bad", call.max_bad, call.out / "quarantine")


class _Run:
    """One start of the command."""

    def __init__(self, run: RunDir, plan: Plan, old: Plan | None, call: DedupCall) -> None:
        self.run, self.call = run, call
        self.old = [Unit(shard, True) for shard in old.shards] if old is not None else []
        self.own = [Unit(shard, False) for shard in plan.shards]
        self.job = Job(run, call.config)

    def carry_out(self) -> list[Mark]:
        """The marks of all finished shards, in order."""
        run, quiet = self.run, self.call.quiet
        decided = run.done("copies") is not None and run.done("cuts") is not None
        finished: dict[str, Mark] = {}
        work: dict[str, Mark] = {}
        for unit in [*self.old, *self.own]:
            mark = run.done(f"done-{unit.name}") if decided and not unit.old else None
            if mark is not None:
                finished[unit.name] = mark
            elif not (decided and unit.old) and (mark := run.done(f"work-{unit.name}")) is not None:
                work[unit.name] = mark
        tell_rebuilt(run)
        self._read(decided, finished, work)
        parts = list(_parts_of(work))
        if not decided:
            self._decide(parts)
        own = {name: mark for name, mark in work.items() if not name.startswith(OLD)}
        with progress("Writing", total=len(own), unit="shards", quiet=quiet) as advance:
            for name, mark in sorted(own.items()):
                of_unit = [part for part in parts if part.unit == name]
                finished[name] = finish_unit(run, name, of_unit, mark, self.call.config)
                self._clear(name, mark)
                advance(1)
        for unit in [*self.old, *self.own]:  # a start that was killed between the two leaves `work-*` beside `done-*`
            run.forget(f"work-{unit.name}")
        shutil.rmtree(run.path / "work", ignore_errors=True)
        return [mark for _, mark in sorted(finished.items())]

    def _clear(self, name: str, mark: Mark) -> None:
        self.run.forget(f"work-{name}")
        for file in mark.outputs:
            if file.startswith("work/"):
                self.run.file(file).unlink()

    def _read(self, decided: bool, finished: dict[str, Mark], work: dict[str, Mark]) -> None:
        """Read what is neither finished nor in `work/`; adds to `work`."""
        wanted = [*([] if decided else self.old), *self.own]
        left = [unit for unit in wanted if unit.name not in finished and unit.name not in work]
        if left:
            warm_kernels()
        with progress("Reading", total=len(wanted), unit="shards", quiet=self.call.quiet) as advance:
            advance(len(wanted) - len(left))
            at_once = [unit for unit in left if unit.old] if self.call.limit is not None else left
            for unit, mark in in_processes(functools.partial(read_unit, job=self.job), at_once, self.call.workers):
                work[unit.name] = mark
                advance(1)
            if self.call.limit is None:
                return
            rest = self.call.limit  # one shard after another: how many the next may give is known only then
            for unit in self.own:
                if rest <= 0:
                    break
                if unit.name not in finished and unit.name not in work:
                    work[unit.name] = read_unit(unit, self.job, rest)
                    advance(1)
                mark = finished.get(unit.name) or work[unit.name]
                counts = mark.data.get("counts")
                rest -= counts["documents"]["read"] if counts else mark.data["documents"]

    def _decide(self, parts: Sequence[Part]) -> None:
        run, call = self.run, self.call
        if run.done("copies") is None:
            with progress("Comparing documents", total=BANDS, unit="bands", quiet=call.quiet) as advance:
                decide_copies(run, parts, call.config, advance)
        with progress("Looking for repeats", unit="parts", quiet=call.quiet) as advance:
            decide_cuts(run, parts, call.config, call.workers, advance)


def _parts_of(work: dict[str, Mark]) -> Iterator[Part]:
    """All parts, those of the earlier run first, then as the input lies."""
    for name, mark in sorted(work.items(), key=lambda item: (not item[0].startswith(OLD), item[0])):
        for number, documents in enumerate(mark.data["sizes"]):
            yield Part(f"{name}-{number:03d}", name, name.startswith(OLD), documents)
