"""`judge import`, `report` and `reparse`: recorded texts in, figures out, nothing lost on the way."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from judge.cli import app
from judge.store import read_verdicts, write_verdicts
from runkit.console import run_app

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "verdicts"


def record(question: int | str, first: str, second: str, raw: str | None, **more: Any) -> dict[str, Any]:
    return {
        "question_id": question,
        "category": "Ｇeneric ",
        "first": first,
        "second": second,
        "judge": "j",
        "raw": raw,
        **more,
    }


def both(count: int) -> list[dict[str, Any]]:
    """Of `count` questions `a` wins all."""
    return [
        record(number, *pair, raw)
        for number in range(count)
        for pair, raw in ((("a", "b"), "8 7"), (("b", "a"), "6 8"))
    ]


def lines(records: list[Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in records)


def imported(
    path: Path, data: bytes, *more: str, grammar: str = "two-scores", out: str = "run", code: int = 0
) -> dict[str, Any]:
    file = path / "verdicts-in.jsonl"
    file.write_bytes(data)
    run = path / out
    assert run_app(app, ["import", str(file), "--grammar", grammar, "--out", str(run), "-q", *more]) == code
    return orjson.loads((run / "summary.json").read_bytes()) if code in (0, 6) else {}


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")
def test_recorded_verdicts_give_the_expected_figures(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Every number of expected.json but those of the parser that loses verdicts; all 1,920 texts are read."""
    run = tmp_path / "run"
    [file] = SHARED.glob("*.zst")
    command = ["import", str(file), "--grammar", "two-scores", "--reference", "gpt-3.5", "--out", str(run), "-q"]
    assert run_app(app, command) == 0
    capsysbinary.readouterr()
    assert run_app(app, ["report", str(run), "--json"]) == 0
    found = orjson.loads(capsysbinary.readouterr().out)
    account = found["accounting"]
    assert {key: account[key] for key in ("asked", "ok", "invalid", "error", "identical")} == {
        "asked": 1920, "ok": 1920, "invalid": 0, "error": 0, "identical": 0,
    }  # fmt: skip
    expected = orjson.loads((SHARED / "expected.json").read_bytes())
    assert expected.keys() == found["systems"].keys()
    compared = 0
    for system, figures in expected.items():
        for key, value in figures.items():
            if not key.startswith(("peer_", "n_pairs_")):
                compared += check(value, found["systems"][system][key], f"{system}.{key}")
    assert compared == 660
    assert found["verdict"]["answer"] == "several" and found["verdict"]["cannot_tell"] == ["30b-guanaco"]


def check(expected: Any, found: Any, path: str) -> int:
    if isinstance(expected, dict):
        return sum(check(value, found[key], f"{path}.{key}") for key, value in expected.items())
    assert found == pytest.approx(expected, abs=1e-4), path
    return 1


def test_any_wrapping_gives_the_same(tmp_path: Path) -> None:
    data = lines(both(5))
    plain = imported(tmp_path, data)
    for suffix, packed in ((".gz", gzip.compress(data)), (".zst", zstandard.ZstdCompressor().compress(data))):
        file = tmp_path / f"v.jsonl{suffix}"
        file.write_bytes(packed)
        run = tmp_path / f"run{suffix}"
        assert run_app(app, ["import", str(file), "--grammar", "two-scores", "--out", str(run), "-q"]) == 0
        assert orjson.loads((run / "summary.json").read_bytes()) == plain
        assert (run / "verdicts.jsonl").read_bytes() == (tmp_path / "run" / "verdicts.jsonl").read_bytes()


def test_order_and_types_of_columns_do_not_matter(tmp_path: Path) -> None:
    rows = both(6)
    plain = imported(tmp_path, lines(rows))
    turned = [{"extra": [1], **dict(reversed(row.items())), "question_id": str(row["question_id"])} for row in rows]
    assert imported(tmp_path, lines(turned), out="turned") == plain
    assert plain["systems"]["a"]["n"] == 6 and plain["categories"] == ["generic"]
    assert plain["verdict"] == {"answer": "better", "system": "a", "reference": "b", "needs_questions": None}


