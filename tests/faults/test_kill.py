"""Row 1: kill -9 at any moment; the same command then comes to the same bytes."""

import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.kill import Killer, assert_same, tree
from tests.faults.launch import FAST, FULL, SHARDS, Command, clean, start, until
from tests.faults.texts import Size, mixed_dump

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
KILLS = 100 if FULL else 4
LARGE = Size(7000, 3500, 300, 20)
LARGE_SHARDS = ("-s", "read.shard_mb=0.4") if FULL else SHARDS


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, dump: Path) -> Path:
    """The dump of the full count: 20 MB."""
    return mixed_dump(tmp_path_factory.mktemp("large") / "mixed", 7, LARGE) if FULL else dump


@pytest.fixture(scope="module")
def large_expected(large: Path, expected: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if not FULL:
        return expected
    out = tmp_path_factory.mktemp("whole") / "run"
    clean([large], out, *LARGE_SHARDS, "--workers", "2")
    return tree(out)


def test_the_generated_pages_are_good_enough(whole: Path) -> None:
    """Else the second pass would have nothing to do."""
    sources = json.loads((whole / "summary.json").read_text("utf-8"))["sources"]
    for source in ("crawl", "lines"):
        kept, rejected = (sources[state].get(source, 0) for state in ("kept", "rejected"))
        assert kept >= 0.8 * (kept + rejected)


def begin(dump: Path, run: Path, workers: int, shards: Sequence[str] = SHARDS) -> Command:
    words = ["clean", dump, "--out", run, *FAST, *shards, "--workers", str(workers)]
    return start(words, run.parent / "streams")


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments(tmp_path: Path, large: Path, large_expected: dict[str, str], workers: int) -> None:
    def again(run: Path) -> Command:
        return begin(large, run, workers, LARGE_SHARDS)

    killer = Killer(again, tmp_path, seed=workers, span_s=4.0 if FULL else 0.6, workers=workers)
    landed = killer.kill(KILLS, large_expected)
    assert len(landed) == KILLS
    print(f"\n{KILLS} kills, {workers} workers:", dict(Counter(landing.phase for landing in landed)))


def test_killed_while_the_documents_are_written(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    """Between `done` and the removal of `work` lies the only moment with two marks for one shard."""
    out = tmp_path / "run"
    for number in (0, 3):
        command = begin(dump, out, 2)
        mark = out / "marks" / f"done-{number:05}.json"
        until(lambda mark=mark, command=command: mark.is_file() or command.ended(0), "a shard is written")
        command.send(signal.SIGKILL)
        command.result()
    work = [*out.glob("marks/work-*.json")]
    assert work, "the run had ended before the kill"
    kept = {mark.name: mark.read_bytes() for mark in work}
    assert begin(dump, out, 1).result().code == 0
    assert_same(out, expected)
    for name, data in kept.items():  # as if the last kill had come between the two
        (out / "marks" / name).write_bytes(data)
    assert begin(dump, out, 1).result().code == 0
    assert_same(out, expected)


def test_only_the_parent_is_killed(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    """Its workers go with it, and the lock with them."""
    out = tmp_path / "run"
    command = begin(dump, out, 2)
    until(lambda: any(out.glob("marks/work-*.json")) or command.ended(0), "a first mark")
    workers = command.workers()
    command.kill_parent()
    assert command.result().code == -signal.SIGKILL
    until(lambda: not any(alive(pid) for pid in workers), "the workers end")
    assert begin(dump, out, 1).result().code == 0
    assert_same(out, expected)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
