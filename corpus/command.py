"""The call of `corpus clean` before anything runs: checked, configured, planned; `--dry-run` ends here.

Kept apart from the run so that a wrong call is answered in 0.3 s, before numba and polars are imported.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from corpus.config import CleanConfig, load
from runkit.documents import of_runs
from runkit.errors import UsageError
from runkit.inputs import Plan, plan
from runkit.planned import keep_apart, tell_plan, tell_skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanCall:
    """The command line of `corpus clean`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    out: Path
    config: Path | None
    settings: list[str]
    workers: int
    limit: int | None
    sample: float | None
    seed: int
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    executor: str
    upload: str | None
    started: float


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a call comes to."""

    config: CleanConfig
    plan: Plan


def prepare(call: CleanCall) -> Prepared | None:
    """Check the call and plan it; None when that was all that was asked for."""
    config = load(call.config, [*call.settings, f"seed={call.seed}"] if call.seed else call.settings)
    _check_executor(call)
    _check_places(call)
    keep_apart(call.out, call.inputs)
    planned = plan(call.inputs, shard_bytes=round(config.read.shard_mb * 1e6), choose=of_runs)
    tell_skipped(planned)
    if call.dry_run:
        tell_plan(planned, call.as_json)
        return None
    return Prepared(config, planned)


def _check_executor(call: CleanCall) -> None:
    if call.executor not in EXECUTORS:
        raise UsageError(f"--executor {call.executor} is not known; choose one of {', '.join(EXECUTORS)}.")
    if call.executor != "local" and call.limit is not None:
        raise UsageError("--limit reads one shard after another, which machines cannot share; use --sample.")


def _check_places(call: CleanCall) -> None:
    if _URL.match(str(call.out)):  # a Path has made s3:/ of s3://
        raise UsageError(
            f"--out {call.out} is not a folder on a disk, and a run needs its locks and renames; "
            "add --upload URL to have a copy there."
        )
    if call.upload is not None and "://" not in call.upload:
        raise UsageError(f"--upload {call.upload} is no URL; give one such as s3://bucket/folder.")