def test_records_that_are_no_verdicts_are_set_aside(tmp_path: Path) -> None:
    bad = [
        b'{"question_id": 1, "first": "a", "second": "b"}',
        b'{"question_id": 1, "first": "a", "raw": "7 8"}',
        b'{"question_id": 1, "first": "a", "second": "a", "raw": "7 8"}',
        b'{"question_id": [1], "first": "a", "second": "b", "raw": "7 8"}',
        b'{"question_id": 1, "first": "a", "second": "b", "raw": 78}',
        b'[1, 2]', b"{", b'{"a": "\xff"}', b'{"a": "\\ud800"}',
    ]  # fmt: skip
    data = lines(both(3)) + b"\n".join(bad) + b"\n" + lines([record(9, "a", "b", "no verdict")])
    summary = imported(tmp_path, data)
    set_aside = [orjson.loads(line) for line in (tmp_path / "run" / "quarantine.jsonl").read_bytes().splitlines()]
    assert [one["line"] for one in set_aside] == [7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert [one["reason"] for one in set_aside] == [
        "field.missing", "field.missing", "verdict.same_system", "field.not_text", "field.not_text",
        "json.not_an_object", "json.syntax", "json.invalid_utf8", "json.lone_surrogate",
    ]  # fmt: skip
    assert sum(summary["accounting"]["quarantined"].values()) == len(bad)
    assert summary["accounting"]["asked"] == 7 and summary["accounting"]["reasons"] == {"score.missing": 1}
    assert read_verdicts(tmp_path / "run")[-1].raw == "no verdict", "a text that is no verdict is kept"


def test_max_bad(tmp_path: Path) -> None:
    data = lines(both(3)) + b"{\n"
    imported(tmp_path, data, "--max-bad", "0.1", code=6)
    imported(tmp_path, data, "--max-bad", "0.2", out="other")


def test_doubles_are_further_samples(tmp_path: Path) -> None:
    rows = [
        record(1, "a", "b", "9 7"),
        record(1, "b", "a", "7 9"),
        record(1, "a", "b", "7 7"),
        record(1, "b", "a", "7 7"),
    ]
    summary = imported(tmp_path, lines(rows))
    assert summary["accounting"]["asked"] == 4 and summary["systems"]["a"]["swap_avg_diff"] == 1.0
    assert [verdict.sample for verdict in read_verdicts(tmp_path / "run")] == [0, 1, 0, 1]


def test_texts_that_never_came_are_errors(tmp_path: Path) -> None:
    rows = [*both(2), record(7, "a", "b", None), record(7, "b", "a", ""), record(8, "a", "b", None, state="identical")]
    account = imported(tmp_path, lines(rows))["accounting"]
    assert (account["asked"], account["ok"], account["invalid"], account["error"], account["identical"]) == (
        6,
        4,
        1,
        1,
        1,
    )
    assert account["reasons"] == {"raw.null": 1, "verdict.empty": 1}


def test_a_text_that_was_cut_counts_for_nobody(tmp_path: Path) -> None:
    rows = [record(1, "a", "b", "8 1", finish_reason="length"), record(1, "b", "a", "7 9")]
    assert imported(tmp_path, lines(rows))["accounting"]["reasons"] == {"score.cut": 1}
    assert run_app(app, ["reparse", str(tmp_path / "run"), "-q"]) == 0
    summary = orjson.loads((tmp_path / "run" / "summary.json").read_bytes())
    assert summary["accounting"]["reasons"] == {"score.cut": 1}, "what was cut stays cut"


@pytest.mark.parametrize(
    ("grammar", "won", "lost"),
    [
        ("three-way", "1\nbecause", "2\nbecause"),
        ("three-way", "[[A]]", "[[B]]"),
        ("scores", "<<abcdef12>> A=9 B=2", "<<abcdef12>> A=2 B=9"),
        ("three-way-nonce", "<<abcdef12>> A", "<<abcdef12>> B"),
    ],
)
def test_other_grammars(tmp_path: Path, grammar: str, won: str, lost: str) -> None:
    rows = [one for q in range(8) for one in (record(q, "a", "b", won), record(q, "b", "a", lost))]
    summary = imported(tmp_path, lines(rows), grammar=grammar)
    assert summary["verdict"]["answer"] == "better" and summary["grammar"] == grammar
    assert summary["systems"]["a"]["win_rate_conservative"] == 1.0
    assert (summary["systems"]["a"]["swap_avg_sys"] is None) == grammar.startswith("three-way")


def test_what_is_told_of_wrong_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, lines(both(2)), "--reference", "c", code=2)
    assert "--reference c is none of the systems; there are a, b." in capsys.readouterr().err
    imported(tmp_path, b'{"x": 1}\n', code=3)
    assert "There is no verdict in" in capsys.readouterr().err
    assert run_app(app, ["report", str(tmp_path)]) == 2
    imported(tmp_path, lines(both(2)))
    capsys.readouterr()
    assert run_app(app, ["report", str(tmp_path / "run"), "--reference", "x"]) == 2
    assert "--reference x is none of the systems" in capsys.readouterr().err
    imported(tmp_path, lines(both(3)), code=3)
    assert "has changed since" in capsys.readouterr().err


def test_the_reference_may_be_another(tmp_path: Path) -> None:
    summary = imported(tmp_path, lines(both(8)), "--reference", "b")
    assert list(summary["systems"]) == ["a"]
    assert run_app(app, ["report", str(tmp_path / "run"), "-q", "--reference", "a"]) == 0
    other = orjson.loads((tmp_path / "run" / "summary.json").read_bytes())
    assert list(other["systems"]) == ["b"] and other["verdict"]["answer"] == "worse"
    assert other["systems"]["b"]["swap_avg_diff"] == -summary["systems"]["a"]["swap_avg_diff"]


def test_the_same_call_again_changes_nothing(tmp_path: Path) -> None:
    data = lines(both(4))
    imported(tmp_path, data)
    files = {
        file.name: file.read_bytes()
        for file in (tmp_path / "run").iterdir()
        if file.is_file() and file.name != "usage.json"
    }
    imported(tmp_path, data)
    imported(tmp_path, data, out="other")
    for run in ("run", "other"):
        assert {name: (tmp_path / run / name).read_bytes() for name in files if name != "report.html"} == {
            name: content for name, content in files.items() if name != "report.html"
        }


