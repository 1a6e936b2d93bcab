"""`train tokens`: the ids are the library's, nothing is lost, and any number of starts gives the same bytes."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers

from runkit.errors import EnvironmentFault, InputError, TooManyFailures, UsageError
from runkit.records import held_out, sampled
from tests.train.making import small_model
from tests.train.token_runs import edit, make_call, start, summary_of, texts, tree, write_documents
from train.config import TokensConfig
from train.model_file import new_model
from train.shards import open_shards
from train.tokenizer import load
from train.tokens import TokensCall, tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt from other texts, so that many characters here are its bytes."""
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents") / "set")


@pytest.fixture
def call(tmp_path: Path, model: Path, documents: Path) -> TokensCall:
    return make_call(documents, model, tmp_path / "shards")


def test_ids_are_those_of_the_library(call: TokensCall, model: Path, documents: Path) -> None:
    tokens(call)
    shards = open_shards(call.out)
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    given_documents = []
    for file in sorted(documents.iterdir()):
        given_documents += [(file.stem, json.loads(line)) for line in file.read_text("utf-8").splitlines()]
    assert len(shards) == len(given_documents) == 100
    assert len(shards.names) > 3
    for number, (source, record) in enumerate(given_documents):
        text = record["text"]
        ids = shards.tokens(number)
        if "▁" not in text:  # which the library itself loses
            assert ids.tolist() == [1, *library.encode(text), 2]
        assert shards.text(number) == text
        assert shards.id(number) == record["id"]
        assert shards.sources[shards.source[number]] == source
        assert (shards.characters[number], shards.bytes[number]) == (len(text), len(text.encode()))
        assert len(ids) == shards.length[number]
    assert isinstance(shards.tokens(0).base, np.memmap)
    assert (shards.dtype, shards.vocab_size, shards.bos, shards.eos) == (np.dtype("<u2"), load(model).size, 1, 2)
    for share in (0.0, 0.1, 0.5, 1 - 2**-53, 1.0):
        expected = [held_out(record["id"], share) for _, record in given_documents]
        assert shards.held_out(share).tolist() == expected


def test_summary_adds_up(call: TokensCall) -> None:
    tokens(call)
    summary, shards = summary_of(call.out), open_shards(call.out)
    assert summary["documents"] == summary["checked"] == 100
    assert summary["lossy"] == 0 and summary["first_lossy"] == [] and summary["faults"] == {}
    assert summary["tokens"] == sum((call.out / f"shards/{name}.bin").stat().st_size for name in shards.names) // 2
    assert summary["text_tokens"] == summary["tokens"] - 200
    assert summary["characters_per_token"] == round(sum(map(len, texts(100))) / summary["text_tokens"], 4)
    for key in ("documents", "tokens", "characters", "bytes"):
        assert summary[key] == sum(row[key] for row in summary["by_source"].values())
    lengths = sorted(shards.length.tolist())
    assert [summary["lengths"][share] for share in ("0", "0.5", "1")] == [lengths[0], lengths[49], lengths[-1]]


def test_the_report_shows_text_as_text(call: TokensCall) -> None:
    for lang, title in (("en", "Token shards"), ("zh", "词元分片")):
        tokens(replace(call, lang=lang))
        page = (call.out / "report.html").read_text("utf-8")
        assert title in page
        assert "<b>news" not in page and "&lt;b&gt;news" in page
        assert "⏎" in page and "<script" not in page


def test_any_number_of_workers_gives_the_same_bytes(call: TokensCall, tmp_path: Path) -> None:
    tokens(call)
    tokens(replace(call, out=tmp_path / "other", workers=2))
    assert tree(call.out) == tree(tmp_path / "other")


