"""A tokenizer in the words of a GGUF file, with the chat template and the token that ends a turn.

In: the tokenizer's files. Out: keys in a `gguf.GGUFWriter`. SentencePiece BPE and byte-level BPE, for which llama.cpp
computes our ids; what it would cut or merge otherwise is refused, never written. Rows of the embedding without a piece
are `[PAD<id>]`, unused. Price: two differences stay (docs/formats.md): llama.cpp brings no text into NFC, and
takes a U+2581 in one for a space.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from runkit.console import say
from runkit.errors import InputError, UsageError
from train.chat_template import FILE, ChatTemplate
from train.convert_gguf import NFC, NO_BOS, padding
from train.gguf_cuts import CUTS, name_of, normalises_to_nfc
from train.mcq_prompts import begin_id
from train.model_file import BYTE, CONTROL, NORMAL, UNUSED, USER_DEFINED
from train.pieces import SPACE, Tokenizer
from train.tokenizer_json import unusual

_CONFIG: Final = "tokenizer_config.json"


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    pieces: list[str]
    types: list[int]  # SentencePiece's numbers, which llama.cpp has too
    scores: list[float] | None = None


def add_tokenizer(writer: Any, tokenizer: Tokenizer, files: Mapping[str, bytes], rows: int, place: str) -> None:
    """Everything that llama.cpp needs of a tokenizer; `rows` of the embedding, `place` for messages.

    UsageError: llama.cpp would give other ids. InputError: a file cannot be read.
    """
    config = _config(files, place)
    if "tokenizer.model" in files:
        found = _sentencepiece(writer, files["tokenizer.model"], place)
        begins = begin_id(tokenizer, None) is not None
    elif "tokenizer.json" in files and tokenizer.kind == "byte-level":
        layout = orjson.loads(files["tokenizer.json"])
        found = _byte_level(writer, tokenizer, layout, place)
        begins = _puts(layout, tokenizer)
    else:
        raise UsageError(
            f"The tokenizer of {place} is of the kind {tokenizer.kind}, which llama.cpp does not have; "
            "it needs a tokenizer.model or a byte-level tokenizer.json."
        )
    pieces = found.pieces + [padding(number) for number in range(len(found.pieces), rows)]
    writer.add_token_list(pieces)
    writer.add_token_types(found.types + [UNUSED] * (rows - len(found.types)))
    if found.scores is not None:
        writer.add_token_scores(found.scores + [0.0] * (rows - len(found.scores)))
    special = tokenizer.special
    stated = config.get("add_bos_token")
    for add, number in (
        (writer.add_bos_token_id, special.bos),
        (writer.add_eos_token_id, special.eos),
        (writer.add_unk_token_id, special.unk),
        (writer.add_pad_token_id, _named(tokenizer, config.get("pad_token"))),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(special.bos is not None and (stated if isinstance(stated, bool) else begins))
    writer.add_add_eos_token(False)
    if special.eos is None:
        say(f"{place} has no token that ends a text; llama.cpp takes one by its own rules, and may stop at it.")
    _add_template(writer, tokenizer, files, config, place)


def _sentencepiece(writer: Any, data: bytes, place: str) -> _Vocabulary:
    try:
        model = model_pb2.ModelProto.FromString(data)
    except DecodeError as error:
        raise InputError(f"{place}/tokenizer.model is no SentencePiece model.") from error
    types = [int(entry.type) for entry in model.pieces]
    reason = unusual(model)
    if reason is None and not (model.trainer_spec.byte_fallback and types.count(BYTE) == 256):
        reason = "the model has no pieces for bytes"
    if reason is not None:
        raise UsageError(f"llama.cpp cannot compute the ids of {place}/tokenizer.model: {reason}.")
    prefix = bool(model.normalizer_spec.add_dummy_prefix)
    if prefix and USER_DEFINED in types:
        say(f"{place}: llama.cpp puts a space behind each user-defined piece of tokenizer.model, so ids differ there.")
    if made := _made_of_text(model):
        names = ", ".join(made[:3]) + (f" and {len(made) - 3:,} more" if len(made) > 3 else "")
        say(f"{place}: where a text says {names}, llama.cpp takes it for the piece of that name; we do not.")
    # llama.cpp looks for user-defined pieces in the text as it is.
    pieces = [
        entry.piece.replace(SPACE, " ") if entry.type == USER_DEFINED else str(entry.piece) for entry in model.pieces
    ]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_add_space_prefix(prefix)
    return _Vocabulary(pieces, types, [float(entry.score) for entry in model.pieces])


def _made_of_text(model: Any) -> list[str]:
    """Pieces that stand for no text, but which llama.cpp, merging whatever makes a piece, makes of it."""
    normal = {entry.piece for entry in model.pieces if entry.type == NORMAL}

    def is_made(piece: str) -> bool:
        halves = [(piece[:place], piece[place:]) for place in range(1, len(piece))]
        return any(all(len(half) == 1 or half in normal for half in pair) for pair in halves)

    return [entry.piece for entry in model.pieces if entry.type in (CONTROL, UNUSED, BYTE) and is_made(entry.piece)]


def _byte_level(writer: Any, tokenizer: Tokenizer, layout: Mapping[str, Any], place: str) -> _Vocabulary:
    name, nfc = name_of(layout), normalises_to_nfc(layout)
    reason = _other_merging(layout)
    if name is None:
        known = ", ".join(name for name in CUTS if name not in ("default", "llama3"))
        reason = f"it cuts texts as none of the kinds that llama.cpp has ({known})"
    elif nfc is None:
        reason = "it changes texts before it cuts them"
    if reason is not None:
        raise UsageError(f"llama.cpp cannot compute the ids of {place}/tokenizer.json: {reason}.")
    if nfc:
        say(f"{place}/tokenizer.json brings texts into NFC; llama.cpp does not, so give it texts in NFC.")
    pieces = [tokenizer.piece(number) or padding(number) for number in range(tokenizer.size)]
    types = [_type(tokenizer, number) for number in range(tokenizer.size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_bool(NFC, nfc)
    merges = layout["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    return _Vocabulary(pieces, types)


def _other_merging(layout: Mapping[str, Any]) -> str | None:
    model = layout["model"]
    if any(model.get(name) for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")):
        return "it merges otherwise than byte-level BPE"
    if not model.get("merges"):
        return "it has no merges"
    for token in layout.get("added_tokens") or []:
        if not token["special"] and (token["lstrip"] or token["rstrip"] or token["single_word"]):
            return f"its token {token['content']!r} depends on what stands beside it"
    return None


def _type(tokenizer: Tokenizer, number: int) -> int:
    if tokenizer.is_special(number):
        return CONTROL
    if tokenizer.is_added(number):
        return USER_DEFINED
    return NORMAL if tokenizer.piece(number) else UNUSED


def _puts(layout: Mapping[str, Any], tokenizer: Tokenizer) -> bool:
    """Does a `tokenizer.json` put the token that begins a text before it? transformers goes by the same."""
    step = layout.get("post_processor") or {}
    for part in [step, *step.get("processors", [])]:
        firsts = part.get("single") if part.get("type") == "TemplateProcessing" else None
        name = firsts[0].get("SpecialToken", {}).get("id") if firsts else None
        if name is not None and tokenizer.find(str(name)) == tokenizer.special.bos:
            return True
    return False


def _add_template(
    writer: Any, tokenizer: Tokenizer, files: Mapping[str, bytes], config: Mapping[str, Any], place: str
) -> None:
    found = config.get("chat_template")
    if FILE in files:
        try:
            found = files[FILE].decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{place}/{FILE} is not UTF-8; mend or remove it.") from error
    if isinstance(found, list):  # several by name
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    if not isinstance(found, str) or not found:
        return
    without = tokenizer.special.bos is None and "bos_token" in found
    writer.add_chat_template(NO_BOS + found if without else found)
    try:
        ends = ChatTemplate(found, tokenizer, f"The chat template of {place}").end_ids
    except UsageError as error:
        say(f"No token that ends a turn is written: {error}")
        return
    writer.add_eot_token_id(next((number for number in ends if number != tokenizer.special.eos), min(ends)))


def _config(files: Mapping[str, bytes], place: str) -> Mapping[str, Any]:
    if _CONFIG not in files:
        return {}
    try:
        found = orjson.loads(files[_CONFIG])
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}/{_CONFIG} is no JSON: {error}; correct or remove it.") from error
    return found if isinstance(found, dict) else {}


def _named(tokenizer: Tokenizer, token: Any) -> int | None:
    """The id of a special token, which stands as a text or as an object."""
    name = token.get("content") if isinstance(token, dict) else token
    return tokenizer.find(name) if isinstance(name, str) else None
