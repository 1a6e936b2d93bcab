"""`corpus tune`: the counts agree with a run that has these thresholds, and --apply writes the same documents."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from run_maker import make, page

from corpus import tune_cache
from corpus.cli import app
from corpus.rules import Rule, Rules
from corpus.tune_signals import Change, measure
from runkit.console import run_app

ROOT = Path(__file__).parents[2]
# Some are wider, some narrower; one language more, one rule that both languages share.
OTHER = [
    *("rules.chars.min=300", "rules.top_4gram.max=0.5", "rules.entropy.min=4", "languages=[zh,en,ja]"),
    *("rules.dup_5gram.max=0.9", "rules.dup_10gram.max=0.9", "rules.punct_line_share.min=0.05"),
    *("rules.short_line_char_share.max=0.9", "rules.sentence_chars.max=400", "rules.spam_per_1000.max=60"),
]


def flags(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("-s", setting)]


def command(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "corpus", *map(str, words)], capture_output=True, text=True, cwd=ROOT, timeout=55
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`now` and `then`: the example dump with the shipped rules and with others."""
    folder = tmp_path_factory.mktemp("tune")
    for name, settings in (("now", []), ("then", OTHER)):
        settings = [*settings, "extract.mode=fast"]
        command("clean", "examples/dump", "--out", folder / name, "--workers", "1", "-q", *flags(settings))
    return folder


def documents(run: Path) -> dict[str, list[str]]:
    """id → reasons, of all documents."""
    kept = pl.read_parquet(run / "documents" / "*.parquet", columns=["id"])["id"]
    rejected = pl.read_parquet(run / "rejected" / "*.parquet", columns=["id", "reasons"])
    return {**{id_: [] for id_ in kept}, **dict(rejected.iter_rows())}


@pytest.mark.timeout(120)
def test_the_counts_are_those_of_a_run_with_these_thresholds(runs: Path) -> None:
    told = json.loads(command("tune", runs / "now", "--json", *flags(OTHER)))
    # Without models their signals are empty, and their rules reject nothing.
    assert pl.read_parquet(runs / "now" / "documents" / "*.parquet")["s_quality"].is_null().all()
    now, then = documents(runs / "now"), documents(runs / "then")
    own = {id_: [r for r in reasons if not r.startswith("dedup.")] for id_, reasons in then.items()}
    was = {id_: [r for r in reasons if not r.startswith("dedup.")] for id_, reasons in now.items()}
    # What deduplication says is not foretold: compared are the reasons before it.
    lost = {id_ for id_ in now if not now[id_] and own[id_]}
    won = {id_ for id_ in now if was[id_] and not own[id_]}
    assert won and lost
    assert told["lost"]["documents"] == len(lost) and told["won"]["documents"] == len(won)
    assert told["before"]["documents"] == sum(not reasons for reasons in now.values())
    assert told["after"]["documents"] == told["before"]["documents"] + len(won) - len(lost)
    for reason, row in told["rules"].items():
        assert row["before"] == sum(reason in reasons for reasons in was.values())
        assert row["after"] == sum(reason in reasons for reasons in own.values()), reason
        assert row["lost"] == sum(reason in own[id_] for id_ in lost)
        assert row["won"] == sum(reason in was[id_] for id_ in won)
    assert {sample["id"] for sample in told["samples"]["won"]} <= won
    assert {sample["id"] for sample in told["samples"]["lost"]} <= lost
    assert all(sample["reasons"] for samples in told["samples"].values() for sample in samples)


@pytest.mark.timeout(120)
def test_apply_writes_what_a_run_with_these_thresholds_writes(runs: Path) -> None:
    out = runs / "applied"
    command("tune", runs / "now", "--apply", "--out", out, "-q", "--workers", "2", *flags(OTHER))
    for file in sorted((runs / "then" / "documents").iterdir()):
        assert (out / "documents" / file.name).read_bytes() == file.read_bytes()
    assert documents(out) == documents(runs / "then")
    summaries = [json.loads((run / "summary.json").read_text()) for run in (out, runs / "then")]
    assert summaries[0] == summaries[1]
    assert not (out / "work").exists() and (out / "report.html").is_file()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["command"] == "corpus tune" and manifest["inputs"][0]["name"] == "run:now"
    # Again from the run that came out, with nothing changed: nothing flips.
    assert json.loads(command("tune", out, "--json", "-s", "rules.chars.min=300.0"))["rules"]
    # A start on the finished run finds all of it done.
    before = {file: file.stat().st_mtime_ns for file in (out / "documents").iterdir()}
    command("tune", runs / "now", "--apply", "--out", out, "-q", *flags(OTHER))
    assert before == {file: file.stat().st_mtime_ns for file in (out / "documents").iterdir()}