def test_the_order_of_records_changes_no_figure(tmp_path: Path) -> None:
    rows = both(10)
    one = imported(tmp_path, lines(rows), "--reference", "b")
    random.Random(3).shuffle(rows)
    other = imported(tmp_path, lines(rows), "--reference", "b", out="shuffled")
    assert {**one, "disagreements": 0} == {**other, "disagreements": 0}


@pytest.mark.parametrize("hash_seed", ["0", "1", "2"])
def test_hash_seeds(tmp_path: Path, hash_seed: str) -> None:
    """Row 26: the same bytes whatever the order in which Python keeps its sets."""
    data = lines([*both(5), record(7, "a", "b", None), record(8, "c", "b", "7 8"), record(8, "b", "c", "7 8")])
    imported(tmp_path, data)
    command = [sys.executable, "-m", "judge", "import", str(tmp_path / "verdicts-in.jsonl"), "--grammar", "two-scores"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run([*command, "--out", str(tmp_path / "other"), "-q"], env=environment, check=True, capture_output=True)
    for name in ("questions.jsonl", "verdicts.jsonl", "summary.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_reparse_reads_every_text_again(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """As after a change of the grammar: what verdicts.jsonl says of a text is replaced by what the text says."""
    summary = imported(tmp_path, lines([*both(3), record(9, "a", "b", "nothing"), record(9, "b", "a", None)]))
    run = tmp_path / "run"
    before = (run / "verdicts.jsonl").read_bytes()
    stale = [orjson.loads(line) for line in before.splitlines()]
    for one in stale[:2]:
        one |= {"score_first": 1.0, "score_second": 1.0, "choice": "tie"}
    stale[2] |= {
        "state": "invalid",
        "fault": "score.missing",
        "score_first": None,
        "score_second": None,
        "choice": None,
    }
    (run / "verdicts.jsonl").write_bytes(lines(stale))
    (run / "marks" / "records.json").unlink()  # an older grammar would have left its own
    capsysbinary.readouterr()
    assert run_app(app, ["reparse", str(run), "--json", "-q"]) == 0
    said = json.loads(capsysbinary.readouterr().out)
    assert said["changes"] == {
        "read": 7,
        "changed": 3,
        "kinds": {"other scores or choice": 2, "score.missing → ok": 1},
    }
    assert (run / "verdicts.jsonl").read_bytes() == before
    assert orjson.loads((run / "summary.json").read_bytes()) == summary
    imported(tmp_path, lines([*both(3), record(9, "a", "b", "nothing"), record(9, "b", "a", None)]))


def test_names_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 21: no control byte but newline, and markup as it is."""
    evil = "\x1b[31m[red]x\x1b]0;owned\x07\x9b2J\u202e[/red]"
    rows = [{**one, "first": one["first"] + evil, "second": one["second"] + evil} for one in both(3)]
    imported(tmp_path, lines([*rows, record(evil, f"a{evil}", f"b{evil}", evil)]))
    assert run_app(app, ["report", str(tmp_path / "run")]) == 0
    assert run_app(app, ["report", str(tmp_path / "run"), "--reference", evil]) == 2
    said = capsys.readouterr().err
    odd = [sign for sign in said if (ord(sign) < 32 and sign != "\n") or 127 <= ord(sign) < 160]
    assert "[red]x" in said and not odd


def test_a_damaged_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, lines(both(2)))
    file = tmp_path / "run" / "verdicts.jsonl"
    good = file.read_bytes().splitlines(keepends=True)
    row = orjson.loads(good[1])
    damages = [
        b"{\n",
        b"[]\n",
        b'{"question_id": 1}\n',
        lines([row | {"state": "fine"}]),
        lines([row | {"score_first": "8"}]),
    ]
    damages += [lines([row | {"choice": None}]), lines([row | {"sample": "0"}]), lines([row | {"state": []}])]
    for damage in damages:
        file.write_bytes(good[0] + damage + b"".join(good[2:]))
        capsys.readouterr()
        assert run_app(app, ["report", str(tmp_path / "run"), "-q"]) == 3, damage
        assert f"{file}, line 2: " in capsys.readouterr().err, damage
    for edited in (lines([row | {"score_first": 1.0}, *map(orjson.loads, good[2:])]), b"".join(good[1:])):
        file.write_bytes(edited)
        assert run_app(app, ["report", str(tmp_path / "run"), "-q"]) == 3
        assert "verdicts.jsonl was " in capsys.readouterr().err


def test_verdicts_come_back_as_they_were(tmp_path: Path) -> None:
    imported(tmp_path, lines([*both(2), record("问", "甲", "乙", "抱歉")]))
    verdicts = read_verdicts(tmp_path / "run")
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path) == verdicts and verdicts[-1].fault == "verdict.refused"
    assert (tmp_path / "verdicts.jsonl").read_bytes() == (tmp_path / "run" / "verdicts.jsonl").read_bytes()
