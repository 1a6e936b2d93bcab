"""The model that training begins with: new, continued, grown to more pieces; what does not belong together is named."""

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runkit.errors import InputError, UsageError
from tests.faults.texts import text
from tests.train.making import byte_level, small_model, wordpiece
from tests.train.model_runs import TINY, tiny
from tests.train.token_runs import make_call, write_documents
from train.added import read_added
from train.config import ExtendConfig
from train.convert import Loaded, load_model, write_model
from train.extend import ExtendCall, extend
from train.model import Model
from train.pretrain_config import PretrainConfig
from train.reading import Reading
from train.shards import open_shards
from train.start import Start, expand_embeddings, first_model, pad_vocabulary
from train.tokenizer import files_in, load
from train.tokens import tokens

torch.set_num_threads(1)
PIECES, MORE, ROWS = 600, 20, 610  # of the base, added, of the model, which is padded
IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: Model) -> Tensor:
    return model.logits(model.hidden(IDS))


@dataclass(frozen=True)
class World:
    """A tokenizer, a model of it, the tokenizer with more pieces, and shards made with that."""

    base: Path
    source: Path
    longer: Path
    shards: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("start")
    base = byte_level(folder / "base", PIECES).parent
    (base / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}')
    texts = [text(random.Random(seed), 40) for seed in range(100, 140)]
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    call = ExtendCall(
        base=base,
        documents=[str(folder / "more.jsonl")],
        add_list=None,
        out=folder / "longer",
        config=ExtendConfig.load(None, [f"add={MORE}"]),
        reading=Reading(1, quiet=True),
        dry_run=False,
        as_json=False,
        lang="en",
        started=time.monotonic(),
    )
    extend(call)
    save(folder / "model", base, vocab=ROWS)
    tokens(make_call(write_documents(folder / "set"), folder / "longer", folder / "shards"))
    return World(base, folder / "model", folder / "longer", folder / "shards")


def save(out: Path, tokenizer: Path | None, **changes: Any) -> Model:
    model = tiny(**changes)
    files = {"chat_template.jinja": b"{{ a }}", **files_in(tokenizer)} if tokenizer else {}
    write_model(out, Loaded(model, load(tokenizer) if tokenizer else None, model.config, files), torch.float32)
    return model


def begin(source: Path | None, tokenizer: Path, added: Path | None = None, **changes: Any) -> Start:
    config = PretrainConfig.model_validate({"data": {"seq_len": 64}, **changes})
    return first_model(config, source, added, load(tokenizer), Path("SHARDS"))


def test_a_new_model(world: World) -> None:
    shape = {**TINY, "vocab": PIECES}
    start = begin(None, world.base, model=shape, seed=3)
    wanted = tiny(3, vocab=PIECES).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in start.model.state_dict().items())
    assert start.fingerprint is None and start.files == files_in(world.base) and start.model.training
    with pytest.raises(UsageError, match="Nothing says what model to train"):
        begin(None, world.base)
    with pytest.raises(UsageError, match=r"vocab = 599 is smaller than the tokenizer of SHARDS, which has 600 ids"):
        begin(None, world.base, model={**TINY, "vocab": PIECES - 1})
    with pytest.raises(UsageError, match="is for a model that is there"):
        begin(None, world.base, world.longer / "added.jsonl", model=shape)


