"""Which token comes next, beside transformers' processors and arithmetic by hand."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from train import sampling
from train.sampling import Chooser, RequestError, Sampling, logprob_of, lowest_kept

seeds = st.integers(0, 10_000)


def scores_of(seed: int, size: int = 60, scale: float = 3.0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * scale


@given(seeds, st.integers(0, 70), st.floats(0.01, 0.999) | st.just(1.0))  # nearer to 1 the last bits of sums decide
@settings(deadline=None)
def test_top_k_and_top_p_keep_what_transformers_keeps(seed: int, top_k: int, top_p: float) -> None:
    scores = scores_of(seed)[None]
    kept = TopKLogitsWarper(top_k)(None, scores) if top_k else scores  # type: ignore[arg-type]
    kept = TopPLogitsWarper(top_p)(None, kept)  # type: ignore[arg-type]
    lowest = lowest_kept(scores[0], top_k, top_p)
    assert ((scores[0] >= lowest) == (kept[0] > -math.inf)).all()


def test_top_p_looks_at_all_ids_where_a_few_do_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = scores_of(1, scale=0.1)
    whole = lowest_kept(scores, 0, 0.9)
    monkeypatch.setattr(sampling, "FEW", 5)
    assert lowest_kept(scores, 0, 0.9) == whole
    assert lowest_kept(scores, 0, 0.0) == scores.max()


def test_equal_scores_are_kept_together() -> None:
    scores = torch.tensor([1.0, 2.0, 1.0, 0.0])
    assert lowest_kept(scores, 2, 1.0) == 1.0
    assert (scores >= lowest_kept(scores, 2, 0.5)).tolist() == [False, True, False, False]


@given(seeds, st.floats(0.5, 2.0))
@settings(deadline=None)
def test_repetition_penalty_is_transformers(seed: int, penalty: float) -> None:
    logits, prompt, answer = scores_of(seed), [1, 5, 5, 9], [7, 1]
    chooser = Chooser(Sampling(max_tokens=9, temperature=0, repetition_penalty=penalty), prompt, 60)
    for number in answer:
        chooser.note(number)
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([prompt + answer]), logits[None].clone())
    before = logits.clone()
    assert chooser.choose(logits, answer) == int(theirs.argmax())
    assert torch.equal(before, logits)


def test_presence_and_frequency_by_hand() -> None:
    wanted = Sampling(max_tokens=9, temperature=0, presence_penalty=0.5, frequency_penalty=0.25)
    chooser = Chooser(wanted, [2], 4)  # ids of the prompt cost nothing
    logits = torch.tensor([1.0, 0.9, 0.05, 0.3])
    # The first time costs 0.75: 0.25, 0.15, −0.45; the second 0.25 more: 0, −0.1.
    assert [chooser.choose(logits, []) for _ in range(6)] == [0, 1, 3, 0, 1, 2]


def chosen_by(monkeypatch: pytest.MonkeyPatch, wanted: Sampling, logits: Tensor, draws: int) -> Tensor:
    """How often each id is chosen, (V,), when chance takes `draws` places at equal distances."""
    places = iter((torch.arange(draws, dtype=torch.float64) + 0.5) / draws)
    chooser = Chooser(wanted, [0], len(logits))
    monkeypatch.setattr(torch, "rand", lambda *args, **more: next(places))
    return torch.bincount(torch.tensor([chooser.choose(logits, []) for _ in range(draws)]), minlength=len(logits))


@pytest.mark.parametrize("settings_of", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.7, "temperature": 1.7}])
def test_ids_come_as_often_as_they_are_likely(monkeypatch: pytest.MonkeyPatch, settings_of: dict[str, Any]) -> None:
    logits = torch.tensor([1.0, -1.0, 2.0, 0.3, 1.2, -4.0])
    scores = logits.double() / settings_of.get("temperature", 1.0)
    order = scores.argsort(descending=True).tolist()
    shares = scores.softmax(0)
    kept = order[: settings_of.get("top_k", 6)]
    if "top_p" in settings_of:
        kept = [number for place, number in enumerate(order) if sum(shares[order[:place]].tolist()) < 0.7]
    expected = torch.zeros(6, dtype=torch.float64)
    expected[kept] = shares[kept] / shares[kept].sum()
    found = chosen_by(monkeypatch, Sampling(max_tokens=1, **settings_of), logits, 1000)
    assert (found - expected * 1000).abs().max() <= 1


def test_a_seed_fixes_the_choice() -> None:
    def draw(seed: int | None, count: int = 12) -> list[int]:
        chooser = Chooser(Sampling(max_tokens=1, seed=seed), [0], 60)
        return [chooser.choose(scores_of(step), []) for step in range(count)]

    assert draw(3) == draw(3) and draw(3) != draw(4)
    assert draw(None) != draw(None)  # 60 ids, twelve times
    assert draw(-1) == draw(-1) and draw(2**70) == draw(2**70)


def test_low_temperatures_are_greedy_and_high_ones_even() -> None:
    logits = scores_of(5)
    for temperature in (0.0, 1e-300, 1e-9, 1e-3):
        chooser = Chooser(Sampling(max_tokens=1, temperature=temperature, seed=0), [0], 60)
        assert chooser.choose(logits, []) == int(logits.argmax())
    chooser = Chooser(Sampling(max_tokens=1, temperature=1e9, seed=0), [0], 60)
    assert len({chooser.choose(logits, []) for _ in range(200)}) > 40


def test_ids_without_a_piece_are_never_chosen() -> None:
    without = torch.tensor([2, 4])
    for temperature in (0.0, 1.0, 5.0):
        chooser = Chooser(Sampling(max_tokens=1, temperature=temperature, seed=1), [0], 5, without)
        logits = torch.tensor([0.0, 0.1, 90.0, 0.2, 80.0, 99.0])  # the last row belongs to no id
        assert {chooser.choose(logits, []) for _ in range(50)} <= {0, 1, 3}


def test_logprobs_by_hand() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, 5.0]).log()
    mine, top = logprob_of(logits, 2, 2, 4, torch.tensor([3]))
    assert logprob_of(logits, 2, 2, 3) == (mine, top)
    assert mine == pytest.approx(math.log(2 / 11))
    assert [number for number, _ in top] == [1, 2]
    assert [value for _, value in top] == pytest.approx([math.log(3 / 11), math.log(2 / 11)])
    assert logprob_of(logits, 0, 0, 4) == (pytest.approx(math.log(1 / 11)), [])


@pytest.mark.parametrize(
    "wrong",
    [
        *({"max_tokens": 0}, {"temperature": -0.1}, {"temperature": math.nan}, {"temperature": math.inf}),
        *({"top_p": 1.1}, {"top_p": -0.1}, {"top_k": -1}, {"repetition_penalty": 0.0}, {"stop": ("a", "")}),
        *({"presence_penalty": math.nan}, {"frequency_penalty": 1e9}, {"logprobs": -1}),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"must be|empty"):
        Sampling(**{"max_tokens": 4, **wrong})
