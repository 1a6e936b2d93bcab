"""Novelty beside a table of dynamic programming and rapidfuzz: the same decisions, scores and nearest texts."""

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from selfinstruct import novelty_kernels as kernels
from selfinstruct.novelty import Nearest, Novelty, Tokenizer, fold, tokens_of

Novelty().judge([("", "compiled before a test's time runs")])

FEW_LETTERS = st.text("ab 天地，", max_size=24)
# Chinese, Latin, digits, full width, accents, other scripts, punctuation alone, signs beyond the first plane, nothing.
MIXED = st.one_of(
    FEW_LETTERS,
    st.text("人工智能写一首诗，。？！ abc12Ａｂ１", max_size=40),
    st.text("，。…—!?  \n\u3000\u2028", max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
SETS = st.lists(MIXED, max_size=14)
LIMITS = st.sampled_from([0.1, 0.35, 0.5, 0.6, 0.7, 0.75, 0.9, 0.999, 1.0])


def table(a: list[str], b: list[str]) -> int:
    """The longest common subsequence as textbooks compute it."""
    row = [0] * (len(b) + 1)
    for one in a:
        before = 0
        for place, other in enumerate(b, 1):
            before, row[place] = row[place], before + 1 if one == other else max(row[place], row[place - 1])
    return row[-1]


def f1(a: str, b: str, tokenizer: Tokenizer = "char") -> Fraction:
    """ROUGE-L F1 of two texts; of texts without tokens those that are the same are 1."""
    one, other = (tokens_of(tokenizer)(text) for text in (a, b))
    if not one or not other:
        return Fraction(one == other and a.strip() == b.strip())
    return Fraction(2 * table(one, other), len(one) + len(other))


def by_brute_force(texts: list[str], threshold: float, all_kept: bool = False) -> list[tuple[str | None, float, bool]]:
    """(nearest, score, over) of each text in turn; `over` ones are not kept."""
    limit, kept = Fraction(str(threshold)), []
    found: list[tuple[str | None, float, bool]] = []
    for number, text in enumerate(texts):
        scores = [(f1(text, other), -place) for place, other in kept]
        score, place = max(scores, default=(Fraction(0), 0))
        found.append((str(-place) if score else None, float(score), score > limit))
        if all_kept or score <= limit:
            kept.append((number, text))
    return found


def told(found: list[Nearest]) -> list[tuple[str | None, float, bool]]:
    return [(one.id, one.score, one.over) for one in found]


def numbered(texts: list[str]) -> list[tuple[str, str]]:
    return [(str(number), text) for number, text in enumerate(texts)]


@given(texts=SETS, threshold=LIMITS)
@settings(max_examples=200, deadline=None)
def test_decisions_scores_and_nearest(texts: list[str], threshold: float) -> None:
    expected = by_brute_force(texts, threshold)
    assert told(Novelty("char", threshold).judge(numbered(texts), with_nearest=True)) == expected
    plain = Novelty("char", threshold).judge(numbered(texts))
    assert told(plain) == [one if one[2] else (None, 0.0, False) for one in expected]


@given(texts=SETS, threshold=LIMITS, size=st.integers(1, 5), nearest=st.booleans())
@settings(max_examples=100, deadline=None)
def test_one_by_one_and_in_batches(texts: list[str], threshold: float, size: int, nearest: bool) -> None:
    whole = Novelty("char", threshold).judge(numbered(texts), nearest)
    in_parts, pairs = Novelty("char", threshold), numbered(texts)
    assert [one for n in range(0, len(pairs), size) for one in in_parts.judge(pairs[n : n + size], nearest)] == whole
    alone, found = Novelty("char", threshold), []
    for id, text in pairs:
        found.append(alone.nearest(text))
        if not found[-1].over:
            alone.add(id, text)
    assert [one.over for one in found] == [one.over for one in whole]
    assert len(alone) == len(in_parts) == sum(not one.over for one in whole)
    if nearest:
        assert found == whole


@given(texts=SETS, others=SETS)
@settings(max_examples=100, deadline=None)
def test_the_nearest_of_another_set(texts: list[str], others: list[str]) -> None:
    novelty = Novelty()
    novelty.add_all(numbered(others))
    for text, near in zip(texts, novelty.nearest_all(texts), strict=True):
        scores = [f1(text, other) for other in others]
        best = max(scores, default=Fraction(0))
        assert near.score == float(best) and near.over == (best > Fraction(7, 10))
        assert near.id == (str(scores.index(best)) if best else None)
    assert len(novelty) == len(others)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300, 700])
