"""What a model writes: the tokens that a sampler without a cache chooses, and no trace in the run."""

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from runkit.errors import InputError, UsageError
from tests.train.making import byte_level, small_model
from tests.train.model_runs import VOCAB, tiny
from train.model import Cache, Model
from train.pieces import Tokenizer
from train.samples import continue_texts
from train.tokenizer import load

Change = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    torch.set_num_threads(1)
    return load(small_model(tmp_path_factory.mktemp("tokenizer"), VOCAB))


class Changed(Model):
    """A model whose logits a test changes, and whose calls it counts."""

    def __init__(self, model: Model, change: Change) -> None:
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        self.change, self.lengths = change, list[int]()

    def hidden(self, ids: Tensor, documents: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        self.lengths.append(ids.shape[1])
        return super().hidden(ids, documents, cache)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.change(super().logits(hidden))


def only(*ids: int) -> Change:
    def change(logits: Tensor) -> Tensor:
        changed = torch.full_like(logits, -1e9)
        changed[..., list(ids)] = 0.0
        return changed

    return change


def by_hand(model: Model, tokenizer: Tokenizer, prompt: str, tokens: int, seed: int) -> bytes:
    """Without a cache: the whole text again for each token; the fiftieth logit is where chance ends."""
    ids = [tokenizer.special.bos, *tokenizer.encode(prompt).tolist()]
    generator = torch.Generator().manual_seed(seed ^ zlib.crc32(prompt.encode()))
    fresh: list[int] = []
    for _ in range(tokens):
        logits = model.logits(model.hidden(torch.tensor([ids + fresh])))[0, -1]
        logits, order = logits.sort(descending=True, stable=True)
        chosen = int(order[torch.multinomial((logits[:50] / 0.8).softmax(0), 1, generator=generator)])
        if chosen == tokenizer.special.eos:
            break
        fresh.append(chosen)
    return b"".join(tokenizer.piece_bytes[number] for number in fresh)


def test_the_cache_changes_nothing(tokenizer: Tokenizer) -> None:
    model = tiny()
    model.lm_head.weight.data *= 20  # so that the ids are not all alike
    prompts = ["今天天气", "The tide", "人"]
    found = continue_texts(model, tokenizer, prompts, 20, seed=7)
    assert [sample["prompt"] for sample in found] == prompts
    for sample in found:
        whole = by_hand(model.eval(), tokenizer, sample["prompt"], 20, 7)
        assert whole.decode("utf-8", "replace").startswith(sample["text"].rstrip("\ufffd"))
        assert len(sample["text"].encode()) > len(whole) - 4


def test_the_run_does_not_notice(tokenizer: Tokenizer) -> None:
    model = tiny().train()
    model.model.norm.eval()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    first = continue_texts(model, tokenizer, ["今天", "明天"], 12, seed=3)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # type: ignore[index]
    assert model.training and all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    torch.rand(9)
    assert continue_texts(model.eval(), tokenizer, ["明天"], 12, seed=3) == first[1:] and not model.training
    assert continue_texts(model, tokenizer, ["明天"], 12, seed=4) != first[1:]


def test_it_stops_at_the_end_of_a_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.special.eos is not None
    model = Changed(tiny(), only(tokenizer.special.eos))
    assert continue_texts(model, tokenizer, ["今天"], 30, seed=0)[0]["text"] == ""
    assert len(model.lengths) == 1


def test_it_stops_at_the_length_of_the_model(tokenizer: Tokenizer) -> None:
    letter = tokenizer.find("<0x41>")
    assert letter is not None
    model = Changed(tiny(seq_len=16), only(letter))
    given = len(tokenizer.encode("今天"))
    assert continue_texts(model, tokenizer, ["今天"], 100, seed=0)[0]["text"] == "A" * (16 - given - 1)
    assert sum(model.lengths) < 16  # each token goes through the model once
    assert continue_texts(model, tokenizer, ["今天" * 50], 100, seed=0)[0]["text"] == ""
    assert continue_texts(model, tokenizer, ["今天"], 0, seed=0) == []


def test_rows_without_a_piece_are_never_chosen(tokenizer: Tokenizer) -> None:
    letter = tokenizer.find("<0x41>")
    assert letter is not None
    model = Changed(tiny(vocab=VOCAB + 20), only(letter, *range(VOCAB, VOCAB + 20)))
    assert continue_texts(model, tokenizer, ["今天"], 10, seed=0)[0]["text"] == "A" * 10
    with pytest.raises(InputError, match="300 ids, but the model only 290 rows"):
        continue_texts(tiny(vocab=290), tokenizer, ["今天"], 10, seed=0)


def test_no_half_character_stands_at_the_end(tokenizer: Tokenizer) -> None:
    """The third byte of 天 does not come any more; a byte that nothing follows up is shown as what it is."""
    bytes_of_sky = [tokenizer.find(f"<0x{byte:02X}>") for byte in "天".encode()]
    turn = {"number": 0}

    def in_turn(logits: Tensor) -> Tensor:
        number = bytes_of_sky[turn["number"] % 3]
        assert number is not None
        turn["number"] += 1
        return only(number)(logits)

    model = Changed(tiny(), in_turn)
    for tokens, text in ((1, ""), (2, ""), (3, "天"), (5, "天"), (6, "天天")):
        turn["number"] = 0
        assert continue_texts(model, tokenizer, ["今"], tokens, seed=0)[0]["text"] == text
    broken = Changed(tiny(), only(tokenizer.find("<0xE5>") or 0))
    assert continue_texts(broken, tokenizer, ["今"], 3, seed=0)[0]["text"] == "\ufffd\ufffd"


def test_empty_prompts_begin_behind_the_end_of_a_text(tmp_path: Path) -> None:
    """One token both begins and ends texts, so none stands before other prompts."""
    tokenizer = load(byte_level(tmp_path))
    model = Changed(tiny(vocab=600), lambda logits: logits)
    continue_texts(model, tokenizer, ["", "今天"], 1, seed=0)
    assert model.lengths == [1, len(tokenizer.encode("今天"))]
    tokenizer.special = type(tokenizer.special)()
    with pytest.raises(UsageError, match="A prompt is empty"):
        continue_texts(model, tokenizer, [""], 1, seed=0)


def test_weights_that_are_no_numbers_are_told(tokenizer: Tokenizer) -> None:
    model = tiny()
    model.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        continue_texts(model, tokenizer, ["今天"], 3, seed=0)
    assert model.training
