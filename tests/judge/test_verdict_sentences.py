"""Further recorded texts of two scores, right ones and traps, as sentences and lists go on in practice."""

import pytest

from judge.verdict import read

# What a judge says, and the two scores in it; None: it is no verdict that can be relied on.
TEXTS: list[tuple[str, tuple[float, float] | None]] = [
    (
        "8 9\n\nAssistant 1 receives a score of 8 for its clarity, while Assistant 2 receives a score of 9 for its depth.",
        (8, 9),
    ),
    ("8 9\nI gave Assistant 1 an 8 because it is clear. Assistant 2 gets a 9.", (8, 9)),
    ("Evaluation:\nAssistant 1: 8\nAssistant 2: 9", (8, 9)),
    ("8 9\nReasons: 1) clear 2) short. Assistant 1 has 10 items, and Assistant 2 has 8 items.", (8, 9)),
    ("7 7\nBoth assistants get 3 of 5 facts right.", (7, 7)),
    ("10 10\n\nBoth receive a 10.", (10, 10)),
    ("10 10\n\nBoth receive a 9.", None),
    ("The better answer is Assistant 1. Score: 9 for Assistant 1, 7 for Assistant 2.", (9, 7)),
    ("**Scores:** 8, 9", (8, 9)),
    ("### Scores\n8 9", (8, 9)),
    ("## Evaluation\n\n**Assistant 1**: 8/10\n\n**Assistant 2**: 9/10\n", (8, 9)),
    ("Final Verdict: Assistant 1: 8/10, Assistant 2: 7/10", (8, 7)),
    ("Assistant 1's score is 8/10. Assistant 2's score is 7/10.", (8, 7)),
    ("I'd rate Assistant 1 an 8 and Assistant 2 a 7.", (8, 7)),
    ("Rating for Assistant 1: 8 out of 10. Rating for Assistant 2: 7 out of 10.", (8, 7)),
    ("Assistant 1 - Score: 8\nAssistant 2 - Score: 7", (8, 7)),
    ("Score of Assistant 1: 8\nScore of Assistant 2: 7", (8, 7)),
    ("**Assistant 1 Score: 8/10**\nIt is good.\n\n**Assistant 2 Score: 7/10**\nIt is ok.", (8, 7)),
    ("Assistant 1: 8/10 – clear\nAssistant 2: 7/10 – short", (8, 7)),
    ("Assistant 1 (Score: 8/10): good\nAssistant 2 (Score: 7/10): ok", (8, 7)),
    ("1. Assistant 1: 8/10\n2. Assistant 2: 7/10", (8, 7)),
    ("Assistant 1 (8/10): good.\nAssistant 2 (7/10): ok.", (8, 7)),
    ("The score for Assistant 1 is 8 and the score for Assistant 2 is 7.", (8, 7)),
    ("Therefore, my scores are 8 and 9.", (8, 9)),
    ("So the final scores would be:\n\n8 9", (8, 9)),
    ("助手1评分：8\n助手2评分：9", (8, 9)),
    ("综上所述，助手1得分8分，助手2得分9分。", (8, 9)),
    ("综上所述，我给助手1打8分，助手2打9分。", (8, 9)),
    ("评分：助手1：8/10，助手2：7/10", (8, 7)),
    ("分数：8分和9分", (8, 9)),
    ("总分：助手1：8分，助手2：9分", (8, 9)),
    ("**助手1：8分**\n\n理由：好。\n\n**助手2：9分**\n\n理由：更好。", (8, 9)),
    ("助手1的回答：8分。助手2的回答：9分。", (8, 9)),
    ("我认为助手1应得8分，助手2应得7分。", (8, 7)),
    ("[8, 9]\nok", (8, 9)),
    ("8/10\n9/10", (8, 9)),
    ("Score 1: 8\nScore 2: 9", (8, 9)),
    ("score1: 8, score2: 9", (8, 9)),
    ("Assistant 1: ★★★ 8\nAssistant 2: 9", None),
    ("Assistant 1 answered 8 of 10 and Assistant 2 9 of 10.", None),
    ("Assistant 1 needs 8 steps, Assistant 2 9.", None),
    ("The sum of scores is 8 9", None),
    ("My old scores were 8 9", None),
    ("Scores in the game: 3 2", None),
    ("The game ended 3 2\nAssistant 1 is right.", None),
    ("Assistant 1 gave it a score of 8; Assistant 2 gave it a score of 9.", None),
    ("Assistant 1 gives the film a score of 8. Assistant 2 gives the film a score of 9.", None),
    ("Assistant 1 would rate the hotel 8/10 and Assistant 2 would rate it 9/10.", None),
    ("Assistant 1 recommends giving a rating of 8, Assistant 2 a rating of 9.", None),
    ("Assistant 1 rates Assistant 2 8/10. Assistant 2 rates Assistant 1 9/10.", None),
    ("Assistant 1 deserves a 10-minute break, Assistant 2 a 9-minute one.", None),
    ("Assistant 1 scores 2 goals and Assistant 2 scores 3 goals.", None),
    ("Assistant 1: Q1 8, Q2 9\nAssistant 2: Q1 7, Q2 6", None),
    ("Assistant 1: step 8\nAssistant 2: step 9", None),
    ("Score range: 1 10", None),
    ("Assistant 1's rank: 1\nAssistant 2's rank: 2", None),
    ("Accuracy - Assistant 1: 8/10, Assistant 2: 9/10\nStyle - Assistant 1: 7/10, Assistant 2: 7/10", None),
    ("Accuracy:\nAssistant 1: 8/10\nAssistant 2: 9/10", None),
    ("Helpfulness: 8 9\nAccuracy: 7 9\nOverall: 8 9", (8, 9)),
    ("Assistant 1\nAccuracy: 8\nStyle: 7\nAssistant 2\nAccuracy: 9\nStyle: 6", None),
    ("助手1用时8分，助手2用时9分", None),
    ("助手1在8分时停止，助手2在9分时停止", None),
    ("助手1得8分球，助手2得9分球", None),
    ("两个助手都给出了10分满分的回答吗？", None),
    ("第8条和第9条", None),
    ("Assistant 1: 8, Assistant 2: 9, Human: 10", (8, 9)),
    ("Max score: 10\nAssistant 1: 8\nAssistant 2: 9", (8, 9)),
    ("8 9\n10 10", None),
    ("I rate them 8 and 9.", (8, 9)),
    ("Is it 8 9?", None),
    ("Assistant 1: 8?\nAssistant 2: 9?", None),
    ("Assistant 1: N/A\nAssistant 2: 9", None),
    ("Assistant 2: 9/10\nAssistant 1: 8/10\nSo 8 9", (8, 9)),
    ("Assistant 2: 9/10\nAssistant 1: 8/10\nSo 9 8", None),
    ("The tuple is (8, 9).\nAssistant 2 is better.", (8, 9)),
]


@pytest.mark.parametrize(("raw", "scores"), TEXTS)
def test_sentences_and_lists(raw: str, scores: tuple[float, float] | None) -> None:
    found = read("two-scores", raw)
    if scores is None:
        assert found.fault and found.score_first is None and found.choice is None
    else:
        assert (found.fault, found.score_first, found.score_second) == ("", *scores)