def test_texts_of_every_length(length: int) -> None:
    """Across the borders of machine words and of buckets; rapidfuzz counts what is common."""
    random_ = random.Random(length)
    letters = [chr(0x4E00 + n) for n in range(40)]
    texts = ["".join(random_.choices(letters, k=length)) for _ in range(6)]
    for text in texts[:4]:
        signs = list(text)
        for _ in range(max(1, length // 5)):
            signs[random_.randrange(length)] = random_.choice(letters)
        texts += ["".join(signs), text[: length * 2 // 3] or text, text + "".join(random_.choices(letters, k=length))]
    for threshold in (0.5, 0.7):
        novelty = Novelty("char", threshold)
        found = novelty.judge(numbered(texts), with_nearest=True)
        kept: list[tuple[int, str]] = []
        for (number, text), near in zip(enumerate(texts), found, strict=True):
            scores = [2 * LCSseq.similarity(text, other) / (len(text) + len(other)) for _, other in kept]
            assert near.score == max(scores, default=0.0)
            if near.score:
                assert near.id == str(kept[scores.index(near.score)][0])
            assert near.over == (near.score > threshold)
            kept += [(number, text)] * (not near.over)
        assert 6 <= len(kept) < len(texts) or length < 3


def at_the_border(common: int, total: int) -> tuple[str, str]:
    """Two texts of Chinese characters with so many in common and so many in all."""
    shared = "".join(chr(0x4E00 + n) for n in range(common))
    rest = [chr(0x6000 + n) for n in range(total - 2 * common)]
    return shared + "".join(rest[: len(rest) // 3]), "".join(rest[len(rest) // 3 :]) + shared


@pytest.mark.parametrize(
    ("threshold", "p", "q"), [(0.7, 7, 10), (0.5, 1, 2), (0.9, 9, 10), (0.75, 3, 4), (0.3333333333333333, 1, 3)]
)
def test_exactly_at_the_threshold_is_kept(threshold: float, p: int, q: int) -> None:
    for times in (1, 2, 3, 7, 12, 40):
        common, total = p * times, 2 * q * times
        a, b = at_the_border(common, total)
        assert table(list(a), list(b)) * 2 * q == p * total
        for more, over in ((0, False), (1, True)):
            one, other = at_the_border(common + more, total)
            for first, second in ((one, other), (other, one)):
                novelty = Novelty("char", threshold)
                found = novelty.judge([("a", first), ("b", second)])
                assert found[1].over is over, (times, more)
                assert len(novelty) == 2 - over


def test_a_threshold_of_one_keeps_all() -> None:
    texts = ["天地玄黄", "天地玄黄", "？", "？", "ab", "ab"]
    novelty = Novelty("char", 1.0)
    found = novelty.judge(numbered(texts), with_nearest=True)
    assert [one.over for one in found] == [False] * 6 and len(novelty) == 6
    assert [(one.id, one.score) for one in found] == [(None, 0), ("0", 1), (None, 0), ("2", 1), (None, 0), ("4", 1)]


def test_what_makes_no_difference() -> None:
    """Case, width, punctuation, spaces between Chinese characters, and line ends."""
    same = ["用 ＡＢＣ 写１首诗。", "用ABC写1首诗", "用「abc」，写 1 首诗！", "用\nAbc\u3000写1首诗…"]
    found = Novelty().judge(numbered(same))
    assert [(one.id, one.score) for one in found] == [(None, 0.0)] + [("0", 1.0)] * 3


@pytest.mark.parametrize(
    ("tokenizer", "text", "tokens"),
    [
        ("char", "用Python3写2个 for循环。", ["用", "python3", "写", "2", "个", "for", "循", "环"]),
        ("char", "Don't re-use e-mail_1", ["don", "t", "re", "use", "e", "mail", "1"]),
        ("char", "café ＡＢ１２", ["caf", "ab12"]),
        ("char", "мир и 인공 지능", ["мир", "и", "인공", "지능"]),
        ("char", "㐀𠀀々", ["㐀", "𠀀", "々"]),
        ("char", "？！…", []),
        ("word", "人工 智能 for循环", ["人工", "智能", "for", "循环"]),
        ("word", "Say it, then STOP", ["say", "it", "then", "stop"]),
        ("jieba", "人工智能，改变世界！", ["人工智能", "改变", "世界"]),
        ("jieba", "用 Python 写", ["用", "python", "写"]),
    ],
)
def test_tokens(tokenizer: Tokenizer, text: str, tokens: list[str]) -> None:
    assert tokens_of(tokenizer)(text) == tokens


@given(text=st.text(st.characters(max_codepoint=127), max_size=60))
@settings(max_examples=200, deadline=None)
def test_ascii_has_a_way_of_its_own_that_leads_to_the_same(text: str) -> None:
    """A character beyond ASCII behind it, which is no token, sends the same text the other way."""
    for tokenizer in ("char", "word"):
        assert tokens_of(tokenizer)(text) == tokens_of(tokenizer)(text + "…")  # type: ignore[arg-type]


@pytest.mark.parametrize("tokenizer", ["word", "jieba"])
@given(texts=st.lists(st.text("人工智能改变世界 ab，", max_size=16), max_size=8))
@settings(max_examples=40, deadline=None)
def test_other_tokenizers_are_compared_alike(tokenizer: Tokenizer, texts: list[str]) -> None:
    found = Novelty(tokenizer).judge(numbered(texts), with_nearest=True)
    kept: list[str] = []
    for text, near in zip(texts, found, strict=True):
        best = max((f1(text, other, tokenizer) for other in kept), default=Fraction(0))
        assert near.score == float(best)
        kept += [text] * (not near.over)


def test_folding() -> None:
    assert fold("ＡｂＣ１２！") == "abc12!" and fold("ABC") == "abc"


def test_a_text_of_many_tokens_needs_little_memory() -> None:
    """100,000 tokens, most of them different, beside one that differs in one of ten."""
    random_ = random.Random(5)
    words = [f"w{random_.randrange(60_000)}" for _ in range(100_000)]
    other = [word if n % 10 else "x" for n, word in enumerate(words)]
    novelty = Novelty()
    found = novelty.judge([("a", " ".join(words)), ("b", " ".join(other)), ("c", " ".join(words[:60_000]))])
    assert [(one.id, one.score) for one in found] == [(None, 0.0), ("a", 0.9), ("a", 0.75)]
    arrays = [value for value in vars(novelty).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) < 20_000_000


def kernel(name: str) -> Any:
    """As Python, so that a table can be walked through without a compiler."""
    return getattr(kernels, name).py_func


@pytest.mark.parametrize(("p", "q"), [(7, 10), (1, 2), (9, 10), (1, 1), (1, 10)])
def test_how_many_tokens_a_text_is_listed_under(p: int, q: int) -> None:
    """The bound by its definition: the fewest common tokens with any text that can be too near."""
    for m in range(1, 80):
        fewest = min(
            (common for n in range(1, 25 * m) for common in [p * (m + n) // (2 * q) + 1] if common <= min(m, n)),
            default=None,
        )
        assert kernel("prefix")(m, p, q) == (0 if fewest is None else m - fewest + 1)


def test_lists_grow_in_place_and_lose_nothing() -> None:
    """Many texts under few tokens, one at a time: the lists move often, and each text finds its twin."""
    random_ = random.Random(1)
    novelty = Novelty("char", 0.999)
    texts = ["".join(random_.choices("甲乙丙丁戊己", k=random_.randint(6, 14))) for _ in range(400)]
    first = {text: str(number) for number, text in reversed(list(enumerate(texts)))}
    found = [novelty.judge([pair])[0] for pair in numbered(texts)]
    for (id, text), near in zip(numbered(texts), found, strict=True):
        assert near.id == (first[text] if first[text] != id else None)
    assert len(novelty) == len(first)


def test_nothing_at_all() -> None:
    novelty = Novelty()
    assert novelty.judge([]) == [] and novelty.nearest_all([]) == [] and len(novelty) == 0
    assert novelty.nearest("什么") == Nearest(None, 0.0, False)
    assert told(novelty.judge([("a", ""), ("b", "  "), ("c", "？")])) == [
        (None, 0.0, False),
        ("a", 1.0, True),
        (None, 0.0, False),
    ]
