"""The model that a training begins with: a new one, or one that is there, grown to the tokenizer of the shards.

In: the settings, the tokenizer of the shards, maybe a model (a run, a Hugging Face folder, a GGUF file) and the list
of pieces that its tokenizer was extended by. Out: a `Start`: the model on the CPU as fp32, frozen or with adapters as
the settings say, and the tokenizer's files that go with it. Ids that would mean other pieces than the model learnt are
refused. Price: the model is loaded at every start, also when a checkpoint then takes its place, and hashed, 1 s a GB.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from runkit.errors import UsageError
from train.added import ADDED, Added, read_added
from train.convert import Loaded, checkpoint_folder, load_model
from train.lora import EMBEDDINGS, add_lora, train_embeddings
from train.model import Model
from train.model_config import ModelConfig
from train.pieces import Special, Tokenizer
from train.pretrain_config import LoopConfig, PretrainConfig
from train.tokenizer import files_in

# Texts that tokenizers of the same pieces cut differently when their rules differ.
_PROBE: Final = "It's 1,234 words;  two spaces\n\n\tif x == 10:\n    中文，123 ABC abc…\u00e9\U0001f600 "
# Of a model's folder, what is true for its tokenizer with more pieces too: ids and texts of special tokens stay.
_KEPT: Final = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json")
# Settings whose unset value has a meaning, by the property that says it.
_MEANT: Final = {"kv_heads": "key_heads", "head_dim": "head_width", "hidden": "hidden_width"}


@dataclass(frozen=True, slots=True)
class Start:
    """What the first step is made on."""

    model: Model  # on the CPU, fp32, in training mode
    special: Special
    files: Mapping[str, bytes]  # of the tokenizer, by name, to be written beside the weights
    fingerprint: str | None  # sha256 of the model that it goes on from and of its added pieces; None: it is new
    base: str  # where the model lies that adapters are for; empty: there are none
    told: list[str]  # sentences for the user

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """What a run is bound to by it, as `RunDir.open` takes it."""
        if self.fingerprint is None:
            return []
        return [{"name": "--from", "size": self.model.config.parameters, "fingerprint": self.fingerprint}]


def first_model(
    config: PretrainConfig, source: Path | None, added: Path | None, tokenizer: Tokenizer, shards_folder: Path
) -> Start:
    """A new model, or the one in `source`, with rows for all ids of `tokenizer`, which is that of the shards.

    `added` is the list of `train tokenizer extend`; unset, the one beside `tokenizer` is taken where it is needed.
    UsageError: settings, model and tokenizer do not belong together. InputError: what `load_model` and `read_added`
    raise.
    """
    if source is None:
        start = _new(config, added, tokenizer, shards_folder)
    else:
        start = _grown(config, source, added, tokenizer)
    _make_ready(start, config, config.data.seq_len, source)
    return start


def check_length(model: Model, seq_len: int, source: Path | None) -> None:
    """UsageError: rows are longer than what the model is made for."""
    if seq_len > model.config.seq_len:
        raise UsageError(
            f"data.seq_len = {seq_len:,}, but {source} is made for {model.config.seq_len:,} positions; "
            "lower data.seq_len."
        )


def _make_ready(start: Start, config: LoopConfig, seq_len: int, source: Path | None) -> None:
    """Freeze or adapt the model as the settings say. UsageError: as `check_length`."""
    model = start.model
    check_length(model, seq_len, source)
    model.checkpointing = config.checkpointing
    if config.train_only == "embeddings":
        model.requires_grad_(False)
        train_embeddings(model)
    if config.lora is not None:
        add_lora(model, config.lora, config.seed)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if config.train_only != "all" or config.lora is not None:
        start.told.append(f"{trained:,} numbers are trained, {model.config.parameters:,} are in the model.")
    model.train()


def _new(config: PretrainConfig, added: Path | None, tokenizer: Tokenizer, shards_folder: Path) -> Start:
    if added is not None:
        raise UsageError(f"--added {added} is for a model that is there; give it with --from, or leave it out.")
    part = "lora" if config.lora is not None else f"train_only = {config.train_only}"
    if config.lora is not None or config.train_only != "all":
        raise UsageError(f"{part} trains a part of a model that is there; give it with --from, or leave {part} out.")
    if config.model is None:
        raise UsageError("Nothing says what model to train: give its shape as `model` in the config, or --from MODEL.")
    if tokenizer.size > config.model.vocab:
        raise UsageError(
            f"model.vocab = {config.model.vocab:,} is smaller than the tokenizer of {shards_folder}, which has "
            f"{tokenizer.size:,} ids; raise model.vocab."
        )
    model = Model(config.model)
    # On the CPU, so that the first weights are the same on every device.
    model.initialize(torch.Generator().manual_seed(config.seed))
    return Start(model, tokenizer.special, files_in(tokenizer.path.parent), None, "", [])


def _grown(config: PretrainConfig, source: Path, added: Path | None, tokenizer: Tokenizer) -> Start:
    """The model of `source`, with more rows where the tokenizer of the shards has more pieces or config.model says."""
    loaded = load_model(source)
    if loaded.tokenizer is None:
        raise UsageError(
            f"{source} has no tokenizer, so nothing says what its ids mean; put the one it was trained with beside it."
        )
    found = _find_added(source, loaded.tokenizer, added, tokenizer)
    special = _agreed(source, loaded.tokenizer, tokenizer)
    told = [f"Goes on from {source}: {loaded.config.parameters:,} parameters."]
    model, files = loaded.model, loaded.files
    if found is not None:
        model = expand_embeddings(model, found)
        files = {name: data for name, data in files.items() if name in _KEPT} | files_in(tokenizer.path.parent)
        told.append(
            f"{len(found.pieces):,} new pieces begin as the mean of those they replace: {model.config.vocab:,} rows."
        )
        if config.lora is not None and not config.lora.embeddings:
            told.append("Warning: the rows of new pieces are not trained; set lora.embeddings to true.")
    elif added is not None:
        told.append(f"{added} is not needed: the shards' tokenizer is that of {source}.")
    if config.model is not None:
        _check_shape(config.model, model.config, source)
        model = pad_vocabulary(model, config.model.vocab)
    digest = _fingerprint(loaded.model, found)
    base = _base(config, source, told)
    return Start(model, special, files, digest, base, told)


def tuned_model(config: LoopConfig, loaded: Loaded, source: Path, files: Mapping[str, bytes], seq_len: int) -> Start:
    """A model with its own tokenizer, to be trained on rows of `seq_len`; `files` are written beside its weights.

    UsageError: rows are longer than what it is made for.
    """
    assert loaded.tokenizer is not None
    told = [f"Goes on from {source}: {loaded.config.parameters:,} parameters."]
    base = _base(config, source, told)
    start = Start(loaded.model, loaded.tokenizer.special, files, _fingerprint(loaded.model, None), base, told)
    _make_ready(start, config, seq_len, source)
    return start


def _base(config: LoopConfig, source: Path, told: list[str]) -> str:
    """Where PEFT finds what adapters are for; empty: there are none."""
    if config.lora is None:
        return ""
    if source.is_file():
        told.append(
            f"Warning: PEFT cannot put the adapters on {source}; to use adapters alone, go on from what "
            "`train import` makes of it."
        )
        return str(source.resolve())
    return str(checkpoint_folder(source).resolve())


def _check_shape(stated: ModelConfig, found: ModelConfig, source: Path) -> None:
    """UsageError unless both are the same but for a larger vocabulary."""
    for name in ModelConfig.model_fields:
        wanted, there = (getattr(config, _MEANT.get(name, name)) for config in (stated, found))
        if isinstance(wanted, float) and isinstance(there, float):
            same = math.isclose(wanted, there, rel_tol=1e-6)  # GGUF stores such numbers as fp32
        else:
            same = wanted >= there if name == "vocab" else wanted == there
        if not same:
            raise UsageError(
                f"model.{name} = {wanted}, but the model that {source} gives has {there}; leave `model` out of the "
                "config, since the shape is that of --from."
            )


def _find_added(source: Path, base: Tokenizer, added: Path | None, tokenizer: Tokenizer) -> Added | None:
    """The pieces that `tokenizer` has more than `base`; None: both are the same. UsageError: it has others."""
    if _same(base, tokenizer):
        return None
    beside = tokenizer.path.with_name(ADDED)
    other = f"The shards' tokenizer {tokenizer.path} is not that of {source}"
    if added is None and not beside.is_file():
        raise UsageError(
            f"{other}, and has no {ADDED} beside it; run `train tokens` with the tokenizer of {source}, or with what "
            "`train tokenizer extend` made of it (then give its list with --added)."
        )
    found = read_added(added or beside)
    first = found.first
    told = [tokenizer.piece(number) for number in range(min(first, tokenizer.size), tokenizer.size)]
    if told != found.pieces:
        raise UsageError(f"{other}, nor does {found.path} list its last pieces; give the {ADDED} that came with it.")
    if first != base.size or _meanings(tokenizer)[:first] != _meanings(base):
        raise UsageError(
            f"{other}, and not that with more pieces: {found.path} begins at the id {first:,} of another base; extend "
            f"the tokenizer of {source}, which has {base.size:,} ids, and run `train tokens` with the result."
        )
    return found


def _same(one: Tokenizer, other: Tokenizer) -> bool:
    if one.sha256 == other.sha256:
        return True
    if one.size != other.size or _meanings(one) != _meanings(other):
        return False
    return one.encode(_PROBE).tolist() == other.encode(_PROBE).tolist()


def _meanings(tokenizer: Tokenizer) -> list[bytes | str]:
    """What each id stands for: bytes, or the name of a special token."""
    return [data or tokenizer.piece(number) for number, data in enumerate(tokenizer.piece_bytes)]


def _agreed(source: Path, base: Tokenizer, tokenizer: Tokenizer) -> Special:
    """The special tokens of the model, where it names none those of the shards. UsageError: they name others."""
    ids: dict[str, int | None] = {}
    for name in ("unk", "bos", "eos"):
        own, theirs = (getattr(special, name) for special in (base.special, tokenizer.special))
        if name != "unk" and own is not None and theirs is not None and own != theirs:
            raise UsageError(
                f"The {name} of {source} is {base.piece(own)!r}, id {own}, that of the shards is "
                f"{tokenizer.piece(theirs)!r}, id {theirs}; run `train tokens` with a tokenizer_config.json that names "
                "the same."
            )
        ids[name] = theirs if own is None else own
    return Special(**ids)


@torch.no_grad()
def expand_embeddings(model: Model, added: Added) -> Model:
    """A model with a row for each added piece, the mean of the rows `base_ids` (in both matrices, a tied one once).

    Rows that were only padding there are replaced. All other weights are shared with `model`, whose rows must reach
    to `added.first` at least.
    """
    assert added.first <= model.config.vocab, (added.first, model.config.vocab)
    config = model.config.model_copy(update={"vocab": max(model.config.vocab, added.size)})
    tensors = {}
    for name in EMBEDDINGS:
        old = model.state_dict()[name]  # (V, D)
        tensors[name] = old.new_zeros((config.vocab, old.shape[1]))
        tensors[name][: old.shape[0]] = old
        for number, base in enumerate(added.base_ids, start=added.first):
            # In fp32: a mean of bf16 numbers loses bits at each of its steps.
            tensors[name][number] = old[base].float().mean(0).to(old.dtype)
    return _with_embeddings(model, config, tensors)


@torch.no_grad()
def pad_vocabulary(model: Model, vocab: int) -> Model:
    """A model with `vocab` rows; new ones are the mean of all (a row of zeros would be likelier than most pieces)."""
    if vocab == model.config.vocab:
        return model
    more = vocab - model.config.vocab
    old = {name: model.state_dict()[name] for name in EMBEDDINGS}
    tensors = {name: torch.cat((rows, rows.mean(0, keepdim=True).expand(more, -1))) for name, rows in old.items()}
    return _with_embeddings(model, model.config.model_copy(update={"vocab": vocab}), tensors)


def _with_embeddings(model: Model, config: ModelConfig, embeddings: Mapping[str, Tensor]) -> Model:
    """A model of the shape `config` with other embeddings, all else shared."""
    tensors: dict[str, Any] = {**model.state_dict(), **embeddings}
    with torch.device("meta"):
        larger = Model(config)
    larger.load_state_dict(tensors, assign=True)
    if config.tied:
        larger.lm_head.weight = larger.model.embed_tokens.weight
    for name, buffer in model.named_buffers():
        setattr(larger, name, buffer)
    larger.checkpointing = model.checkpointing
    return larger


def _fingerprint(model: Model, added: Added | None) -> str:
    """sha256 over shape, names and numbers of a model in fp32, and over the list of added pieces."""
    digest = hashlib.sha256(model.config.model_dump_json().encode())
    for name, value in sorted(model.state_dict().items()):
        if name != EMBEDDINGS[1] or not model.config.tied:
            digest.update(name.encode() + b"\n")
            digest.update(memoryview(value.contiguous().numpy()).cast("B"))
    rows: Sequence[Sequence[int]] = added.base_ids if added is not None else ()
    digest.update(repr([list(row) for row in rows]).encode())
    return digest.hexdigest()
