"""`train tokenizer fit` from the command line: what it learns from, what it leaves alone, and what it refuses."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.console import run_app
from runkit.records import held_out
from tests.faults.kill import tree
from tests.faults.texts import text
from tests.train.making import TEXTS
from train.bpe import LONGEST_WORD, Learnt, count_words, learn, pretokens
from train.cli import app
from train.fit import RESERVED, choose
from train.tokenizer import load


def write_documents(path: Path, count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    records = [{"id": f"d{number}", "text": text(rng, 12), "source": "made"} for number in range(count)]
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return records


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "made.jsonl"
    write_documents(path, 300)
    return path


def fit(*words: object, code: int = 0) -> None:
    assert run_app(app, ["tokenizer", "fit", *map(str, words), "-q"]) == code


def summary(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "summary.json").read_text("utf-8")))


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(blacklist_characters="\0\u2581\uf8fe", blacklist_categories=["Cs"])))
def test_pretokens_lose_nothing(text: str) -> None:
    assert "".join(pretokens(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我们，今天去。\n\n好", ["我们", "，今天去", "。\n\n", "好"]),
        ("用Python写 code 12", ["用", "Python", "写", " code", " ", "1", "2"]),
        ("    if x:\n\treturn", ["   ", " if", " x", ":\n", "\treturn"]),
        ("a_b __init__", ["a", "_b", " ", "_", "_init", "_", "_"]),
        ("甲\u2581乙\0丙", ["甲", "乙", "丙"]),
    ],
)
def test_words_by_hand(text: str, words: list[str]) -> None:
    assert pretokens(text) == words


def test_long_words_are_counted_in_parts() -> None:
    words = count_words(["字" * (2 * LONGEST_WORD + 7)] * 3)
    assert words == {"字" * LONGEST_WORD: 6, "字" * 7: 3}


def test_merges_by_hand() -> None:
    """甲乙 stands eight times, then 甲乙丙 five; 丁丁 only twice."""
    learnt = learn({"甲乙丙": 5, "甲乙": 3, "丁丁": 2, "\t\t": 4}, 3)
    assert learnt.merges == ["甲乙", "甲乙丙", "\t\t"]
    assert learnt.characters[:3] == sorted("甲乙\t", key=lambda char: (-{"甲": 8, "乙": 8, "\t": 8}[char], char))


def test_no_line_is_skipped_however_long() -> None:
    """SentencePiece alone drops lines over 4,192 bytes, and with them every word that stands only there."""
    line = "".join(f"{sign}，" for sign in ["鲲鹏展翅"] * 3000)
    assert "鲲鹏展翅" in learn(count_words([line]), 10).merges


def test_the_choice_is_the_best_there_is() -> None:
    """Against trying every number of merges: the tokens of the probe differ by less than 1 %."""
    learnt, room = learn(count_words(TEXTS), 300), 340
    probe = TEXTS[:20]
    fewest = min(
        tokens(learnt.merges[:merges], sorted(set("".join(learnt.merges[:merges])))
               + [c for c in learnt.characters if c not in "".join(learnt.merges[:merges])], room, probe)
        for merges in range(60, 300, 10)
        if merges + len(set("".join(learnt.merges[:merges]))) <= room
    )  # fmt: skip
    merges, characters = choose(learnt, probe, room)
    assert len(merges) + len(characters) == room
    assert tokens(merges, characters, room, probe) <= 1.01 * fewest


def tokens(merges: list[str], characters: list[str], room: int, probe: list[str]) -> int:
    from train.model_file import new_model

    model = new_model((), merges, characters[: room - len(merges)])
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return sum(map(len, processor.encode(probe)))


def test_every_merge_has_two_parts_that_are_pieces() -> None:
    """Hugging Face's readers make merges from pieces; one whose parts are none could never be made there."""
    merges, characters = choose(learn(count_words(TEXTS), 300), TEXTS[:10], 340)
    known = {*merges, *characters}
    for piece in merges:
        assert any({piece[:place], piece[place:]} <= known for place in range(1, len(piece)))


