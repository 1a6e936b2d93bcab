"""Wrong calls: one sentence on stderr that names the culprit, an exit code, nothing on stdout or disk."""

from pathlib import Path

import pytest

from tests.faults.checks import PNG, assert_one_sentence
from tests.faults.launch import FULL, run

pytestmark = pytest.mark.timeout(300 if FULL else 120)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "ok.jsonl").write_text('{"text": "一行"}\n', "utf-8")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a.png").write_bytes(PNG)
    (folder / "picture.png").write_bytes(PNG)
    (folder / "bad.yaml").write_text("rules: [\n", "utf-8")
    (folder / "list.yaml").write_text("- a\n- b\n", "utf-8")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "letter.txt").write_text("dear", "utf-8")
    (folder / "file").write_text("a file", "utf-8")
    (folder / "nothing").mkdir()
    return folder


CALLS = [
    ("missing", "@nowhere.jsonl", 2, "nowhere.jsonl does not exist"),
    ("missing pattern", "@*.warc", 2, "No file matches"),
    ("empty folder", "@nothing", 3, "nothing to read"),
    ("folder of pictures", "@pictures", 3, "a picture"),
    ("picture", "@picture.png", 3, "a picture"),
    ("flag", "@ok.jsonl --samle 0.5", 2, "Did you mean --sample"),
    ("command", "", 2, "Did you mean 'clean'"),
    ("key", "@ok.jsonl -s extract.mod=fast", 2, "extract.mode"),
    ("section", "@ok.jsonl -s extrakt.mode=fast", 2, "extract"),
    ("value", "@ok.jsonl -s extract.mode=quick", 2, "extract.mode"),
    ("no value", "@ok.jsonl -s extract.mode", 2, "extract.mode"),
    ("yaml", "@ok.jsonl --config @bad.yaml", 2, "bad.yaml"),
    ("yaml list", "@ok.jsonl --config @list.yaml", 2, "list.yaml"),
    ("no yaml", "@ok.jsonl --config @none.yaml", 2, "none.yaml"),
    ("workers", "@ok.jsonl --workers 0", 2, "--workers"),
    ("sample", "@ok.jsonl --sample 2", 2, "--sample"),
    ("limit", "@ok.jsonl --limit 0", 2, "--limit"),
    ("language", "@ok.jsonl --lang fr", 2, "--lang fr"),
    ("share", "@ok.jsonl --max-bad 3", 2, "--max-bad 3"),
    ("list of domains", "@ok.jsonl -s url.domains=[@none.txt]", 2, "none.txt"),
]


@pytest.mark.parametrize(("call", "code", "words"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call(place: Path, tmp_path: Path, call: str, code: int, words: str) -> None:
    arguments = [word.replace("@", f"{place}/") for word in call.split()]
    begin = ["clean", *arguments, "--out", tmp_path / "run"] if call else ["clear", "x"]
    ended = run(begin, tmp_path / "streams")
    assert_one_sentence(ended.code, code, ended.out, ended.err, words)
    assert not (tmp_path / "run").exists() or not [*(tmp_path / "run").glob("[!.]*")]


@pytest.mark.parametrize(
    ("out", "code", "words"),
    [("foreign", 3, "is not empty and no run directory"), ("file", 2, "is not a folder")],
)
def test_a_wrong_place(place: Path, tmp_path: Path, out: str, code: int, words: str) -> None:
    before = {file: file.stat().st_mtime_ns for file in place.rglob("*")}
    ended = run(["clean", place / "ok.jsonl", "--out", place / out], tmp_path / "streams")
    assert_one_sentence(ended.code, code, ended.out, ended.err, words)
    assert {file: file.stat().st_mtime_ns for file in place.rglob("*")} == before


def test_a_run_directory_inside_its_input_is_refused(tmp_path: Path) -> None:
    """The next start would read the run's own documents as input."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "a.txt").write_text("文" * 400)
    ended = run(["clean", folder, "--out", folder / "run"], tmp_path / "streams")
    assert_one_sentence(ended.code, 2, ended.out, ended.err, "lies inside the input")
    assert not (folder / "run").exists()
