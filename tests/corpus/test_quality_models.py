"""Model files: 200 mutations noticed, no foreign code, kinds kept apart; kernels against plain Python."""

import random
from pathlib import Path

import numpy as np
import pytest

from corpus.charclass import tables
from corpus.measure import to_codes
from corpus.perplexity import NgramModel, fit_ngrams
from corpus.perplexity import load as load_ngrams
from corpus.perplexity import save as save_ngrams
from corpus.perplexity_kernels import log_probabilities, plain_text
from corpus.quality import Quality, Shape, load, save
from corpus.quality_kernels import features, plain_codes
from corpus.quality_measures import auc, calibration, platt, thresholds
from corpus.quality_model import write_model
from runkit.errors import InputError, UserError

ALPHABET = "天地玄黄宇宙洪荒日月盈昃"


def quality(bits: int = 10, most: int = 100) -> Quality:
    weights = np.random.default_rng(1).normal(size=1 << bits).astype(np.float32)
    return Quality(Shape(1, 3, bits, most), weights, 0.25, 2.0, -1.0, ("zh",))


def ngrams(order: int = 4, size: int = 3_000) -> tuple[NgramModel, str]:
    rng = np.random.default_rng(0)
    text = "".join(ALPHABET[min(int(rng.exponential(3)), 11)] for _ in range(size))
    t = tables()
    found = fit_ngrams(plain_text(*to_codes([text]), t.classes, t.fold), order, 10**6)
    return NgramModel(order, 1_000, found.checks, found.values, found.unseen, ("zh",), (5.0, 6.0)), text


def test_both_kinds_come_back_as_they_were_written(tmp_path: Path) -> None:
    model, path = quality(), tmp_path / "quality.model"
    digest = save(path, model, {"n": 1})
    back = load(tmp_path)
    assert back.sha256 == digest and back.shape == model.shape and back.languages == ("zh",)
    texts = ["天地玄黄。\n宇宙 洪荒", "", "ABC 123"]
    assert np.array_equal(back.scores(texts), model.scores(texts)) and 0 < back.scores(texts)[0] < 1
    other, text = ngrams()
    save_ngrams(tmp_path / "ngrams", other, {})
    again = load_ngrams(tmp_path / "ngrams")
    assert np.array_equal(again.perplexities([text, "猫"]), other.perplexities([text, "猫"]))
    assert again.bucket(4.9) == "head" and again.bucket(5.5) == "middle" and again.bucket(7) == "tail"
    with pytest.raises(UserError, match="not 'quality'"):
        load(tmp_path / "ngrams")


def test_200_mutations_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "quality.model"
    save(path, quality(), {"note": "模型"})
    whole, rng = path.read_bytes(), random.Random(7)
    for number in range(200):
        data = bytearray(whole)
        place = rng.randrange(len(data))
        if number % 3 == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif number % 3 == 1:
            del data[place:]
        else:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        path.write_bytes(bytes(data))
        with pytest.raises(UserError):
            load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"shortest": 3, "longest": 1, "bits": 10, "most_chars": 100}},
        {"shape": {"shortest": 1, "longest": 3, "bits": 60, "most_chars": 100}},
        {"shape": {"shortest": 1, "longest": 3, "bits": 11, "most_chars": 100}},
        {"shape": {"shortest": 1, "longest": 3, "bits": 10, "most_chars": 10**12}},
        {"bias": "x"},
        {"bias": None},
        {"languages": 3},
        {"shape": None},
    ],
)
def test_a_head_that_lies_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    head = {"shape": {"shortest": 1, "longest": 3, "bits": 10, "most_chars": 100}, "bias": 0.0}
    head |= {"slope": 1.0, "offset": 0.0, "languages": ["zh"]}
    write_model(tmp_path / "m", "quality", head | change, {"weights": np.zeros(1024, np.float32)})
    with pytest.raises(InputError, match="fit"):
        load(tmp_path / "m")


def test_an_ngram_table_without_an_empty_slot_is_refused(tmp_path: Path) -> None:
    head = {"order": 3, "most_chars": 100, "unseen": -9.0, "languages": ["zh"], "terciles": None}
    arrays = {"checks": np.ones(16, np.uint32), "values": np.zeros((16, 2), np.int16)}
    write_model(tmp_path / "m", "perplexity", head, arrays)
    with pytest.raises(InputError):
        load_ngrams(tmp_path / "m")