def test_a_vocabulary_larger_than_the_text_can_give() -> None:
    from runkit.errors import InputError

    with pytest.raises(InputError, match=f"gives {2 + 3 + RESERVED} pieces at most"):
        choose(Learnt(["甲乙", "甲乙丙"], ["甲", "乙", "丙"]), [], 6)


def test_a_fit_is_what_was_asked_for(tmp_path: Path, documents: Path) -> None:
    fit(documents, "--vocab", 700, "--out", tmp_path / "tok", "-s", "held_out=0.1", "--workers", 1)
    tokenizer, figures = load(tmp_path / "tok"), summary(tmp_path / "tok")
    assert tokenizer.size == 700
    assert (tokenizer.special.unk, tokenizer.special.bos, tokenizer.special.eos) == (0, 1, 2)
    assert [tokenizer.piece(number) for number in (0, 1, 2, 3, 4, 5)] == [
        "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<0x00>",
    ]  # fmt: skip
    records = [json.loads(line) for line in documents.read_text("utf-8").splitlines()]
    kept_out = [record for record in records if held_out(record["id"], 0.1)]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    counted = sum(len(processor.encode(record["text"])) for record in kept_out)
    assert figures["held_out"]["documents"] == len(kept_out) > 10
    assert figures["held_out"]["tokens"] == counted
    assert figures["held_out"]["lossy"] == 0
    assert figures["learnt_from"]["documents"] == len(records) - len(kept_out)
    assert "词元" not in (tmp_path / "tok" / "report.html").read_text("utf-8")


def test_nothing_is_learnt_from_held_out_documents(tmp_path: Path) -> None:
    """A word that stands in held-out documents alone gets no piece."""
    records = write_documents(tmp_path / "made.jsonl", 200)
    for record in records:
        record["text"] += "\n" + ("鼪鼯" if held_out(record["id"], 0.2) else "魑魅") * 50
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (tmp_path / "made.jsonl").write_text(lines, encoding="utf-8")
    fit(tmp_path / "made.jsonl", "--vocab", 600, "--out", tmp_path / "tok", "-s", "held_out=0.2")
    tokenizer = load(tmp_path / "tok")
    assert tokenizer.find("魑魅") is not None
    assert tokenizer.find("鼪") is None
    assert tokenizer.find("鼪鼯") is None


