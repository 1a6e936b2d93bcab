"""`corpus mix`: GPT-3's printed epochs, sizes from runs and sets, and wrong plans."""

import json
from pathlib import Path

import pytest

from corpus.cli import app
from runkit.console import run_app

CONFIGS = Path(__file__).parents[2] / "configs"


def plan(folder: Path, text: str) -> str:
    path = folder / "plan.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run_app(app, ["mix", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_gpt3_has_the_printed_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, str(CONFIGS / "mix-gpt3.yaml"))
    epochs = {part["source"]: round(part["epochs"], 2) for part in found["parts"]}  # type: ignore[attr-defined]
    # 0.43, 3.4, 2.0, 0.43 and 3.0 in print.
    assert epochs == {"common_crawl": 0.43, "webtext2": 3.44, "books1": 1.98, "books2": 0.43, "wikipedia": 2.97}
    assert found["warnings"] == []


def test_the_recipe_of_a_domain_is_a_sound_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "mix.html"
    found = told(capsys, str(CONFIGS / "mix-finance.yaml"), "--page", str(page), "--lang", "zh")
    assert found["warnings"] == [] and "数据源配比" in page.read_text("utf-8")
    assert sum(part["weight"] for part in found["parts"]) == pytest.approx(1)  # type: ignore[attr-defined]


def test_sizes_come_from_runs_shards_and_sets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, command, summary in (
        ("clean", "corpus clean", {"characters": {"read": 900, "kept": 600}}),
        ("shards", "train tokens", {"tokens": 250, "characters": 500}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps({"command": command}))
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "set.jsonl").write_text('{"text": "四个汉字"}\n{"text": "ab"}\nbroken\n', "utf-8")
    sources = "sources: {a: {path: clean, weight: 1}, b: {path: shards, weight: 1}, c: {path: set.jsonl, weight: 2}}"
    found = told(capsys, plan(tmp_path, f"budget: 12\n{sources}"))
    assert [part["size"] for part in found["parts"]] == [600, 500, 6]  # type: ignore[attr-defined]
    assert [part["drawn"] for part in found["parts"]] == [3, 3, 6]  # type: ignore[attr-defined]
    found = told(capsys, plan(tmp_path, "unit: tokens\nsources: {b: {path: shards, weight: 3}}"))
    assert found["budget"] == 250


def test_more_than_four_epochs_are_warned_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "budget: 1_000\nsources: {small: {size: 20, weight: 1}, large: {size: 4k, weight: 9}}"
    found = told(capsys, plan(tmp_path, text))
    (warning,) = found["warnings"]  # type: ignore[misc]
    assert warning.startswith("small is drawn 5.0 times")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: {}", "sources"),
        ("sources: {a: {weight: 1}}", "either `size` or `path`"),
        ("sources: {a: {weight: 1, size: 3, path: x}}", "either `size` or `path`"),
        ("sources: {a: {weight: -1, size: 3}}", "weight"),
        ("sources: {a: {weight: 1, size: 3 pages}}", "size"),
        ("sources: {a: {weight: 0, size: 3}}", "Every weight is 0"),
        ("unit: tokens\nsources: {a: {weight: 1, path: nowhere}}", "no run of `train tokens`"),
        ("budgte: 3\nsources: {a: {weight: 1, size: 3}}", "budget"),
    ],
)
def test_wrong_plans(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["mix", plan(tmp_path, text)]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({"command": "corpus clean"}))
    assert run_app(app, ["mix", plan(tmp_path, "sources: {a: {weight: 1, path: run}}")]) == 3
    assert "not finished" in capsys.readouterr().err
