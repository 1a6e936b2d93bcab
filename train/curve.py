"""`--curve` of `train eval ppl` and `train eval mcq`: every checkpoint of a run measured, the oldest first.

In: what one measurement takes, on a run. Out: a table with a line a step, one JSON object with all figures, and a page
with a chart. A damaged checkpoint is left out and told. Price: each checkpoint's files are read twice, once to see that
they are whole, and the documents once a checkpoint; how many checkpoints there are says the `keep` of the training.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from runkit.console import emit_json, say
from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.files import write_text
from train.checkpoint import fault, folders, step_of
from train.curve_report import Kind, curve_page, tell_curve
from train.evaluate import PplCall, measure_ppl, tell_faults
from train.mcq import McqCall, measure_mcq


def ppl_curve(call: PplCall, page: Path | None = None, lang: str = "en") -> None:
    """Perplexity at each checkpoint of `call.run`; raises what `eval_ppl` raises."""
    faults: list[Fault] = []

    def measure(checkpoint: Path) -> dict[str, Any]:
        figures, faults[:] = measure_ppl(replace(call, run=checkpoint))
        return figures

    rows = _curve(call.run, "ppl", measure, page, lang, call.as_json, call.quiet)
    tell_faults(call, rows[-1], faults)


def mcq_curve(call: McqCall, page: Path | None = None, lang: str = "en") -> None:
    """Accuracy at each checkpoint of `call.run`, answers in a folder of `call.out` for each; as `eval_mcq` raises."""

    def measure(checkpoint: Path) -> dict[str, Any]:
        out = None if call.out is None else call.out / checkpoint.name
        return measure_mcq(replace(call, run=checkpoint, out=out))

    _curve(call.run, "mcq", measure, page, lang, call.as_json, call.quiet)


def _curve(
    run: Path,
    kind: Kind,
    measure: Callable[[Path], dict[str, Any]],
    page: Path | None,
    lang: str,
    as_json: bool,
    quiet: bool,
) -> list[dict[str, Any]]:
    rows = []
    for checkpoint in _whole(run):
        rows.append({"step": step_of(checkpoint)} | measure(checkpoint))
        if page is not None:  # after each one, for the next may take an hour
            write_text(page, curve_page(run.name, kind, rows, lang))
    if as_json:
        emit_json({"run": run, "curve": rows})
    if not (as_json and quiet):
        tell_curve(kind, rows)
    if page is not None:
        say(f"Page: {page}")
    return rows


def _whole(run: Path) -> Iterator[Path]:
    """The checkpoints, the oldest first. UsageError: there are none. InputError: all are damaged."""
    found = folders(run)[::-1]
    if not found:
        raise UsageError(f"{run} has no checkpoints; name a run of `train pretrain`, or leave --curve out.")
    whole = 0
    for checkpoint in found:
        wrong = fault(checkpoint)
        if wrong is None:
            whole += 1
            yield checkpoint
        elif checkpoint.exists():  # a run that is training removes its oldest
            say(f"Warning: the checkpoint {checkpoint} is damaged and left out: {wrong}.")
    if not whole:
        raise InputError(f"No checkpoint of {run} is whole; train it again.")
