"""Rows 12 and 18 and wrong calls of `selfinstruct generate`: one sentence, an exit code, nothing sent or written."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.console import run_app
from runkit.errors import InputError
from selfinstruct.cli import app
from selfinstruct.seeds import read_seeds
from tests.faults.checks import PNG, assert_one_sentence
from tests.faults.launch import FULL
from tests.faults.lines import BAD_LINES
from tests.faults.teaching import SEEDS, School, rows, school

pytestmark = pytest.mark.timeout(300 if FULL else 60)
GOOD = json.dumps({"id": "s1", "instruction": "写一个关于秋天的句子", "output": "秋风吹过，树叶黄了。"}).encode()
NAMES = (
    *("../escape", "../../etc/passwd", "/tmp/absolute", "..\\..\\windows", "C:\\x", "con", "aux.txt", "a/b/c"),
    *("\0nul", "new\nline", "\x1b[31mred", "é" * 150, "x" * 300, ".hidden", "-rf", "$(touch x)", "`id`", "%2e%2e%2f"),
    *("|pipe", "<script>", '"quote"', "'single'", "*", "?", "~", "~root", "file:///etc/passwd", "\u202egnp.exe"),
    *(
        "manifest.json",
        "ledger.sqlite",
        ".lock",
        "instructions.jsonl",
        "a" * 255,
        "字" * 100,
        " ",
        ".",
        "..",
        "...",
        "\t",
    ),
    *("nul\0byte", "//host/share", "a//b", "\t"),
)


@pytest.fixture(scope="module")
def lesson() -> Iterator[School]:
    with school() as found:
        folder = found.folder
        (folder / "ok.jsonl").write_bytes(GOOD)
        (folder / "empty.jsonl").write_bytes(b"")
        (folder / "blank.jsonl").write_bytes(b"\n \n")
        (folder / "picture.png").write_bytes(PNG)
        (folder / "pictures").mkdir()
        (folder / "pictures" / "a.png").write_bytes(PNG)
        (folder / "foreign").mkdir()
        (folder / "foreign" / "letter.txt").write_text("dear", "utf-8")
        (folder / "file").write_text("a file", "utf-8")
        (folder / "bad.yaml").write_text("loop: [\n", "utf-8")
        (folder / "ftp.yaml").write_text("loop: {url: 'ftp://x', model: a}\n", "utf-8")
        (folder / "keyed.yaml").write_text("loop: {url: 'http://x/v1', model: a, key_env: WENHAI_NO_KEY}\n", "utf-8")
        (folder / "nothing.txt").write_text("\n\n", "utf-8")
        os.mkfifo(folder / "pipe.jsonl")
        yield found


CALLS = [
    ("no model", "--model=", 2, "--model name@https://host/v1"),
    ("unknown model", "--model gpt", 2, "gpt is not known"),
    ("no scheme", "--model m@htp://x", 2, "write name@https://host/v1"),
    ("key in the address", "--model m@http://me:sk-verysecret@x/v1", 2, "without user, password"),
    ("flag", "--budgt 3", 2, "Did you mean --budget"),
    ("setting", "-s item_per_request=3", 2, "did you mean `items_per_request`"),
    ("value", "-s structured=maybe", 2, "structured"),
    ("kind", "-s kinds={poetry:1}", 2, "poetry"),
    ("filter", "-s filters.off=[rhyme]", 2, "rhyme"),
    ("no items", "--n 0", 2, "--n"),
    ("half an item", "--n 1.5", 2, "--n"),
    ("concurrency", "--concurrency 0", 2, "--concurrency"),
    ("concurrency word", "--concurrency many", 2, "many"),
    ("budget", "--budget -1", 2, "--budget"),
    ("not a budget", "--budget nan", 2, "--budget"),
    ("no price", "--model m@{url} --budget 1", 2, "price of m@"),
    ("no models", "--models @none.yaml", 2, "none.yaml"),
    ("bad models", "--models @bad.yaml", 2, "bad.yaml, line 2"),
    ("ftp", "--models @ftp.yaml", 2, "ftp.yaml"),
    ("no key", "--models @keyed.yaml", 2, "WENHAI_NO_KEY"),
    ("prices", "--model m@{url} --prices @bad.yaml", 2, "bad.yaml"),
    ("no seeds", "--seeds @none.jsonl", 3, "none.jsonl does not exist"),
    ("empty seeds", "--seeds @empty.jsonl", 3, "no seed in it"),
    ("blank seeds", "--seeds @blank.jsonl", 3, "no seed in it"),
    ("folder of seeds", "--seeds @pictures", 3, "pictures"),
    ("picture", "--seeds @picture.png", 3, "picture.png, line 1"),
    ("pipe", "--seeds @pipe.jsonl", 3, "pipe.jsonl is not a regular file"),
    ("device", "--seeds /dev/zero", 3, "/dev/zero is not a regular file"),
    ("seeds twice", "--seeds @ok.jsonl --seeds @ok.jsonl", 3, "the id s1 stands at"),
    ("topics", "--topics @nothing.txt", 3, "has no topic"),
    ("picture of topics", "--topics @picture.png", 3, "is not UTF-8"),
    ("no documents", "--from-docs @none", 2, "none does not exist"),
    ("pictures", "--from-docs @pictures", 3, "a picture"),
    ("language", "--lang fr", 2, "--lang fr"),
    ("share", "--max-bad 3", 2, "--max-bad 3"),
]


@pytest.mark.parametrize(("call", "code", "words"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call(
    lesson: School, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str, code: int, words: str
) -> None:
    out = tmp_path / "run"
    line = [word.replace("@", f"{lesson.folder}/") if word[0] == "@" else word for word in call.split()]
    line = [word.replace("{url}", lesson.server.url) for word in line]
    given = ["generate", "--out", str(out), *line]
    usual = {
        "--seeds": str(lesson.folder / "ok.jsonl"),
        "--n": "4",
        "--models": str(lesson.models()),
        "--model": "loop",
    }
    for flag, value in usual.items():
        if flag not in [word.partition("=")[0] for word in line]:
            given += [flag, value]
    with lesson.counted() as seen:
        found = run_app(app, given)
    assert not seen
    said = capsys.readouterr()
    assert_one_sentence(found, code, said.out, said.err, words)
    assert "verysecret" not in said.err
    assert not out.exists() or not [*out.glob("[!.]*")]


PLACES = [
    ("foreign", 3, "is not empty and no run directory"),
    ("file", 2, "not a folder"),
    ("file/x", 2, "not a folder"),
]


@pytest.mark.parametrize(("out", "code", "words"), PLACES)
def test_a_wrong_place(lesson: School, capsys: pytest.CaptureFixture[str], out: str, code: int, words: str) -> None:
    line = lesson.words(lesson.folder / out, 4)
    before = {file: file.stat().st_mtime_ns for file in lesson.folder.rglob("*")}
    found = run_app(app, line)
    said = capsys.readouterr()
    assert_one_sentence(found, code, said.out, said.err, words)
    assert {file: file.stat().st_mtime_ns for file in lesson.folder.rglob("*")} == before


def test_changed_settings_are_named(lesson: School, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever decides which items come; --n, --budget, --concurrency and patience may change."""
    run = lesson.run(lesson.folder / "bound", 4)
    capsys.readouterr()
    seeds = lesson.folder / "ok.jsonl"
    for change, words in (
        (("--seed", "3"), "seed was 0, is now 3"),
        (("-s", "items_per_request=5"), "items_per_request was 4"),
        (("--two-phase",), "two_phase was false"),
        (("--models", lesson.models(extra_body={"a": 1})), "model.extra"),
        (("--seeds", seeds), "The input seeds 1 was added"),
    ):
        assert run_app(app, lesson.words(run, 4, *change)) == 3
        said = capsys.readouterr().err
        assert words in said and len(said.strip().splitlines()) == 1
    with lesson.counted() as seen:
        lesson.run(run, 4, "--concurrency", "2", "-s", "patience=9", "--budget", "3")
    assert not seen


