"""Perplexity: every token scored once, as transformers would, and figures that fit the arithmetic."""

import functools
import math
from pathlib import Path

import orjson
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runkit.errors import InputError, TooManyFailures, UsageError
from runkit.records import Document, held_out
from tests.train.making import TEXTS
from tests.train.tiny import saved, tiny_llama
from train.evaluate import PplCall, eval_ppl, perplexity, windows
from train.model import Model
from train.model_config import ModelConfig
from train.pieces import Tokenizer

torch.set_num_threads(1)


def document(text: str, source: str = "web", id: str = "1") -> Document:
    return Document(id, f"file#{id}", text, None, source, None, None, "{}")


@given(st.integers(0, 200), st.integers(1, 40), st.data())
def test_windows_score_each_position_once_with_enough_before_it(
    positions: int, seq_len: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, seq_len))
    found = list(windows(positions, seq_len, stride))
    assert [place for window in found for place in range(window.scored, window.end)] == list(range(positions))
    for window in found:
        assert 0 <= window.start <= window.scored < window.end <= window.start + seq_len
        # Position p foretells token p + 1 from the inputs start…p.
        for place in range(window.scored, window.end):
            assert place + 1 - window.start >= min(place + 1, seq_len - stride)


@torch.no_grad()
def losses_by_hand(theirs: torch.nn.Module, ids: list[int], seq_len: int, stride: int) -> list[float]:
    """−ln p of each token but the first, each window read by transformers by itself."""
    found: list[float] = []
    while len(found) < len(ids) - 1:
        end = min(seq_len if not found else len(found) + stride, len(ids) - 1)
        start = max(0, end - seq_len)
        logprobs = theirs(torch.tensor([ids[start:end]])).logits[0].log_softmax(-1)
        found += [-logprobs[place - start, ids[place + 1]].item() for place in range(len(found), end)]
    return found


@pytest.mark.parametrize(("seq_len", "stride"), [(64, 64), (64, 24), (24, 5), (512, 256)])
def test_the_loss_is_that_of_transformers(spm: Tokenizer, seq_len: int, stride: int) -> None:
    theirs, ours = tiny_llama(spm.size, 512)
    texts = [text[:150] for text in TEXTS[:3]]
    assert spm.special.bos is not None
    losses = [losses_by_hand(theirs, [spm.special.bos, *spm.encode(text).tolist()], seq_len, stride) for text in texts]
    documents = [document(text, "b" if number else "a") for number, text in enumerate(texts)]
    found = perplexity(ours, spm, documents, seq_len, stride, batch=3)
    assert found.begin == "bos"
    figures = found.figures()
    flat = [nats for part in losses for nats in part]
    assert figures["scored"] == figures["tokens"] == len(flat) == sum(len(spm.encode(text)) for text in texts)
    assert figures["loss"] == pytest.approx(sum(flat) / len(flat), abs=1e-4)
    assert figures["ppl"] == pytest.approx(math.exp(sum(flat) / len(flat)), rel=1e-4)
    assert figures["bits_per_character"] == pytest.approx(sum(flat) / math.log(2) / sum(map(len, texts)), rel=1e-4)
    size = sum(len(text.encode()) for text in texts)
    assert figures["bits_per_byte"] == pytest.approx(sum(flat) / math.log(2) / size, rel=1e-4)
    assert figures["by_source"]["a"]["loss"] == pytest.approx(sum(losses[0]) / len(losses[0]), abs=1e-4)
    assert figures["by_source"]["b"]["documents"] == 2


@pytest.mark.parametrize("batch", [1, 50])
def test_the_batch_does_not_matter(bpe: Tokenizer, batch: int) -> None:
    _, ours = tiny_llama(bpe.size)
    documents = [document(text[:150], f"s{number % 3}") for number, text in enumerate(TEXTS[:9])]
    alone = perplexity(ours, bpe, documents, 32, 8, 7)
    other = perplexity(ours, bpe, documents, 32, 8, batch)
    assert alone.begin == "eos"
    assert list(alone.sources) == list(other.sources)
    for name, measure in alone.sources.items():
        assert other.sources[name].nats == pytest.approx(measure.nats, rel=1e-5)
        assert other.sources[name].scored == measure.scored


