"""A run directory: one holder at a time, bound to its inputs and config, resumed shard by shard.

In: a path, the command, its resolved config and its inputs. Out: a directory whose `manifest.json` says what
it was made from and whose `marks/` say which shards are done, with the sha256 of their bytes. A mark counts
only while its outputs have those bytes. Price: resuming reads all finished outputs again, 1 s per 1.5 GB.
"""

import fcntl
import hashlib
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from runkit.config import dump_yaml, plain, short
from runkit.errors import EnvironmentFault, InputError, UsageError
from runkit.files import is_temp, remove_stray_temps, safe_join, sha256_file, write_bytes, write_json

FORMAT = 1  # of manifest.json and of the marks
_LOCK, _MANIFEST, _RESOLVED = ".lock", "manifest.json", "resolved.yaml"
_ENDING_S = 3.0  # how long workers of a process that is gone may take to end
_MISSING = "nothing"


@dataclass(frozen=True)
class Mark:
    """One finished unit of work."""

    name: str
    outputs: dict[str, str]  # path relative to the run directory -> sha256
    data: dict[str, Any]  # deterministic counts; times and costs belong in usage.json


@dataclass
class RunDir:
    """Made by `RunDir.open` only; holds the lock until that block ends."""

    path: Path
    manifest: dict[str, Any]
    resumed: bool
    """False on the first start in this directory."""
    damaged: list[str] = field(default_factory=list)
    """What `done` found missing, cut or edited: one sentence each, for the report and for stderr."""
    spent_before: dict[str, float | int] | None = None
    """What all earlier starts took, as `note_usage` found it."""

    @staticmethod
    @contextmanager
    def open(
        path: Path | str,
        command: str,
        config: Mapping[str, Any],
        inputs: Sequence[Mapping[str, Any]],
        versions: Mapping[str, Any] | None = None,
    ) -> "Iterator[RunDir]":
        """Lock `path` and start or resume the run there.

        `config` holds what shapes the output (not `workers`, not `quiet`); `inputs` have `name`, `size` and
        `fingerprint`, in the order in which they are read. InputError: another config, input or version, a
        damaged manifest, or somebody else's folder. EnvironmentFault: another process holds the lock.
        """
        path = Path(path)
        wanted = _manifest(command, plain(config), plain(inputs), plain(versions or {}))
        _prepare_folder(path)
        with _locked(path):
            names = [file.name for file in path.iterdir() if file.name != _LOCK and not is_temp(file.name)]
            resumed = bool(names)
            if resumed:
                _compare(path, _read_manifest(path), wanted)
            _sign_lock(path)
            remove_stray_temps(path)
            if not resumed:
                write_json(path / _MANIFEST, {**wanted, "sha256": _digest(wanted)})
            resolved = dump_yaml(wanted["config"]).encode()
            if not (path / _RESOLVED).is_file() or (path / _RESOLVED).read_bytes() != resolved:
                write_bytes(path / _RESOLVED, resolved)
            try:
                yield RunDir(path, wanted, resumed)
            except (UsageError, InputError):
                _give_back(path)
                raise
            finally:  # a worker that was stopped in the middle of a write leaves its half
                with suppress(OSError):
                    remove_stray_temps(path)

    def file(self, name: str) -> Path:
        """The path of `name` inside the run directory; UsageError when it would lie outside."""
        return safe_join(self.path, name)

    def mark(self, name: str, outputs: Mapping[str, str], data: Mapping[str, Any]) -> Mark:
        """Declare `name` finished; its outputs lie on the disk already, with these sha256 sums."""
        sizes = {output: self.file(output).stat().st_size for output in outputs}
        entries = {output: {"sha256": outputs[output], "size": sizes[output]} for output in outputs}
        body = {"format": FORMAT, "name": name, "outputs": entries, "data": plain(data)}
        write_json(self._mark_file(name), {**body, "sha256": _digest(body)})
        return Mark(name, dict(outputs), dict(data))

    def done(self, name: str, sizes_only: bool = False) -> Mark | None:
        """The mark of `name` if all its outputs have the marked bytes; None means: do this work (again).

        With `sizes_only` their bytes are not read: for outputs that were written a moment ago.
        """
        file = self._mark_file(name)
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"Cannot read {file}: {error.strerror}; remove it to redo {name}.") from error
        body = checked(raw)
        if body is None or body.get("format") != FORMAT or body.get("name") != name:
            self.damaged.append(f"{file.relative_to(self.path)} was edited or cut")
            return None
        outputs = body["outputs"].items()
        faults = [fault for output, entry in outputs if (fault := self._fault(output, entry, sizes_only))]
        self.damaged += faults
        if faults:
            return None
        return Mark(name, {output: entry["sha256"] for output, entry in outputs}, body["data"])

    def standing(self, name: str) -> Mark | None:
        """As `done`, and where outputs are damaged the mark is taken back: whoever is to do the work again may be
        stopped, and what looks at sizes alone would then take the old mark for a new one."""
        mark = self.done(name)
        if mark is None:
            self.forget(name)
        return mark

    def forget(self, name: str) -> None:
        """Take the mark of `name` back, before its outputs are removed on purpose."""
        self._mark_file(name).unlink(missing_ok=True)

    def _mark_file(self, name: str) -> Path:
        return safe_join(self.path, f"marks/{name}.json")

    def _fault(self, output: str, entry: Mapping[str, Any], sizes_only: bool) -> str | None:
        file = self.file(output)
        if not file.is_file():
            return f"{output} is missing"
        size = file.stat().st_size
        if size < entry["size"]:
            return f"{output} was cut to {size:,} of {entry['size']:,} bytes"
        if size > entry["size"] or (not sizes_only and sha256_file(file) != entry["sha256"]):
            return f"{output} was edited"
        return None