def plain(text: str, most: int = 1_000) -> str:
    t = tables()
    codes, offsets = to_codes([text])
    found = np.empty(most, np.uint32)
    size = plain_codes(codes, 0, offsets[1], t.classes, t.fold, most, found)
    return "".join(map(chr, found[:size].tolist()))


def test_texts_are_read_without_what_says_nothing() -> None:
    assert plain("  Aｂ12，漢字\t\u3000字\r\n\n  完 ") == " aｂ00，汉字 字\n完 "
    assert plain("甲 \n乙") == "甲\n乙" and plain("甲乙丙", 2) == "甲乙" and plain("") == ""


def test_each_different_ngram_counts_once() -> None:
    t = tables()
    text = "天地天地天"
    places, ends = features(*to_codes([text, "", text]), t.classes, t.fold, 1, 3, 20, 100)
    different = {text[i : i + n] for n in (1, 2, 3) for i in range(len(text) - n + 1)}
    assert ends.tolist() == [0, len(different), len(different), 2 * len(different)]
    assert set(places[: len(different)].tolist()) == set(places[len(different) :].tolist())


def test_a_score_is_the_sum_over_different_ngrams() -> None:
    model, t = quality(), tables()
    text = "天地玄黄，宇宙洪荒。日月盈昃"
    places, _ = features(*to_codes([text]), t.classes, t.fold, 1, 3, 10, 100)
    margin = float(model.weights[places].astype(float).sum() / np.sqrt(len(places))) + model.bias
    expected = 1 / (1 + np.exp(-(model.slope * margin + model.offset)))
    assert model.scores([text])[0] == pytest.approx(expected, rel=1e-5)
    # In any company, and cut at `most_chars`.
    assert model.scores(["别的", text * 50, text])[2] == model.scores([text])[0]
    assert model.scores([text * 50])[0] == model.scores([(text * 50)[:100] + "后面不看"])[0]


@pytest.mark.parametrize("context", ["天地玄", "荒荒荒", "猫狗猫", "日月", "", "x天地"])
def test_probabilities_sum_to_one(context: str) -> None:
    model, _ = ngrams()
    bits = np.uint64(len(model.checks).bit_length() - 1)

    def probability(text: str) -> float:
        codes = np.array([ord(character) for character in text], np.uint32)
        found = np.empty(len(codes))
        log_probabilities(codes, len(codes), model.order, model.checks, model.values, bits, model.unseen, found)
        return float(np.exp(found[-1]))

    seen = sum(probability(context + character) for character in ALPHABET + "\n")
    unseen = probability(context + "猫") * (2**16 - len(ALPHABET) - 1)
    assert seen + unseen == pytest.approx(1, abs=0.004)  # probabilities are stored to 1/2048


def test_text_like_the_fitted_one_surprises_least() -> None:
    model, text = ngrams()
    shuffled = "".join(random.Random(1).sample(ALPHABET * 40, 400))
    like, unlike, foreign = model.perplexities([text[-500:], shuffled, "猫狗" * 200]).tolist()
    assert like < 8 < unlike < foreign and np.isnan(model.perplexities([""])[0])


def test_few_ngrams_remain_where_few_may() -> None:
    _, text = ngrams()
    t = tables()
    codes = plain_text(*to_codes([text]), t.classes, t.fold)
    whole, small = fit_ngrams(codes, 5, 10**6), fit_ngrams(codes, 5, 300)
    assert sum(small.kept) <= 300 < sum(whole.kept) and small.fewest > whole.fewest == 2
    assert small.kept[:2] == whole.kept[:2]


def test_auc_calibration_and_thresholds() -> None:
    good, bad = np.array([0.9, 0.8, 0.5]), np.array([0.1, 0.5])
    assert auc(good, bad) == pytest.approx((2 + 2 + 1 + 0.5) / 6)
    assert auc(bad, good) == pytest.approx(1 - auc(good, bad))
    bins, error = calibration(np.full(50, 0.75), np.full(150, 0.25))
    assert [(b.good, b.bad) for b in bins] == [(0, 150), (50, 0)] and error == pytest.approx(0.25)
    rng = np.random.default_rng(4)
    margins = rng.normal(1, 2, 4_000), rng.normal(-1, 2, 1_000)
    slope, offset = platt(*margins)
    assert slope == pytest.approx(0.5, abs=0.08) and offset == pytest.approx(0, abs=0.1)  # the true odds: e^(x/2)
    found = thresholds(np.linspace(0, 1, 101), np.linspace(0, 0.5, 51))
    assert found[1] == {"min": 0.05, "good": 0.9505, "bad": round(46 / 51, 4)}