def test_going_on_with_the_same_tokenizer(world: World, tmp_path: Path) -> None:
    """Also when its file is written otherwise; the model's own files stay."""
    start = begin(world.source, world.base, checkpointing=True)
    assert torch.equal(logits(start.model), logits(load_model(world.source).model))
    assert start.model.config.vocab == ROWS and start.model.checkpointing and start.model.training
    assert start.files["chat_template.jinja"] == b"{{ a }}" and "generation_config.json" in start.files
    assert all(weight.requires_grad for weight in start.model.parameters())
    layout = json.loads((world.base / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(layout, indent=7))
    again = begin(world.source, tmp_path, model={**TINY, "vocab": ROWS})
    assert again.fingerprint == start.fingerprint is not None and again.special == start.special
    layout["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, layout["pre_tokenizer"]]}
    layout["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(layout))
    with pytest.raises(UsageError, match="is not that of"):
        begin(world.source, tmp_path)


def test_a_changed_source_has_another_fingerprint(world: World, tmp_path: Path) -> None:
    first = save(tmp_path / "one", world.base, vocab=ROWS)
    again = begin(tmp_path / "one", world.base)
    assert again.fingerprint == begin(world.source, world.base).fingerprint
    with torch.no_grad():
        first.model.norm.weight[5] += 1e-6
    write_model(tmp_path / "two", Loaded(first, load(world.base), first.config, files_in(world.base)), torch.float32)
    assert begin(tmp_path / "two", world.base).fingerprint != again.fingerprint


def test_going_on_with_more_pieces(world: World) -> None:
    """The list is beside the shards' tokenizer; padding gives way to new rows, and old logits stay."""
    shards = open_shards(world.shards)
    old = load_model(world.source).model
    start = begin(world.source, shards.tokenizer)
    grown = start.model.model.embed_tokens.weight
    assert start.model.config.vocab == PIECES + MORE == len(grown) == shards.vocab_size
    base, longer = load(world.base), load(world.longer)
    for number in range(PIECES, PIECES + MORE):
        written = base.encode_batch([longer.decode([number])])[0].tolist()
        if "\ufffd" not in longer.decode([number]):  # a step to a character is no text
            assert torch.allclose(grown[number], old.model.embed_tokens.weight[written].mean(0), atol=1e-7)
    assert torch.equal(grown[:PIECES], old.model.embed_tokens.weight[:PIECES])
    assert torch.allclose(logits(start.model)[..., :PIECES], logits(old)[..., :PIECES], atol=1e-6)
    assert start.files["tokenizer.json"] == (world.longer / "tokenizer.json").read_bytes()
    assert start.files["chat_template.jinja"] == b"{{ a }}" and "generation_config.json" in start.files
    assert start.special == load(world.base).special
    assert begin(world.source, world.longer, world.longer / "added.jsonl").fingerprint == start.fingerprint
    assert start.fingerprint != begin(world.source, world.base).fingerprint


def test_a_model_that_was_grown_goes_on(world: World, tmp_path: Path) -> None:
    start = begin(world.source, world.longer)
    loaded = Loaded(start.model, load(world.longer), start.model.config, start.files)
    write_model(tmp_path / "grown", loaded, torch.float32)
    again = begin(tmp_path / "grown", world.longer, world.longer / "added.jsonl", model={**TINY, "vocab": 640})
    assert torch.allclose(logits(again.model)[..., : PIECES + MORE], logits(start.model), atol=1e-6)
    assert again.model.config.vocab == 640 and any("is not needed" in line for line in again.told)


def test_what_is_trained(world: World) -> None:
    start = begin(world.source, world.longer, train_only="embeddings")
    assert [name for name, weight in start.model.named_parameters() if weight.requires_grad] == [
        "model.embed_tokens.weight"
    ]
    start = begin(world.source, world.longer, lora={"rank": 2, "targets": ["q_proj"]})
    assert {name[-6:] for name, weight in start.model.named_parameters() if weight.requires_grad} == {
        "lora_A",
        "lora_B",
    }
    assert any("new pieces are not trained" in line for line in start.told)


def test_what_does_not_belong_together(world: World, tmp_path: Path) -> None:
    def refused(match: str, source: Path, tokenizer: Path, added: Path | None = None, **changes: Any) -> None:
        with pytest.raises(UsageError, match=match):
            begin(source, tokenizer, added, **changes)

    other = small_model(tmp_path / "other", PIECES).parent
    refused(r"is not that of .*has no added\.jsonl beside it", world.source, other)
    refused(r"nor does .*added\.jsonl list its last pieces", world.source, other, world.longer / "added.jsonl")
    save(tmp_path / "bert", wordpiece(tmp_path / "pieces").parent)
    refused("begins at the id 600 of another base", tmp_path / "bert", world.longer)
    save(tmp_path / "bare", None)
    refused("has no tokenizer", tmp_path / "bare", world.base)
    refused(
        r"model\.dim = 64, but .* has 32; leave", world.source, world.base, model={**TINY, "vocab": ROWS, "dim": 64}
    )
    refused(r"model\.vocab = 609", world.source, world.base, model={**TINY, "vocab": 609})
    refused(r"data\.seq_len = 65, but .* 64 positions", world.source, world.base, data={"seq_len": 65})
    refused("does not exist", tmp_path / "nothing", world.base)
    renamed = byte_level(tmp_path / "renamed", PIECES).parent
    (renamed / "tokenizer_config.json").write_text(json.dumps({"eos_token": load(world.base).piece(1)}))
    refused(r"The eos of .*<\|endoftext\|>', id 0, that of the shards is '!', id 1", world.source, renamed)


def write_lines(file: Path, first: int, base: list[list[int]]) -> Path:
    lines = [{"id": first + row, "piece": "x", "text": "x", "base_ids": ids} for row, ids in enumerate(base)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [0, 2, 5])
def test_new_rows_are_the_mean_of_what_they_replace(tmp_path: Path, tied: bool, padding: int) -> None:
    model = tiny(tied=tied, vocab=400 + padding)
    base = [[3, 5], [7], [10, 11, 399]]
    larger = expand_embeddings(model, read_added(write_lines(tmp_path / "added.jsonl", 400, base)))
    assert larger.config == model.config.model_copy(update={"vocab": max(403, 400 + padding)})
    for grown, old in (
        (larger.model.embed_tokens.weight, model.model.embed_tokens.weight),
        (larger.lm_head.weight, model.lm_head.weight),
    ):
        assert torch.equal(grown[:400], old[:400]) and torch.equal(grown[403:], old[403:])
        for row, ids in enumerate(base):
            assert torch.allclose(grown[400 + row], sum((old[number] for number in ids), torch.zeros(32)) / len(ids))
    assert (larger.lm_head.weight is larger.model.embed_tokens.weight) == tied
    assert torch.allclose(logits(larger)[..., :400], logits(model)[..., :400], atol=1e-6)
    assert all(weight.requires_grad for weight in larger.parameters())


def test_padding_takes_little_from_the_others() -> None:
    """By Jensen's inequality a mean row adds at most 1/V of the mass."""
    model = tiny()
    larger = pad_vocabulary(model, 448)
    masses = [logits(one).exp().sum(-1) for one in (model, larger)]
    assert torch.all(masses[1] <= masses[0] * 448 / 300 * (1 + 1e-6))
    assert torch.allclose(logits(larger)[..., :300], logits(model), atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("{}\n", "no list of added pieces"),
        ("", "has no pieces"),
        ('{"id": 4, "piece": "x", "base_ids": []}\n', "one without base_ids"),
        ('{"id": 4, "piece": "x", "base_ids": [4]}\n', "begins at the id 4, but has base_ids above"),
        ('{"id": 4, "piece": "x", "base_ids": [1]}\n{"id": 6, "piece": "y", "base_ids": [1]}\n', "do not follow"),
    ],
)
def test_a_broken_list(tmp_path: Path, lines: str, why: str) -> None:
    (tmp_path / "added.jsonl").write_text(lines)
    with pytest.raises(InputError, match=why):
        read_added(tmp_path / "added.jsonl")
    with pytest.raises(UsageError, match="Cannot read"):
        read_added(tmp_path / "other.jsonl")


def test_shards_keep_the_list_of_added_pieces(world: World) -> None:
    """As part of what the run's mark covers: a lost one is brought back."""
    file = world.shards / "tokenizer" / "added.jsonl"
    wanted = (world.longer / "added.jsonl").read_bytes()
    assert file.read_bytes() == wanted
    file.write_text("")
    tokens(make_call(world.longer.parent / "set", world.longer, world.shards))
    assert file.read_bytes() == wanted
