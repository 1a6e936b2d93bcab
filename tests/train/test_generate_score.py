"""Log-probabilities of a given text, beside those from the logits of all its places at once."""

import pytest
import torch

from runkit.errors import InputError
from tests.train.foreign_models import VOCAB
from tests.train.generating import random_model
from train import generate
from train.generate import RequestError, score

IDS = [(3 * place) % 256 for place in range(17)]


@pytest.mark.parametrize("scored", [64, 3])
def test_scores_by_hand(monkeypatch: pytest.MonkeyPatch, scored: int) -> None:
    monkeypatch.setattr(generate, "SCORED", scored)
    model, ids = random_model(), IDS
    with torch.no_grad():
        expected = model.logits(model.hidden(torch.tensor([ids])))[0].log_softmax(-1)
    found, best = score(model, ids, 3)
    assert found == pytest.approx([float(expected[place, number]) for place, number in enumerate(ids[1:])], abs=1e-5)
    for row, likeliest in zip(expected, best, strict=False):
        assert [number for number, _ in likeliest] == row.topk(3).indices.tolist()
    assert all(number < 200 for row in score(model, ids, 9, size=200)[1] for number, _ in row)
    assert score(model, ids[:1]) == ([], [])
    assert score(model, ids)[1] == [()] * (len(ids) - 1)
    for wrong in ([], [VOCAB], [-1], [0] * 129):
        with pytest.raises(RequestError, match="the model takes"):
            score(model, wrong)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        score(model, ids)