FIELDS = {
    b'{"instruction": 5, "output": "x"}': "field instruction",
    b'{"instruction": null, "output": "x"}': "field instruction",
    b'{"instruction": ["a"], "output": "x"}': "field instruction",
    b'{"instruction": "  ", "output": "x"}': "field instruction",
    '{"instruction": "写诗"}'.encode(): "field output",
    '{"instruction": "写诗", "output": ""}'.encode(): "field output",
    '{"instruction": "写诗", "output": {"a": 1}}'.encode(): "field output",
    '{"instruction": "写诗", "input": 3, "output": "x"}'.encode(): "field input",
    '{"id": [1], "instruction": "写诗", "output": "x"}'.encode(): "field id",
    '{"id": "s1", "instruction": "写诗", "output": "x"}'.encode(): "the id s1 stands at",
    '{"instruction": "写诗", "instances": []}'.encode(): "field instances",
    '{"instruction": "写诗", "instances": [{"input": ""}]}'.encode(): "field instances[0].output",
}
# A seed without an instruction is no JSON fault: those lines are documents, and an escaped NUL is a character.
LINES = [
    (line, f": {reason}" if reason[:4] == "json" and b"u0000" not in line else "field instruction")
    for line, reason in BAD_LINES.items()
]


@pytest.mark.parametrize(("line", "words"), [*LINES, *FIELDS.items()], ids=range(len(LINES) + len(FIELDS)))
def test_a_bad_seed_is_named_by_file_line_and_field(
    lesson: School, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, words: str
) -> None:
    """Every kind of bad line, behind a good one and a blank one."""
    file = tmp_path / "seeds.jsonl"
    file.write_bytes(b"\n".join([GOOD, b"", line, GOOD.replace(b"s1", b"s2")]))
    out = tmp_path / "run"
    found = run_app(app, _only(lesson, out, file))
    said = capsys.readouterr()
    assert_one_sentence(found, 3, said.out, said.err, words)
    assert f"{file}, line 3" in said.err
    assert not out.exists()


