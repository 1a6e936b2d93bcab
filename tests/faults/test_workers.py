"""Row 25: workers are killed, hang or grow: the run goes on, and only the record at fault is left out."""

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from tests.faults.kill import assert_same
from tests.faults.launch import FAST, FULL, SHARDS, Ended, Setup, run, start
from tests.faults.poison import DIES, GROWS, HANGS
from tests.faults.texts import text

pytestmark = pytest.mark.timeout(1200 if FULL else 120)
KILLS = 20 if FULL else 3
SHARD = "read.shard_mb=0.03"  # about 18 of these pages
LIMITS = ("worker.record_timeout_s=3", "worker.memory_mb=600", "url.blocklist=false")


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_killed_from_outside(tmp_path: Path, dump: Path, expected: dict[str, str], workers: int) -> None:
    rng = random.Random(workers)
    landed = rounds = 0
    while landed < KILLS:
        assert rounds <= KILLS
        out = tmp_path / f"run-{rounds}"
        rounds += 1
        words = ["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", str(workers)]
        command = start(words, tmp_path / "streams")
        marks = -1
        while not command.ended(rng.uniform(0, 0.15)):
            workers_now = command.workers()
            # Killed again and again at one record, it would be held to be the record's fault: some progress first.
            done = len([*out.glob("marks/work-*.json")])
            if landed < KILLS and workers_now and done > marks and (out / "manifest.json").is_file():
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(workers_now), signal.SIGKILL)
                    landed += 1
                    marks = done
        ended = command.result()
        assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
        assert_same(out, expected)


def write(path: Path, marks: dict[int, str], count: int, seed: int) -> None:
    """A file of JSON lines; the text of some lines carries a mark."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            line = {"text": text(rng, 12) + marks.get(number, ""), "number": number}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def poisoned(folder: Path, where: str, workers: int, *settings: str) -> Ended:
    words = [folder / "dump", folder / "run", where, workers, *settings]
    return run(words, folder / "streams", Setup(module="tests.faults.poison"))


def pages(out: Path) -> dict[tuple[str, int], dict[str, object]]:
    """All documents by file and number: text, reasons, signals."""
    found = {}
    for state in ("documents", "rejected"):
        for part in sorted(out.glob(f"{state}/*.parquet")):
            for row in pl.read_parquet(part).iter_rows(named=True):
                key = (row["origin"].split("#")[0], json.loads(row["meta"])["number"])
                assert key not in found
                found[key] = row
    return found


def faults(out: Path) -> list[tuple[str, int, str]]:
    """(file, byte, reason) of what is in quarantine."""
    lines = [line for file in sorted(out.glob("quarantine/*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [(fault["file"], fault["offset"], fault["reason"]) for fault in map(json.loads, lines)]


def undisturbed(folder: Path, *settings: str) -> dict[tuple[str, int], dict[str, object]]:
    words = ["clean", folder / "dump", "--out", folder / "whole", "-q"]
    for setting in settings:
        words += ["-s", setting]
    assert run(words, folder / "streams").code == 0
    return pages(folder / "whole")


@pytest.mark.parametrize("where", ["late", "early"] if FULL else ["late"])
def test_a_record_that_takes_its_worker_down(tmp_path: Path, where: str) -> None:
    """`late` strikes behind a batch, where the record last read is not the one at work; `early` is the easier."""
    (tmp_path / "dump").mkdir()
    path = tmp_path / "dump" / "lines.jsonl"
    marks = {5: DIES, 9: DIES, 30: HANGS, 50: GROWS}
    write(path, marks, 80, seed=3)
    ended = poisoned(tmp_path, where, 2, SHARD, *LIMITS)
    assert ended.code == 0, ended.err
    starts = [0]
    for line in path.read_bytes().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    reasons = {DIES: "worker.died", HANGS: "worker.timeout", GROWS: "worker.memory"}
    name = "dump/lines.jsonl"
    assert faults(tmp_path / "run") == [(name, starts[number], reasons[mark]) for number, mark in marks.items()]
    whole = undisturbed(tmp_path, SHARD, *LIMITS)
    assert pages(tmp_path / "run") == {key: row for key, row in whole.items() if key[1] not in marks}


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    """What lies behind it in its file is lost, and said to be; the next file of the same shard is read."""
    (tmp_path / "dump").mkdir()
    write(tmp_path / "dump" / "a.jsonl", {11: DIES}, 20, seed=4)
    write(tmp_path / "dump" / "b.jsonl", {0: HANGS}, 6, seed=5)
    write(tmp_path / "dump" / "c.jsonl", {}, 6, seed=6)
    ended = poisoned(tmp_path, "reader", 1, *LIMITS[:1])
    assert ended.code == 0, ended.err
    found = faults(tmp_path / "run")
    assert [(file, reason) for file, _, reason in found] == [
        ("dump/a.jsonl", "worker.unreadable"),
        ("dump/b.jsonl", "worker.unreadable"),
    ]
    assert found[0][1] > 0
    expected = {("dump/a.jsonl", number) for number in range(11)} | {("dump/c.jsonl", number) for number in range(6)}
    assert set(pages(tmp_path / "run")) == expected


def test_a_small_memory_limit_is_no_fault_of_the_records(tmp_path: Path, dump: Path) -> None:
    """The smallest limit that the config takes holds the program itself; a fork of ours would bring torch along."""
    words = ["clean", dump, "--out", tmp_path / "run", *FAST, "-s", "worker.memory_mb=256"]
    ended = run(words, tmp_path / "streams", Setup(real=True))
    assert ended.code == 0, ended.err
    assert not [reason for _, _, reason in faults(tmp_path / "run") if reason.startswith("worker.")]
