"""Signals against counts by hand and against a plain-Python implementation of the same definitions."""

import math
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.measure import signals, to_codes
from corpus.signals import SIGNALS

ARTICLE = (
    "清晨的渡口很安静，老船工把缆绳绕在木桩上，然后坐下来等第一班客人。\n"
    "他说这条河已经摆渡了四十年，水位高低、风向变化，他闭着眼睛也知道。\n"
    "后来上游修了桥，坐船的人少了，可是每到赶集的日子，村里人还是愿意走这条近路。\n"
    "Today the ferry is mostly for visitors, and the fare is 5 yuan.\n"
)


def measure(text: str) -> dict[str, float]:
    row = signals(*to_codes([text]))[0]
    return dict(zip(SIGNALS, map(float, row), strict=True))


def tokens_of(text: str) -> list[str]:
    """Han and Kana characters one by one, Latin and digit runs whole, lower-cased."""
    return [t.lower() for t in re.findall(r"[\u4e00-\u9fff\u3040-\u30ff]|[A-Za-z0-9]+", text)]


def duplicate_share(tokens: list[str], n: int) -> float:
    """Gopher's definition: characters of n-grams seen before, moving on behind each."""
    seen: set[tuple[str, ...]] = set()
    repeated = i = 0
    while i + n <= len(tokens):
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            repeated += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return repeated / max(sum(map(len, tokens)), 1)


def top_share(tokens: list[str], n: int) -> float:
    counts = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    best = max((c * sum(map(len, gram)) for gram, c in counts.items() if c > 1), default=0)
    return min(best / max(sum(map(len, tokens)), 1), 1.0)


def test_counts_by_hand() -> None:
    s = measure("甲乙丙丁。\nab 12\n甲乙丙丁。\n\n• 第三行……\n")
    # visible: 5 + 4 + 5 + 6 = 20 (• 第 三 行 … …); lines: 4, of which one repeats an earlier one
    assert s["s_chars"] == 20
    assert s["s_lines"] == 4
    assert s["s_han_share"] == pytest.approx(11 / 20)
    assert s["s_latin_share"] == pytest.approx(2 / 20)
    assert s["s_digit_share"] == pytest.approx(2 / 20)
    assert s["s_dup_line_share"] == pytest.approx(1 / 4)
    assert s["s_dup_line_char_share"] == pytest.approx(5 / 20)
    assert s["s_bullet_line_share"] == pytest.approx(1 / 4)
    assert s["s_ellipsis_line_share"] == pytest.approx(1 / 4)
    assert s["s_punct_line_share"] == pytest.approx(3 / 4)
    # one short line ends without punctuation: "ab 12"
    assert s["s_short_line_share"] == pytest.approx(1 / 4)
    assert s["s_short_line_char_share"] == pytest.approx(4 / 20)
    assert s["s_tokens"] == 4 + 2 + 4 + 3
    assert s["s_mean_word_chars"] == pytest.approx(2)


def test_paragraphs_are_parted_by_blank_lines() -> None:
    s = measure("一行\n二行\n\n三行\n\n一行\n二行\n")
    assert s["s_dup_paragraph_share"] == pytest.approx(1 / 3)
    assert s["s_dup_paragraph_char_share"] == pytest.approx(4 / 10)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="甲乙丙丁戊己庚辛，。 \nabXY19", max_size=200))
def test_ngrams_entropy_and_distinct_agree_with_plain_python(text: str) -> None:
    s = measure(text)
    tokens = tokens_of(text)
    assert s["s_tokens"] == len(tokens)
    for n in (2, 3, 4):
        assert s[f"s_top_{n}gram"] == pytest.approx(top_share(tokens, n), abs=1e-6)
    for n in range(5, 11):
        assert s[f"s_dup_{n}gram"] == pytest.approx(min(duplicate_share(tokens, n), 1.0), abs=1e-6)
    counts = Counter(tokens)
    entropy = -sum(c / len(tokens) * math.log2(c / len(tokens)) for c in counts.values()) if tokens else 0.0
    assert s["s_entropy"] == pytest.approx(entropy, abs=1e-5)
    assert s["s_distinct_share"] == pytest.approx(len(counts) / max(len(tokens), 1), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_finite_numbers_and_shares_within_bounds(text: str) -> None:
    for name, value in measure(text).items():
        assert math.isfinite(value), name
        assert value >= 0, name
        if name.endswith("_share") or "gram" in name:
            assert value <= 1.000001, name


def test_a_batch_gives_each_text_what_it_gets_alone() -> None:
    texts = [ARTICLE, "", "短", ARTICLE * 3, "a b c", "\n\n", "🙂🙂 emoji 也算"]
    rows = signals(*to_codes(texts))
    for text, row in zip(texts, rows, strict=True):
        assert dict(zip(SIGNALS, map(float, row), strict=True)) == measure(text)


def test_shuffled_and_misread_text_has_few_frequent_pairs() -> None:
    shuffled = list(ARTICLE)
    random.Random(3).shuffle(shuffled)
    misread = ARTICLE.encode().decode("gb18030", "replace")
    assert measure(ARTICLE)["s_frequent_pair_share"] > 0.35
    assert measure("".join(shuffled))["s_frequent_pair_share"] < 0.18
    assert measure(misread)["s_frequent_pair_share"] < 0.18
    assert measure(misread)["s_rare_han_share"] > 0.2


def test_traditional_text_is_as_good_as_simplified() -> None:
    simplified = "这种书在图书馆里很难找到，我们问了几个学者，他们说应该到乡下的旧书店去看看。"
    traditional = "這種書在圖書館裡很難找到，我們問了幾個學者，他們說應該到鄉下的舊書店去看看。"
    one, other = measure(simplified), measure(traditional)
    for name in ("s_frequent_pair_share", "s_rare_han_share", "s_stop_share"):
        assert one[name] == pytest.approx(other[name], abs=0.06), name


def test_word_lists_count_distinct_terms_also_in_traditional_script() -> None:
    page = "百家乐、真人荷官、时时彩，注册送彩金。百家乐百家乐。" + "平平常常的一句话。" * 10
    visible = measure(page)["s_chars"]
    assert measure(page)["s_spam_per_1000"] == pytest.approx(1000 * 4 / visible, rel=1e-5)
    assert measure("百家樂，時時彩。")["s_spam_per_1000"] == pytest.approx(1000 * 2 / 8, rel=1e-5)
