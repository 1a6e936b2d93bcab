"""Recorded texts that choose one of two answers, in English and Chinese, and those that only seem to."""

import pytest

from judge.verdict import read

CHOICES = {
    "first": [
        "1",
        "A",
        "[[A]]",
        "[[A>B]]",
        "[[A>>B]]",
        "Output (a)",
        "Output (a) is preferred.",
        "Model (a)",
        '{"winner": "A"}',
        '{"winner": "Assistant 1"}',
        "回答1比回答2更好",
        "第一个回答更好",
        "前者更好",
        "选A",
        "选择A",
        "A > B",
        "A>B",
        "Response 2 is worse than Response 1.",
        "I prefer Response A.",
        "Answer: B\nAssistant A answered correctly. [[A]]",
        "结果：3\n助手1正确。\n[[A]]",
        "Winner: A",
        "Verdict: Assistant A wins",
        "Final verdict: 1",
        "The answer is 2.\n\nTherefore Assistant 1 is better, but only slightly.\n[[A]]",
        "1\n\n### Reason: Response 1 is longer but good.",
        "My final verdict is: [[A>>B]]",
        "Assistant 1 wins.",
        "**Assistant A is better.**",
        "回答2不如回答1",
        "结论：A",
        "【A】",
        "1</s>",
        "Both are good, but one is longer.\nVerdict: A",
        'Here is my choice:\n```json\n{"winner": "model_a"}\n```',
        "Overall, Response 1 is the better response.",
        "助手1的回答更好。",
        "[[助手1]]",
    ],
    "second": [
        "2",
        "[[B>A]]",
        "[[B>>A]]",
        "Output (b)",
        "Model (b)",
        "回答1不如回答2",
        "结论：回答2更好",
        "我选择 B",
        "我选择 B。",
        "I prefer Response B.",
        "Verdict: B wins",
        "Response 1 is worse than Response 2.",
        "The answer is 1.\nAssistant 2 gets this right.\n[[B]]",
        "后者更好",
        "第二个回答更好。",
        "B > A",
        "2\n\nBecause Response 1 has 3 errors.",
        "2 \n\n### Reason: Response 2 is better.\n\n### Reference: 1",
        "The better response is Response 2.",
        "I choose Assistant B.",
        '{"verdict": "B", "reason": "A is short"}',
        "最终结论：助手2",
        "Winner: Response 2",
        "回答2更好，因为更详细。",
        "答案2优于答案1",
        "My choice: B",
        "Assistant 2 is better than Assistant 1 because it is complete.",
    ],
    "tie": [
        "[[A=B]]",
        "[[C]]",
        "Tie",
        "tie.",
        "Both are equally good.",
        "Tie (both are good)",
        "【平局】",
        "结论：平",
        "回答1和回答2一样好",
        "A = B",
        "Verdict: tie",
        "平手",
        '{"winner": "tie"}',
        "It is a tie.",
        "两个回答一样好。",
        "Both answers are equally bad.",
        "Tie\n\n### Reason: Both are the same.",
        "结论：平局",
        "Verdict: Both are equally good",
        "The two responses are equally good.",
    ],
}
NONE = [
    "Assistant A is better than Assistant B in style, but Assistant B is better overall.",
    "Response 1 performs better than Response 2 on style but worse overall",
    "Response 1 is better than expected but Response 2 is best",
    "Assistant 1 is better than Assistant 2 except that it is wrong",
    "Rating: 1",
    "Rating: 2\nboth poor",
    "Result: 2",
    "Answer: C",
    "The answer is B.",
    "Assistant 1 is better in style.",
    "Assistant 1 is better; however, Assistant 2 is right.",
    "回答1更好，但是回答2更准确",
    "回答1在文风上更好",
    "Neither is better.",
    "Is Assistant 1 better than Assistant 2?",
    "It is not true that Assistant 1 is better.",
    "I would not choose B.",
    "不选A",
    "A or B",
    "1 or 2",
    "A/B",
    "[[A]] or [[B]]",
    '{"winner": "neither"}',
    "Assistant 1 might be better.",
    "If Assistant 1 is better, choose A",
    "[[D]]",
    "Response 1 is better than Response 1.",
    "回答1不比回答2好",
    "1\nFinal verdict: 2",
    "[[A]]\nFinal verdict: B",
    "1\n\nAssistant 2 is better.",
    "Assistant 3 is better.",
    "A>B>C",
    "1.5",
    "Assistant 1 is better\nAssistant 2 is better",
    "答案：C",
    "结果：2",
    "[[A>B]] [[B>A]]",
    "<think>[[A]]",
    "[[A]]\n<think>hm",
    "Although Assistant 1 is shorter, Assistant 2 is better except for the end.",
]