def again(call: TokensCall) -> None:
    """Workers that have not seen yet that their parent is gone hold the lock for a moment."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return tokens(call)
        except EnvironmentFault:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_started_again(call: TokensCall, tmp_path: Path, workers: int) -> None:
    process = start(call, workers)
    while len(list(call.out.glob("marks/shard-*.json"))) < 3:
        assert process.poll() is None, process.communicate()[1]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    marks = {file: file.stat().st_mtime_ns for file in call.out.glob("marks/*.json")}
    with pytest.raises(InputError, match="is not finished"):
        open_shards(call.out)
    again(replace(call, workers=workers))
    assert {file: file.stat().st_mtime_ns for file in marks} == marks
    tokens(replace(call, out=tmp_path / "whole"))
    assert tree(call.out) == tree(tmp_path / "whole")


def test_full_disk(call: TokensCall) -> None:
    tokens(call)
    before = tree(call.out)
    largest = max((call.out / "shards").glob("*.bin"), key=lambda file: file.stat().st_size)
    largest.unlink()
    process = start(call, 1, 1024)
    error = process.communicate()[1]
    assert process.returncode == 4
    assert f"Cannot write {largest}" in error and "bytes" in error and "Traceback" not in error
    del before[f"shards/{largest.name}"]
    assert tree(call.out) == before
    tokens(call)
    assert largest.is_file()


def test_damage_is_mended(call: TokensCall, capsys: pytest.CaptureFixture[str]) -> None:
    tokens(call)
    before = tree(call.out)
    folder = call.out / "shards"
    (folder / "00000.bin").unlink()
    edit(folder / "00001.bin", 300)
    (folder / "00002.index.npy").write_bytes((folder / "00002.index.npy").read_bytes()[:-1])
    edit(folder / "00002.ids.jsonl", 3)
    edit(call.out / "tokenizer" / "tokenizer.model", 5)
    (call.out / "report.html").write_text("")
    tokens(call)
    assert tree(call.out) == before
    told = capsys.readouterr().err
    for name in ("00000.bin is missing", "00001.bin was edited", "00002.index.npy was cut", "tokenizer.model was edit"):
        assert name in told


def test_changes_are_refused(call: TokensCall, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(call.documents[0], tmp_path / "set"))
    model = Path(shutil.copy(call.tokenizer, tmp_path / "tokenizer.model"))
    call = replace(call, documents=[str(folder)], tokenizer=model)
    tokens(call)
    before = tree(call.out)
    with pytest.raises(InputError, match="eos"):
        tokens(replace(call, config=TokensConfig(shard_mb=0.004, check=1.0, eos=False)))
    with pytest.raises(InputError, match="limit"):
        tokens(replace(call, limit=3))
    model.write_bytes(new_model(["<|im_start|>"], ["ab"], ["a", "b"]))
    with pytest.raises(InputError, match=r"--tokenizer tokenizer\.model has changed"):
        tokens(call)
    shutil.copy(call.out / "tokenizer" / "tokenizer.model", model)
    edit(folder / "poems.jsonl", 40)
    with pytest.raises(InputError, match=r"poems\.jsonl has changed"):
        tokens(call)
    assert tree(call.out) == before


def test_limit_and_sample(call: TokensCall, tmp_path: Path) -> None:
    tokens(replace(call, limit=33))
    whole = [f"<b>news-{n}" for n in range(40)] + [f"poems-{n}" for n in range(60)]
    shards = open_shards(call.out)
    assert [shards.id(number) for number in range(len(shards))] == whole[:33]
    out = tmp_path / "sampled"
    tokens(replace(call, out=out, sample=0.4, seed=7))
    shards = open_shards(out)
    assert [shards.id(n) for n in range(len(shards))] == [name for name in whole if sampled(name, 0.4, 7)]


def test_dry_run_writes_nothing(call: TokensCall) -> None:
    tokens(replace(call, dry_run=True))
    assert not call.out.exists()


def test_faults_go_to_quarantine(call: TokensCall, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "好"}\n[]\n{"text": 5}\n{"text": ""}\n', "utf-8")
    call = replace(call, documents=[str(bad)], max_bad=0.75)
    tokens(call)
    lines = [json.loads(line) for line in (call.out / "quarantine" / "00000.jsonl").read_text("utf-8").splitlines()]
    assert [(line["file"], line["offset"], line["line"]) for line in lines] == [
        ("bad.jsonl", 16, 2),
        ("bad.jsonl", 19, 3),
        ("bad.jsonl", 31, 4),
    ]
    assert sum(summary_of(call.out)["faults"].values()) == 3
    with pytest.raises(TooManyFailures, match="3 of 4"):
        tokens(replace(call, max_bad=0.7))


def test_a_shard_without_documents(call: TokensCall, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("[]\n" * 3, "utf-8")
    tokens(replace(call, documents=[str(bad)]))
    shards = open_shards(call.out)
    assert (len(shards), shards.names, shards.mapped(0).tolist(), shards.ids(0)) == (0, ["00000"], [], [])
    assert summary_of(call.out)["characters_per_token"] is None


def byte_level(folder: Path, names: dict[str, str]) -> Path:
    """A byte-level tokenizer without merges, whose special tokens are called `names`."""
    vocabulary = {letter: n for n, letter in enumerate(sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))}
    library = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    library.add_special_tokens(sorted(set(names.values())))
    folder.mkdir()
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


@pytest.mark.parametrize(
    ("names", "config", "begin", "end"),
    [
        ({"bos_token": "<s>", "eos_token": "</s>"}, {}, True, True),
        ({"bos_token": "<s>", "eos_token": "</s>"}, {"bos": False, "eos": False}, False, False),
        ({"bos_token": "<|e|>", "eos_token": "<|e|>"}, {}, False, True),
        ({"bos_token": "<|e|>", "eos_token": "<|e|>"}, {"bos": True}, True, True),
        ({"eos_token": "</s>"}, {}, False, True),
    ],
)
def test_begin_and_end(tmp_path: Path, names: dict[str, str], config: dict[str, bool], begin: bool, end: bool) -> None:
    """One id a byte, so the ids can be told by hand; byte-level tokenizers come with their config file."""
    (tmp_path / "one.jsonl").write_text('{"text": "a</s>"}\n{"text": "字"}\n')
    folder = byte_level(tmp_path / "tokenizer", names)
    call = make_call(tmp_path / "one.jsonl", folder, tmp_path / "out", **config)
    tokens(call)
    shards = open_shards(call.out)
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    first = [library.token_to_id(names["bos_token"])] if begin else []
    last = [library.token_to_id(names["eos_token"])] if end else []
    assert shards.tokens(0).tolist() == [*first, *(library.token_to_id(letter) for letter in "a</s>"), *last]
    assert len(shards.tokens(1)) == 3 + begin + end
    assert [shards.text(0), shards.text(1)] == ["a</s>", "字"]
    assert (call.out / "tokenizer/tokenizer_config.json").read_text() == json.dumps(names)


@pytest.mark.parametrize(
    ("names", "config", "says"),
    [({"eos_token": "</s>"}, {"bos": True}, "begins"), ({"bos_token": "<s>"}, {}, "eos=false")],
)
def test_a_token_that_is_not_there(tmp_path: Path, names: dict[str, str], config: dict[str, bool], says: str) -> None:
    (tmp_path / "one.jsonl").write_text('{"text": "a"}\n')
    folder = byte_level(tmp_path / "tokenizer", names)
    with pytest.raises(UsageError, match=says):
        tokens(make_call(tmp_path / "one.jsonl", folder, tmp_path / "out", **config))
    assert not (tmp_path / "out").exists()


def test_lossy_documents_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """BERT knows no line ends, and this vocabulary only two words."""
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n好\n字\n", "utf-8")
    (tmp_path / "set.jsonl").write_text('{"id": "kept", "text": "好字"}\n{"id": "lost", "text": "好\\n字"}\n', "utf-8")
    call = make_call(tmp_path / "set.jsonl", tmp_path / "vocab.txt", tmp_path / "out")
    tokens(call)
    summary = summary_of(call.out)
    assert (summary["checked"], summary["lossy"]) == (2, 1)
    assert summary["first_lossy"] == [{"id": "lost", "origin": "set.jsonl#33", "byte": 3}]
    assert "from byte 3 on: lost (set.jsonl#33)" in capsys.readouterr().err
    assert "set.jsonl#33" in (call.out / "report.html").read_text("utf-8")