def damage(path: Path) -> list[str]:
    """What is not as the marks of a run say, one sentence each; for readers, who hold no lock."""
    run = RunDir(path, {}, resumed=True)
    for file in sorted((path / "marks").glob("*.json")):
        run.done(file.stem)
    return run.damaged


def usage(started: float) -> dict[str, float | int]:
    """Time and memory since `started` (a `time.monotonic()`), for usage.json; never part of a hash.

    `cpu_seconds` counts this process from its start, imports included, and every child that was waited for.
    `peak_memory_bytes` is that of the largest single process: the system keeps no sum over processes.
    """
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return {
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "peak_memory_bytes": max(own.ru_maxrss, children.ru_maxrss) * unit,
    }


def note_usage(run: RunDir, spent: Mapping[str, float | int]) -> None:
    """Write usage.json: the figures of this start, and their sum over all starts on this directory.

    May be called again as the start goes on: who calls it at once and at the end counts starts that were killed too.
    """
    path = run.file("usage.json")
    if run.spent_before is None:
        run.spent_before = {"starts": 0, "seconds": 0, "cpu_seconds": 0}
        if run.resumed and path.is_file():
            with suppress(orjson.JSONDecodeError, KeyError, TypeError):  # cut by hand: then the count begins again
                before = orjson.loads(path.read_bytes())["all_starts"]
                run.spent_before = {key: before[key] + 0 for key in run.spent_before}
    before = run.spent_before
    totals = {key: round(spent[key] + before[key], 3) for key in ("seconds", "cpu_seconds")}
    write_json(path, {**spent, "all_starts": {"starts": before["starts"] + 1, **totals}})


def _manifest(command: str, config: Any, inputs: Any, versions: Any) -> dict[str, Any]:
    names = [str(item["name"]) for item in inputs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise UsageError(f"The input {twice[0]} is given twice; name each input once.")
    body = {"format": FORMAT, "command": command, "config": config, "inputs": inputs, "versions": versions}
    try:
        return {**body, "config_sha256": _digest(config)}
    except TypeError as error:  # orjson: an integer beyond 64 bits, half a character
        raise UsageError(f"The config cannot be written as JSON: {error}; use a smaller value.") from error


def _digest(obj: object) -> str:
    return hashlib.sha256(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)).hexdigest()


def checked(raw: bytes) -> dict[str, Any] | None:
    """A manifest or mark without its own checksum; None when the bytes are not those that we wrote."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or body.pop("sha256", None) != _digest(body):
        return None
    return body


def _prepare_folder(path: Path) -> None:
    """Make the folder, or see that it is empty or ours, before a single byte is written into it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = [file.name for file in path.iterdir() if not is_temp(file.name)]
        # Looked up after the listing: a racing first start makes its lock before any other file.
        ours = not names or (path / _MANIFEST).is_file() or os.path.lexists(path / _LOCK)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path} is not a folder; give --out a new or empty folder.") from error
    except OSError as error:
        raise EnvironmentFault(f"Cannot use the folder {path}: {error.strerror}; use another.") from error
    except ValueError as error:
        raise UsageError(f"{str(path)!a} is not a path: {error}.") from error
    if not ours:
        raise _foreign(path)


