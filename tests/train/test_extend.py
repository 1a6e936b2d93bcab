"""Extending a tokenizer: the base's ids and other languages stay, every new piece is emitted, the text comes back."""

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as model_pb2
from tokenizers import decoders, models, pre_tokenizers, trainers

from runkit.errors import InputError, UsageError
from runkit.language import HAN_CLASS, is_han
from tests.faults.texts import text
from tests.train.making import ENGLISH, wordpiece
from train.config import ExtendConfig
from train.extend import ExtendCall, extend
from train.extend_bpe import begins_only_han, completions
from train.reading import Reading
from train.tokenizer import load

OTHERS = [
    ENGLISH,
    "def main(argv: list[str]) -> int:\n\treturn len(argv)  # 42\n",
    "Москва не сразу строилась. Ελληνικά, العربية, עברית",
    "ひらがなとカタカナ、「ー」。ﾊﾝｶｸ",
    "ไทย ภาษา 한국어 हिन्दी ამ ௌ",
    "🙂👩‍👩‍👧🇨🇳 ™ “quoted” — … ，。《》？",
]
LISTED = ["量子计算", "GPT模型", "New word"]
CHINESE = [text(random.Random(seed), 15) for seed in range(60)]
FREQUENT = "的一是在有人我他这中大来上国个到说们为子"
SOME = 250

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extend")
    spaced = "\n用 Java 虚拟机 运行"  # words with a space before them are pieces too
    rows = [{"id": f"zh{number}", "text": text + spaced, "source": "zh"} for number, text in enumerate(CHINESE)]
    rows += [{"id": f"en{number}", "text": f"{number} {ENGLISH * 3}", "source": "en"} for number in range(40)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (out / "documents.jsonl").write_text("\n".join([*lines, '{"text": 3}']) + "\n", encoding="utf-8")
    return out


def sentencepiece_base(out: Path, **options: Any) -> Path:
    """LLaMA-like: little Chinese, byte fallback, a space before each text."""
    out.mkdir(parents=True)
    settings: dict[str, Any] = {"model_type": "bpe", "vocab_size": 500, "byte_fallback": True} | options
    texts = [*OTHERS * 3, f"{FREQUENT}，。一个一个一个"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(out / "tokenizer"),
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    (out / "tokenizer_config.json").write_text('{"bos_token": "<s>",  "odd": "é"}', encoding="utf-8")
    return out


# How SmolLM2, Qwen and Llama 3 cut a text.
SPLITS = {
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "llama": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                tokenizers.Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"),
                "isolated",
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
}


def byte_level_base(out: Path, split: str, *, as_text: bool) -> Path:
    """Merges as strings or as pairs; the last special token is numbered behind the vocabulary, as Llama 3's are."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = SPLITS[split]
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|begin|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator([*OTHERS * 3, *([FREQUENT + "，一个"] * 9)], trainer)
    library.add_special_tokens(["<|end|>"])
    layout = json.loads(library.to_str())
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in layout["model"]["merges"]]
    layout["model"]["merges"] = [" ".join(merge) for merge in merges] if as_text else merges
    assert "<|end|>" not in layout["model"]["vocab"]
    out.mkdir(parents=True)
    (out / "tokenizer.json").write_text(json.dumps(layout, ensure_ascii=False), encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def call(folder: Path) -> ExtendCall:
    return ExtendCall(
        base=folder,
        documents=[str(folder / "documents.jsonl")],
        add_list=None,
        out=folder,
        config=ExtendConfig.load(None, [f"add={SOME}", "held_out=0.1"]),
        reading=Reading(1, quiet=True),
        dry_run=False,
        as_json=False,
        lang="en",
        started=time.monotonic(),
    )


@pytest.fixture(scope="module", params=["sentencepiece", "smollm", "llama"])
def made(request: pytest.FixtureRequest, folder: Path, call: ExtendCall) -> tuple[Path, Path]:
    """A base and its extension with a list of words."""
    kind = str(request.param)
    base = folder / f"base-{kind}"
    if kind == "sentencepiece":
        sentencepiece_base(base)
    else:
        byte_level_base(base, kind, as_text=kind == "llama")
    words = folder / f"{kind}.txt"
    words.write_text("# words\n\n" + "\r\n".join([*LISTED, "一", LISTED[0]]) + "\n", encoding="utf-8")
    out = folder / f"out-{kind}"
    extend(replace(call, base=base, out=out, add_list=words))
    return base, out


def added(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "added.jsonl").read_text("utf-8").splitlines()]


def test_ids_of_the_base_stay_and_new_ones_follow(made: tuple[Path, Path]) -> None:
    base, out = map(load, made)
    assert out.size == base.size + SOME
    assert [out.piece(number) for number in range(base.size)] == [base.piece(number) for number in range(base.size)]
    assert [out.is_special(number) for number in range(base.size)] == [
        base.is_special(number) for number in range(base.size)
    ]
    rows = added(made[1])
    assert [row["id"] for row in rows] == list(range(base.size, out.size))
    assert [row["piece"] for row in rows] == [out.piece(row["id"]) for row in rows]


def test_other_languages_are_encoded_as_before(made: tuple[Path, Path]) -> None:
    base, out = map(load, made)
    texts = [*OTHERS, *(chr(code) * 2 for code in range(0x20, 0x3100) if chr(code).isprintable() and code != 0x3007)]
    for one, was, now in zip(texts, base.encode_batch(texts), out.encode_batch(texts), strict=True):
        assert now.tolist() == was.tolist(), one


def test_every_piece_is_emitted_for_its_own_text(made: tuple[Path, Path]) -> None:
    out = load(made[1])
    for row in added(made[1]):
        # Alone and behind a letter: this base puts a space before a text, which may be part of another piece.
        texts = [row["text"], f"a{row['text']}"] if row["text"] else completions(out.piece_bytes[row["id"]])
        assert any(row["id"] in out.encode(one).tolist() for one in texts), row


def test_only_han_is_added(made: tuple[Path, Path]) -> None:
    """Han characters with a full-width sign or space before them at most, or the first bytes of Han characters."""
    out = load(made[1])
    rows = [row for row in added(made[1]) if row["kind"] != "list"]
    assert rows
    for row in rows:
        if row["text"] is None:
            assert all(is_han(ord(character)) for character in completions(out.piece_bytes[row["id"]]))
        else:
            assert re.fullmatch(f"[\u3001-\u303f\uff01-\uff65 ]?[{HAN_CLASS}]+", row["text"]), row


def test_a_space_before_a_word_is_part_of_it(made: tuple[Path, Path]) -> None:
    assert " 虚拟机" in {row["text"] for row in added(made[1])}


def test_texts_come_back_and_are_shorter(made: tuple[Path, Path]) -> None:
    base, out = map(load, made)
    for one in [*CHINESE[:20], *OTHERS, "𠮷野家龘", "，。我们》《他们”"]:
        assert out.decode_bytes(out.encode(one)) == one.encode()
    summary = json.loads((made[1] / "summary.json").read_text())
    before, after = (summary[name]["by_source"] for name in ("before", "after"))
    assert after["zh"]["tokens"] < 0.75 * before["zh"]["tokens"]
    assert after["en"]["tokens"] == before["en"]["tokens"] > 0
    zh = "".join(CHINESE)
    assert len(out.encode(zh)) < 0.75 * len(base.encode(zh))


def test_listed_words_are_one_token_anywhere(made: tuple[Path, Path]) -> None:
    out = load(made[1])
    rows = {row["text"]: row["id"] for row in added(made[1]) if row["kind"] == "list"}
    assert list(rows) == LISTED
    for word, number in rows.items():
        for around in ("{}", "我{}的", "x{}y", "，{}。"):
            assert out.encode(around.format(word)).tolist().count(number) == 1
            assert out.decode_bytes(out.encode(around.format(word))) == around.format(word).encode()
    assert json.loads((made[1] / "summary.json").read_text())["list"] == {
        "words": 4,
        "duplicates": 1,
        "one_token_already": 1,
    }


def test_base_ids_are_what_the_base_wrote(made: tuple[Path, Path]) -> None:
    base, out = map(load, made)
    for row in added(made[1]):
        joined = b"".join(base.piece_bytes[number] for number in row["base_ids"])
        assert joined == out.piece_bytes[row["id"]] and len(row["base_ids"]) > 1
        if row["text"]:
            assert base.encode("\n" + row["text"]).tolist()[-len(row["base_ids"]) :] == row["base_ids"]


def test_other_fields_and_files_stay(made: tuple[Path, Path]) -> None:
    base, out = made
    if (base / "tokenizer.json").exists():
        old, new = (json.loads((path / "tokenizer.json").read_text("utf-8")) for path in made)
        for layout in (old, new):
            merges, vocab = layout["model"].pop("merges"), layout["model"].pop("vocab")
            layout["kinds"] = {type(merge).__name__ for merge in merges}
            layout["first"] = merges[:100]
            layout["added_tokens"] = layout["added_tokens"][:2]
            assert len(set(vocab.values())) == len(vocab)
        assert new == old
        return
    assert (out / "tokenizer_config.json").read_bytes() == (base / "tokenizer_config.json").read_bytes()
    models_ = []
    for path in made:
        model = model_pb2.ModelProto()
        model.ParseFromString((path / "tokenizer.model").read_bytes())
        models_.append(model)
    old_model, new_model = models_
    scores = [piece.score for piece in new_model.pieces[len(old_model.pieces) + len(LISTED) :]]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[0] < min(piece.score for piece in old_model.pieces if piece.type == piece.NORMAL)
    del new_model.pieces[len(old_model.pieces) :]
    assert new_model == old_model


def test_what_cannot_be_read_is_kept_apart_and_the_report_shows_pieces(made: tuple[Path, Path]) -> None:
    out = made[1]
    faults = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [fault["line"] for fault in faults] == [101]
    longest = max((row["text"] for row in added(out) if row["kind"] == "merge"), key=len)
    assert longest in (out / "report.html").read_text("utf-8")


def test_any_number_of_workers_gives_the_same_bytes(made: tuple[Path, Path], call: ExtendCall, folder: Path) -> None:
    base, out = made
    again = folder / f"again-{out.name}"
    words = folder / f"{out.name.removeprefix('out-')}.txt"
    extend(replace(call, base=base, out=again, add_list=words, reading=Reading(3, quiet=True), lang="zh"))
    for name in (load(out).path.name, "added.jsonl", "summary.json", "manifest.json"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_bases_that_cannot_be_extended(folder: Path, call: ExtendCall) -> None:
    unigram = sentencepiece_base(folder / "unigram", model_type="unigram", vocab_size=410)
    no_bytes = sentencepiece_base(folder / "no-bytes", byte_fallback=False)
    for base, why in ((unigram, "no BPE"), (no_bytes, "no byte fallback"), (wordpiece(folder / "bert"), "no BPE")):
        with pytest.raises(InputError, match=why):
            extend(replace(call, base=base, out=folder / "refused"))


def test_tokens_numbered_beside_the_model_are_not_run_over(folder: Path, call: ExtendCall) -> None:
    base = sentencepiece_base(folder / "beside")
    (base / "added_tokens.json").write_text(json.dumps({"<pad>": load(base).size}))
    with pytest.raises(InputError, match="'<pad>' an id behind"):
        extend(replace(call, base=base, out=folder / "refused"))


def test_more_pieces_than_the_text_gives(folder: Path, call: ExtendCall) -> None:
    base = sentencepiece_base(folder / "small")
    with pytest.raises(InputError, match=r"gives [\d,]+ pieces at most") as caught:
        extend(replace(call, base=base, out=folder / "many", config=ExtendConfig(add=900_000)))
    most = int(re.findall(r"gives ([\d,]+)", str(caught.value))[0].replace(",", ""))
    extend(replace(call, base=base, out=folder / "most", config=ExtendConfig(add=most)))
    assert len(added(folder / "most")) == most


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("好\na\x07b\n".encode(), "line 2: a word with a control character"),
        ("a\u2581b".encode(), r"line 1: a word with U\+2581"),
        (b"\n\n" + b"x" * 65, "line 3: a word of 65 characters"),
        ("好\n".encode() + b"\xb5\xc4", "line 2: not UTF-8"),
    ],
)
def test_bad_lists(content: bytes, why: str, folder: Path, call: ExtendCall, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_bytes(content)
    base = folder / "list-base"
    if not base.exists():
        sentencepiece_base(base)
    with pytest.raises(InputError, match=why):
        extend(replace(call, base=base, out=tmp_path / "out", add_list=words))


def test_a_list_longer_than_what_may_be_added(folder: Path, call: ExtendCall, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\n".join(LISTED), encoding="utf-8")
    base = sentencepiece_base(tmp_path / "base")
    few = replace(call, base=base, out=tmp_path / "out", add_list=tmp_path / "words.txt", config=ExtendConfig(add=2))
    with pytest.raises(UsageError, match="--add 2 is less than the 3 words"):
        extend(few)


def test_which_bytes_begin_only_han() -> None:
    assert begins_only_han(b"\xe4\xb8") and begins_only_han("𠀀".encode()[:3])
    assert not begins_only_han(b"\xe3\x80")  # CJK punctuation, of Japanese too
    assert not begins_only_han(b"\xe4\xb7")  # hexagrams
    assert not begins_only_han(b"\xb8\x80")
    assert set(completions(b"\xe4\xb8")) == {chr(code) for code in range(0x4E00, 0x4E40)}
