"""What every command that reads inputs does with its plan before the run: checks, tells, and names it.

In: a plan and the call. Out: sentences on stderr, one object on stdout with `--dry-run --json`, and the entries of
the run's manifest; and of a run that goes on, what is made again.
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.inputs import Plan
from runkit.rundir import RunDir

MOST_FILES = 50
MOST_SKIPPED = 10


def keep_apart(out: Path, inputs: Iterable[str]) -> None:
    """A run directory inside an input folder would be read as input by the next start: UsageError."""
    real = out.resolve()
    for argument in inputs:
        named = argument.rpartition("=")[2]
        # is_dir is asked first: a loop of links cannot be resolved.
        inside = Path(named).is_dir() and real.is_relative_to(Path(named).resolve())
        if inside or fnmatch(str(real), str(Path.cwd() / named)):
            raise UsageError(f"--out {out} lies inside the input {named}; choose a folder outside of it.")


def tell_skipped(plan: Plan) -> None:
    """Say which files are not read, and why."""
    for skipped in plan.skipped[:MOST_SKIPPED]:
        say(f"Not read: {skipped.path}: {skipped.reason}")
    if len(plan.skipped) > MOST_SKIPPED:
        say(f"Not read: {len(plan.skipped) - MOST_SKIPPED} more files; summary.json names them all.")


def tell_rebuilt(run: RunDir) -> None:
    """Say which finished files of a run are gone or altered, and are made again."""
    for damage in run.damaged:
        say(f"Rebuilding: {damage}.")
    run.damaged.clear()


def tell_plan(plan: Plan, as_json: bool) -> None:
    """What `--dry-run` shows."""
    size = sum(file.size_bytes for file in plan.files)
    if as_json:
        emit_json(
            {
                "files": [{"name": f.name, "path": f.path, "bytes": f.size_bytes} for f in plan.files],
                "bytes": size,
                "shards": len(plan.shards),
                "not_read": [{"path": s.path, "reason": s.reason} for s in plan.skipped],
            }
        )
    formats: dict[str, str] = {}
    for shard in plan.shards:
        for part in shard.parts:
            formats[part.name] = f"{part.format}{' .' + part.compression if part.compression else ''}"
    for file in plan.files[:MOST_FILES]:
        say(f"{file.size_bytes:>15,} bytes  {formats.get(file.name, ''):<12} {file.path}")
    if len(plan.files) > MOST_FILES:
        say(f"… and {len(plan.files) - MOST_FILES} more")
    say(f"{len(plan.files)} files, {size:,} bytes, {len(plan.shards)} shards; nothing was written.")


def manifest_inputs(plan: Plan) -> list[dict[str, Any]]:
    """The plan's files as `RunDir.open` takes them."""
    return [{"name": file.name, "size": file.size_bytes, "fingerprint": file.fingerprint} for file in plan.files]
