"""What the tests of executors share: a dump, what the local executor makes of it, and how the command is started."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.kill import tree
from tests.faults.launch import FAST, SHARDS, Command, Ended, Setup, clean, start
from tests.faults.texts import Size, mixed_dump

SIZE = Size(warc=140, jsonl=180, files=12, sentences=12)  # 1 MB, 18 shards
QUICK = (*FAST, *SHARDS, "-s", "url.blocklist=false")


@dataclass(frozen=True)
class Here:
    """A folder that every process sees, and what lies in it."""

    folder: Path
    dump: Path
    expected: dict[str, str]
    env: dict[str, str]
    how: tuple[str, ...]  # the executor and its settings

    def start(self, out: Path, *more: str, how: Sequence[str] | None = None) -> Command:
        words = ["clean", self.dump, "--out", out, *QUICK, *(self.how if how is None else how), *more]
        return start(words, self.folder / "streams", Setup(env=tuple(self.env.items()), module="corpus.__main__"))

    def run(self, out: Path, *more: str, how: Sequence[str] | None = None) -> Ended:
        return self.start(out, *more, how=how).result(200)


@contextmanager
def workplace(env: dict[str, str], how: Sequence[str], folder: Path) -> Iterator[Here]:
    """A dump and the tree that the local executor makes of it; `env` for commands."""
    dump = mixed_dump(folder / "mixed", 7, SIZE)
    clean([dump], folder / "local", "-s", "url.blocklist=false", *SHARDS, "--workers", "2")
    yield Here(folder, dump, tree(folder / "local"), env, tuple(how))


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that daemons of other users reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="wenhai-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def marks(run: Path, pattern: str = "*") -> dict[str, tuple[int, int]]:
    """Marks by name, with inode and time of change: what was made again shows."""
    found = {}
    for file in run.glob(f"marks/{pattern}.json"):
        stat = file.stat()
        found[file.stem] = (stat.st_ino, stat.st_mtime_ns)
    return found
