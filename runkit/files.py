"""The one place that writes files: a reader sees the whole old file or the whole new one, never a part.

In: bytes, text or an object, and a path. Out: the file, on disk before the call returns (file and folder are
fsynced), so a mark written after it never names bytes that a power cut took. Price, measured on a cloud disk:
11 ms for a small file and 30 ms for a shard of 8 MB, against 4 and 9 ms for a plain write. One process writes
one path at a time; a second writer is kept out by the run directory's lock.
"""

import errno
import hashlib
import os
import re
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from runkit.errors import EnvironmentFault, UsageError

_SPARE_FILES = 16
NAME_MAX_BYTES = 255  # ext4, xfs, btrfs, APFS and NTFS agree on it
PATH_MAX_BYTES = 4096  # Linux PATH_MAX
_TEMP_NAME = re.compile(r"\..+\.\d+\.tmp", re.DOTALL)
# What a full or failing disk says; everything else a caller raises inside the block is passed on unchanged.
_DISK_ERRORS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS}
_ACCESS_ERRORS = {errno.EACCES, errno.EPERM}
# Rust libraries (polars) wrap the system's error in their own class and keep its number in the text.
_FOREIGN_ERRNO = re.compile(r"\(os error (\d+)\)")
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
_UNSAFE_CHARACTER = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\ud800-\udfff]')


@contextmanager
def atomic_write(path: Path | str, size_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends, and vanishes when the block raises.

    `size_bytes` is only for the message when the disk is full. Missing parent folders are made.
    """
    path = Path(path)
    _refuse_special(path)
    temp = path.with_name(_temp_name(path.name))
    fd = -1
    file: BinaryIO | None = None
    try:
        _make_folder(path.parent)
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        # closefd=False: a compressor that closes what it wraps must not take the fsync away from us.
        file = cast(BinaryIO, os.fdopen(fd, "wb", closefd=False))
        yield file
        if not file.closed:
            file.flush()
        os.fsync(fd)
        os.close(fd)
        fd = -1
        temp.replace(path)
    except BaseException as error:
        needed = size_bytes if size_bytes is not None else _bytes_offered(file)
        _abandon(fd, file, temp)
        fault = disk_fault(error, path, temp, needed)
        if fault is not None:
            raise fault from error
        raise
    _fsync_folder(path.parent)


def disk_fault(error: BaseException, path: Path, temp: Path, needed: int | None) -> EnvironmentFault | None:
    """The sentence for a full, failing or forbidden disk; None when `error` is something else."""
    if isinstance(error, OSError):
        number = error.errno or 0
        # An error that names another file came from what the caller read, not from what we wrote.
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in {temp, *temp.parents}:
            return None
        if number in _ACCESS_ERRORS and error.filename is None:
            return None
    elif isinstance(error, Exception) and (found := _FOREIGN_ERRNO.search(str(error))):
        number = int(found[1])
    else:
        return None
    if number not in _DISK_ERRORS | _ACCESS_ERRORS:
        return None
    sizes = f"{needed:,} bytes to write" if needed is not None else ""
    if number in {errno.ENOSPC, errno.EDQUOT}:
        with suppress(OSError):
            sizes += f"{', ' if sizes else ''}{shutil.disk_usage(path.parent).free:,} bytes free"
    sizes = f" ({sizes})" if sizes else ""
    advice = "give the folder write permission" if number in _ACCESS_ERRORS else "free some space"
    if number in {errno.EIO, errno.EROFS}:
        advice = "use another disk"
    return EnvironmentFault(f"Cannot write {path}: {os.strerror(number).lower()}{sizes}; {advice} and run again.")


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` whole or not at all."""
    with atomic_write(path, len(data)) as file:
        file.write(data)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8, newlines as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, obj: object) -> None:
    """Write JSON whose bytes depend on the values alone: sorted keys, two spaces, a newline at the end."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    write_bytes(path, orjson.dumps(obj, option=options))


def append_bytes(path: Path | str, data: bytes, sync: bool = False) -> None:
    """Add to the end of a file, for logs that grow by a line; only with `sync` it is on the disk before this returns.

    The one exception to "whole or not at all": a power cut may leave half of a line, which a reader leaves out.
    """
    path = Path(path)
    _refuse_special(path)
    try:
        _make_folder(path.parent)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        fault = disk_fault(error, path, path, len(data))
        if fault is not None:
            raise fault from error
        raise


def publish_folder(temp: Path, path: Path) -> None:
    """Give a finished folder its name, so that a reader sees all of it or nothing; `path` must not be there.

    The files in it were written by this module, so they are on the disk already.
    """
    try:
        temp.rename(path)
    except OSError as error:
        raise EnvironmentFault(f"Cannot make {path}: {error.strerror}; use another folder.") from error
    _fsync_folder(path.parent)


def sha256_file(path: Path | str) -> str:
    """Hex sha256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_join(root: Path | str, name: str) -> Path:
    """`root/name`, or a UsageError when that is not a plain path inside `root`.

    `name` is a relative path with `/` between its parts, each of which every common file system can hold:
    runs are copied between machines, so names that only Windows refuses are refused here too.
    """
    root = Path(root)
    fault = _name_fault(root, name)
    if fault is None:
        path = root / name
        if not _has_link(root, name):  # following links takes 0.2 ms
            return path
        try:
            real_root = root.resolve()
            if path.resolve().is_relative_to(real_root):
                return path
            fault = "a link on the way leads out of the folder"
        except (OSError, RuntimeError):  # RuntimeError: links that go round in a circle (Python 3.11)
            fault = "it cannot be followed on this disk"
    shown = repr(name if len(name) <= 80 else name[:77] + "...")
    raise UsageError(f"The name {shown} is not allowed in {root}: {fault}; use a plain relative name.")


