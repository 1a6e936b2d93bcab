"""The tokenizer viewer against the libraries underneath, counts by hand, and a terminal that obeys nothing."""

import io
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import orjson
import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html
from tokenizers import decoders, models, pre_tokenizers, trainers

from runkit.errors import InputError, UsageError
from train.tokenizer import load
from train.tokenizer_hf import HuggingFaceTokenizer
from train.view import MOST_BYTES, MOST_ROWS, ViewCall, view
from train.view_text import boxes_of, cut, look, search, signs, tokens_of

LINES = ["中国人民站起来了 hello world", "天下大事，分久必合。hello 中国", "人民的中国 world of words"] * 20
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "中", "国", "hello", "wor", "##ld", "##国"]
RARE = "\U00020bb7"  # a Han character of four bytes that no line above holds
HOSTILE = (
    "[red]x[/red] \x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b2J a\rb <script>alert(1)</script> \u202eabc\u2066 \x00\x7f"
)


def sentencepiece_file(path: Path, **options: Any) -> Path:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        model_type="bpe",
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tokenizer of each kind: `spm` with bytes, `plain` without, `bytes` byte-level, `bert` WordPiece."""
    folder = tmp_path_factory.mktemp("tokenizers")
    spm = sentencepiece_file(folder / "spm.model", vocab_size=340, byte_fallback=True, user_defined_symbols=["<|im|>"])
    plain = sentencepiece_file(folder / "plain.model", vocab_size=90, byte_fallback=False)
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, special_tokens=["<|end|>"])
    library.train_from_iterator(LINES, trainer)
    library.add_tokens(["<|tool|>"])
    library.save(str(folder / "bytes.json"))
    (folder / "vocab.txt").write_text("\n".join(BERT) + "\n", "utf-8")
    return {"spm": spm, "plain": plain, "bytes": folder / "bytes.json", "bert": folder / "vocab.txt"}


def shown(capsys: pytest.CaptureFixture[str], **call: Any) -> str:
    view(ViewCall(**call))
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], **call: Any) -> Any:
    out = shown(capsys, as_json=True, **call)
    assert out.count("\n") == 1
    return orjson.loads(out)


# What is shown is what the library says.


def test_pieces_are_those_of_the_libraries(made: dict[str, Path]) -> None:
    text = "中国人民 hello, <|im|> <|tool|> 龘 <|end|></s>"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["spm"]))
    tokens = look(load(made["spm"]), text).tokens
    assert [token.piece for token in tokens] == processor.encode(text, out_type=str)
    assert [token.id for token in tokens] == processor.encode(text)
    assert {token.piece for token in tokens if token.kind == "added"} == {"<|im|>"}
    library = tokenizers.Tokenizer.from_file(str(made["bytes"]))
    library.encode_special_tokens = True
    tokens = look(load(made["bytes"]), text).tokens
    assert [token.piece for token in tokens] == library.encode(text).tokens
    assert {token.piece for token in tokens if token.kind == "added"} == {"<|tool|>"}


@pytest.mark.parametrize("character", ["😀", RARE, "龘", "é"])
def test_bytes_are_joined_to_the_character_that_they_make(made: dict[str, Path], character: str) -> None:
    box = look(load(made["spm"]), f"中国{character}人民").boxes
    (joined,) = [one for one in box if one.kind == "byte"]
    assert [token.piece for token in joined.tokens] == [f"<0x{byte:02X}>" for byte in character.encode()]
    assert joined.text == joined.shown() == character
    joined_text = "".join(one.text or "" for one in look(load(made["bytes"]), f"中国{character}人民").boxes)
    assert joined_text == f"中国{character}人民"


def test_a_character_cut_in_the_middle_is_shown_as_bytes(made: dict[str, Path]) -> None:
    tokenizer = load(made["spm"])
    ids = [int(number) for number in tokenizer.encode("中😀")]
    assert boxes_of(tokens_of(tokenizer, ids[:-1]))[-1].shown() == "⟨F0 9F 98⟩"
    tail = boxes_of(tokens_of(tokenizer, ids[-2:] + ids))
    assert [box.shown() for box in tail] == [
        "⟨98⟩",
        "⟨80⟩",
        *(box.shown() for box in boxes_of(tokens_of(tokenizer, ids))),
    ]
    broken = boxes_of(tokens_of(tokenizer, ids[-4:-2] + ids[-4:]))
    assert [box.shown() for box in broken] == ["⟨F0 9F⟩", "😀"]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(["spm", "bytes"]))
def test_boxes_hold_the_whole_text(made: dict[str, Path], text: str, kind: str) -> None:
    tokenizer = load(made[kind])
    seen = look(tokenizer, text)
    assert [token for box in seen.boxes for token in box.tokens] == seen.tokens
    whole = "".join(box.text if box.text is not None else "\0lost" for box in seen.boxes)
    assert whole == (" " + text if kind == "spm" and text else text)
    for box in seen.boxes:  # nothing is joined that could stand alone
        if len(box.tokens) > 1:
            starts = [b"".join(token.data for token in box.tokens[:end]) for end in range(1, len(box.tokens))]
            for start in starts:
                with pytest.raises(UnicodeDecodeError):
                    start.decode()


# What is lost.


def test_unknown_words_of_bert_show_what_was_lost(made: dict[str, Path]) -> None:
    text = "Hello 中龘国  Zebra\nworld"
    tokenizer = load(made["bert"])
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    truth = tokenizer.backend.encode(text, add_special_tokens=False)
    tokens, boxes = cut(tokenizer, text)
    assert [token.piece for token in tokens] == truth.tokens
    spans = [text[start:end] for start, end in truth.offsets]
    lost = [span for piece, span in zip(truth.tokens, spans, strict=True) if piece == "[UNK]"]
    assert [token.lost for token in tokens if token.kind == "unknown"] == lost == ["龘", "Zebra"]
    assert [box.shown() for box in boxes] == [
        *("hello", "(␣)", "中", "[UNK](龘)", "国", "(␣␣)", "[UNK](Zebra)", "(⏎)", "wor", "ld"),
    ]


def test_unknown_characters_of_sentencepiece_show_what_was_lost(made: dict[str, Path]) -> None:
    text = "中国龘😀 hello\u2581é"
    tokens, _ = cut(load(made["plain"]), text)
    assert [token.lost for token in tokens if token.kind == "unknown"] == ["龘😀", "\u2581é"]


def test_figures_by_hand(made: dict[str, Path]) -> None:
    text = "hello 中国龘 world"  # hello 中 国 [UNK] wor ##ld
    of = look(load(made["bert"]), text).figures
    assert (of.tokens, of.characters, of.size_bytes, of.words) == (6, 15, 21, 5)
    assert (of.unknown, of.byte_tokens, of.han, of.han_whole) == (1, 0, 3, 2)
    assert (of.characters_per_token, of.bytes_per_token, of.fertility) == (15 / 6, 21 / 6, 6 / 5)
    assert of.embedding_parameters == 10 * 2048
    assert of.difference is not None
    assert (of.difference.after, of.difference.original, of.difference.decoded) == (5, " 中国龘 world", "中国world")
    of = look(load(made["spm"]), "中国龘😀").figures
    assert (of.byte_tokens, of.han, of.han_whole, of.difference) == (7, 3, 2, None)
    assert look(load(made["bert"]), " \n").figures.characters_per_token is None


# Search.


def test_search_puts_exact_first_then_shorter_then_id(made: dict[str, Path]) -> None:
    for kind in ("spm", "bytes"):
        tokenizer = load(made[kind])
        found = search(tokenizer, "中国", 100)
        texts = [token.text or "" for token in found.tokens]
        truth = [n for n in range(tokenizer.size) if "中国" in tokenizer.piece_bytes[n].decode("utf-8", "ignore")]
        assert sorted(token.id for token in found.tokens) == truth
        assert found.total == len(truth) > 0
        lengths = [len(text) for text in texts]
        assert "中国" in texts and texts[0] == "中国" and lengths == sorted(lengths)
        assert search(tokenizer, "中国", 1).tokens == found.tokens[:1]
    found = search(load(made["bert"]), "国", 10)
    assert [token.piece for token in found.tokens] == ["国", "##国"] and found.exact == [5, 9]


def test_search_by_id_and_for_what_is_not_there(made: dict[str, Path]) -> None:
    tokenizer = load(made["bert"])
    assert [token.piece for token in search(tokenizer, "#8", 10).tokens] == ["##ld"]
    assert search(tokenizer, "#10", 10).total == 0
    assert [token.piece for token in search(tokenizer, "[SEP]", 10).tokens] == ["[SEP]"]
    found = search(tokenizer, "中国", 10)
    assert found.exact == [] and found.boxes is not None
    assert [box.shown() for box in found.boxes] == ["中", "国"]


def test_a_word_is_found_with_the_space_that_encoding_adds(made: dict[str, Path]) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["spm"]))
    (number,) = processor.encode("hello")
    assert number in search(load(made["spm"]), "hello", 10).exact


# The terminal.


def test_without_colours_bars_stand_between_pieces(made: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, tokenizers=[made["bert"], made["bytes"]], text="中龘国\nhello world", search="国")
    lines = out.split("\n")
    assert lines[:4] == [str(made["bert"]), "中|[UNK](龘)|国|(⏎)", "hello|(␣)|wor|ld", str(made["bytes"])]
    assert re.search(r"^8 +##ld +ld +6C 64$", out, re.MULTILINE)
    assert re.search(r"^…?.*vocab\.txt +wordpiece +10 +6 +15 +2\.50 .* no +20,480$", out, re.MULTILINE)
    assert "⟦龘⟧" in lines[4] and "“国” is one piece: #5, #9." in out
    assert "from character 2 on, “龘国⏎hello␣wor” becomes “国helloworld”" in out


def test_colours_on_a_terminal_only(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"tokenizers": [made["bert"]], "text": "hello中国"}
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = shown(capsys, **call)
    assert re.search(r"\x1b\[[\d;]+mhello\x1b\[0m\x1b\[[\d;]+m中\x1b\[0m", coloured)
    styles = re.findall(r"\x1b\[([\d;]+)m(?:hello|中|国)\x1b", coloured)
    assert styles[0] == styles[2] != styles[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "hello|中|国" in shown(capsys, **call)


@pytest.mark.parametrize("force", ["", "1"])
def test_the_terminal_obeys_nothing(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, force: str
) -> None:
    if force:
        monkeypatch.setenv("FORCE_COLOR", force)
    paths = [made[kind] for kind in ("spm", "plain", "bytes", "bert")]
    out = shown(capsys, tokenizers=paths, text=HOSTILE, search=HOSTILE)
    left = re.sub(r"\x1b\[[\d;]*m", "", out) if force else out
    assert not {c for c in left if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert "␛" in left and "⟨U+202E⟩" in left
    assert "[red]x[/red]" in re.sub(r"[|⟦⟧]", "", left)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_signs_hide_nothing_and_keep_what_is_seen(text: str) -> None:
    made_visible = signs(text)
    assert (
        not {c for c in made_visible if unicodedata.category(c) in ("Cc", "Cf", "Co", "Zl", "Zp")}
        and " " not in made_visible
    )
    assert bool(made_visible) == bool(text)


def test_of_a_long_text_the_table_shows_the_beginning(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "long.txt"
    file.write_text("中国\n" * 300, "utf-8")
    out = shown(capsys, tokenizers=[made["bert"]], file=file)
    assert out.count("中|国|(⏎)\n") == 300
    assert len(re.findall(r"^[45]   ", out, re.MULTILINE)) == MOST_ROWS
    assert f"and {600 - MOST_ROWS} more" in out


# Files, JSON, the page.


def test_of_a_large_file_whole_characters_are_shown(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One word for BERT, so one token; the limit falls behind the first byte of a character.
    data = "ก".encode() * (MOST_BYTES // 3 + 2)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    found = as_json(capsys, tokenizers=[made["bert"]], file=Path("-"))
    assert found["text"] == {"bytes": MOST_BYTES - 1, "characters": MOST_BYTES // 3, "cut": True}
    (tmp_path / "bom.txt").write_bytes("\ufeff中国".encode())
    found = as_json(capsys, tokenizers=[made["bert"]], file=tmp_path / "bom.txt")
    assert found["text"] == {"bytes": 6, "characters": 2, "cut": False}


def test_json_holds_tokens_figures_and_hits(made: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, tokenizers=[made["bert"], made["spm"]], text="中龘", search="国", limit=1)
    bert, spm = found["tokenizers"]
    assert bert["tokens"] == [
        {"id": 4, "piece": "中", "text": "中", "bytes": "e4b8ad", "kind": "normal"},
        {"id": 1, "piece": "[UNK]", "text": None, "bytes": "", "kind": "unknown", "lost": "龘"},
    ]
    assert bert["figures"]["unknown_share"] == 0.5 and bert["figures"]["round_trip"] is False
    assert bert["figures"]["difference"] == {"after": 1, "original": "龘", "decoded": ""}
    assert bert["search"]["total"] == 2 and [piece["id"] for piece in bert["search"]["pieces"]] == [5]
    assert [(t["kind"], t["text"], t["bytes"]) for t in spm["tokens"][-3:]] == [
        ("byte", None, "e9"),
        ("byte", None, "be"),
        ("byte", None, "98"),
    ]
    assert spm["figures"]["round_trip"] is True and spm["figures"]["difference"] is None


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_holds_every_id_and_runs_nothing(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, lang: str
) -> None:
    paths = list(made.values())
    text = f"中国{RARE}😀\n\n{HOSTILE}"
    page = tmp_path / "deep" / "view.html"
    shown(capsys, tokenizers=paths, text=text, search="<b>国", page=page, lang=lang)
    raw = page.read_text("utf-8")
    tree = html.document_fromstring(raw)
    assert not tree.xpath("//script | //link | //img | //iframe | //form | //*[@src] | //base")
    assert not {c for c in raw if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert tree.get("lang") == ("zh-CN" if lang == "zh" else "en")
    for index, path in enumerate(paths):
        boxes = tree.xpath(f"//section[@id='tokenizer-{index + 1}']//span[@title]/span/text()")
        assert [int(number) for ids in boxes for number in ids.split()] == load(path).encode(text).tolist()
    joined = tree.xpath("//section[@id='tokenizer-1']//span[contains(@class, 'bytes')]/b/text()")
    assert joined[:2] == [RARE, "😀"]
    assert len(tree.xpath("//section[@id='figures']//tbody/tr")) == 4
    assert "<b>国" in tree.xpath("//section[@id='search']")[0].text_content()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ({}, UsageError, "give a text, --file FILE"),
        ({"text": ""}, UsageError, "text is empty"),
        ({"search": ""}, UsageError, "text of --search is empty"),
        ({"text": "a", "file": Path("b")}, UsageError, "give one of them"),
        ({"text": "a\udcff"}, InputError, "not UTF-8"),
        ({"file": Path("gone.txt")}, UsageError, "gone.txt"),
        ({"file": Path()}, UsageError, "no file"),
    ],
)
def test_wrong_calls_are_answered_with_what_to_give(
    made: dict[str, Path], call: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        view(ViewCall(tokenizers=[made["bert"]], **call))


def test_wrong_files_are_named(made: dict[str, Path], tmp_path: Path) -> None:
    gbk = tmp_path / "gbk.txt"
    gbk.write_bytes("中国".encode("gbk"))
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        view(ViewCall(tokenizers=[made["bert"]], file=gbk))
    with pytest.raises(InputError, match=r"gbk\.txt is no vocab\.txt"):
        view(ViewCall(tokenizers=[gbk], text="a"))
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    with pytest.raises(UsageError, match="is empty"):
        view(ViewCall(tokenizers=[made["bert"]], file=empty))
