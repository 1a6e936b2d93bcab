"""SentencePiece's `tokenizer.model`, read, put together and written.

In: pieces with their types and scores. Out: the file's bytes. The format is the library's own protobuf message; what a
file holds beside its pieces is kept as it is when pieces are added.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from runkit.errors import InputError

NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
UNUSED: Final = 5
BYTE: Final = 6
BPE: Final = 2  # TrainerSpec.ModelType


def read_model(path: Path) -> Any:
    """The file as a `ModelProto`; InputError when it is none."""
    model = model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path} is no SentencePiece model.") from error
    return model


def new_model(special: Sequence[str], merges: Sequence[str], characters: Sequence[str]) -> bytes:
    """A LLaMA-like BPE model: <unk>, <s>, </s>, `special`, 256 bytes, merges in their order, characters.

    No space is put in front of a text, digits stand alone, nothing is normalised. A score is minus the rank: when a
    text is encoded, the merge of the best score is made first.
    """
    model = model_pb2.ModelProto()

    def add(piece: str, score: float, kind: int) -> None:
        model.pieces.add(piece=piece, score=score, type=kind)

    add("<unk>", 0.0, UNKNOWN)
    for name in ("<s>", "</s>", *special):
        add(name, 0.0, CONTROL)
    for byte in range(256):
        add(f"<0x{byte:02X}>", 0.0, BYTE)
    for rank, piece in enumerate([*merges, *characters]):
        add(piece, -float(rank), NORMAL)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.vocab_size, trainer.byte_fallback = BPE, len(model.pieces), True
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 0, 1, 2, -1
    trainer.split_digits, trainer.allow_whitespace_only_pieces = True, True
    trainer.split_by_unicode_script, trainer.character_coverage = False, 1.0
    trainer.control_symbols.extend(special)
    normalizer.name, normalizer.precompiled_charsmap = "identity", b""
    normalizer.add_dummy_prefix, normalizer.remove_extra_whitespaces = False, False
    normalizer.escape_whitespaces = True
    return bytes(model.SerializeToString(deterministic=True))
