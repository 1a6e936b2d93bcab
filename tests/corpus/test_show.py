"""`corpus show`: the right documents, each with its evidence, and a terminal that obeys nothing of them."""

import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import app
from corpus.show import excerpt
from runkit.console import run_app
from tests.corpus.run_maker import make, page

ESCAPES = [
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://x.example\x1b\\link", "\x9b2Jcleared"),
    *(
        "\x1b[2J\x1b[H",
        "\x07\x08\x0c\x0b",
        "over\rwritten",
        "\x1bPq#0\x1b\\",
        "gpj.\u202eexe\u2066",
        "\x00nul",
    ),
    *("\x7fdel\x85\x9c", "\u2028line\u2029", "\x1b(0", "\x1bc", "a\x1b[999999b"),
]
MARKUP = [
    "[red]x[/red]",
    "[bold",
    "[/]",
    "[link=http://x.example]y[/link]",
    ":smile:",
    "\\[x]",
    "[@click=app.bell]",
]
CORPUS = (sys.executable, "-m", "corpus")


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run_app(app, ["show", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def numbers(out: str) -> list[int]:
    """Which of the pages of `run_maker.page` are shown."""
    return [int(number) for number in re.findall(r"dump\.warc\.gz#(\d+)", out)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts: 0–9 kept, 10–19 rejected; 5 and 15 from another source, 12 Japanese."""
    path = tmp_path_factory.mktemp("show") / "run"
    pages = []
    for number in range(20):
        fields: dict[str, object] = {"source": "other"} if number % 10 == 5 else {}
        reasons: list[str] = []
        if number >= 10:
            reasons = ["rules.chars", "rules.entropy"] if number % 2 else ["dedup.near"]
            fields["meta"] = {"title": f"标题{number}", "duplicate_of": "abc", "similarity": 0.8}
        if number == 12:
            reasons, fields = ["language.not_kept"], {"language": "ja", "text": "日本語のテキスト"}
        pages.append(page(number, *reasons, s_chars=80.0, s_entropy=5.0, **fields))
    make(path, [pages[:7], pages[7:14], pages[14:]])
    return path


def test_documents_come_in_the_order_of_the_input(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = shown(capsys, run)
    assert code == 0 and numbers(out) == list(range(10)) and err == ""
    code, out, err = shown(capsys, run, "--limit", 3, "--offset", 6)
    assert numbers(out) == [6, 7, 8] and "--offset 9" in err
    assert out.startswith("7. 标题6")
    assert numbers(shown(capsys, run, "--rejected")[1]) == list(range(10, 20))
    code, out, err = shown(capsys, run, "--offset", 50)
    assert code == 0 and out == "" and "No document fits" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--reason", "rules.chars"], [11, 13, 15, 17, 19]),
        (["--reason", "rules"], [11, 13, 15, 17, 19]),
        (["--reason", "dedup.near", "--offset", "1", "--limit", "2"], [14, 16]),
        (["--rejected", "--language", "ja"], [12]),
        (["--source", "other"], [5]),
        (["--source", "other", "--rejected"], [15]),
        (["--grep", "第3篇"], [3]),
        (["--grep", "标题4"], [4]),
        (["--grep", "SITE2.EXAMPLE/8"], [8]),
        (["--grep", ".*"], []),
    ],
)
def test_filters(run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[int]) -> None:
    code, out, _ = shown(capsys, run, *arguments)
    assert code == 0 and numbers(out) == expected


def test_the_evidence_stands_beside_the_reason(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, run, "--rejected", "--limit", 3)[1]
    assert "rules.chars  80 < 120" in out and "rules.entropy  5 < 5.2" in out
    assert "dedup.near  copy of abc, 80% alike" in out and "language.not_kept  ja 0.50" in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--reason", "nope"], 2, "dedup.near, language.not_kept, rules.chars, rules.entropy"),
        (["--language", "xx"], 2, "ja, zh"),
        (["--source", "nope"], 2, "dump, other"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_what_the_run_does_not_hold(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    found, out, err = shown(capsys, run, *arguments)
    assert found == code and out == "" and sentence in err and err.count("\n") == 1


def test_what_is_no_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    make(run, [[page(1)]])
    for place in (tmp_path, tmp_path / "absent", run / "summary.json"):
        code, out, err = shown(capsys, place)
        assert code == 3 and out == "" and "no run directory" in err and err.count("\n") == 1
    (run / "documents" / "00000-000.parquet").write_bytes(b"PAR1 cut")
    code, _, err = shown(capsys, run)
    assert code == 3 and "00000-000.parquet" in err and err.count("\n") == 1
    (run / "summary.json").unlink()
    code, out, err = shown(capsys, run)
    assert code == 3 and out == "" and "not finished" in err and err.count("\n") == 1


def test_json_is_one_object(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = shown(capsys, run, "--reason", "rules.chars", "--limit", 2, "--json")
    found = orjson.loads(out)
    assert code == 0 and out.count("\n") == 1 and found["more"] is True and found["state"] == "rejected"
    assert [document["origin"] for document in found["documents"]] == ["dump.warc.gz#11", "dump.warc.gz#13"]
    assert found["documents"][0]["reasons"][0] == {"reason": "rules.chars", "detail": "80 < 120"}
    assert found["documents"][0]["text"] == "第11篇的正文。\n第二行。"


def test_long_texts_are_cut_unless_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(f"第{line}行" for line in range(300))
    make(tmp_path / "run", [[page(1, text=text)]])
    out = shown(capsys, tmp_path / "run")[1]
    assert "第5行" in out and "第6行" not in out and f"[{len(text):,} characters: --full]" in out
    out = shown(capsys, tmp_path / "run", "--grep", "第200行")[1]
    assert "第200行" in out and "第0行" not in out
    assert "第299行" in shown(capsys, tmp_path / "run", "--full")[1]


@given(st.text("ab\n中", max_size=1200), st.text("ab中", min_size=1, max_size=4))
def test_an_excerpt_holds_the_hit(text: str, wanted: str) -> None:
    piece, cut = excerpt(text, wanted)
    assert len(piece) <= 420
    assert (wanted.lower() in piece.lower()) == (wanted.lower() in text.lower())
    assert cut or piece == text


def hostile(path: Path) -> Path:
    texts = [*ESCAPES, *MARKUP]
    pages = []
    for number, text in enumerate(texts):
        fields = dict.fromkeys(("text", "url", "source", "language", "date"), f"{text} 尾{number}")
        fields["origin"] = f"{text}#{number}"
        pages.append(page(number, f"rules.{text}", "dedup.near", **fields, meta={"title": text, "duplicate_of": text}))
    make(path, [pages])
    return path


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_nothing_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], full: list[str]) -> None:
    run = hostile(tmp_path / "run")
    code, out, err = shown(capsys, run, "--rejected", "--limit", 100, *full)
    assert code == 0
    for text in (out, err):
        controls = {c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"}
        assert not controls and not re.search("[\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    for number, text in enumerate(MARKUP):
        assert out.count(text) >= 7, text
        assert f"{text} 尾{len(ESCAPES) + number}" in out
    code, out, err = shown(capsys, run, "--reason", "\x1b[31m[red]x")
    assert code == 2 and "\x1b" not in err and "[red]x" in err


def test_a_terminal_gets_colours_and_no_other_command(tmp_path: Path) -> None:
    run = hostile(tmp_path / "run")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [*CORPUS, "show", str(run), "--rejected", "--limit", "100"]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=30) == 0 and process.stderr and process.stderr.read() == b""
    text = re.sub(r"\x1b\[[0-9;]*m", "", written.decode().replace("\r\n", "\n"))
    assert "\x1b[1m" in written.decode() and MARKUP[0] in text
    assert not {c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"}


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    """More than a pipe holds (64 kB), to a reader that takes one line."""
    make(tmp_path / "run", [[page(number, text="长" * 3000) for number in range(60)]])
    command = [*CORPUS, "show", str(tmp_path / "run"), "--limit", "60", "--full"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=30) == 141


def test_output_in_a_narrow_encoding(tmp_path: Path) -> None:
    make(tmp_path / "run", [[page(1)]])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [*CORPUS, "show", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=30, check=False)
    assert done.returncode == 0 and b"\\u7b2c1" in done.stdout and done.stderr == b""
