"""Shapes in which judges give two scores, in English and Chinese: each is read, with its sides as named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.verdict import read

Text = tuple[str, float, float]  # what a judge says, and the two scores in it

SENTENCES: list[Text] = [
    ("Rating: 7 out of 10 for Assistant 1 and 8 out of 10 for Assistant 2", 7, 8),
    ("Rating: 7 out of 10 for Assistant 2 and 8 out of 10 for Assistant 1", 8, 7),
    ("7 out of 10 for Assistant 1 and 8 out of 10 for Assistant 2", 7, 8),
    ("I'd give 7/10 to Assistant 1 and 8/10 to Assistant 2.", 7, 8),
    ("I'd give 7/10 to Assistant 2 and 8/10 to Assistant 1.", 8, 7),
    ("Both answers missed 3/10 of the facts. Assistant 1: 5/10, Assistant 2: 4/10", 5, 4),
    ("Assistant 1: fast and short. Overall: 7\nAssistant 2: long and right. Overall: 9", 7, 9),
    ("Scores: Assistant 1 (8), Assistant 2 (9)", 8, 9),
    ("First: 8\nSecond: 9", 8, 9),
    ("Assistant 1 gets an 8, while Assistant 2 gets a 6.5.", 8, 6.5),
    ("For Assistant 1, I would give a score of 8. For Assistant 2, I would give a score of 9.", 8, 9),
    ("Response A scores 8/10; Response B scores 6/10.", 8, 6),
    ("Model A: 8/10\nModel B: 6/10", 8, 6),
    ("I would give Assistant 1 a score of 9 due to the typo, and Assistant 2 a score of 1.", 9, 1),
    ("I rate the first answer 8/10 and the second answer 7/10.", 8, 7),
    ("The first assistant gets 8 out of 10 and the second assistant gets 7 out of 10.", 8, 7),
    ("My scores:\n- Assistant 2: 9/10\n- Assistant 1: 7/10", 7, 9),
    ("I would give a score of 8 to Assistant 1 and a score of 9 to Assistant 2.", 8, 9),
    ("Assistant 1 deserves a 3 for the wrong answer, and Assistant 2 deserves a 9 for the right one.", 3, 9),
    (
        "Assistant 1 is short, so I would give it a score of 6.\nAssistant 2 is full, so I would give it a score of 9.",
        6,
        9,
    ),
    ("I would give both answers a score of 7.", 7, 7),
    ("Scores: Assistant A: 8 | Assistant B: 9", 8, 9),
    ("Assistants 1 and 2 receive 8 and 9, respectively.", 8, 9),
    ("Reasons first.\n\n**Assistant 1:** 8/10\n**Assistant 2:** 7/10", 8, 7),
    ("Good work by both.\n\nAssistant 1's rating is 7 and Assistant 2's rating is 5.", 7, 5),
]
ORDERS: list[Text] = [
    ("| Assistant 2 | Assistant 1 |\n|---|---|\n| 9 | 7 |", 7, 9),
    ("| 助手2 | 助手1 |\n| 9 | 7 |", 7, 9),
    ("Assistant 2 Assistant 1\n9 7", 7, 9),
    ("Assistant 1 Assistant 2\n9 7", 9, 7),
    ("得分 助手2 助手1\n9 7", 7, 9),
    ("Scores for Assistant 2 and Assistant 1: 9 7", 7, 9),
    ("Scores for Assistant 1 and Assistant 2: 9 7", 9, 7),
    ("The scores of Assistant 2 and Assistant 1 are 9 and 7, respectively.", 7, 9),
    ("助手2和助手1的得分分别是9和7", 7, 9),
    ("助手1和助手2的得分分别是9和7", 9, 7),
    ("助手1和助手2分别得8分和9分。", 8, 9),
    ("Scores for Assistant 2 and Assistant 1:\n9 7", 7, 9),
    ("B: 9\nA: 7", 7, 9),
    ("Scores (Assistant 2, Assistant 1): (9, 7)", 7, 9),
]
TABLES: list[Text] = [
    ("| Assistant | Accuracy | Overall |\n|---|---|---|\n| Assistant 1 | 8 | 7 |\n| Assistant 2 | 9 | 6 |", 7, 6),
    (
        "| Criterion | Assistant 1 | Assistant 2 |\n|---|---|---|\n| Accuracy | 8 | 7 |\n| Style | 6 | 9 |\n"
        "| Overall | 7 | 8 |",
        7,
        8,
    ),
    ("| | Assistant 1 | Assistant 2 |\n|---|---|---|\n| Score | 8 | 9 |", 8, 9),
    ("| | Assistant 2 | Assistant 1 |\n|---|---|---|\n| Score | 8 | 9 |", 9, 8),
    ("| Metric | A | B |\n|---|---|---|\n| Score | 8 | 9 |", 8, 9),
    ("| Score | 8 | 9 |", 8, 9),
    ("| Assistant | Score |\n|---|---|\n| Assistant 2 | 9/10 |\n| Assistant 1 | 7/10 |", 7, 9),
    ("| 维度 | 助手1 | 助手2 |\n|---|---|---|\n| 准确性 | 8 | 7 |\n| 总分 | 7 | 8 |", 7, 8),
    ("| 助手 | 准确性 | 总分 |\n|---|---|---|\n| 助手1 | 8 | 7.5 |\n| 助手2 | 9 | 6 |", 7.5, 6),
    ("Here it is.\n\n| Assistant | Score | Comment |\n|---|---|---|\n| 1 | 8 | good |\n| 2 | 9 | better |", 8, 9),
]
BRACKETS: list[Text] = [
    ("Score: [[8]] [[9]]", 8, 9),
    ("[[8]],[[9]]", 8, 9),
    ("Rating A: [[8]]; Rating B: [[9]]", 8, 9),
    ("Assistant 1 [[8]] Assistant 2 [[9]]", 8, 9),
    ("Reasons.\nRating: [[5]], [[7.5]]", 5, 7.5),
    ("Assistant B: [[3]]\nAssistant A: [[4]]", 4, 3),
    ("<score_1>8</score_1><score_2>9</score_2>", 8, 9),
    ("<assistant_2>9</assistant_2>\n<assistant_1>8</assistant_1>", 8, 9),
    ("Score (1-10): 8, 9", 8, 9),
    ("8 9 (on a scale of 1-10)", 8, 9),
    ("both are equally good: 8 8", 8, 8),
    ("score_a=8 score_b=9", 8, 9),
    ("8 9</s>", 8, 9),
    ("8 9<|im_end|>", 8, 9),
    ("8 9<|endoftext|>User: what is 5 6?", 8, 9),
    ("8.5, 9\nThe first answer has 3 mistakes in 10 lines.", 8.5, 9),
    ("Evaluation: 8 9", 8, 9),
    ("<s> 8 9", 8, 9),
    ("𝟖 𝟗", 8, 9),
    ("\ufeff8 9\nok", 8, 9),
    ("Scores: 8,9", 8, 9),
    ("8,9\nok", 8, 9),
    ("8\t9", 8, 9),
    ("8/10 and 9/10.", 8, 9),
    ("Assistant 1: 8\r\n\r\nAssistant 2: 9\r\n", 8, 9),
    ("8 9\nI cannot give Assistant 1 a higher score because it is short.", 8, 9),
    ("8 9\nAssistant 2 was unable to judge the tone.", 8, 9),
    ("8 9\nNumber of errors\nAssistant 1: 3\nAssistant 2: 5", 8, 9),
    ("8 9\nAssistant 1 rated the film 7/10 and Assistant 2 rated it 6/10.", 8, 9),
    ("8 9\nAccuracy: 7 10\nStyle: 9 8", 8, 9),
    ("8 9\n\nThe first answer lists steps 1, 2 and 3. The answer to 3 + 4 is 7.", 8, 9),
    ("8 9\nIn 2019, 3 of 10 people said so.", 8, 9),
    ("Initial scores: 5 6\nReasons\nFinal: 7 8", 7, 8),
]
JSON: list[Text] = [
    ('Here is the JSON:\n```json\n{"assistant_1": 8, "assistant_2": 9}\n```', 8, 9),
    ('Here is the JSON: {"score_a": 8, "score_b": 9}', 8, 9),
    ('{"assistant_2": 9, "assistant_1": 8}', 8, 9),
    ('{"Assistant 1": {"accuracy": 5, "overall": 8}, "Assistant 2": {"accuracy": 6, "overall": 9}}', 8, 9),
    ('{"accuracy": {"assistant_1": 5, "assistant_2": 4}, "overall": {"assistant_1": 8, "assistant_2": 9}}', 8, 9),
    ('[{"assistant": 2, "score": 9}, {"assistant": 1, "score": 8}]', 8, 9),
    ('{"评分": {"助手1": 8, "助手2": 9}}', 8, 9),
    ('{"assistant_1_score": "8/10", "assistant_2_score": "9/10", "reason": "5 of 7"}', 8, 9),
    ('{"score_1": 8.0, "score_2": 9.5, "confidence": 3}', 8, 9.5),
    ('{\n  "reason": "good",\n  "scores": [8, 9]\n}\nThat is all.', 8, 9),
]
CHINESE: list[Text] = [
    ("AI助手1：8分\nAI助手2：9分", 8, 9),
    ("助手A 8分，助手B 9分", 8, 9),
    ("第一个回答8分，第二个回答7分", 8, 7),
    ("【评分】8 9", 8, 9),
    ("甲：8分，乙：9分", 8, 9),
    ("9分（助手2），7分（助手1）", 7, 9),
    ("助手1：8分，因为回答详细。\n助手2：9分，因为更准确。", 8, 9),
    ("助手1：8分；助手2：9分。\n理由：助手1用了3个例子。", 8, 9),
    ("8分，9分", 8, 9),
    ("助手1的评分：8/10\n助手2的评分：9/10", 8, 9),
    ("我给助手1打7.5分，给助手2打6分。", 7.5, 6),
    ("评分如下：\n助手1：8\n助手2：9", 8, 9),
    ("最终评分：助手1 8分，助手2 9分", 8, 9),
    ("第一个助手得分：8分，第二个助手得分：7分", 8, 7),
    ("回答A：8分（满分10分）\n回答B：6分（满分10分）", 8, 6),
    ("两个回答都得8分。", 8, 8),
    ("理由：都不错。\n综合评分：8 9", 8, 9),
    ("得分：8，9", 8, 9),
    ("助手1得8分，助手2得9分，助手2更好。", 8, 9),
    ("模型一：8分\n模型二：9分", 8, 9),
    ("助手２：９分\n助手１：７分", 7, 9),
    ("助手1得分为8分，助手2得分为9分", 8, 9),
    ("8 9\n助手1用了5分钟，助手2列出3个要点。", 8, 9),
    ("给助手1的评分是8分，给助手2的评分是9分。", 8, 9),
    ("助手1: 8分 | 助手2: 9分", 8, 9),
]


@pytest.mark.parametrize(("raw", "first", "second"), SENTENCES + ORDERS + TABLES + BRACKETS + JSON + CHINESE)
def test_shapes_of_two_scores(raw: str, first: float, second: float) -> None:
    found = read("two-scores", raw)
    assert (found.fault, found.score_first, found.score_second) == ("", first, second)


# ── What holds for every text


_ALL = [raw for raw, *_ in SENTENCES + ORDERS + TABLES + BRACKETS + JSON + CHINESE]
_NAMED = [raw for raw in _ALL if "ssistant 1" in raw and "ssistant 2" in raw and "Assistants" not in raw]


def exchanged(raw: str) -> str:
    return (
        raw.replace("ssistant 1", "ssistant \0")
        .replace("ssistant 2", "ssistant 1")
        .replace("ssistant \0", "ssistant 2")
    )


@pytest.mark.parametrize("raw", _NAMED)
def test_exchanged_names_exchange_the_scores(raw: str) -> None:
    """Or leave nothing to read: never the same sides as before, unless the scores stand in places of their own."""
    one, other = read("two-scores", raw), read("two-scores", exchanged(raw))
    if raw.lstrip()[:1].isdigit() and not raw.startswith("7 out of"):  # the first line gives them, whatever the names
        assert (one.score_first, one.score_second) == (other.score_first, other.score_second)
    elif not other.fault:
        assert (one.score_first, one.score_second) == (other.score_second, other.score_first)


_VALUE = st.integers(0, 20).map(lambda half: f"{half / 2:g}")
_FORMS = [
    "{one}: {a}\n{two}: {b}",
    "{one}: {a}/10, {two}: {b}/10",
    "I would give {one} a score of {a} and {two} a score of {b}.",
    "{a}/10 for {one} and {b}/10 for {two}",
    "Scores:\n{two}: {b}\n{one}: {a}",
    "| {one} | {two} |\n|---|---|\n| {a} | {b} |",
    "| {two} | {b} |\n| {one} | {a} |",
    "The scores of {one} and {two} are {a} and {b}, respectively.",
    "Scores for {two} and {one}: {b} {a}",
    "{one}：{a}分，{two}：{b}分",
    "{one} receives {a}/10; {two} receives {b}/10.",
]
_NAMES = [
    ("Assistant 1", "Assistant 2"),
    ("Response A", "Response B"),
    ("助手1", "助手2"),
    ("the first answer", "the second answer"),
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_FORMS), st.sampled_from(_NAMES), _VALUE, _VALUE, st.booleans())
def test_every_form_with_every_name(form: str, names: tuple[str, str], a: str, b: str, turned: bool) -> None:
    one, two = names[::-1] if turned else names
    found = read("two-scores", form.format(one=one, two=two, a=a, b=b))
    if not found.fault:
        assert (found.score_first, found.score_second) == ((float(b), float(a)) if turned else (float(a), float(b)))
    assert not found.fault or "，" in form or names[0] == "助手1", found.fault


_WORDS = [
    "Both are fine.",
    "Assistant 1 is clear.",
    "总体不错。",
    "I hope this helps!",
    "Assistant 2 could say more, but not much.",
]


@settings(max_examples=200, deadline=None)
@given(
    _VALUE,
    _VALUE,
    st.sampled_from([" ", ", "]),
    st.lists(st.sampled_from(_WORDS), max_size=3),
    st.sampled_from(["\n", "\n\n", " "]),
)
def test_words_behind_a_first_line_change_nothing(a: str, b: str, between: str, words: list[str], gap: str) -> None:
    found = read("two-scores", f"{a}{between}{b}\n" + gap.join(words))
    assert (found.fault, found.score_first, found.score_second) == ("", float(a), float(b))


@settings(max_examples=200, deadline=None)
@given(_VALUE, _VALUE, st.sampled_from(_WORDS[:4]), st.sampled_from(["\n", "\n\n"]))
def test_a_sentence_before_a_pair_that_stands_alone_changes_nothing(a: str, b: str, words: str, gap: str) -> None:
    found = read("two-scores", f"{words}{gap}{a} {b}")
    assert (found.fault, found.score_first, found.score_second) == ("", float(a), float(b))


@pytest.mark.parametrize("raw", _ALL)
@pytest.mark.parametrize("noise", ["<think>3 4?</think>\n{}", "{}</s>", "{}\n<|im_end|>\n", "\n\n{}"])
def test_what_is_no_text_of_the_judge_changes_nothing(raw: str, noise: str) -> None:
    one, other = read("two-scores", raw), read("two-scores", noise.format("\0").replace("\0", raw))
    assert (one.fault, one.score_first, one.score_second) == (other.fault, other.score_first, other.score_second)