@pytest.mark.timeout(120)
def test_a_run_that_was_altered_is_not_applied(runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", str(runs / "now"), str(copy)], check=True)
    file = next((copy / "documents").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    words = [sys.executable, "-m", "corpus", "tune", str(copy), "--apply", "--out", str(tmp_path / "o"), "-q"]
    done = subprocess.run([*words, *flags(OTHER)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 3 and file.name in done.stderr


def small(path: Path, **settings: Any) -> Path:
    pages = [
        page(1, s_chars=500.0, s_top_2gram=0.1),
        page(2, s_chars=130.0, s_top_2gram=0.1),
        page(3, "rules.top_2gram", s_chars=500.0, s_top_2gram=0.25),
        page(4, "rules.top_2gram", "rules.chars", s_chars=20.0, s_top_2gram=0.25),
        page(5, "extract.no_main_text", text="", s_chars=0.0, s_top_2gram=0.0),
        page(6, "url.domain", "rules.top_2gram", s_chars=500.0, s_top_2gram=0.25, text="[red]\x1b[2J坏"),
        page(7, "dedup.near", s_chars=500.0, s_top_2gram=0.1),
    ]
    make(path, [pages[:4], pages[4:]])
    return path


def test_only_what_thresholds_decide_flips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small(tmp_path / "run")
    words = ["tune", str(run), "-s", "rules.top_2gram.max=0.25", "-s", "rules.chars.min=131", "--json"]
    assert run_app(app, words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["won"] == {"documents": 1, "characters": 500} and told["lost"]["documents"] == 1
    assert told["rules"]["rules.top_2gram"]["after"] == 0  # a value on its bound is kept
    assert told["rules"]["rules.chars"] == {
        **{"before": 1, "after": 2, "won": 0, "lost": 1, "alone": 1},
        "bounds": {"was": "zh ≥ 120", "is": "zh ≥ 131"},
    }
    assert told["sources"]["dump"]["won"]["documents"] == 1


def test_text_on_the_terminal_commands_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = page(1, "rules.chars", s_chars=50.0, text="[red]\x1b[2J\x07坏" * 9, meta={"title": "\x1b]0;x\x07[bold]题"})
    make(tmp_path / "run", [[evil, page(2)]])
    assert run_app(app, ["tune", str(tmp_path / "run"), "-s", "rules.chars.min=1"]) == 0
    shown = capsys.readouterr()
    assert "[red]坏" in shown.out and "[bold]题" in shown.out
    assert not set(shown.out + shown.err) & set(map(chr, [*range(9), *range(11, 32), 127]))


def test_without_other_thresholds_the_rules_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["tune", str(small(tmp_path / "run")), "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert rules[0] == {
        **{"key": "rules.0", "rule": "chars", "language": "zh", "bounds": "≥ 120"},
        **{"documents": 1, "alone": 0},
    }


def test_gathered_signals_say_what_the_parts_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(6)
    parts = []
    for part in range(20):
        pages = []
        for number in range(30):
            chars = float(rng.randrange(20, 900))
            reasons = ["rules.chars"] if chars < 120 else ["dedup.near"] if number % 9 == 0 else []
            pages.append(page(100 * part + number, *reasons, s_chars=chars, source=f"s{part % 3}"))
        parts.append(pages)
    made = make(tmp_path / "run", parts)
    kept = [one.id for pages in parts for one in pages if not one.reasons]
    pl.DataFrame({"duplicate_of": [kept[0], kept[0], kept[5]]}).write_parquet(made.run.file("copies.parquet"))

    def told(*more: str) -> dict[str, Any]:
        words = ["tune", str(made.run.path), "-s", "rules.chars.min=300", "--json", "-q", *more]
        assert run_app(app, words) == 0
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    monkeypatch.setattr(tune_cache, "FEWEST_PARTS", 99)
    plain = told()
    assert not (made.run.path / ".signals").exists()
    monkeypatch.setattr(tune_cache, "FEWEST_PARTS", 2)
    assert told() == plain and plain["copies_of_lost"] == sum(
        count for id_, count in ((kept[0], 2), (kept[5], 1)) if dict(lost_ids(parts))[id_]
    )
    files = sorted((made.run.path / ".signals").iterdir())
    assert len(files) == 2
    monkeypatch.setattr(tune_cache, "_read", None)  # not read again
    assert told() == plain
    monkeypatch.undo()
    monkeypatch.setattr(tune_cache, "FEWEST_PARTS", 2)
    # A part that was written again is gathered again, and the old file goes.
    part = made.run.file("documents/00003-000.parquet")
    pl.read_parquet(part).with_columns(s_chars=pl.lit(1.0, pl.Float32)).write_parquet(part)
    again = told()
    assert again["lost"]["documents"] > plain["lost"]["documents"]
    assert len(sorted((made.run.path / ".signals").iterdir())) == 2


def lost_ids(parts: list[list[Any]]) -> list[tuple[str, bool]]:
    """Which documents are lost at 300 characters."""
    return [(one.id, not one.reasons and one.signals["s_chars"] < 300) for pages in parts for one in pages]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-s", "extract.mode=fast"], 2, "`extract` shapes the documents"),
        (["-s", "rules.foo.max=1"], 2, "rules.foo"),
        (["--out", "x"], 2, "add --apply"),
        (["-s", "rules.chars.min=5", "--apply", "--out", "{run}/inside"], 2, "lie in each other"),
    ],
)
def test_wrong_calls(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small(tmp_path / "run")
    assert run_app(app, ["tune", str(run), *(word.format(run=run) for word in words)]) == code
    assert said in capsys.readouterr().err


def test_rules_are_listed_with_what_they_reject_in_their_own_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [page(1, "rules.top_2gram"), page(2, "rules.top_2gram", "rules.entropy"), page(3)]
    pages += [page(4, "rules.top_2gram", language="en"), page(5, language="en")]
    make(tmp_path / "run", [pages[:2], pages[2:]])
    assert run_app(app, ["tune", str(tmp_path / "run"), "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    told = {row["language"]: (row["documents"], row["alone"]) for row in rules if row["rule"] == "top_2gram"}
    assert told == {"zh": (2, 1), "en": (1, 1)}


@pytest.mark.parametrize("command", ["corpus dedup", "corpus decontaminate"])
def test_a_run_without_rules_is_named_for_what_it_is_not(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = small(tmp_path / "run") / "manifest.json"
    manifest.write_text(manifest.read_text().replace("corpus clean", command))
    assert run_app(app, ["tune", str(tmp_path / "run")]) == 3
    said = capsys.readouterr().err
    assert "no run directory of `corpus clean` or `corpus tune`;" in said and "another version" not in said


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["tune", str(tmp_path), "-s", "rules.chars.min=5"]) == 3
    assert "no run directory" in capsys.readouterr().err


def test_stored_signals_are_judged_as_in_a_run(tmp_path: Path) -> None:
    """Over bounds that fall on, just above and just below the values."""
    values = [0.1, 0.2, 0.3, 0.30000001, 1 / 3]
    pages = [page(number, s_entropy=float(pl.Series([v], dtype=pl.Float32)[0])) for number, v in enumerate(values)]
    make(tmp_path / "run", [pages])
    languages = frozenset({"zh"})
    for bound in (0.1, 0.2, 0.3, 1 / 3, 0.30000004):
        rule = [Rule(signal="entropy", min=bound, language="zh", source="test")]
        outcome = measure(tmp_path / "run", Change([], rule, languages, languages), 0)
        judge = Rules(rule)
        expected = sum(bool(judge.broken(one.signals, "zh")) for one in pages)
        assert outcome.totals["lost"][0] == expected, bound
