"""Tokenizers of every kind: the library's own ids, exact bytes back, and files that are none."""

import json
import struct
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from runkit.errors import InputError, UsageError
from tests.train.making import TEXTS, byte_level, small_model, wordpiece
from train.pieces import Tokenizer
from train.tokenizer import check_sizes, load

ODD = (
    "",
    " ",
    "  a  b ",
    "\n\n\t\r\n",
    "a\u2581b \u2581",
    "\u2581" * 3,
    "\0x\0",
    "</s><s>[UNK]",
    "𠮷野家👩‍👩‍👧",
    "\u2047\ufffd",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Tokenizer:
    return load(small_model(folder / "ours"))


@pytest.fixture(scope="module")
def llama_like(folder: Path) -> Tokenizer:
    """With a space put before each text, as LLaMA's and Mistral's are."""
    out = folder / "llama" / "tokenizer.model"
    out.parent.mkdir()
    with out.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=file,
            model_type="bpe",
            vocab_size=800,
            byte_fallback=True,
            character_coverage=0.98,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            minloglevel=2,
        )
    return load(out)


@pytest.fixture(scope="module")
def bytes_of_gpt2(folder: Path) -> Tokenizer:
    return load(byte_level(folder / "gpt2"))


@pytest.mark.parametrize("name", ["ours", "llama_like", "bytes_of_gpt2"])
@pytest.mark.parametrize("text", [*ODD, *TEXTS[:3]])
def test_every_text_comes_back(name: str, text: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    assert tokenizer.decode_bytes(tokenizer.encode(text).tolist()) == text.encode()


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(ours: Tokenizer, llama_like: Tokenizer, bytes_of_gpt2: Tokenizer, text: str) -> None:
    for tokenizer in (ours, llama_like, bytes_of_gpt2):
        ids = tokenizer.encode(text).tolist()
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert not any(map(tokenizer.is_special, ids))


def test_ids_are_the_library_s(ours: Tokenizer, bytes_of_gpt2: Tokenizer) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(ours.path))
    library = tokenizers.Tokenizer.from_file(str(bytes_of_gpt2.path))
    for text in TEXTS:
        assert ours.encode(text).tolist() == processor.encode(text)
        assert bytes_of_gpt2.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids
        assert ours.decode(processor.encode(text)) == processor.decode(processor.encode(text))


def test_a_special_token_in_a_text_is_text(ours: Tokenizer, bytes_of_gpt2: Tokenizer) -> None:
    for tokenizer, name in ((ours, "</s>"), (bytes_of_gpt2, "<|endoftext|>")):
        assert tokenizer.special.eos is not None
        assert tokenizer.special.eos not in tokenizer.encode(f"完{name}").tolist()


def test_a_text_cut_anywhere_is_joined_to_the_same_bytes(ours: Tokenizer) -> None:
    ids = ours.encode("𠮷野家的饭🍚").tolist()
    for place in range(len(ids) + 1):
        assert ours.decode_bytes(ids[:place]) + ours.decode_bytes(ids[place:]) == "𠮷野家的饭🍚".encode()


def test_special_tokens_come_from_the_config_beside(tmp_path: Path) -> None:
    path = byte_level(tmp_path)
    assert load(path).special.bos is None
    config = {"bos_token": {"content": "<|endoftext|>"}, "eos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    special = load(path).special
    assert special.bos == load(path).find("<|endoftext|>")
    assert special.eos is None


def test_wordpiece_shows_what_it_cannot_write(tmp_path: Path) -> None:
    tokenizer = load(wordpiece(tmp_path))
    assert tokenizer.kind == "wordpiece"
    pieces = [tokenizer.piece(number) for number in tokenizer.encode("你好，playing 饕餮").tolist()]
    assert pieces == ["你", "好", "，", "play", "##ing", "[UNK]", "[UNK]"]
    assert tokenizer.find("[UNK]") == tokenizer.special.unk


def test_sentencepiece_written_as_json_has_the_same_bytes(ours: Tokenizer, tmp_path: Path) -> None:
    """Hugging Face's form of a LLaMA-like model: merges made from scores; its ids and bytes must be ours."""
    pieces = [ours.piece(number) for number in range(ours.size)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [
        (piece[:place], piece[place:])
        for number, piece in enumerate(pieces)
        if not (ours.is_special(number) or ours.is_byte(number))
        for place in range(1, len(piece))
        if piece[:place] in vocabulary and piece[place:] in vocabulary
    ]
    library = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    library.pre_tokenizer = pre_tokenizers.Split("\x7f", "isolated")
    library.normalizer = tokenizers.normalizers.Replace(" ", "\u2581")
    library.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    library.save(str(tmp_path / "tokenizer.json"))
    other = load(tmp_path / "tokenizer.json")
    assert other.kind == "metaspace"
    for text in TEXTS:
        assert other.encode(text).tolist() == ours.encode(text).tolist()
        assert other.decode_bytes(other.encode(text).tolist()) == text.encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.model", b"\x89PNG\r\n\x1a\n not a model"),
        ("tokenizer.model", b""),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"\xff\xfe"),
        ("vocab.txt", b"one\ntwo\n"),
        ("vocab.txt", b"\xff"),
    ],
)
def test_a_file_that_is_no_tokenizer(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load(tmp_path)


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no tokenizer"):
        load(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        load(tmp_path / "nowhere")


def safetensors(path: Path, name: str, rows: int) -> None:
    header = json.dumps({name: {"dtype": "F32", "shape": [rows, 2], "data_offsets": [0, rows * 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(rows * 8))


@pytest.mark.parametrize(
    ("vocab_size", "rows", "wrong"),
    [
        (400, 400, None),
        (448, 448, None),  # padded
        (448, 400, "config.json says vocab_size 448, but the embedding has 400 rows"),
        (390, None, "the tokenizer has 400 pieces, more than config.json's vocab_size, 390"),
        (None, 390, "the tokenizer has 400 pieces, more than the embedding's rows, 390"),
        (None, None, None),
    ],
)
def test_sizes_that_do_not_fit(tmp_path: Path, vocab_size: int | None, rows: int | None, wrong: str | None) -> None:
    if vocab_size is not None:
        (tmp_path / "config.json").write_text(json.dumps({"vocab_size": vocab_size}))
    if rows is not None:
        safetensors(tmp_path / "model.safetensors", "model.embed_tokens.weight", rows)
    if wrong is None:
        check_sizes(tmp_path, 400)
    else:
        with pytest.raises(InputError, match=wrong):
            check_sizes(tmp_path, 400)


def test_a_model_with_a_smaller_embedding_is_refused_when_its_tokenizer_is_loaded(tmp_path: Path) -> None:
    small_model(tmp_path)
    safetensors(tmp_path / "model.safetensors", "model.embed_tokens.weight", 100)
    with pytest.raises(InputError, match="more than the embedding's rows, 100"):
        load(tmp_path)


def test_a_piece_that_is_a_line_separator_does_not_shift_the_others(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2028", "\x85", "春"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    tokenizer = load(tmp_path)
    assert tokenizer.size == len(pieces)
    assert tokenizer.find("春") == 6


def test_a_safetensors_file_without_shapes(tmp_path: Path) -> None:
    small_model(tmp_path)
    header = json.dumps({"model.embed_tokens.weight": {"dtype": "F32"}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match=r"model\.safetensors is no safetensors file"):
        load(tmp_path)
