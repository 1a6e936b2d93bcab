"""Fingerprints against exact sets: shingles, Jaccard similarity, and the chance to meet in a band."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.measure import to_codes
from corpus.minhash import BANDS, ROWS, fingerprint, jaccard

ALPHABET = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳"


def grams(text: str) -> set[str]:
    letters = re.sub(r"[^\w]|_", "", text.lower())
    return {letters[i : i + 5] for i in range(max(1, len(letters) - 4))} if letters else set()


def true_jaccard(a: str, b: str) -> float:
    x, y = grams(a), grams(b)
    return len(x & y) / len(x | y) if x | y else 1.0


def of(text: str) -> np.ndarray:
    return fingerprint(*to_codes([text])).shingles


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=ALPHABET + "ab，。 \n", max_size=80), st.text(alphabet=ALPHABET[:8] + "ab，", max_size=80))
def test_jaccard_is_that_of_the_sets(a: str, b: str) -> None:
    assert jaccard(of(a), of(b)) == pytest.approx(true_jaccard(a, b))
    assert jaccard(of(a), of(a + "，。！ ")) == 1.0


def test_bands_meet_as_often_as_the_formula_says() -> None:
    """1 − (1 − s⁸)¹⁴ at s ≈ 0.8 over 300 pairs, within four standard errors."""
    random = np.random.default_rng(7)
    pairs, similarities = [], []
    for _ in range(300):
        text = "".join(random.choice(list(ALPHABET), 400))
        places = random.choice(400, 9, replace=False)
        edited = "".join("改" if i in places else c for i, c in enumerate(text))
        pairs += [text, edited]
        similarities.append(true_jaccard(text, edited))
    bands = fingerprint(*to_codes(pairs)).bands
    met = np.mean([(bands[2 * i] == bands[2 * i + 1]).any() for i in range(300)])
    expected = np.mean([1 - (1 - s**ROWS) ** BANDS for s in similarities])
    assert 0.7 < np.mean(similarities) < 0.9
    assert met == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 300) ** 0.5)


def test_exact_hash_ignores_layout_and_script_but_no_letter() -> None:
    texts = [
        "春眠不觉晓，处处闻啼鸟。",
        "春眠不覺曉\n處處聞啼鳥",
        "春眠不觉晓，处处闻啼鸟。了",
        "处处闻啼鸟，春眠不觉晓。",
    ]
    exact = fingerprint(*to_codes(texts)).exact
    assert (exact[0] == exact[1]).all()
    assert (exact[0] != exact[2]).all()
    assert (exact[0] != exact[3]).all()
