"""`corpus tune --apply`: the set that other thresholds make of a finished run, as a run of its own.

In: the parts of a run and the new rules. Out: a run directory like that of `corpus clean` with these rules: documents,
rejected documents with their reasons, summary, report. Its `documents/` are the same to the byte, and so are all
reasons; the raw dump is not read. Copies are looked for anew among all that pass the rules, by the same code: what is
won was never compared, and a copy may take the place of a document that is lost. What is won has its personal data
masked; what is lost stays masked, for its own text is gone. Price: 0.5 ms a document, most of it fingerprints.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from corpus.clean import VERSIONED
from corpus.config import MEANS, CleanConfig, WorkerConfig
from corpus.executor import ShardExecutor
from corpus.finish import add
from corpus.measure import MAX_MEASURED, to_codes
from corpus.minhash import fingerprint, warm_kernels
from corpus.page import Page
from corpus.report import write_report
from corpus.rules import Rules
from corpus.signals import ALL_SIGNALS
from corpus.stages import DECIDE, FINISH, READ, Job, Options, Unit, decide, finish_shards, mark_name
from corpus.steps import MaskPersonal, text_quality
from corpus.store import SCHEMA, part_name, url_hash, write_parquet, write_prints
from corpus.summary import summarise
from corpus.tune import TuneCall, Tuning
from corpus.tune_signals import LANGUAGE, Change
from runkit.console import emit_json, progress, say
from runkit.errors import InputError, UsageError
from runkit.files import sha256_file, write_bytes, write_json
from runkit.inputs import InputFile, Plan
from runkit.planned import tell_rebuilt
from runkit.rundir import Mark, RunDir, note_usage, usage

_PLACE: Final = re.compile(r"#(\d+)(?:\+(\d+))?$")
_BEFORE_RULES: Final = ("decode", "url", "extract", "normalize")
_COPY: Final = ("duplicate_of", "similarity")


def apply_tuning(call: TuneCall, tuning: Tuning) -> None:
    """Write the run and tell what came of it. InputError: the old run is damaged."""
    out = call.out if call.out is not None else call.run.with_name(f"{call.run.name}-tuned")
    if out.resolve().is_relative_to(call.run.resolve()) or call.run.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"--out {out} and the run {call.run} lie in each other; choose another folder.")
    old = RunDir(call.run, orjson.loads((call.run / "manifest.json").read_bytes()), True)
    marks = _finished(old)
    config = tuning.new.model_dump(mode="json", exclude=set(MEANS))
    config |= {key: old.manifest["config"].get(key) for key in ("limit", "sample")}
    inputs = [_as_input(call.run, marks), *old.manifest["inputs"]]
    versions = {name: version(name) for name in VERSIONED}
    with RunDir.open(out, "corpus tune", config, inputs, versions) as run:
        total = _tune(run, old, marks, tuning, call)
        summary = {**summarise(total, _plan(old)), "inputs": tuning.run.summary["inputs"]}
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, total, tuning.new, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(out)})
    _tell(out, tuning.run.summary, summary)


def _tell(out: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for unit in ("documents", "characters"):
        was, now = old[unit]["kept"], new[unit]["kept"]
        say(f"{now:,} {unit} kept, {now - was:+,} against {was:,}.")
    say(f"Run: {out}")


def _finished(old: RunDir) -> dict[int, Mark]:
    """The marks of all shards. InputError where the run's files are not those that it wrote."""
    numbers = sorted(int(file.stem.partition("-")[2]) for file in (old.path / "marks").glob("done-*.json"))
    found = {number: old.done(mark_name(FINISH, number)) for number in numbers}
    if old.damaged or not found:
        what = "; ".join(old.damaged[:3]) or "it has no finished shard"
        raise InputError(f"The run {old.path} is damaged: {what}; run its `corpus clean` command again first.")
    return {number: mark for number, mark in found.items() if mark is not None}


