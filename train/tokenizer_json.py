"""A SentencePiece BPE model as `tokenizer.json`, so that transformers reads it without SentencePiece.

In: a `tokenizer.model`. Out: the bytes of `tokenizer.json`, whose ids are those of `train.tokenizer.load`, or the
reason why there is none. Merges follow from scores: every split of a piece into two pieces is one, best score first.

Pieces are written with spaces, not with U+2581 as Hugging Face's own conversions have it, for with them a U+2581 in a
text becomes a space. Price: who looks at single pieces sees " the", not "▁the". What cannot be said in the file's words
is found by encoding every piece's text both ways, 2 s for 32,000.
"""

from pathlib import Path
from typing import Any, Final

import tokenizers
from sentencepiece import sentencepiece_model_pb2 as model_pb2
from tokenizers import AddedToken, decoders, models, normalizers

from train.model_file import BPE, BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, read_model
from train.pieces import SPACE
from train.tokenizer_spm import SentencePieceTokenizer

_KNOWN_TYPES: Final = (NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE)
_ODD: Final = (
    *("", " ", "  a  b ", "\n\n\t\r\n", "\0x\0", "a\u2581b \u2581", "𠮷野家👩‍👩‍👧", "\ufffd", "1,000 and 0.5%"),
    *("</s><s>[UNK]<unk>", "hahahaha aaaaaaa", "哈哈哈哈哈哈哈", "    if x:\n        return"),
)


def as_json(path: Path) -> bytes | str:
    """`tokenizer.json` for a `tokenizer.model`; a text says why there cannot be one."""
    model = read_model(path)
    if reason := unusual(model):
        return reason
    if any(entry.type not in _KNOWN_TYPES for entry in model.pieces):
        return "the model has unused pieces"
    library = _library(model)
    ours = SentencePieceTokenizer(path)
    texts = [*_ODD, *(entry.piece.replace(SPACE, " ") for entry in model.pieces)]
    library.encode_special_tokens = True  # ours never makes a special token of text either
    theirs = library.encode_batch(texts, add_special_tokens=False)
    for text, ids, encoding in zip(texts, ours.encode_batch(texts), theirs, strict=True):
        if ids.tolist() != encoding.ids:
            return f"the text {text!r} would get other ids"
    library.encode_special_tokens = False
    return bytes(library.to_str().encode())


def unusual(model: Any) -> str | None:
    """What a SentencePiece model does that neither a `tokenizer.json` nor llama.cpp can; None: nothing."""
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    if trainer.model_type != BPE:
        return "the model is not BPE"
    if normalizer.precompiled_charsmap or normalizer.remove_extra_whitespaces or not normalizer.escape_whitespaces:
        return "the model normalises its text"
    if trainer.treat_whitespace_as_suffix:
        return "the model puts spaces behind words"
    return None


def _library(model: model_pb2.ModelProto) -> Any:
    entries = [(entry.piece.replace(SPACE, " "), entry.type, entry.score) for entry in model.pieces]
    vocabulary = {piece: number for number, (piece, _, _) in enumerate(entries)}
    normal = {piece: score for piece, kind, score in entries if kind == NORMAL}
    # The sort is stable: splits of one piece stay from left to right, and pieces of one score by their ids.
    merges = [
        (piece[:place], piece[place:])
        for piece, _ in sorted(normal.items(), key=lambda item: -item[1])
        for place in range(1, len(piece))
        if piece[:place] in normal and piece[place:] in normal
    ]
    unknown = next((piece for piece, kind, _ in entries if kind == UNKNOWN), None)
    library = tokenizers.Tokenizer(
        models.BPE(
            vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=bool(model.trainer_spec.byte_fallback)
        )
    )
    steps: list[Any] = [decoders.ByteFallback(), decoders.Fuse()]
    if model.normalizer_spec.add_dummy_prefix:
        library.normalizer = normalizers.Prepend(" ")
        steps.append(decoders.Strip(" ", 1, 0))
    library.decoder = decoders.Sequence(steps)
    library.add_special_tokens(
        [AddedToken(piece, special=True, normalized=False) for piece, kind, _ in entries if kind in (CONTROL, UNKNOWN)]
    )
    library.add_tokens(
        [AddedToken(piece, special=False, normalized=True) for piece, kind, _ in entries if kind == USER_DEFINED]
    )
    return library
