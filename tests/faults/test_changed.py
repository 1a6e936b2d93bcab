"""Row 2: what changes after "done" is noticed: rebuilt to the same bytes, or refused by name with exit 3."""

import shutil
from pathlib import Path

import pytest

from tests.faults.checks import Harm, cut, flip, remove
from tests.faults.kill import assert_same, tree
from tests.faults.launch import FAST, FULL, SHARDS, Ended, run

pytestmark = pytest.mark.timeout(600 if FULL else 120)
PART = "00003-000.parquet"


def only(folder: Path) -> Path:
    return next(iter(sorted(folder.iterdir())))


@pytest.fixture
def done(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def own_dump(dump: Path, tmp_path: Path) -> Path:
    """A copy under the same name: inputs are known by name and content, not by where they lie."""
    return Path(shutil.copytree(dump, tmp_path / dump.name))


def again(dump: Path, out: Path, *more: str) -> Ended:
    return run(["clean", dump, "--out", out, *FAST, *SHARDS, *more], out.parent / "streams")


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        (f"documents/{PART}", remove, f"documents/{PART} is missing"),
        (f"rejected/{PART}", cut, f"rejected/{PART} was cut"),
        (f"documents/{PART}", flip, f"documents/{PART} was edited"),
        ("quarantine", flip, "was edited"),
        ("copies.parquet", flip, "copies.parquet was edited"),
        ("marks/done-00002.json", flip, "marks/done-00002.json was edited"),
        ("marks/done-00002.json", remove, ""),
        ("marks/copies.json", cut, "marks/copies.json was edited"),
        ("summary.json", flip, ""),
        ("report.html", cut, ""),
        ("resolved.yaml", flip, ""),
    ],
)
def test_a_changed_output_is_made_again(
    done: Path, dump: Path, expected: dict[str, str], name: str, harm: Harm, words: str
) -> None:
    if not (done / name).exists():
        pytest.skip(f"this program writes no {name}")
    harm(only(done / name) if (done / name).is_dir() else done / name)
    ended = again(dump, done)
    assert ended.code == 0, ended.err
    assert words in ended.err
    assert not words or "Rebuilding: " in ended.err
    assert_same(done, expected)


def test_only_the_shard_that_was_changed_is_read_again(done: Path, dump: Path) -> None:
    before = {file: file.stat().st_ino for file in done.glob("documents/*.parquet")}
    flip(done / "documents" / PART)
    assert again(dump, done).code == 0
    assert {file.name for file, inode in before.items() if file.stat().st_ino != inode} == {PART}


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda dump: flip(dump / "lines.jsonl"), "mixed/lines.jsonl has changed"),
        (lambda dump: cut(dump / "crawl.warc.gz"), "mixed/crawl.warc.gz has changed"),
        (lambda dump: remove(dump / "html/0003.html"), "mixed/html/0003.html is not among the inputs any more"),
        (lambda dump: (dump / "new.txt").write_text("新的一页。"), "mixed/new.txt was added"),
    ],
)
def test_a_changed_input_is_refused(done: Path, own_dump: Path, harm: Harm, words: str) -> None:
    harm(own_dump)
    before = tree(done)
    ended = again(own_dump, done)
    assert (ended.code, ended.out) == (3, "")
    assert words in ended.err
    assert tree(done) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("-s", "dedup.jaccard=0.9"), "dedup.jaccard was 0.75, is now 0.9"),
        (("--seed", "5"), "seed was 0, is now 5"),
        (("--limit", "7"), "limit was null, is now 7"),
    ],
)
def test_a_changed_config_is_refused(done: Path, dump: Path, more: tuple[str, ...], words: str) -> None:
    before = tree(done)
    ended = again(dump, done, *more)
    assert (ended.code, ended.out) == (3, "")
    assert words in ended.err
    assert tree(done) == before


def test_an_edited_manifest_is_refused(done: Path, dump: Path) -> None:
    flip(done / "manifest.json")
    before = tree(done)
    ended = again(dump, done)
    assert ended.code == 3
    assert str(done / "manifest.json") in ended.err
    assert tree(done) == before


def test_nothing_changed_nothing_written_again(done: Path, dump: Path, expected: dict[str, str]) -> None:
    before = {file: file.stat().st_ino for file in done.glob("*/*") if file.is_file()}
    assert again(dump, done, "--workers", "1").code == 0
    assert {file: file.stat().st_ino for file in before} == before
    assert_same(done, expected)
