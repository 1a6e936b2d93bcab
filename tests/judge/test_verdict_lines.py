"""Verdicts in lines with a nonce, and recorded choices between two answers."""

import pytest

from judge.verdict import read

N = "7f3a9c21"


@pytest.mark.parametrize(
    ("raw", "first", "second"),
    [
        (f"Reasons.\n<<{N}>> A=8 B=7", 8, 7),
        (f"<<{N}>> Ａ＝８　Ｂ＝７．５", 8, 7.5),
        (f"**<<{N}>> A=8 B=7**", 8, 7),
        (f"`<<{N}>> A: 8, B: 7`.", 8, 7),
        (f"{N} A=8 B=7", 8, 7),
        (f"<<{N}>> B=7 A=8", 8, 7),
        (f"<<{N}>> A=8/10 B=7/10", 8, 7),
        (f"<<{N}>> A=8分 B=7分", 8, 7),
        (f"<<{N}>> A=8 B=7\nThanks.", 8, 7),
        (f"<<{N}>> A=8 B=7\n<<{N}>> A=1 B=9", 1, 9),
        (f"<think>A=1 B=9</think>\n<<{N}>> A=8 B=7", 8, 7),
        (f"the line is <<{N}>> A=8 B=7\n<<{N}>> A=6 B=7", 6, 7),
    ],
)
def test_the_last_line_with_the_nonce_counts(raw: str, first: float, second: float) -> None:
    found = read("scores", raw, nonce=N)
    assert (found.fault, found.score_first, found.score_second) == ("", first, second)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("<<00000000>> A=8 B=7", "score.missing"),
        ("A=8 B=7", "score.missing"),
        (f"A=8 B=7\n<<{N}>>", "score.missing"),
        (f"<<{N}>>\nA=8 B=7", "score.missing"),
        (f"<<{N}>> A=8 B=7 <<{N}>> A=1 B=1", "score.missing"),
        (f"the line is <<{N}>> A=8 B=7", "score.missing"),
        (f"<<{N}>> A=8 B=7\n<<{N}>> A=? B=?", "score.missing"),
        (f"<<{N}>> A=8", "score.malformed"),
        (f"<<{N}>> A=8 B=7 C=3", "score.malformed"),
        (f"<<{N}>> A=11 B=7", "score.out_of_range"),
        (f"<<{N}>> A=0.5 B=7", "score.out_of_range"),
        (f"<<{N}>> A=-8 B=7", "score.out_of_range"),
        (f"<<{N}>> A=8.3 B=7", "score.not_a_half_point"),
        (f"<think><<{N}>> A=8 B=7</think>ok", "score.missing"),
        (f"<think>hm\n<<{N}>> A=8 B=7", "score.cut"),
        (f"<<{N}>> A=8 B=7\n<think>or", "score.cut"),
        ("", "verdict.empty"),
        (" \n", "verdict.empty"),
        ("抱歉，我不能评价。", "verdict.refused"),
        ("As an AI, I cannot rate answers.", "verdict.refused"),
    ],
)
def test_anything_else_is_invalid(raw: str, fault: str) -> None:
    found = read("scores", raw, nonce=N)
    assert found.fault == fault and found.choice is None and found.score_first is None


def test_a_cut_text_has_no_last_line() -> None:
    """The 1 may have been going to be a 10."""
    assert read("scores", f"<<{N}>> A=8 B=1", nonce=N, cut=True).fault == "score.cut"
    assert read("three-way-nonce", f"<<{N}>> A", nonce=N, cut=True).fault == "choice.cut"


def test_recorded_lines_may_carry_any_nonce() -> None:
    found = read("scores", "Reasons.\n<<0123456789abcdef>> A=8 B=7")
    assert (found.score_first, found.score_second, found.explanation) == (8, 7, "Reasons.")


@pytest.mark.parametrize(
    ("raw", "choice"),
    [
        (f"x\n<<{N}>> A", "first"),
        (f"<<{N}>> b", "second"),
        (f"<<{N}>> Ｂ", "second"),
        (f"<<{N}>> TIE", "tie"),
        (f"<<{N}>> 平局", "tie"),
    ],
)
def test_three_ways_with_a_nonce(raw: str, choice: str) -> None:
    found = read("three-way-nonce", raw, nonce=N)
    assert (found.fault, found.choice, found.score_first) == ("", choice, None)


@pytest.mark.parametrize("raw", [f"<<{N}>> A or B", f"<<{N}>> C", "A", "", f"<<{N}>>"])
def test_three_ways_without_one(raw: str) -> None:
    assert read("three-way-nonce", raw, nonce=N).fault


@pytest.mark.parametrize(
    ("raw", "choice"),
    [
        ("1", "first"),
        ("2\n\n### Reason: because 1 is worse\n\n### Reference: 1", "second"),
        ("3\nBoth are equal.", "tie"),
        ("Tie", "tie"),
        ("[[A]]", "first"),
        ("Because of this. [[B]]", "second"),
        ("[[C]]", "tie"),
        ("平局", "tie"),
        ("结论：助手1", "first"),
        ("助手2更好。", "second"),
        ("Assistant 1 is better.", "first"),
        ("Therefore, Assistant 2 is better than Assistant 1", "second"),
        ("Answer: B", "second"),
        ("Winner: Assistant 2\nbecause", "second"),
        ("A\nGood", "first"),
        ("Ａ", "first"),
        ("Reasons.\n\nVerdict: tie", "tie"),
        ("It's a tie.", "tie"),
        ("<think>1</think>2", "second"),
        ('It wrote "[A]" and “1”.\n[[B]]', "second"),
    ],
)
def test_recorded_choices(raw: str, choice: str) -> None:
    found = read("three-way", raw)
    assert (found.fault, found.choice) == ("", choice)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("My verdict: [[A]]\n... [[B]]", "verdict.conflict"),
        ('If A is better write "[[A]]". [[B]]', "verdict.conflict"),
        ("1\nText.\nFinal verdict: 2", "verdict.conflict"),
        ("", "verdict.empty"),
        ("I cannot judge these.", "verdict.refused"),
        ("对不起，我无法判断。", "verdict.refused"),
        ("Assistant 1 is not better.", "choice.missing"),
        ("1. Assistant 1 is good\n2. Assistant 2 is bad", "choice.missing"),
        ("A great answer", "choice.missing"),
        ("4", "choice.missing"),
        ("1 and 2 are equal", "choice.missing"),
        ("Both are good in 3 ways", "choice.missing"),
        ("<think>1", "choice.cut"),
    ],
)
def test_recorded_texts_without_a_choice(raw: str, fault: str) -> None:
    found = read("three-way", raw)
    assert found.fault == fault and found.choice is None
