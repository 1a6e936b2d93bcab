"""Finished run directories for the tests, made from pages by the code that makes them in a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.config import MEANS, CleanConfig, load
from corpus.finish import add, statistics
from corpus.page import Page
from corpus.report import write_report
from corpus.save import to_frame
from corpus.signals import ALL_SIGNALS
from corpus.store import part_name
from corpus.summary import summarise
from runkit.files import write_json
from runkit.inputs import InputFile, Plan
from runkit.rundir import RunDir

VERSIONS = {"wenhai": "0.1.0"}


@dataclass
class Made:
    """A run and what its report was made from."""

    run: RunDir
    summary: dict[str, Any]
    total: dict[str, Any]
    config: CleanConfig

    @property
    def html(self) -> str:
        return self.run.file("report.html").read_text("utf-8")


def page(number: int, *reasons: str, **fields: Any) -> Page:
    """A page with all signals at 0.5; `s_*` among the fields sets a signal."""
    signals = dict.fromkeys(ALL_SIGNALS, 0.5) | {k: v for k, v in fields.items() if k.startswith("s_")}
    given = {key: value for key, value in fields.items() if not key.startswith("s_")}
    defaults: dict[str, Any] = {
        "origin": f"dump.warc.gz#{number}",
        "source": "dump",
        "text": f"第{number}篇的正文。\n第二行。",
        "url": f"https://site{number % 3}.example/{number}",
        "language": "zh",
        "meta": {"title": f"标题{number}", "encoding": "utf-8"},
    }
    return Page(**{**defaults, **given}, signals=signals, reasons=list(reasons))


def make(
    path: Path,
    parts: Sequence[Sequence[Page]],
    *,
    lang: str = "en",
    faults: dict[str, int] | None = None,
    settings: Sequence[str] = (),
) -> Made:
    """Write documents, rejected documents, summary and report of a run with these parts."""
    config = load(None, list(settings))
    inputs = [{"name": "dump.warc.gz", "size": 1_234_567, "fingerprint": "ab" * 32}]
    plan = Plan((), (InputFile("dump.warc.gz", "dump.warc.gz", 1_234_567, "ab" * 32),), ())
    resolved = config.model_dump(mode="json", exclude=set(MEANS)) | {"limit": None, "sample": 0.5}
    with RunDir.open(path, "corpus clean", resolved, inputs, VERSIONS) as run:
        counted = []
        for number, pages in enumerate(parts):
            frame = to_frame(pages)
            kept = pl.col("reasons").list.len() == 0
            for state, rows in (
                ("documents", frame.filter(kept).drop("reasons")),
                ("rejected", frame.filter(~kept)),
            ):
                run.file(state).mkdir(exist_ok=True)
                rows.write_parquet(run.file(f"{state}/{part_name(number, 0)}.parquet"))
            counted.append(statistics(frame))
        total = add([*counted, {"faults": faults or {}}])
        summary = summarise(total, plan)
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, total, config, lang)
    return Made(run, summary, total, config)
