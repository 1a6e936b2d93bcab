"""Recorded texts whose numbers are no verdict, or say two things: none of them may give scores."""

import pytest

from judge.verdict import read

CONFLICTS = [
    "Assistant 1 score: 8/10\nAssistant 2 score: 7/10\nOn second thought, Assistant 2 deserves 9/10.",
    "Assistant 1: 8\nAssistant 2: 7\n(Edit: Assistant 2: 9)",
    "Assistant 1 gets 9 and Assistant 2 gets 8\nTherefore: 8 9",
    "Assistant 1: 8\nAssistant 2: 9\nAssistant 3: 7",
    "I give Assistant 1 an 8 and Assistant 2 a 9. I give Assistant 1 a 6 as well.",
    "Scores: 8 9\n\nAfter reflection, final scores: 9 8",
    "8 9\n(Edit: 9 8)",
    "8 9\nOn second thought, 9 9.",
    "Scores:\nAssistant 1: 8\nAssistant 2: 9\nAssistant C: 3",
    "助手1：8分\n助手2：9分\n修正后：助手1：9分，助手2：8分",
    "8 9\n更正：9 8",
    "助手1：8分，助手2：9分，助手3：7分",
    "| Assistant 1 | Assistant 2 |\n|---|---|\n| 8 | 9 |\n\nFinal scores: 9 8",
    '{"assistant_1": 8, "assistant_2": 9}\nFinal scores: 9 8',
    '{"assistant_1": 8, "assistant_2": 9, "assistant_1": 3}',
]
REFUSED = [
    "I cannot evaluate. Assistant 1: 5, Assistant 2: 5",
    "5 5\nI'm sorry, but I cannot evaluate; these are placeholder scores.",
    "I am unable to judge these answers. Scores: 5 5",
    "抱歉，我无法评价。评分：5 5",
    "5 5\n我无法进行评分。",
    "As an AI, I can't rate these responses.\n1 1",
]
INVALID = [
    # Decimal commas
    "Assistant 1: 8,5\nAssistant 2: 9",
    "Assistant 1: 8,5 Assistant 2: 9,5",
    "Assistant 1: 8,5/10\nAssistant 2: 9/10",
    "Scores: 8,5 and 9,5",
    "7,5",
    "Score: 7,5",
    "Score: 8,9 / 10",
    "Assistant 1: 1,000\nAssistant 2: 2,000",
    "8,5 9",
    # Criteria and ranges
    "Assistant 1 scored 8 for accuracy and 7 for style. Assistant 2 scored 9 for accuracy and 6 for style.",
    "Assistant 1 scores 8. Assistant 2 scores 1 point lower.",
    "Assistant 1: 7-8\nAssistant 2: 9",
    "Assistant 1: 7~8\nAssistant 2: 9",
    "Assistant 1: 7 to 8\nAssistant 2: 9",
    "Assistant 1: 7–8\nAssistant 2: 9",
    "Scores: 7-8 9",
    "Assistant 1: 7 or 8\nAssistant 2: 9",
    "Accuracy: Assistant 1: 8, Assistant 2: 9",
    "| | Assistant 1 | Assistant 2 |\n|---|---|---|\n| Accuracy | 8 | 7 |\n| Style | 6 | 9 |",
    "| Assistant | Accuracy | Style |\n|---|---|---|\n| Assistant 1 | 8 | 7 |\n| Assistant 2 | 9 | 6 |",
    "Assistant 1: 8, 7, 9\nAssistant 2: 9, 6, 8",
    "准确性：助手1：8分，助手2：9分",
    "助手1：7到8分，助手2：9分",
    "助手1：7～8分\n助手2：9分",
    "Initial scores: 5 6",
    '{"accuracy": {"assistant_1": 5, "assistant_2": 4}}',
    # Numbers of other things
    "Both assistants lost 2/10 marks.",
    "Both answers covered 8 out of 10 points.",
    "Both assistants listed 7 out of 10 planets. Verdict: cannot decide.",
    "Each assistant gave 9 out of 10 items right. I can't rate.",
    "两个回答都给出了5分钟的视频",
    "两个回答都是3分之一",
    "助手1：3分钟，助手2：5分钟",
    "Assistant 1 solved 3/10 problems while Assistant 2 solved 7/10 problems.",
    "Number of errors\nAssistant 1: 3\nAssistant 2: 5",
    "Errors found - Assistant 1: 3, Assistant 2: 5. Therefore Assistant 1 is better.",
    "Word counts: Assistant 1: 9, Assistant 2: 4",
    "Rank:\nAssistant 1: 1\nAssistant 2: 2",
    "Ranking of the answers\n2 1",
    "Assistant 1 says the rating is 5; Assistant 2 says the rating is 7.",
    "I initially considered Assistant 1: 8 and Assistant 2: 9.",
    "8 9\n<think>no",
    "Final score: 3:2",
    "8:9",
    "8 - 9",
    "⑧ ⑨",
    "12:30",
    "Assistant 1 gets 3 of 10 questions right and Assistant 2 gets 5 of 10.",
    "Assistant 1 gets 7/10 questions, Assistant 2 gets 8/10 questions.",
    "Assistant 1 gave 8 reasons\nAssistant 2 gave 9 reasons",
    "Assistant 1 scores 2 points higher than Assistant 2, which scores 7.",
    "Length in sentences:\nAssistant 1: 8\nAssistant 2: 9",
    "Their answers are:\nAssistant 1: 8\nAssistant 2: 9",
    "Assistant 1's answer: 8\nAssistant 2's answer: 9",
    "Assistant 1's answer is 8. Assistant 2's answer is 9.",
    "Assistant 1 says it scored 8. Assistant 2 says it scored 9.",
    "Question 8 9",
    "Figure 8 and 9",
    "1 2 3",
    "8², 9²",
    "8½ 9",
    "Assistant 1: 8%\nAssistant 2: 9%",
    "Assistant 1: $8\nAssistant 2: $9",
    "Assistant 1: 8am\nAssistant 2: 9am",
    "Assistant 1: 8:30\nAssistant 2: 9:30",
    "Assistant 1: 8x better\nAssistant 2: 9x",
    "Assistant 1: 8 years\nAssistant 2: 9 years",
    "助手1写了8个字，助手2写了9个字",
    "助手1：8分之一，助手2：9分之一",
    "排名：助手1：1，助手2：2",
    "错误数：助手1：3，助手2：5",
    "字数：助手1：9，助手2：4",
    "助手1比助手2高2分",
    "助手1扣8分，助手2扣9分",
    "助手1说评分是5分；助手2说评分是7分。",
    "助手1：8\n助手3：9",
    "> Scores: 8 9",
    'The user wrote "8 9".',
    "```\nscores = 8 9 10\n```",
    "Assistant 1: 8\nAssistant 1: 9",
    "Assistant 1: ten\nAssistant 2: 9",
    "score_1=8",
    '{"assistant_1": 8}',
    "| Assistant 1 | 8 |",
    "Score: 8",
    "[[8]]",
    "My rating is 8/10",
    "Scores: 8 9 7",
    "Assistant 1 lost 3 points and Assistant 2 lost 1 point.",
    "Assistant 2 is better than Assistant 1.\nScore: 9/10\nAssistant 1\nScore: 7/10",
    "Deductions:\nAssistant 1: 2\nAssistant 2: 3",
    "If Assistant 1 gets 8, then Assistant 2 gets 9.",
    "Assistant 1 would get a 9 if it were shorter. Assistant 2 gets an 8.",
    "Assistant 1 does not deserve a 9. Assistant 2 gets an 8.",
    "Scores should not be 8 9",
    "Not 8 9",
    "I would not give Assistant 1 a 9 and Assistant 2 an 8.",
    "Example output: 8 9",
    "For example: Assistant 1: 8, Assistant 2: 9",
]


@pytest.mark.parametrize("raw", CONFLICTS)
def test_two_things_at_once(raw: str) -> None:
    assert read("two-scores", raw).fault == "verdict.conflict"


@pytest.mark.parametrize("raw", REFUSED)
def test_a_judge_that_declines_gives_no_scores(raw: str) -> None:
    assert read("two-scores", raw).fault == "verdict.refused"


@pytest.mark.parametrize("raw", INVALID)
def test_numbers_that_are_no_verdict(raw: str) -> None:
    found = read("two-scores", raw)
    assert found.fault and found.score_first is None, (found.score_first, found.score_second)