def _as_input(path: Path, marks: Mapping[int, Mark]) -> dict[str, Any]:
    outputs = [name for mark in marks.values() for name in mark.outputs]
    size = sum((path / name).stat().st_size for name in outputs)
    return {"name": f"run:{path.resolve().name}", "size": size, "fingerprint": sha256_file(path / "manifest.json")}


def _plan(old: RunDir) -> Plan:
    files = [
        InputFile(item["name"], item["name"], item["size"], item["fingerprint"]) for item in old.manifest["inputs"]
    ]
    return Plan((), tuple(files), ())


def _tune(run: RunDir, old: RunDir, marks: Mapping[int, Mark], tuning: Tuning, call: TuneCall) -> dict[str, Any]:
    """The three stages of `corpus clean`, the first of which reads the old run's parts; the statistics of the run."""
    job = Job(run, _plan(old), tuning.new, Options(call.workers, quiet=call.quiet))
    decided = run.done(mark_name(DECIDE, 0)) is not None
    finished = {number for number in marks if decided and run.done(mark_name(FINISH, number)) is not None}
    work = {number for number in marks if number not in finished and run.done(mark_name(READ, number)) is not None}
    tell_rebuilt(run)
    wanted = [number for number in marks if number not in finished | work]
    names = {item["name"]: place for place, item in enumerate(old.manifest["inputs"])}
    unit = _Retune(run, old, tuning.new, tuning.change, names)
    warm_kernels()
    with progress("Rules", total=len(wanted), unit="shards", quiet=call.quiet) as advance:
        ShardExecutor([unit], call.workers, WorkerConfig(record_timeout_s=1e12)).run_shards(
            wanted, _nothing, lambda shard: advance(1)
        )
    left = sorted({*wanted, *work})
    if not decided:
        decide(job, left)
    with progress("Writing", total=len(left), unit="shards", quiet=call.quiet) as advance:
        finish_shards(job, left, lambda shard: advance(1))
    for number in marks:
        run.forget(mark_name(READ, number))
    shutil.rmtree(run.path / "work", ignore_errors=True)
    done = [run.done(mark_name(FINISH, number)) for number in marks]
    return add(mark.data for mark in done if mark is not None)


def _nothing(count: int) -> None:
    pass


