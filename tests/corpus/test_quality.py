"""`corpus quality`: models that tell two kinds of text apart, the same bytes again, and their signals in a run."""

import json
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from corpus.cli import app
from corpus.config import QualityConfig
from corpus.perplexity import load as load_ngrams
from corpus.quality import load
from corpus.quality_step import model_inputs
from runkit.console import run_app
from runkit.errors import UsageError

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

ROOT = Path(__file__).parents[2]
NOUNS = ["春天", "河水", "老人", "孩子", "书店", "远山", "黄昏", "小路", "邻居", "灯火", "厨房", "院子", "桥头", "雨声"]
VERBS = ["走过", "望着", "想起", "照亮", "听见", "离开", "等待", "穿过", "记得", "讲起"]
SPAM = ["贷款", "发票", "开奖", "代开", "优惠", "点击", "会员", "注册", "赠送", "下载", "加盟", "批发"]

FIT = ["fit", "--good", "{f}/good.jsonl", "--bad", "{f}/bad.jsonl", "--out", "{o}"]


def article(rng: random.Random) -> str:
    def sentence() -> str:
        a, b, c = rng.choice(NOUNS), rng.choice(VERBS), rng.choice(NOUNS)
        return f"那时候，{a}{b}{c}，我们也都在{rng.choice(NOUNS)}旁边慢慢地说话。"

    return "\n".join("".join(sentence() for _ in range(rng.randrange(2, 6))) for _ in range(rng.randrange(2, 5)))


