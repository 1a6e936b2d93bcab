"""GGUF files of llama.cpp: a Llama, Mistral, Qwen2 or Qwen3 with its tokenizer, in one file.

In: a `.gguf`, whatever its quantisation. Out: its `ModelConfig`, its tensors in fp32 under Hugging Face's names, and
the files of its tokenizer. llama.cpp rotates neighbours and not halves, so its writer permutes the rows of Llama's
queries and keys; here they go back. Price: 8 s for SmolLM2-135M in four bits, half of it the `gguf` package's
reading of the vocabulary.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
import orjson
import tokenizers
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from sentencepiece import sentencepiece_model_pb2 as model_pb2
from tokenizers import AddedToken, decoders, models, normalizers
from torch import Tensor

from runkit.errors import InputError
from train.gguf_cuts import CUTS, steps
from train.model_config import ModelConfig, RopeScaling
from train.model_file import BPE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED
from train.pieces import SPACE

_ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
OUTER: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INNER: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
FREQUENCIES: Final = "rope_freqs.weight"  # by what each rotary frequency is divided; how llama.cpp keeps llama3 scaling
# Keys of our own, for what no key of llama.cpp says.
SCALING: Final = "wenhai.rope_scaling"  # from which `FREQUENCIES` was made, as JSON
NFC: Final = "wenhai.tokenizer.nfc"  # texts are brought into NFC before they are cut
NO_BOS: Final = "{% set bos_token = '' %}"  # before a chat template: llama.cpp takes id 11 for a bos that is missing


class GgufFile:
    """An opened file. InputError: it is none, or holds a model that we do not have."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
            self._values = {name: field.contents() for name, field in self._reader.fields.items()}
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError, OverflowError) as error:
            raise InputError(f"{path} is no GGUF file, or is cut: {error}.") from error
        self.kind = self._values.get("general.architecture")
        if self.kind not in _ARCHITECTURES:
            known = ", ".join(_ARCHITECTURES)
            raise InputError(f"{path}: the architecture {self.kind!r} is unknown; known are {known}.")
        if self._values.get("split.count", 1) > 1:
            raise InputError(f"{path} is one of {self._values['split.count']} parts; join them with llama-gguf-split.")
        self._stored = {tensor.name: tensor for tensor in self._reader.tensors}
        self.config = self._config()

    def _number(self, name: str, default: Any = None) -> Any:
        """`name` of the architecture; InputError when it is not there and has no default."""
        value = self._values.get(f"{self.kind}.{name}", default)
        if value is None:
            raise InputError(f"{self.path} does not say {self.kind}.{name}.")
        return value

    def _config(self) -> ModelConfig:
        if self._number("expert_count", 0):
            raise InputError(f"{self.path} is a mixture of experts, which our model is not.")
        embedding = self._stored.get("token_embd.weight")
        if embedding is None:
            raise InputError(f"{self.path} has no token_embd.weight.")
        dim, heads = self._number("embedding_length"), self._number("attention.head_count")
        seq_len, window = self._number("context_length"), self._number("attention.sliding_window", 0)
        try:
            width = self._number("attention.key_length", dim // heads)
            if self._number("rope.dimension_count", width) != width:
                raise InputError(f"{self.path} rotates a part of each head, which our model does not.")
            return ModelConfig(
                vocab=int(embedding.shape[1]),
                dim=dim,
                layers=self._number("block_count"),
                heads=heads,
                kv_heads=self._number("attention.head_count_kv", heads),
                head_dim=width,
                hidden=self._number("feed_forward_length"),
                seq_len=min(seq_len, window) if window else seq_len,
                rope_theta=self._number("rope.freq_base", 10_000.0),
                rope_scaling=self._scaling(width),
                # Stored as fp32: 9.999999747378752e-06 was 1e-5.
                norm_eps=float(
                    np.format_float_positional(np.float32(self._number("attention.layer_norm_rms_epsilon")))
                ),
                qk_norm="blk.0.attn_q_norm.weight" in self._stored,
                qkv_bias="blk.0.attn_q.bias" in self._stored,
                tied="output.weight" not in self._stored,
            )
        except (ValidationError, TypeError, ZeroDivisionError) as error:
            raise InputError(f"{self.path}: its sizes make no model: {str(error).splitlines()[0]}.") from error

    def _scaling(self, width: int) -> RopeScaling | None:
        kind, factor = self._number("rope.scaling.type", "none"), self._number("rope.scaling.factor", 1.0)
        if FREQUENCIES in self._stored:
            return self._llama3(width)
        if kind == "none":
            return None
        if kind != "linear":
            raise InputError(f"{self.path}: the rope scaling {kind!r} is unknown; known are linear and llama3's.")
        return RopeScaling(kind="linear", factor=factor)

    def _llama3(self, width: int) -> RopeScaling:
        """The factors are given, not what they were made from: unless we said it, Llama 3's usual numbers are tried."""
        factors = self._dequantised(FREQUENCIES)
        scaling = RopeScaling(kind="llama3", factor=float(factors.max()))
        if stated := self._values.get(SCALING):
            scaling = RopeScaling.model_validate_json(stated)
        theta = self._number("rope.freq_base", 10_000.0)
        plain = 1.0 / theta ** (np.arange(0, width, 2) / width)
        turns = scaling.original_seq_len * plain / (2 * np.pi)
        share = np.clip(
            (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency), 0, 1
        )  # of the frequency that is left alone
        made = 1 / (share + (1 - share) / scaling.factor)
        if factors.shape != made.shape or not np.allclose(factors, made, rtol=1e-3):
            raise InputError(f"{self.path}: {FREQUENCIES} is not the scaling of Llama 3; give the model's folder.")
        return scaling

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name and tensor in fp32, one at a time; a name without a meaning is left as it is."""
        for name in self._stored:
            if name != FREQUENCIES:
                yield self._named(name), torch.from_numpy(self._unpermuted(name, self._dequantised(name)))

    def _named(self, name: str) -> str:
        if name in OUTER:
            return OUTER[name]
        parts = name.split(".")
        if len(parts) == 4 and parts[0] == "blk" and parts[2] in INNER:
            return f"model.layers.{parts[1]}.{INNER[parts[2]]}.{parts[3]}"
        return name

    def _dequantised(self, name: str) -> NDArray[np.float32]:
        stored = self._stored[name]
        try:
            return np.array(gguf.quants.dequantize(stored.data, stored.tensor_type), np.float32)
        except (NotImplementedError, ValueError) as error:
            raise InputError(f"{self.path}: {name} is stored as {stored.tensor_type.name}: {error}.") from error

    def _unpermuted(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        part = name.split(".")[-2]
        if self.kind != "llama" or part not in ("attn_q", "attn_k"):
            return values
        heads = self.config.heads if part == "attn_q" else self.config.key_heads
        if values.shape[0] != heads * self.config.head_width:
            return values  # whoever compares shapes will say so
        halves = values.reshape(heads, self.config.head_width // 2, 2, *values.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))

    def tokenizer_files(self) -> dict[str, bytes]:
        """Name and content of the tokenizer's files; none when the file has no vocabulary."""
        kind = self._values.get("tokenizer.ggml.model")
        if kind in (None, "none", "no_vocab"):
            return {}
        pieces, types = self._pieces()
        names = {
            key: pieces[number]
            for key, given in (("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"))
            if (number := self._values.get(f"{_VOCABULARY}{given}_token_id")) is not None and number < len(pieces)
        }
        config: dict[str, Any] = {"bos_token": None, "eos_token": None, **names}
        qwen = kind == "gpt2" and self._values.get(f"{_VOCABULARY}pre") == "qwen2"
        config["tokenizer_class"] = "Qwen2Tokenizer" if qwen else "PreTrainedTokenizerFast"
        config["model_max_length"] = self.config.seq_len
        if isinstance(begins := self._values.get(f"{_VOCABULARY}add_bos_token"), bool):
            config["add_bos_token"] = begins
        if template := self._values.get("tokenizer.chat_template"):
            config["chat_template"] = template.removeprefix(NO_BOS)
        files = {"tokenizer_config.json": orjson.dumps(config, option=orjson.OPT_INDENT_2)}
        if kind == "gpt2":
            return {"tokenizer.json": self._byte_level(pieces, types), **files}
        if kind == "llama":
            return {"tokenizer.model": self._sentencepiece(pieces, types), **files}
        raise InputError(f"{self.path}: the tokenizer {kind!r} is unknown; known are gpt2 and llama.")

    def _pieces(self) -> tuple[list[str], list[int]]:
        """Pieces and their types, without rows at the end that only fill up a multiple of 64."""
        pieces = self._listed("tokens")
        types = self._listed("token_type") if f"{_VOCABULARY}token_type" in self._values else [NORMAL] * len(pieces)
        if len(types) != len(pieces):
            raise InputError(f"{self.path}: {len(pieces):,} pieces have {len(types):,} types.")
        size = len(pieces)
        while size and types[size - 1] == UNUSED and pieces[size - 1] == padding(size - 1):
            size -= 1
        return pieces[:size], types[:size]

    def _listed(self, name: str) -> list[Any]:
        found = self._values.get(_VOCABULARY + name)
        if not isinstance(found, list):
            raise InputError(f"{self.path} has no {_VOCABULARY}{name}.")
        return found

    def _byte_level(self, pieces: list[str], types: list[int]) -> bytes:
        name = self._values.get(f"{_VOCABULARY}pre", "default")
        if name not in CUTS:
            raise InputError(f"{self.path}: the cutting of texts {name!r} is unknown; known are {', '.join(CUTS)}.")
        cut = CUTS[name]
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        merges = [tuple(merge.split(" ", 1)) for merge in self._listed("merges")]
        try:
            library = tokenizers.Tokenizer(models.BPE(vocabulary, merges, ignore_merges=cut.ignore_merges))
        except Exception as error:  # the library raises plain Exception
            raise InputError(f"{self.path}: its vocabulary and merges do not fit: {error}.") from error
        if self._values.get(NFC, cut.nfc):
            library.normalizer = normalizers.NFC()
        library.pre_tokenizer = steps(cut)
        library.decoder = decoders.ByteLevel()
        typed = list(zip(pieces, types, strict=True))
        library.add_special_tokens(
            [AddedToken(piece, special=True, normalized=False) for piece, kind in typed if kind in (UNKNOWN, CONTROL)]
        )
        library.add_tokens(
            [AddedToken(piece, special=False, normalized=False) for piece, kind in typed if kind == USER_DEFINED]
        )
        return bytes(library.to_str().encode())

    def _sentencepiece(self, pieces: list[str], types: list[int]) -> bytes:
        scores = self._listed("scores")[: len(pieces)]
        if len(scores) != len(pieces):
            raise InputError(f"{self.path}: {len(pieces):,} pieces have {len(scores):,} scores.")
        model = model_pb2.ModelProto()
        for piece, score, kind in zip(pieces, scores, types, strict=True):
            # llama.cpp looks for these in the text as it is, SentencePiece in one whose spaces are U+2581.
            named = piece.replace(" ", SPACE) if kind == USER_DEFINED else piece
            model.pieces.add(piece=named, score=score, type=kind)
        trainer, normalizer = model.trainer_spec, model.normalizer_spec
        trainer.model_type, trainer.vocab_size, trainer.byte_fallback = BPE, len(pieces), True
        ends = (self._values.get(f"{_VOCABULARY}{name}_token_id", -1) for name in ("unknown", "bos", "eos"))
        unknown, trainer.bos_id, trainer.eos_id = ends
        trainer.unk_id = types.index(UNKNOWN) if unknown < 0 and UNKNOWN in types else unknown
        trainer.pad_id = -1
        # SentencePiece finds these by name, not by number.
        for field, number in (
            ("bos_piece", trainer.bos_id),
            ("eos_piece", trainer.eos_id),
            ("unk_piece", trainer.unk_id),
        ):
            if 0 <= number < len(pieces):
                setattr(trainer, field, pieces[number])
        normalizer.name, normalizer.precompiled_charsmap = "identity", b""
        normalizer.add_dummy_prefix = bool(self._values.get(f"{_VOCABULARY}add_space_prefix", True))
        normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = False, True
        return bytes(model.SerializeToString(deterministic=True))


def padding(number: int) -> str:
    """What llama.cpp's scripts call a row of the embedding that has no piece."""
    return f"[PAD{number}]"


_VOCABULARY: Final = "tokenizer.ggml."