@pytest.mark.parametrize(("raw", "choice"), [(raw, choice) for choice, raws in CHOICES.items() for raw in raws])
def test_choices_are_read(raw: str, choice: str) -> None:
    found = read("three-way", raw)
    assert (found.fault, found.choice) == ("", choice)


@pytest.mark.parametrize("raw", NONE)
def test_what_chooses_neither(raw: str) -> None:
    found = read("three-way", raw)
    assert found.fault and found.choice is None, found.choice


def _exchanged(raw: str) -> str:
    for one, other in (("1", "2"), ("A", "B"), ("(a)", "(b)"), ("_a", "_b"), ("前者", "后者"), ("第一", "第二")):
        raw = raw.replace(one, "\0").replace(other, one).replace("\0", other)
    return raw


@pytest.mark.parametrize(
    "raw",
    [
        raw
        for raws in CHOICES.values()
        for raw in raws
        if not any(word in raw for word in ("because", "Both", "both", "bad", "better", "a ", "[[C"))
    ],
)
def test_exchanged_names_exchange_the_choice(raw: str) -> None:
    turned = {"first": "second", "second": "first", "tie": "tie"}
    one, other = read("three-way", raw), read("three-way", _exchanged(raw))
    assert other.fault or (one.choice is not None and other.choice == turned[one.choice])


MORE: list[tuple[str, str | None]] = [
    ("Assistant 1 performed better than Assistant 2.", "first"),
    ("A is better", "first"),
    ("Model 2 is better\nBecause", "second"),
    ("[[Tie]]", "tie"),
    ("[[a]]", "first"),
    ("a", "first"),
    ("b", "second"),
    ("c", None),
    ("Response 1", "first"),
    ("The winner is Assistant B.", "second"),
    ("I think Assistant B is better.", None),
    ("My verdict is B", "second"),
    ("Verdict: [[B]]", "second"),
    ("**Final Verdict: Assistant B**", "second"),
    ("Final answer: B", "second"),
    ("1 is better.", "first"),
    ("Step 1\nStep 2\n3", None),
    ("Count:\n3", None),
    ("x = 2\n2", None),
    ("\\boxed{A}", None),
    ("Answer: A", "first"),
    ("A: good\nB: bad", None),
    ("1. good\n2. bad", None),
    ("平", "tie"),
    ("答案：A", "first"),
    ("选项A", "first"),
    ("A更好", "first"),
    ("助手B胜", "second"),
    ("两者一样好", "tie"),
    ("更好的回答是回答2", "second"),
    ("最终判断：B", "second"),
    ("我认为回答1更好", "first"),
    ("回答1和回答2都不好", None),
    ("Tie.\nBoth are good but Response 2 is longer.", "tie"),
    ("2\nReason: Response 1 is better.", None),
    ("2\n\n### Reason: Response 1 is better than expected", "second"),
    ("A.", "first"),
    ("(A)", "first"),
    ("#1", "first"),
    ("Assistant A and Assistant B are tied", None),
    ("[[A]]\nAssistant B is better", None),
    ("Decision: Neither", None),
    ("Verdict: A or B", None),
    ("Winner: A (by a small margin)", "first"),
    ("Assistant 2's answer is better.", "second"),
    ("Verdict: 1/2", None),
    ("Verdict: 3", "tie"),
    ("Verdict: 10", None),
]


@pytest.mark.parametrize(("raw", "choice"), MORE)
def test_lines_that_choose_or_not(raw: str, choice: str | None) -> None:
    found = read("three-way", raw)
    assert found.choice == choice and bool(found.fault) == (choice is None)
