"""The engine: the tokens of transformers, alone and together, and requests that come, go and fail beside each other."""

import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runkit.errors import InputError
from tests.train.byte_tokenizer import END, ByteTokenizer
from tests.train.foreign_models import KINDS, VOCAB, theirs
from tests.train.generating import SHAPES, random_model
from tests.train.model_runs import tiny
from train import decode, generate
from train.convert import load_model
from train.generate import Engine, Handle, Piece, RequestError, Result, Sampling
from train.model import Model

BYTES = ByteTokenizer()
PROMPTS = [
    [(7 * start + 3 * place) % 256 for place in range(length)]
    for start, length in enumerate((1, 9, 2, 17, 5, 12, 3, 8))
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache grows and prompts are cut at these short lengths too."""
    monkeypatch.setattr(decode, "BLOCK", 4)
    monkeypatch.setattr(generate, "PROMPT_PART", 6)


def greedy(tokens: int, **more: Any) -> Sampling:
    return Sampling(max_tokens=tokens, temperature=0, **more)


def answer(engine: Engine, prompt: Sequence[int], sampling: Sampling) -> Result:
    return generate.generate(engine, [prompt], sampling)[0]


def by_hand(model: Model, prompt: Sequence[int], tokens: int) -> list[int]:
    """The whole text again for each token, without a cache."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(tokens):
            ids.append(int(model.logits(model.hidden(torch.tensor([ids])))[0, -1, : BYTES.size].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_that_of_transformers(tmp_path: Path, kind: str) -> None:
    foreign = theirs(kind)
    foreign.save_pretrained(tmp_path)
    engine = Engine(load_model(tmp_path).model, BYTES)
    for prompt in PROMPTS[:4]:
        ids = torch.tensor([prompt])
        expected = foreign.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
            suppress_tokens=list(range(BYTES.size, VOCAB)),
        )
        assert list(answer(engine, prompt, greedy(24)).ids) == expected[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("slots", [8, 3])
def test_together_is_alone_is_without_a_cache(small_steps: None, kind: str, slots: int) -> None:
    """Prompts of different lengths join at different times and leave at different ones; three slots make some wait."""
    model = random_model(kind)
    lengths = [20, 3, 11, 30, 7, 1, 16, 25]
    expected = [by_hand(model, prompt, length) for prompt, length in zip(PROMPTS, lengths, strict=True)]
    engine = Engine(model, BYTES, slots=slots)
    alone = [answer(engine, prompt, greedy(n, logprobs=2)) for prompt, n in zip(PROMPTS, lengths, strict=True)]
    assert [list(found.ids) for found in alone] == expected
    pieces: list[list[Piece]] = [[] for _ in PROMPTS]
    handles: list[Handle] = []
    for prompt, length, found in zip(PROMPTS, lengths, pieces, strict=True):
        handles.append(engine.submit(prompt, greedy(length, logprobs=2), found.append))
        for _ in range(2):
            engine.step()
            assert engine.active <= slots
    while engine.step():
        pass
    assert [handle.ids for handle in handles] == expected
    for one, found in zip(alone, pieces, strict=True):
        for token, other in zip(one.tokens, [token for piece in found for token in piece.tokens], strict=True):
            assert token.id == other.id and token.logprob == pytest.approx(other.logprob, abs=1e-4)
            assert [number for number, _ in token.top] == [number for number, _ in other.top]


def test_logprobs_are_the_models_own() -> None:
    model = random_model()
    found = answer(Engine(model, BYTES), PROMPTS[1], Sampling(max_tokens=12, temperature=2.0, seed=3, logprobs=4))
    ids = [*PROMPTS[1], *found.ids]
    with torch.no_grad():
        logprobs = model.logits(model.hidden(torch.tensor([ids])))[0].log_softmax(-1)[len(PROMPTS[1]) - 1 :]
    for token, row in zip(found.tokens, logprobs[:-1], strict=True):
        assert token.logprob == pytest.approx(float(row[token.id]), abs=1e-4)
        assert token.bytes == BYTES.bytes_of(token.id)
        assert [value for _, value in token.top] == pytest.approx(row[: BYTES.size].topk(4).values.tolist(), abs=1e-4)


def test_a_seed_gives_the_same_answer_whatever_else_is_made(small_steps: None) -> None:
    engine = Engine(random_model(), BYTES)
    chance = Sampling(max_tokens=20, seed=5, top_p=0.95, top_k=40, repetition_penalty=1.1)
    alone = [answer(engine, prompt, chance).ids for prompt in PROMPTS]
    together = generate.generate(engine, PROMPTS, chance)
    assert [found.ids for found in together] == alone
    assert answer(engine, PROMPTS[0], Sampling(max_tokens=20, seed=6)).ids != alone[0]


def test_weights_are_not_there_twice() -> None:
    model = random_model("all", dim=64, hidden=256)
    before = model.hidden(torch.tensor([PROMPTS[1]]))
    bytes_before = storages(model.parameters())
    decoding = Engine(model, BYTES).decoding
    assert torch.allclose(model.hidden(torch.tensor([PROMPTS[1]])), before, atol=1e-5)
    joined = [part.turned for layer in decoding.layers for part in (layer.qkv, layer.out, layer.gate_up, layer.down)]
    assert storages([*model.parameters(), *joined, decoding.head.turned]) == bytes_before
    assert storages([*joined, decoding.head.turned]) > bytes_before / 2


def storages(tensors: Any) -> int:
    found = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(found.values())


def test_the_cache_is_as_large_as_what_is_in_it(small_steps: None) -> None:
    model = random_model()
    engine = Engine(model, BYTES, slots=3, seq_len=40)
    sizes = []
    for prompt in PROMPTS:
        engine.submit(prompt, greedy(1000), lambda piece: None)
    while engine.step():
        sizes.append(engine.decoding.cache_bytes)
    a_position = 2 * 2 * model.config.key_heads * model.config.head_width * 4  # layers, keys and values, fp32
    assert max(sizes) == 3 * 40 * a_position and sizes[0] < max(sizes) / 2
    assert engine.decoding.cache_bytes == 0


def test_a_request_without_numbers_ends_alone() -> None:
    """The embedding of one id is no number; it is a row without a piece, so that no answer has it."""
    model = random_model(tied=False)
    with torch.no_grad():
        model.model.embed_tokens.weight[VOCAB - 1] = float("nan")
    engine = Engine(model, BYTES, slots=3)
    prompts = [PROMPTS[1], [65, VOCAB - 1, 66], PROMPTS[3], PROMPTS[2]]
    expected = [answer(engine, prompt, greedy(20)).ids if prompt in PROMPTS else () for prompt in prompts]
    pieces: list[list[Piece]] = [[] for _ in prompts]
    handles = [engine.submit(p, greedy(20), found.append) for p, found in zip(prompts, pieces, strict=True)]
    while engine.step():
        pass
    assert [tuple(handle.ids) for handle in handles] == expected
    assert [found[-1].finish for found in pieces] == ["length", "error", "length", "length"]
    assert isinstance(pieces[1][-1].error, InputError) and "no numbers" in str(pieces[1][-1].error)
    with pytest.raises(InputError, match="no numbers"):
        answer(engine, prompts[1], Sampling(max_tokens=4))


def test_cancelled_requests_stop_before_the_next_token(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(random_model(), BYTES, slots=2)
    pieces: list[list[Piece]] = [[] for _ in range(4)]
    expected = answer(engine, PROMPTS[1], greedy(12)).ids
    handles = [engine.submit(prompt, greedy(12), found.append) for prompt, found in zip(PROMPTS, pieces, strict=False)]
    engine.step()
    engine.step()
    assert (engine.active, engine.waiting) == (2, 2)
    engine.cancel(handles[0])
    engine.cancel(handles[3])  # it never began
    given = list[int]()
    step = engine.decoding.step

    def counted(singles: Sequence[decode.Part], longer: Sequence[decode.Part]) -> Tensor:
        given.append(len(singles))
        return step(singles, longer)

    monkeypatch.setattr(engine.decoding, "step", counted)
    engine.step()
    assert given == [1] and len(handles[0].ids) == 2 and engine.waiting == 0
    assert [found[-1].finish if found else None for found in pieces] == ["cancelled", None, None, "cancelled"]
    assert pieces[0][-1].count == 2 and pieces[3] == [Piece("", (), "cancelled", 0)]
    while engine.step():
        pass
    assert tuple(handles[1].ids) == expected and len(handles[2].ids) == 12
    engine.cancel(handles[1])
    assert not engine.step() and handles[1].finish == "length"


def test_a_long_prompt_does_not_stall_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "PROMPT_PART", 10)
    engine = Engine(random_model(), BYTES)
    quick = engine.submit(PROMPTS[0], greedy(50), lambda piece: None)
    engine.step()
    slow = engine.submit(list(range(95)), greedy(5), lambda piece: None)
    for step in range(1, 11):
        engine.step()
        assert len(quick.ids) == 1 + step and slow.read == min(95, 10 * step)
    assert len(slow.ids) == 1
    slow = engine.submit(list(range(95)), greedy(5), lambda piece: None)
    engine.step()
    late = engine.submit(PROMPTS[2], greedy(5), lambda piece: None)  # of two ids
    engine.step()
    assert len(late.ids) == 1 and slow.read == 18
    while engine.step():
        pass
    expected = answer(engine, list(range(95)), greedy(5)).ids, answer(engine, PROMPTS[2], greedy(5)).ids
    assert (tuple(slow.ids), tuple(late.ids)) == expected


class Only:
    """A constraint: this text and nothing else."""

    def __init__(self, text: bytes) -> None:
        self.text, self.place = text, 0

    def allowed(self, ids: Sequence[int]) -> Tensor | None:
        assert list(ids) == list(self.text[: self.place])
        if self.place == 1:
            return None if self.text[1:2] == b"*" else torch.zeros(VOCAB, dtype=torch.bool)
        mask = torch.zeros(BYTES.size, dtype=torch.bool)
        mask[self.text[self.place]] = True
        return mask

    def accept(self, id: int) -> None:
        self.place += 1

    @property
    def done(self) -> bool:
        return self.place == len(self.text)


def test_constraints() -> None:
    class Whole(Only):
        def allowed(self, ids: Sequence[int]) -> Tensor | None:
            mask = torch.zeros(BYTES.size - 20, dtype=torch.bool)  # what it does not reach to is not allowed
            mask[self.text[self.place]] = True
            return mask

    engine = Engine(random_model(), BYTES)
    for temperature in (0.0, 1.5):
        found = answer(
            engine, PROMPTS[1], Sampling(max_tokens=30, temperature=temperature, constraint=Whole("{好}".encode()))
        )
        assert (found.text, found.finish) == ("{好}", "stop")
    with pytest.raises(RequestError, match="allows no token"):
        answer(engine, PROMPTS[1], greedy(9, constraint=Only(b"abc")))
    free = answer(engine, PROMPTS[1], greedy(2, constraint=Only(b"a*c")))
    assert free.ids[0] == ord("a") and free.finish == "length"


def speaking(text: bytes, vocab: int = VOCAB) -> Model:
    """A model that says these bytes after one another, each once: what follows a byte is its own."""
    model = tiny(vocab=vocab, dim=2 * vocab, layers=1, heads=1, kv_heads=1, hidden=8, seq_len=64, tied=False).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        for number in range(vocab):
            model.model.embed_tokens.weight[number, number] = 1.0
        for first, second in pairwise(text):
            model.lm_head.weight[second, first] = 1.0
    return model


def test_why_answers_end() -> None:
    model = speaking(b"abcdefgh")
    with torch.no_grad():
        model.lm_head.weight[END, ord("h")] = 1.0
        model.lm_head.weight[VOCAB - 1, ord("c")] = 9.0  # a row without an id
        model.lm_head.weight[290, ord("c")] = 8.0  # an id without a piece
    engine = Engine(model, ByteTokenizer(holes=frozenset({290})))
    ends = frozenset({END})
    for sampling, text, finish in (
        (greedy(30, end_ids=ends), "bcdefgh", "stop"),
        (greedy(3, end_ids=ends), "bcd", "length"),
        (greedy(30, stop=("fg", "zz")), "bcde", "stop"),
        (greedy(30, stop=("ab",), end_ids=ends), "bcdefgh", "stop"),
        (greedy(5, stop=("fgh",)), "bcdef", "length"),
        (greedy(30, end_ids=frozenset({ord("b")})), "", "stop"),
    ):
        found = answer(engine, [ord("a")], sampling)
        assert (found.text, found.finish) == (text, finish)
    pieces: list[Piece] = []
    engine.submit([ord("a")], greedy(30, end_ids=ends), pieces.append)
    while engine.step():
        pass
    assert [piece.count for piece in pieces] == [*range(1, 8), 7]
    assert [piece.text for piece in pieces] == [*"bcdefgh", ""]


def test_prompt_and_answer_fit_into_seq_len() -> None:
    engine = Engine(random_model(), BYTES, seq_len=12)
    assert len(answer(engine, PROMPTS[1], greedy(100)).ids) == 3
    for prompt, words in (([], "empty"), ([0] * 12, "no room"), ([VOCAB], "outside"), ([-1], "outside")):
        with pytest.raises(RequestError, match=words):
            engine.submit(prompt, greedy(4), lambda piece: None)
    assert not engine.step()
    assert Engine(random_model(), BYTES, seq_len=1000).seq_len == 128
    with pytest.raises(InputError, match="ids, but the model only"):
        Engine(random_model(), ByteTokenizer(VOCAB + 1))


def test_a_callback_that_fails_ends_its_own_request() -> None:
    def fail(piece: Piece) -> None:
        raise OSError("gone")

    engine = Engine(random_model(), BYTES)
    broken = engine.submit(PROMPTS[1], greedy(20, logprobs=0), fail)
    other = engine.submit(PROMPTS[3], greedy(20, logprobs=0), lambda piece: None)
    while engine.step():
        pass
    assert (broken.finish, len(broken.ids), str(broken.error)) == ("cancelled", 1, "gone")
    assert (other.finish, len(other.ids)) == ("length", 20)


def test_a_step_that_fails_ends_its_requests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(random_model(), BYTES)
    expected = answer(engine, PROMPTS[1], greedy(5)).ids
    with monkeypatch.context() as patch:
        patch.setattr(engine.decoding, "_block", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            answer(engine, PROMPTS[1], greedy(5))
    assert answer(engine, PROMPTS[1], greedy(5)).ids == expected


def test_the_thread_works_while_there_is_something_to_do() -> None:
    engine, stop, ended = Engine(random_model(), BYTES), threading.Event(), threading.Event()
    worker = threading.Thread(target=engine.run, args=(stop,))
    worker.start()
    try:
        for _ in range(2):  # idle in between
            ended.clear()
            handle = engine.submit(PROMPTS[1], greedy(5), lambda piece: ended.set() if piece.finish else None)
            assert ended.wait(30) and handle.finish == "length"
        ended.clear()
        pieces: list[Piece] = []
        begun = threading.Event()

        def note(piece: Piece) -> None:
            pieces.append(piece)
            begun.set()
            begun.wait()

        long = engine.submit(PROMPTS[1], Sampling(max_tokens=100, logprobs=0), note)
        assert begun.wait(30)
        engine.cancel(long)
    finally:
        stop.set()
        worker.join(30)
    assert not worker.is_alive() and pieces[-1].finish in ("cancelled", "length")


def test_stopping_ends_what_is_unfinished() -> None:
    engine, stop = Engine(random_model(), BYTES, slots=1), threading.Event()
    handles = [engine.submit(PROMPTS[1], Sampling(max_tokens=90, logprobs=0), lambda piece: stop.set()) for _ in "ab"]
    engine.run(stop)
    assert [handle.finish for handle in handles] == ["cancelled", "cancelled"]
    assert (len(handles[0].ids), len(handles[1].ids), engine.active, engine.waiting) == (1, 0, 0, 0)
