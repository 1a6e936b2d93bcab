"""Rows 12 to 15 and 17 through the whole command: a folder of what crawls hold; the counts must add up."""

import gzip
import json
import os
import random
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.faults.launch import FULL, Ended, run
from tests.faults.lines import BAD_LINES, DEPTH, GOOD_LINES, lines_with_faults
from tests.faults.texts import html, member, warc_record

pytestmark = pytest.mark.timeout(600 if FULL else 120)
GOOD_RECORDS = 30
BOMB_BYTES = 500 * 2**20 if FULL else 40 * 2**20
CAP = ("-s", "read.max_record_mb=8")


def damaged_warc(rng: random.Random) -> bytes:
    """Thirty records; one is damaged in its middle, one has rubbish before it, the last is cut."""
    members = [
        member(warc_record(f"http://damaged.example/{n}", html(rng, 12, f"第{n}篇").encode()))
        for n in range(GOOD_RECORDS)
    ]
    broken = bytearray(members[7])
    for place in range(len(broken) // 2, len(broken) // 2 + 40):
        broken[place] ^= 0x5A
    members[7] = bytes(broken)
    members[15] = b"rubbish between two members" * 9 + members[15]
    members[-1] = members[-1][: len(members[-1]) // 2]
    return b"".join(members)


def bomb() -> bytes:
    """A record that unpacks to far more than the cap, between two good ones."""
    rng = random.Random(8)
    good = [member(warc_record(f"http://bomb.example/{n}", html(rng, 12, "好").encode())) for n in range(2)]
    huge = gzip.compress(warc_record("http://bomb.example/huge", b"<p>" + b"a" * BOMB_BYTES), compresslevel=9, mtime=0)
    return good[0] + huge + good[1]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "crawl"
    folder.mkdir()
    rng = random.Random(12)
    (folder / "lines.jsonl").write_bytes(lines_with_faults(rng))
    (folder / "damaged.warc.gz").write_bytes(damaged_warc(rng))
    (folder / "bomb.warc.gz").write_bytes(bomb())
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(b"a" * BOMB_BYTES, 9, mtime=0))
    (folder / "lying.warc").write_bytes(
        warc_record("http://lying.example/", b"<p>short").replace(b"Length: 69", b"Length: 99999999999")
    )
    (folder / "nested.html").write_text("<html><body>" + "<div>" * DEPTH + "深" + "</div>" * DEPTH, "utf-8")
    (folder / "attribute.html").write_text(f'<html><body><p class="{"x" * 5_000_000}">短</p>', "utf-8")
    (folder / "nul.html").write_bytes(b"<html><body><p>\0\0\0\0</p>\0</body>")
    (folder / "blank.html").write_text("<html><body></body></html>", "utf-8")
    (folder / "spaces.html").write_text("  \n \n", "utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    (folder / "picture.html").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "empty.warc.gz").write_bytes(b"")
    (folder / "good.html").write_text(html(rng, 15, "好的一页"), "utf-8")
    special_files(folder)
    return folder


def special_files(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "loop").symlink_to(folder)
    (folder / "a.html").symlink_to(folder / "b.html")
    (folder / "b.html").symlink_to(folder / "a.html")
    (folder / "dangling.html").symlink_to(folder / "nowhere.html")
    if os.geteuid() == 0:
        try:
            os.mknod(folder / "device.html", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # endless zeros
        except PermissionError:
            return  # a container without that right


def go(hostile: Path, out: Path, mode: str, workers: str) -> tuple[Ended, dict[str, Any]]:
    words = ["clean", hostile, "--out", out, "-q", "-s", f"extract.mode={mode}", *CAP, "--workers", workers]
    ended = run(words, out.parent / "streams")
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended, json.loads((out / "summary.json").read_text("utf-8"))


@pytest.mark.parametrize(("mode", "workers"), [("fast", "2"), ("best", "1")])
def test_everything_is_accounted_for(tmp_path: Path, hostile: Path, mode: str, workers: str) -> None:
    out = tmp_path / "run"
    _, summary = go(hostile, out, mode, workers)
    documents = summary["documents"]
    kept, rejected = (pl.read_parquet(sorted((out / state).glob("*.parquet"))) for state in ("documents", "rejected"))
    assert documents == {"kept": len(kept), "rejected": len(rejected), "read": len(kept) + len(rejected)}
    # No page without text but with a reason, none kept without text.
    assert kept["text"].str.len_chars().min() > 0
    assert rejected["reasons"].list.len().min() > 0
    quarantine = [
        json.loads(line)
        for file in sorted((out / "quarantine").glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    assert Counter(fault["reason"] for fault in quarantine) == summary["quarantined"]
    assert len(quarantine) == summary["records"]["quarantined"]
    assert sum(summary["skipped"].values()) == summary["records"]["skipped"]
    assert not [reason for reason in summary["quarantined"] if reason.startswith("worker.")]
    by_file = Counter(fault["file"].split("/")[-1] for fault in quarantine)
    origins = Counter(o.split("#")[0].split("/")[-1] for o in [*kept["origin"], *rejected["origin"]])
    assert by_file["lines.jsonl"] == len(BAD_LINES)
    assert origins["lines.jsonl"] == GOOD_LINES
    assert origins["damaged.warc.gz"] == GOOD_RECORDS - 2
    assert by_file["damaged.warc.gz"] >= 2
    assert origins["bomb.warc.gz"] == 2
    assert by_file["bomb.warc.gz"] == 1
    assert by_file["bomb.txt.gz"] == 1
    assert origins["good.html"] == 1
    assert "crawl/good.html#0" in kept["origin"].to_list()


def test_what_is_not_read_is_named(tmp_path: Path, hostile: Path) -> None:
    _, summary = go(hostile, tmp_path / "run", "fast", "1")
    skipped = {Path(entry["path"]).name: entry["reason"] for entry in summary["inputs"]["not_read"]}
    names = {file.name for file in hostile.iterdir()}
    assert skipped["pipe.jsonl"] == "not a regular file"
    assert {"picture.png", "empty.jsonl", "empty.warc.gz", "dangling.html", "a.html", "b.html"} <= set(skipped)
    assert "loop" in names and not [path for path in skipped if path == "loop"]
    if "device.html" in names:
        assert skipped["device.html"] == "not a regular file"
    # Every file of the folder is either an input or named with a reason.
    assert summary["inputs"]["files"] + len(skipped) == len(names - {"loop"})


@pytest.mark.parametrize("name", ["pipe.jsonl", "a.html", "empty.jsonl"])
def test_named_by_the_user(tmp_path: Path, hostile: Path, name: str) -> None:
    ended = run(["clean", hostile / name, "--out", tmp_path / "run"], tmp_path / "streams")
    assert ended.code == 3, ended.err
    assert name in ended.err
    assert len(ended.err.strip().splitlines()) == 1