def spam(rng: random.Random) -> str:
    def line() -> str:
        return f"{rng.choice(SPAM)}{rng.choice(SPAM)}！联系{rng.randrange(10**6)} >> "

    return "\n".join(line() for _ in range(rng.randrange(8, 20)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("quality"), random.Random(3)
    for name, make in (("good", article), ("bad", spam)):
        rows = [{"text": make(rng), "url": f"https://{name}{n % 60}.example/{n}", "language": "zh"} for n in range(240)]
        rows += [{"text": "The same in English, which is not asked for.", "language": "en"}] * 3
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    words = ["quality", "fit", "--good", str(folder / "good.jsonl"), "--bad", str(folder / "bad.jsonl")]
    assert run_app(app, [*words, "--out", str(folder / "fit"), "-s", "bits=14"]) == 0
    words = ["quality", "fit-perplexity", "--good", str(folder / "good.jsonl"), "--terciles", str(folder / "bad.jsonl")]
    assert run_app(app, [*words, "--out", str(folder / "ngrams")]) == 0
    return folder


def test_the_classifier_tells_them_apart_and_says_how_well(folder: Path) -> None:
    summary = json.loads((folder / "fit" / "summary.json").read_text())
    assert summary["held_out"]["auc"] > 0.99 and summary["languages"] == ["zh"]
    assert summary["sets"]["good"]["by_site"] and summary["sets"]["bad"]["left_out"] == {"language": 3}
    assert {row["ngram"] for row in summary["ngrams"]["good"]} & {"。", "，", "们", "我们"}
    assert any(row["good"] < row["bad"] for row in summary["ngrams"]["bad"])
    rng = random.Random(99)
    model = load(folder / "fit")
    scores = model.scores([article(rng), spam(rng)])
    assert scores[0] > 0.9 and scores[1] < 0.1
    report = (folder / "fit" / "report.html").read_text("utf-8")
    assert "AUC" in report and "⏎" in report and "<script" not in report


def test_no_site_stands_on_both_sides(folder: Path) -> None:
    summary = json.loads((folder / "fit" / "summary.json").read_text())
    held = summary["held_out"]["good"]
    assert held % 4 == 0 and 0 < held < 120  # 60 sites of four texts each


def test_the_same_sets_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    words = ["--good", str(folder / "good.jsonl"), "--bad", str(folder / "bad.jsonl"), "-s", "bits=14"]
    assert run_app(app, ["quality", "fit", *words, "--out", str(tmp_path / "again"), "--lang", "zh"]) == 0
    for name in ("quality.model", "summary.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "fit" / name).read_bytes()
    assert "质量分类器" in (tmp_path / "again" / "report.html").read_text("utf-8")
    # A model that was altered is fitted again.
    model = tmp_path / "again" / "quality.model"
    model.write_bytes(model.read_bytes()[:-3])
    assert run_app(app, ["quality", "fit", *words, "--out", str(tmp_path / "again")]) == 0
    assert model.read_bytes() == (folder / "fit" / "quality.model").read_bytes()


@pytest.mark.parametrize("kind", ["fit", "ngrams"])
def test_a_finished_fit_is_told_again_in_the_same_order(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    good, bad = str(folder / "good.jsonl"), str(folder / "bad.jsonl")
    words = ["fit", "--bad", bad, "-s", "bits=14"] if kind == "fit" else ["fit-perplexity", "--terciles", bad]
    words = ["quality", *words, "--good", good, "--out", str(tmp_path / "run")]
    assert run_app(app, words) == 0
    report = (tmp_path / "run" / "report.html").read_bytes()
    assert run_app(app, words) == 0
    assert (tmp_path / "run" / "report.html").read_bytes() == report
    model = tmp_path / "run" / "quality.model"
    model.write_bytes(model.read_bytes()[:-3])
    assert "Rebuilding" not in capsys.readouterr().err
    assert run_app(app, words) == 0
    assert "Rebuilding: quality.model" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").read_bytes() == report


def test_perplexity_has_thirds_of_the_set_that_was_named(folder: Path) -> None:
    summary = json.loads((folder / "ngrams" / "summary.json").read_text())
    model, rng = load_ngrams(folder / "ngrams"), random.Random(5)
    like, unlike = model.perplexities([article(rng), spam(rng)]).tolist()
    assert like < 10 < unlike and model.terciles == tuple(summary["terciles"])
    assert summary["median"] < 10 < summary["terciles"][0]  # good texts are held out, the thirds are of spam
    assert model.bucket(like) == "head"


def test_a_set_is_scored(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    for out, workers in zip(outs, "12", strict=True):
        words = ["quality", "score", str(folder / "good.jsonl"), str(folder / "bad.jsonl"), "--out", str(out), "-q"]
        words += ["--model", str(folder / "fit"), "--model", str(folder / "ngrams"), "--workers", workers, "--json"]
        assert run_app(app, words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert told["documents"] == 486 and told["scored"] == 480
    assert sum(row["documents"] for row in told["buckets"].values()) == 480
    files = [sorted((out / "documents").iterdir()) for out in outs]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
    frame = pl.read_parquet(outs[0] / "documents" / "*.parquet")
    assert frame.filter(pl.col("language") == "en")["s_quality"].null_count() == 6
    by_source = frame.filter(pl.col("language") == "zh").group_by("source").agg(pl.col("s_quality").mean())
    means = dict(by_source.iter_rows())
    assert means["good"] > 0.9 and means["bad"] < 0.1
    assert set(frame.filter(pl.col("source") == "good")["bucket"].drop_nulls()) == {"head"}
    # Signals that a document brings stay, but for those of the models.
    signals = {"s_chars": 77.0, "s_quality": 0.5, "s_perplexity": 9.0}
    pl.DataFrame([{"id": "x", "text": "春天走过老人的院子。", "language": "zh", **signals}]).write_parquet(
        tmp_path / "x.parquet"
    )
    words = ["quality", "score", str(tmp_path / "x.parquet"), "--model", str(folder / "fit"), "--workers", "1", "-q"]
    assert run_app(app, [*words, "--out", str(tmp_path / "scored")]) == 0
    (row,) = pl.read_parquet(tmp_path / "scored" / "documents" / "*.parquet").iter_rows(named=True)
    assert row["s_chars"] == 77 and row["s_quality"] not in (None, 0.5) and row["s_perplexity"] is None
    # What comes out is a set of documents again.
    assert run_app(app, ["stats", str(outs[0]), "--out", str(tmp_path / "stats"), "-q"]) == 0
    assert json.loads((tmp_path / "stats" / "summary.json").read_text())["documents"] == 486


def clean(folder: Path, out: Path, *settings: str) -> tuple[int, str]:
    """In a process of its own: it forks, and polars has threads here by now."""
    words = ["clean", f"set={folder / 'mixed.jsonl'}", "--out", str(out), "-q", "--workers", "1"]
    words += [word for setting in settings for word in ("-s", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "corpus", *words], capture_output=True, text=True, cwd=ROOT, timeout=55
    )
    return done.returncode, done.stderr


@pytest.mark.timeout(120)
def test_the_signals_and_their_rules_in_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(11)
    rows = [{"text": article(rng) + article(rng), "url": f"https://a.example/{n}"} for n in range(20)]
    rows += [{"text": spam(rng), "url": f"https://b.example/{n}"} for n in range(20)]
    (folder / "mixed.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    # Texts as short and as alike as these would break the other rules.
    only = ("rules=[{signal: quality, min: 0.5, language: zh, source: test}]", "dedup.enabled=false")
    models = (f"quality.model={folder / 'fit'}", f"quality.perplexity={folder / 'ngrams'}", *only)
    assert clean(folder, folder / "run", *models)[0] == 0
    kept, rejected = (pl.read_parquet(folder / "run" / name / "*.parquet") for name in ("documents", "rejected"))
    assert kept["s_quality"].min() >= 0.5 and set(kept["url"].str.slice(0, 17)) == {"https://a.example"}
    by_model = rejected.filter(pl.col("reasons").list.contains("rules.quality"))
    assert len(by_model) == 20 and by_model["s_quality"].max() < 0.5 and by_model["s_perplexity"].null_count() == 0
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    names = [entry["name"] for entry in manifest["inputs"][1:]]
    assert names == [f"model:{folder / name}" for name in ("fit", "ngrams")]
    card, report = ((folder / "run" / name).read_text("utf-8") for name in ("README.md", "report.html"))
    assert "s_quality" in card and "rules.quality" in report
    capsys.readouterr()
    assert run_app(app, ["tune", str(folder / "run"), "-s", "rules.quality.min=1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"]["documents"] == len(kept)
    # Another model is another run.
    code, said = clean(folder, folder / "run", models[0], *only)
    assert code == 3 and "quality.perplexity" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fit", "--good", "{f}/good.jsonl", "--bad", "{f}/none.jsonl", "--out", "{o}"], 2, "does not exist"),
        ([*FIT, "-s", "longest=0"], 2, "longest"),
        ([*FIT, "-s", "languages=[ja]"], 3, "no text"),
        (["score", "{f}/good.jsonl", "--model", "{f}/good.jsonl", "--out", "{o}"], 3, "no model"),
        (["score", "{f}/good.jsonl", "--model", "{f}/nowhere", "--out", "{o}"], 2, "no model"),
        (["score", "{f}/good.jsonl", "--model", "{f}/fit", "--model", "{f}/fit", "--out", "{o}"], 2, "both models"),
    ],
)
def test_wrong_calls(
    words: list[str], code: int, said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["quality", *(word.format(f=folder, o=tmp_path / "o") for word in words)]) == code
    assert said in capsys.readouterr().err


def test_a_model_of_the_other_kind_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="perplexity"):
        model_inputs(QualityConfig(model=folder / "ngrams"))
    assert [Path(str(entry["name"])).name for entry in model_inputs(QualityConfig(model=folder / "fit"))] == ["fit"]


def test_of_a_run_the_bad_set_is_what_broke_a_rule(folder: Path, tmp_path: Path) -> None:
    rng = random.Random(12)
    rows = [{"text": article(rng)} for _ in range(12)] + [{"text": "太短。" * 3} for _ in range(30)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    assert clean(tmp_path, tmp_path / "run", "dedup.enabled=false")[0] == 0
    words = ["quality", "fit", "--good", str(folder / "good.jsonl"), "--bad", str(tmp_path / "run")]
    assert run_app(app, [*words, "--out", str(tmp_path / "fit"), "-s", "bits=12", "-s", "languages=[zh]"]) == 0
    summary = json.loads((tmp_path / "fit" / "summary.json").read_text())
    assert summary["sets"]["bad"]["read"] >= 30