def is_temp(name: str) -> bool:
    """Whether a file of this name is what an interrupted `atomic_write` leaves behind."""
    return _TEMP_NAME.fullmatch(name) is not None


def remove_stray_temps(folder: Path | str) -> list[Path]:
    """Remove what a killed run left, at any depth; returns what was removed.

    Whoever calls this holds the folder's lock and has no writer at work: a process number in a name proves
    nothing, for a restarted container hands out the same numbers again.
    """
    removed = []
    for parent, _, names in os.walk(folder):
        for name in filter(is_temp, names):
            stray = Path(parent, name)
            stray.unlink(missing_ok=True)
            removed.append(stray)
    return sorted(removed)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"Cannot write into {folder}: a file stands in its place; name a folder.") from error


def _temp_name(name: str) -> str:
    suffix = f".{os.getpid()}.tmp"
    if len(os.fsencode(name)) + len(suffix) + 1 > NAME_MAX_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}{suffix}"


def _refuse_special(path: Path) -> None:
    """Replacing a device, a pipe or a folder by a file is never what somebody meant."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot use {str(path)!a} as an output file: {error}.") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UsageError(f"Cannot write {path}: it is {kind}; name a file.")


def _bytes_offered(file: BinaryIO | None) -> int | None:
    if file is None or file.closed:
        return None
    try:
        return file.tell()  # counts what is still buffered, so it is what the file needed so far
    except (OSError, ValueError):
        return None


def _abandon(fd: int, file: BinaryIO | None, temp: Path) -> None:
    # A full disk raises again when the buffer is flushed on close; the first error is the one to report.
    if file is not None:
        with suppress(OSError, ValueError):
            file.close()
    if fd >= 0:
        with suppress(OSError):
            os.close(fd)
    with suppress(OSError):
        temp.unlink(missing_ok=True)


def allow_open_files(count: int) -> None:
    """Have the system allow so many open files beside those that are open. EnvironmentFault: it does not.

    Each part of a run that is mapped is one, and the usual limit is 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + len(os.listdir("/dev/fd")) + _SPARE_FILES  # noqa: PTH208
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise EnvironmentFault(f"{wanted:,} files must be open here, and {hard:,} may be; raise `ulimit -n`.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no fsync for folders
            raise EnvironmentFault(f"Cannot write to {folder}: {error.strerror}; use another disk.") from error
    finally:
        os.close(fd)


def _has_link(root: Path, name: str) -> bool:
    path = os.fspath(root)
    for part in name.split("/"):
        path = f"{path}/{part}"
        if os.path.islink(path):  # noqa: PTH114
            return True
    return False


def _name_fault(root: Path, name: str) -> str | None:
    """Why `name` is no portable relative path, judged by its letters alone."""
    if _UNSAFE_CHARACTER.search(name):
        return 'it holds a backslash, a control character or one of < > : " | ? *'
    parts = name.split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            return "it is empty, absolute, or has an empty, '.' or '..' part"
        if len(part.encode()) > NAME_MAX_BYTES:
            return f"a part is longer than {NAME_MAX_BYTES} bytes"
        if part[-1] in ". " or _WINDOWS_DEVICE.fullmatch(part):
            return "Windows cannot hold such a name"
    if len(os.fsencode(root)) + len(name.encode()) + 2 > PATH_MAX_BYTES:
        return f"the whole path is longer than {PATH_MAX_BYTES} bytes"
    return None