def test_same_bytes_for_any_number_of_workers_and_form_of_input(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    records = []
    for number in range(4):
        records += write_documents(folder / f"part{number}.jsonl", 60, seed=number)
        (folder / f"part{number}.jsonl").write_text(
            "".join(json.dumps(r | {"id": f"{number}-{r['id']}"}) + "\n" for r in records[-60:]), encoding="utf-8"
        )
    for workers in (1, 2):
        fit(folder, "--vocab", 600, "--out", tmp_path / f"tok{workers}", "--workers", workers)
    assert tree(tmp_path / "tok1") == tree(tmp_path / "tok2")
    rows = [r | {"id": f"{index // 60}-{r['id']}"} for index, r in enumerate(records)]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    fit(tmp_path / "rows.parquet", "--vocab", 600, "--out", tmp_path / "tok3")
    assert (tmp_path / "tok3" / "tokenizer.model").read_bytes() == (tmp_path / "tok1" / "tokenizer.model").read_bytes()


def test_a_big_set_is_sampled(tmp_path: Path, documents: Path) -> None:
    fit(documents, "--vocab", 500, "--out", tmp_path / "tok", "-s", "sample_mb=0.2", "-s", "held_out=0")
    read = summary(tmp_path / "tok")["learnt_from"]
    size = sum(len(json.loads(line)["text"].encode()) for line in documents.read_text("utf-8").splitlines())
    assert read["share"] == pytest.approx(0.2e6 / size, rel=0.01)
    assert read["bytes"] == pytest.approx(0.2e6, rel=0.25)


def test_the_first_documents_only(tmp_path: Path, documents: Path) -> None:
    fit(documents, "--vocab", 400, "--out", tmp_path / "tok", "--limit", 40, "-s", "held_out=0")
    assert summary(tmp_path / "tok")["learnt_from"]["documents"] == 40


def test_a_finished_fit_is_found_and_a_damaged_one_made_again(tmp_path: Path, documents: Path) -> None:
    words = (documents, "--vocab", 500, "--out", tmp_path / "tok")
    fit(*words)
    model = tmp_path / "tok" / "tokenizer.model"
    before, made = tree(tmp_path / "tok"), model.stat().st_mtime_ns
    fit(*words)
    assert model.stat().st_mtime_ns == made
    model.write_bytes(model.read_bytes()[:-5])
    fit(*words)
    assert tree(tmp_path / "tok") == before
    fit(documents, "--vocab", 501, "--out", tmp_path / "tok", code=3)
    assert tree(tmp_path / "tok") == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--vocab", "300000"], 3, "pieces at most; ask for fewer with --vocab"),
        (["--vocab", "100"], 2, "`vocab` = 100: expected greater than or equal to 300"),
        (["--vocab", "300", "-s", "special=[a,b,<s>]"], 2, "'<s>' is empty, stands twice, or is a token"),
        (["-s", "vocabulary=5"], 2, "did you mean `vocab`"),
        (["-s", "text_field=body"], 3, "body"),
        (["--lang", "fr"], 2, "--lang fr is not known"),
        (["-s", "held_out=0.9999"], 3, "All documents are held out"),
    ],
)
def test_refusals(
    tmp_path: Path, documents: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(documents.open(encoding="utf-8").readlines()[:20]), encoding="utf-8")
    fit(few, "--out", tmp_path / "tok", *words, code=code)
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "tok" / "tokenizer.model").exists()


def test_records_that_cannot_be_read_are_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_documents(tmp_path / "made.jsonl", 100)
    with (tmp_path / "made.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "half\n[1]\n{"text": 5}\n')
    fit(tmp_path / "made.jsonl", "--vocab", 400, "--out", tmp_path / "tok")
    lines = [json.loads(line) for line in (tmp_path / "tok" / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert [line["line"] for line in lines] == [101, 102, 103]
    assert Counter(line["reason"] for line in lines) == summary(tmp_path / "tok")["faults"]
    assert "3 records could not be read" in capsys.readouterr().err


def test_json_is_one_object(tmp_path: Path, documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(documents, "--vocab", 400, "--out", tmp_path / "tok", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokenizer"]["size"] == 400
    assert shown["run"] == str(tmp_path / "tok")


def test_a_dry_run_writes_nothing(tmp_path: Path, documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(documents, "--out", tmp_path / "tok", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["shards"] == 1
    assert not (tmp_path / "tok").exists()


def test_private_signs_are_text_like_any_other(tmp_path: Path) -> None:
    """U+F8FE stands in for tabs while pieces are learnt."""
    records = [{"id": str(n), "text": f"\uf8fe中文测试{n}\t\uf8fe\u2581词" + TEXTS[n]} for n in range(60)]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (tmp_path / "made.jsonl").write_text(lines, encoding="utf-8")
    fit(tmp_path / "made.jsonl", "--vocab", 300, "--out", tmp_path / "tok", "-s", "held_out=0")
    tokenizer = load(tmp_path / "tok")
    for record in records:
        assert tokenizer.decode(tokenizer.encode(record["text"]).tolist()) == record["text"]


def test_a_text_too_small_for_its_vocabulary_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_documents(tmp_path / "made.jsonl", 5)
    fit(tmp_path / "made.jsonl", "--vocab", 700, "--out", tmp_path / "tok", "-s", "held_out=0")
    assert "merges occur once or never" in capsys.readouterr().err