def _give_back(path: Path) -> None:
    """Unbind a folder in which nothing was made, so that the mended call may use it."""
    if {file.name for file in path.iterdir() if not is_temp(file.name)} <= {_LOCK, _MANIFEST, _RESOLVED}:
        for name in (_RESOLVED, _MANIFEST):
            (path / name).unlink(missing_ok=True)


def _foreign(path: Path) -> InputError:
    return InputError(f"{path} is not empty and no run directory; give --out a new or empty folder.")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold RUN/.lock. The kernel drops the lock with its holder, so a stale one needs no detective work.

    Forked workers share it: while one of them lives on after a kill, nobody else writes here.
    """
    file = path / _LOCK
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise EnvironmentFault(f"Cannot open {file}: {error.strerror}; use another folder.") from error
    try:
        try:
            _take(fd, path)
        except OSError as error:
            raise EnvironmentFault(f"Cannot lock {file}: {error.strerror}; use a local disk.") from error
        yield
        with suppress(OSError):
            os.ftruncate(fd, 0)  # so that two finished runs are alike to the byte
    finally:
        os.close(fd)


def _take(fd: int, path: Path) -> None:
    """EnvironmentFault: somebody holds it. Workers of a process that is gone are waited for, they are ending too."""
    until = time.monotonic() + _ENDING_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 200, 0).decode("ascii", "replace").strip()
            if not _is_gone(holder) or time.monotonic() > until:
                said = holder or "another process"
                raise EnvironmentFault(f"{path} is in use by {said}; wait for it or stop it.") from error
        time.sleep(0.01)


def _is_gone(holder: str) -> bool:
    """The process that signed the lock on this machine is there no more."""
    signed = re.fullmatch(r"process (\d{1,9}) on (.+)", holder)
    if signed is None or signed[2] != _host():
        return False
    try:
        os.kill(int(signed[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _host() -> str:
    return socket.gethostname().encode("ascii", "replace").decode()


def _sign_lock(path: Path) -> None:
    """Say who holds the lock; only for the other starts to read, so a full disk does not matter here."""
    with suppress(OSError):
        fd = os.open(path / _LOCK, os.O_WRONLY | os.O_NOFOLLOW | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, f"process {os.getpid()} on {_host()}\n".encode())
        finally:
            os.close(fd)


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / _MANIFEST
    advice = f"give --out a new folder, or remove {path} yourself"
    try:
        found = checked(file.read_bytes())
    except FileNotFoundError as error:
        raise _foreign(path) from error
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror}; {advice}.") from error
    if found is None:
        raise InputError(f"{file} was damaged or edited; {advice}.")
    if found.get("format") != FORMAT:
        raise InputError(f"{file} has format {found.get('format')}, this program reads {FORMAT}; {advice}.")
    return found


def _compare(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """InputError that names the first differences between a run and what is asked of it now."""
    advice = "use the same, or give --out a new folder"
    if old["command"] != new["command"]:
        raise InputError(f"{path} was made by `{old['command']}`, not by `{new['command']}`; {advice}.")
    for part in ("config", "versions"):
        changes = _changes(old[part], new[part])
        if changes:
            shown = "; ".join(f"{key} was {was}, is now {now}" for key, was, now in changes[:3])
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise InputError(f"{path} was made with another {part}: {shown}{more}; {advice}.")
    was = {item["name"]: item for item in old["inputs"]}
    now = {item["name"]: item for item in new["inputs"]}
    for name in [*was, *now]:
        if was.get(name) != now.get(name):
            left = "is not among the inputs any more"
            verb = "was added" if name not in was else left if name not in now else "has changed"
            raise InputError(f"The input {name} {verb} since {path} was made; {advice}.")
    if list(was) != list(now):
        raise InputError(f"The inputs come in another order than when {path} was made; {advice}.")


def _changes(old: Any, new: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted key, old, new) of each leaf that differs, in the order of `new`, then what only `old` had."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = ({str(index): item for index, item in enumerate(items)} for items in (old, new))
    if not isinstance(old, dict) or not isinstance(new, dict):
        # As JSON: 1 and 1.0 and true are equal in Python, yet not the same setting.
        shown = [value if value == _MISSING else orjson.dumps(value).decode() for value in (old, new)]
        return [] if shown[0] == shown[1] else [(prefix.rstrip("."), short(shown[0]), short(shown[1]))]
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        found += _changes(old.get(key, _MISSING), new.get(key, _MISSING), f"{prefix}{key}.")
    return found