def test_bits_per_character_are_comparable_across_tokenizers(spm: Tokenizer, bpe: Tokenizer) -> None:
    """A model that knows nothing gives each token log2(V) bits, whatever text it stands for."""
    text = TEXTS[0]
    for tokenizer in (spm, bpe):
        blank = Model(ModelConfig(vocab=512, dim=32, layers=1, heads=4, seq_len=64))
        torch.nn.init.zeros_(blank.lm_head.weight)
        figures = perplexity(blank, tokenizer, [document(text)], 64, 32, 4).figures()
        tokens = len(tokenizer.encode(text))
        assert figures["ppl"] == pytest.approx(512, rel=1e-4)
        assert figures["bits_per_character"] == pytest.approx(tokens * 9 / len(text), rel=1e-4)
        assert figures["bits_per_byte"] == pytest.approx(tokens * 9 / len(text.encode()), rel=1e-4)


def test_a_model_that_does_not_fit_is_told(spm: Tokenizer) -> None:
    _, ours = tiny_llama(spm.size, 64)
    text = [document("你好，世界。")]
    for seq_len, stride, batch, words in (
        (64, 0, 1, "stride"),
        (32, 33, 1, "stride"),
        (65, 8, 1, "longer"),
        (8, 8, 0, "batch"),
    ):
        with pytest.raises(UsageError, match=words):
            perplexity(ours, spm, text, seq_len, stride, batch)
    with pytest.raises(InputError, match="no text"):
        perplexity(ours, spm, [], 8, 8, 1)
    with pytest.raises(InputError, match="belongs to it"):
        perplexity(tiny_llama(spm.size - 1)[1], spm, text, 8, 8, 1)
    with torch.no_grad():
        ours.lm_head.weight[3] = float("nan")
    with pytest.raises(InputError, match="no numbers"):
        perplexity(ours, spm, text, 8, 8, 1)


def test_the_command_measures_what_was_held_out(
    tmp_path: Path, spm: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs, ours = tiny_llama(spm.size, 64)
    run = saved(tmp_path / "run", theirs, spm)
    rows = [{"id": f"d{number}", "text": text[:80], "source": "网"} for number, text in enumerate(TEXTS)]
    file = tmp_path / "documents.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows) + b"no json\n")
    call = functools.partial(PplCall, run=run, documents=[str(file)], as_json=True, quiet=True)

    def figures(call: PplCall) -> dict[str, object]:
        eval_ppl(call)
        return dict(orjson.loads(capfd.readouterr().out))

    kept = [row for row in rows if held_out(str(row["id"]), 0.3)]
    found = figures(call(held_out=0.3))
    assert found["documents"] == len(kept) and 5 < len(kept) < 40
    assert found["characters"] == sum(len(str(row["text"])) for row in kept)
    assert found["bad"] == 1 and found["seq_len"] == 64 and found["stride"] == 32
    expected = perplexity(ours, spm, [document(str(row["text"]), "网") for row in kept], 64, 32, 8).figures()
    assert {key: found[key] for key in expected} == expected
    assert figures(call(limit=4))["documents"] == 4
    with pytest.raises(TooManyFailures):
        eval_ppl(call(max_bad=0.0))
    capfd.readouterr()
    with pytest.raises(UsageError, match="held-out"):
        eval_ppl(call(held_out=1.0))
    eval_ppl(PplCall(run=run, documents=[str(file)]))
    table = capfd.readouterr()
    assert table.out == "" and "网" in table.err and "behind bos" in table.err
    (run / spm.path.name).unlink()
    with pytest.raises(UsageError, match="no tokenizer"):
        eval_ppl(call())
