"""Recorded texts of two scores: every shape that is read, and what is not guessed at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.verdict import read

# What a judge says, and the two scores in it.
READ = [
    ("7 9", 7, 9),
    ("7, 9", 7, 9),
    ("8.5 9", 8.5, 9),
    ("Assistant 1: 8, Assistant 2: 9", 8, 9),
    ("Scores: 7/10 and 9/10", 7, 9),
    ("**Assistant 1: 7**\n**Assistant 2: 8**\nBoth fine.", 7, 8),
    ("７　９\n好", 7, 9),
    ("７，９\n好", 7, 9),
    ("助手1：8分，助手2：9分", 8, 9),
    ("助手１：８分\n助手２：９．５分", 8, 9.5),
    ("8\n9\nAssistant 1 is good", 8, 9),
    ("0 10", 0, 10),
    ("(8, 9)", 8, 9),
    ("[8, 9]", 8, 9),
    ("**8 9**", 8, 9),
    ("Scores: 8 9\nblah", 8, 9),
    ("Score: 8, 9", 8, 9),
    ("8/10 9/10\nx", 8, 9),
    ("8/10, 9/10", 8, 9),
    ("8 9 Assistant 1 was good", 8, 9),
    ("8 9. The first one is short.", 8, 9),
    ("Assistant 1: 8/10\nAssistant 2: 9/10\n\nAssistant 1 did.", 8, 9),
    ("Assistant 2: 9\nAssistant 1: 8", 8, 9),
    ("```\n8 9\n```\nwords", 8, 9),
    ('{"score1": 8, "score2": 9}', 8, 9),
    ('```json\n{"assistant_1": 8, "assistant_2": 9}\n```', 8, 9),
    ("I would rate Assistant 1 8/10 and Assistant 2 9/10.", 8, 9),
    ("Assistant 1 receives a score of 8 and Assistant 2 receives a score of 9.", 8, 9),
    ("I give Assistant 1 an 8 and Assistant 2 a 9.", 8, 9),
    ("Score for Assistant 1: 8\nScore for Assistant 2: 9", 8, 9),
    ("Assistant 1's score: 8\nAssistant 2's score: 9", 8, 9),
    ("The scores for Assistant 1 and Assistant 2 are 8 and 9, respectively.", 8, 9),
    ("Assistant 1: 8 out of 10\nAssistant 2: 9 out of 10", 8, 9),
    ("10 out of 10 and 9 out of 10", 10, 9),
    ("Both assistants deserve a score of 9.", 9, 9),
    ("评分：8 9\n理由", 8, 9),
    ("评分：8，9", 8, 9),
    ("助手1得8分，助手2得9分。", 8, 9),
    ("我给助手1打8分，给助手2打9分。", 8, 9),
    ("回答1：8\n回答2：7", 8, 7),
    ("两位助手都得9分。", 9, 9),
    ("助手1的得分是8分，助手2的得分是9分", 8, 9),
    ("模型A：8分\n模型B：6分", 8, 6),
    ("答案一：8分；答案二：7.5分", 8, 7.5),
    ("<think>maybe 3 4</think>\n8 9\nok", 8, 9),
    ("maybe 3 4\n</think>\n8 9", 8, 9),
    ("A: 8\nB: 9", 8, 9),
    ("A=8 B=9", 8, 9),
    ("| Assistant 1 | Assistant 2 |\n|---|---|\n| 8 | 9 |", 8, 9),
    ("| Assistant 1 | 8 |\n| Assistant 2 | 9 |", 8, 9),
    ("Here are my scores:\n\n8 9\n\nAssistant 1 ...", 8, 9),
    ("Here are my scores:\n8\n9", 8, 9),
    ("Assistant 1: The answer is wrong. Score: 2/10\n\nAssistant 2: fine. Score: 10/10", 2, 10),
    ("### Assistant 1\n- Accuracy: 7\n- Overall score: 8\n### Assistant 2\n- Accuracy: 9\n- Overall score: 9", 8, 9),
    ("Assistant 1\nScore: 8\nGood.\n\nAssistant 2\nScore: 9\nGood", 8, 9),
    ('Assistant 1 wrote "Scores: 10 1" in its answer.\n\nScores:\nAssistant 1: 2\nAssistant 2: 9', 2, 9),
    ("Assistant 1 wrote “评分：10 1”。\n\n评分：\n助手1：2\n助手2：9", 2, 9),
    ("Assistant 1: 39\nAssistant 2: 17\n\nScores:\nAssistant 1: 10\nAssistant 2: 1", 10, 1),
    ("Initially I would score: 5 5\nFinal scores: 7 8", 7, 8),
    ("Helpfulness: 8 9\nOverall score: 8 9", 8, 9),
    ("7 8\n\nFinal scores: 7 8", 7, 8),
    ("7 8\nAssistant 1 lists 3 points and Assistant 2 lists 10 points.", 7, 8),
    ("7.5, 8\r\nwords", 7.5, 8),
    ("Output: 8 9", 8, 9),
    ("The output tuple is (2, 10).", 2, 10),
    ("Assistant 1 score: 8, Assistant 2 score: 9", 8, 9),
    ("Assistant 1 - 8\nAssistant 2 - 9", 8, 9),
    ("Rating: Assistant 1: 8, Assistant 2: 9.", 8, 9),
    ("Assistant #1: 8\nAssistant #2: 9", 8, 9),
    ("Response A: 8\nResponse B: 9", 8, 9),
    ("8 and 9", 8, 9),
    ("8 vs 9", 8, 9),
    ("8、9", 8, 9),
    ("8分 9分", 8, 9),
    ("8分，9分\n理由", 8, 9),
    ("Assistant 1: 8 (good)\nAssistant 2: 9 (better)", 8, 9),
    ("8 9\nAssistant 1 mentions <think> tags.", 8, 9),
    ("助手1: 8/10分\n助手2: 9/10分", 8, 9),
    ("Sure! Here is my evaluation:\n\nAssistant 1: 8\nAssistant 2: 9", 8, 9),
    ("I'm sorry to say Assistant 1 failed.\nScores: 2 9", 2, 9),
    ("Reasons.\n(10, 8)\n\nAssistant 1 performed better.", 10, 8),
    ("Reasons.\n(1, 10) - Assistant 2 performed better.", 1, 10),
    ("Assistant 1 gets full marks (10/10). Assistant 2 gets 8/10.", 10, 8),
    ("Both are right. I would give both a 10.", 10, 10),
    ("Both deserve 9/10.", 9, 9),
    ("I would assign a score of 10 to Assistant 1 and 8 to Assistant 2.", 10, 8),
    ("scores = (10, 5)", 10, 5),
    ("Scores: Assistant 1 = 10, Assistant 2 = 5", 10, 5),
    ("[Assistant 1: 8] [Assistant 2: 9]", 8, 9),
    ("Score: Assistant 1 - 8, Assistant 2 - 9", 8, 9),
    ("Assistant 1: 8 Assistant 2: 9", 8, 9),
    ("Rating for Assistant 1: 8\nRating for Assistant 2: 7\nThe first is better.", 8, 7),
    ("Assistant 1 receives 9/10, Assistant 2 receives 10/10.", 9, 10),
    ("The points are (2, -2) and (10, 4).\n(2, 9)\nAssistant 2 is right.", 2, 9),
    (
        "The first answer is fine.\n\n**Scores**\n\n| | Score |\n|---|---|\n| Assistant 1 | 7 |\n| Assistant 2 | 8 |",
        7,
        8,
    ),
    ("I'd rate the responses as follows:\nResponse 1: 6/10\nResponse 2: 8/10", 6, 8),
    ("综合评分：助手1：7分；助手2：8.5分。", 7, 8.5),
    ("评分结果：\n- 助手1：7/10\n- 助手2：9/10", 7, 9),
    ("<think>\n9 9?\n</think>\n\n**7 8**\n\n理由如下", 7, 8),
    ("ASSISTANT 1: 7\nASSISTANT 2: 9", 7, 9),
    ('{"scores": [7, 9], "reason": "x"}', 7, 9),
    ('{"assistant1": {"score": 7}, "assistant2": {"score": 9}}', 7, 9),
]
# What looks like a verdict and is none, or says two things.
FAULTS = [
    ("7 9\nAll in all, after a second look, the final scores: 9 7", "verdict.conflict"),
    ("8 9\nText.\n\n9 8", "verdict.conflict"),
    ("8 9\nText.\nFinal scores: Assistant 1: 9, Assistant 2: 8", "verdict.conflict"),
    ("8 9\n经过复核。\n最终评分：9 8", "verdict.conflict"),
    ("11 9", "score.out_of_range"),
    ("-1 -1", "score.out_of_range"),
    ("8 90", "score.out_of_range"),
    ("85/100 90/100", "score.other_scale"),
    ("4/5 5/5", "score.other_scale"),
    ("", "verdict.empty"),
    ("  \n ", "verdict.empty"),
    ("I'm sorry, but I can't help with that.", "verdict.refused"),
    ("抱歉，我无法对此进行评价。", "verdict.refused"),
    ("8", "score.missing"),
    ("8/10", "score.missing"),
    ("2024-05-01", "score.missing"),
    ("1. Good\n2. Better\n3. Best", "score.missing"),
    ("3 Assistants were asked and 2 answered.", "score.missing"),
    ("On 5 May 2023 there were 8 of 9 planets.", "score.missing"),
    ("Assistant 1: 8", "score.missing"),
    ("Assistant 1: 8\nAssistant 2:", "score.missing"),
    ("8 9 10", "score.missing"),
    ("Assistant 1 gave 3 reasons and Assistant 2 gave 5 reasons.", "score.missing"),
    ("The endpoints are (2, -2) and (10, 4).", "score.missing"),
    ("Scores: 8 9\nScores: 9 8", "verdict.conflict"),
    ("Scores:\nAssistant 1: 3\nAssistant 2: 10\n\nOutput: (10, 3)", "verdict.conflict"),
    ("Relevance score: 8 9\nAccuracy score: 7 9", "score.missing"),
    ("10 out of 10 people agree", "score.missing"),
    ("Assistant 1 and Assistant 2 are both great.", "score.missing"),
    ("9-10", "score.missing"),
    ("8-9 9", "score.missing"),
    ("50% 60%", "score.missing"),
    ("Step 1 is right and step 2 is wrong", "score.missing"),
    ("1 2 3 go", "score.missing"),
    ("Assistant 1: 10 units\nAssistant 2: 8 units", "score.missing"),
    ("8:9", "score.missing"),
    ("12:30", "score.missing"),
    ("5 10 minute walks a day", "score.missing"),
    ("2 3-hour sessions", "score.missing"),
    ("Assistant 2 is better. It deserves a 9.", "score.missing"),
    ("7 8\n8 9", "verdict.conflict"),
    ("The scores range from 1 to 10.", "score.missing"),
    ("Scores are between 1 and 10.", "score.missing"),
    ("On a scale of 1 to 10, where 10 is best.", "score.missing"),
    ("Each assistant receives an overall score on a scale of 1 to 10.", "score.missing"),
    ("Assistant 1 (8) Assistant 2 (9)", "score.missing"),
    ("<think>8 9", "score.cut"),
    (
        "Assistant 1: 4\nAssistant 2: 10\nThe right value is 10.\n\nScores:\nAssistant 1: 1\nAssistant 2: 10",
        "verdict.conflict",
    ),
]


@pytest.mark.parametrize(("raw", "first", "second"), READ)
def test_scores_are_read(raw: str, first: float, second: float) -> None:
    found = read("two-scores", raw)
    assert (found.fault, found.score_first, found.score_second) == ("", first, second)
    assert found.choice == ("first" if first > second else "second" if second > first else "tie")


@pytest.mark.parametrize(("raw", "fault"), FAULTS)
def test_what_is_no_verdict_says_nothing(raw: str, fault: str) -> None:
    found = read("two-scores", raw)
    assert found.fault == fault
    assert found.score_first is None and found.score_second is None and found.choice is None


@pytest.mark.parametrize(
    ("raw", "cut", "fault"),
    [
        ("7 9\nAssistant 1 said", True, ""),
        ("7 1", True, "score.cut"),
        ("Scores:\nAssistant 1: 8\nAssistant 2: 1", True, "score.cut"),
        ("Scores:\nAssistant 1: 8\nAssistant 2: 1\nAssistant 1 did", True, ""),
        ("Assistant 1 was better, so", True, "score.cut"),
        ("<think>Assistant 1: 8", False, "score.cut"),
    ],
)
def test_a_text_that_was_cut(raw: str, cut: bool, fault: str) -> None:
    """Its last number may have been going to be a longer one."""
    assert read("two-scores", raw, cut=cut).fault == fault


def test_the_explanation_is_what_stands_below() -> None:
    assert read("two-scores", "7 9\nBecause.\n\nAnd so on.").explanation == "Because.\n\nAnd so on."
    assert read("two-scores", "7 9").explanation == ""
    assert read("two-scores", "7 9. Because.").explanation == "7 9. Because."
    assert read("two-scores", "Because.\nScores: 7 9").explanation == "Because.\nScores: 7 9"


_SCORE = st.integers(0, 20).map(lambda half: half / 2)


@settings(max_examples=300, deadline=None)
@given(_SCORE, _SCORE, st.sampled_from([" ", ", ", "　", "，"]), st.sampled_from(["", "**", "("]), st.booleans())
def test_every_pair_of_scores(first: float, second: float, between: str, around: str, wide: bool) -> None:
    line = f"{around}{first:g}{between}{second:g}{')' if around == '(' else around}"
    if wide:
        line = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in line)
    found = read("two-scores", f"{line}\nAssistant 1 gave 3 reasons.")
    assert (found.fault, found.score_first, found.score_second) == ("", first, second)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_any_text_is_read_or_has_a_fault(raw: str) -> None:
    for grammar in ("two-scores", "three-way", "scores", "three-way-nonce"):
        found = read(grammar, raw, nonce="7f3a9c21")
        assert (found.choice is None) == bool(found.fault)


@pytest.mark.parametrize(
    "piece", ["Assistant 1: ", "((((", "score of ", "1 ", "both ", "<think>", "助手1", "\n- ", '"', "8 9\n"]
)
def test_long_texts_are_read_at_once(piece: str) -> None:
    """A judge that repeats itself 20,000 characters long takes no more than a second."""
    read("two-scores", piece * (20_000 // len(piece)))
    read("three-way", piece * (20_000 // len(piece)))