class _Retune(Unit):
    """One shard of the old run to `work/`, as the pipeline of `corpus clean` leaves it there."""

    name = "retune"

    def __init__(self, run: RunDir, old: RunDir, config: CleanConfig, change: Change, names: Mapping[str, int]) -> None:
        super().__init__(run)
        self.old, self.config, self.change, self.names = old, config, change, names

    def unit(self, shard: int) -> None:
        run, old = self.run_dir, self.old
        mark = old.done(mark_name(FINISH, shard))
        if mark is None:
            raise InputError(f"The run {old.path} changed while it was read: {'; '.join(old.damaged)}; start again.")
        outputs = {name: digest for name, digest in mark.outputs.items() if name.startswith("quarantine/")}
        for name in outputs:
            write_bytes(run.file(name), old.file(name).read_bytes())
        for part in range(mark.data["parts"]):
            frame = self._judged(self._merged(part_name(shard, part)))
            outputs |= write_parquet(run, f"work/{part_name(shard, part)}.parquet", frame)
            outputs |= self._prints(part_name(shard, part), frame)
        data = {"parts": mark.data["parts"], "documents": mark.data["documents"]["read"], "faults": mark.data["faults"]}
        run.mark(mark_name(READ, shard), outputs, data)

    def _merged(self, name: str) -> pl.DataFrame:
        """Kept and rejected documents of a part, in the order in which they were read."""
        frames = []
        for state in ("documents", "rejected"):
            frame = pl.read_parquet(self.old.file(f"{state}/{name}.parquet"))
            missing = [column for column in SCHEMA if column not in frame.columns]
            frame = frame.with_columns(pl.lit([] if column == "reasons" else None).alias(column) for column in missing)
            frames.append(frame.select(pl.col(column).cast(kind) for column, kind in SCHEMA.items()))
        frame = pl.concat(frames)
        order = sorted(range(len(frame)), key=list(map(self._place, frame["origin"])).__getitem__)
        return frame[order] if order else frame

    def _place(self, origin: str) -> tuple[int, int, int]:
        """Where a document lies in the dump: file, byte or row, and which of several there."""
        found = _PLACE.search(origin)
        if found is None:
            return len(self.names), 0, 0
        return self.names.get(origin[: found.start()], len(self.names)), int(found[1]), int(found[2] or 0)

    def _judged(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows with their reasons by the new rules, before copies are looked for."""
        judge = Rules(self.config.rules)
        mask = MaskPersonal(self.config.personal)
        texts, metas, reasons = [], [], []
        for row in frame.iter_rows(named=True):
            text, meta = row["text"] or "", row["meta"]
            is_copy = any(reason.startswith("dedup.") for reason in row["reasons"])
            now = list(self._reasons(row, text, judge))
            if is_copy:
                fields = {key: value for key, value in orjson.loads(meta).items() if key not in _COPY}
                meta = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()
            elif row["reasons"] and not now:
                text, meta, now = _masked(mask, row)
            texts.append(text)
            metas.append(meta)
            reasons.append(now)
        columns = {"text": texts, "meta": metas, "reasons": reasons}
        return frame.with_columns(pl.Series(name, values, dtype=SCHEMA[name]) for name, values in columns.items())

    def _reasons(self, row: Mapping[str, Any], text: str, judge: Rules) -> Iterator[str]:
        """All that is against a document but that it is a copy, in the order of the steps."""
        old, touched = row["reasons"], self.change.touched
        families = [reason.partition(".")[0] for reason in old]
        yield from (old[i] for i, family in enumerate(families) if family in _BEFORE_RULES)
        if LANGUAGE not in touched:
            yield from (reason for reason in old if reason == LANGUAGE)
        elif text and row["language"] not in self.change.new_languages:
            yield LANGUAGE
        signals = {key: float("nan") if value is None else value for key, value in row.items() if key.startswith("s_")}
        broken = {reason for reason in judge.broken(signals, row["language"]) if row[f"s_{reason[6:]}"] is not None}
        mine = [f"rules.{rule.signal}" for rule in self.config.rules if rule.language in (None, row["language"])]
        yield from (
            reason for reason in dict.fromkeys(mine) if text and reason in (broken if reason in touched else old)
        )
        passed = (*_BEFORE_RULES, "rules", "dedup")
        for i, family in enumerate(families):
            if (family not in passed and old[i] != LANGUAGE) or old[i] == "rules.error":
                yield old[i]

    def _prints(self, name: str, frame: pl.DataFrame) -> dict[str, str]:
        """The fingerprints of the documents without a reason, as `corpus.save.Save` writes them."""
        sound = frame.with_row_index("row").filter(pl.col("reasons").list.len() == 0)
        rows = list(sound.select("row", "id", "url", *ALL_SIGNALS).iter_rows(named=True))
        enabled = self.config.dedup.enabled
        texts = [text[:MAX_MEASURED] if enabled else "" for text in sound["text"]]
        columns: dict[str, Any] = {
            "row": np.array([row["row"] for row in rows], np.int64),
            "id": np.array([row["id"] for row in rows], "S24"),
            "url": np.array([url_hash(row["url"]) for row in rows], np.uint64),
            "quality": np.array([text_quality(row) for row in rows], np.float32),
        }
        return write_prints(self.run_dir, name, fingerprint(*to_codes(texts)), columns)


def _masked(mask: MaskPersonal, row: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """Text, meta and reasons of a document that is won, its personal data masked as that of kept documents is."""
    page = Page(origin=row["origin"], source=row["source"], text=row["text"], meta=orjson.loads(row["meta"]))
    (page,) = mask.run([page])
    return page.text, orjson.dumps(page.meta, option=orjson.OPT_SORT_KEYS).decode(), page.reasons
