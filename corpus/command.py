"""The call of `corpus clean` before anything runs: checked, configured, planned; `--dry-run` ends here.

Kept apart from the run so that a wrong call is answered in 0.3 s, before numba and polars are imported.
"""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from corpus.config import CleanConfig, load
from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.inputs import Plan, plan

LANGUAGES = ("en", "zh")


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
    started: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a call comes to."""

    config: CleanConfig
    plan: Plan


def prepare(call: CleanCall) -> Prepared | None:
    """Check the call and plan it; None when that was all that was asked for."""
    if call.lang not in LANGUAGES:
        raise UsageError(f"--lang {call.lang} is not known; choose one of {', '.join(LANGUAGES)}.")
    if not 0 <= call.max_bad <= 1:
        raise UsageError(f"--max-bad {call.max_bad} is not between 0 and 1.")
    config = load(call.config, [*call.settings, f"seed={call.seed}"] if call.seed else call.settings)
    _keep_apart(call)
    planned = plan(call.inputs, shard_bytes=round(config.read.shard_mb * 1e6))
    for skipped in planned.skipped[:10]:
        say(f"Not read: {skipped.path}: {skipped.reason}")
    if len(planned.skipped) > 10:
        say(f"Not read: {len(planned.skipped) - 10} more files; summary.json names them all.")
    if call.dry_run:
        _tell_plan(call, planned)
        return None
    return Prepared(config, planned)


def _keep_apart(call: CleanCall) -> None:
    """A run directory inside an input folder would be read as input by the next start."""
    out = call.out.resolve()
    for argument in call.inputs:
        named = argument.rpartition("=")[2]
        # is_dir is asked first: a loop of links cannot be resolved.
        inside = Path(named).is_dir() and out.is_relative_to(Path(named).resolve())
        if inside or fnmatch(str(out), str(Path.cwd() / named)):
            raise UsageError(f"--out {call.out} lies inside the input {named}; choose a folder outside of it.")


def _tell_plan(call: CleanCall, planned: Plan) -> None:
    size = sum(file.size_bytes for file in planned.files)
    if call.as_json:
        emit_json(
            {
                "files": [{"name": f.name, "path": f.path, "bytes": f.size_bytes} for f in planned.files],
                "bytes": size,
                "shards": len(planned.shards),
                "not_read": [{"path": s.path, "reason": s.reason} for s in planned.skipped],
            }
        )
    formats: dict[str, str] = {}
    for shard in planned.shards:
        for part in shard.parts:
            formats[part.name] = f"{part.format}{' .' + part.compression if part.compression else ''}"
    for file in planned.files[:50]:
        say(f"{file.size_bytes:>15,} bytes  {formats.get(file.name, ''):<12} {file.path}")
    if len(planned.files) > 50:
        say(f"… and {len(planned.files) - 50} more")
    say(f"{len(planned.files)} files, {size:,} bytes, {len(planned.shards)} shards; nothing was written.")