def _only(lesson: School, out: Path, seeds: Path) -> list[str]:
    words = lesson.words(out, 4)
    return [str(seeds) if word == str(SEEDS) else word for word in words]


@settings(max_examples=2000 if FULL else 100, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([GOOD, *FIELDS, *BAD_LINES]), max_size=5))
def test_no_seed_file_crashes(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(b"\n".join(lines))
    try:
        assert read_seeds([file])
    except InputError as error:
        assert str(file) in str(error)


def test_names_stay_inside_the_run(lesson: School, tmp_path: Path) -> None:
    """Forty hostile names as ids of seeds and documents, as topics, and in what the model says."""
    assert len(NAMES) >= 40
    seeds, documents, topics = tmp_path / "seeds.jsonl", tmp_path / "documents.jsonl", tmp_path / "topics.txt"
    kinds = ("summarization", "closed_qa", "chat")
    seeds.write_text(
        "\n".join(
            json.dumps(
                {
                    "id": name,
                    "instruction": f"第{number}个任务：说说{name[:20]}是什么".replace("\0", ""),
                    "output": "这是一个名字，用来试试程序。",
                    "category": kinds[number % 3],
                }
            )
            for number, name in enumerate(NAMES)
            if name.strip()
        ),
        "utf-8",
    )
    body = "河边的旧仓库修好了，村里的人都来看，大家说这是多年来最热闹的一天，孩子们跑来跑去。" * 4
    lines = [json.dumps({"id": name, "text": f"{body}{number}", "title": name}) for number, name in enumerate(NAMES)]
    documents.write_text("\n".join(lines), "utf-8")
    topics.write_text("\n".join(name for name in NAMES if "\n" not in name), "utf-8")
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "run"
    words = [*_only(lesson, out, seeds), "--from-docs", documents, "--topics", topics]
    assert run_app(app, [*map(str, words)]) == 0
    made = {str(file.relative_to(out)) for file in out.rglob("*") if file.name != ".lock"}
    assert made == {
        *("manifest.json", "resolved.yaml", "ledger.sqlite", "calls.json", "instructions.jsonl", "rejected.jsonl"),
        *("summary.json", "report.html", "usage.json"),
    }
    assert {file for file in tmp_path.rglob("*") if not file.is_relative_to(out)} == before
    assert len(rows(out)) == 4
