"""Documents for `train`, and its commands on them as the tests of its faults call them."""

import io
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from runkit.console import run_app
from tests.faults.launch import TRAIN, Command, Ended, Setup, start
from tests.faults.texts import text, write_jsonl
from train import cli

VOCAB = 700


def write_documents(folder: Path, count: int) -> Path:
    """JSON lines with a line that is no document, a parquet file and a text, 3.2 kB for each of `count`."""
    rng = random.Random(count)
    folder.mkdir()
    write_jsonl(folder / "lines.jsonl", rng, count, 20)
    with (folder / "lines.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "cut\n')  # so that there is something in quarantine
    size = max(20, count // 4)
    table = io.BytesIO()
    columns = {"id": [f"row {n}" for n in range(size)], "text": [text(rng, 12) for _ in range(size)]}
    pl.DataFrame(columns).write_parquet(table, row_group_size=10)
    (folder / "table.parquet").write_bytes(table.getvalue())
    (folder / "book.txt").write_text(text(rng, 200), "utf-8")
    return folder


def begin_fit(documents: Path, out: Path, *more: str | Path, setup: Setup = TRAIN) -> Command:
    """`train tokenizer fit`, with enough held out for figures."""
    words = ["tokenizer", "fit", documents, "--out", out, "--vocab", str(VOCAB), "-s", "held_out=0.1", "-q", *more]
    return start(words, out.parent / "streams", setup)


def begin_tokens(
    documents: Path, tokenizer: Path, out: Path, *more: str | Path, shard_mb: float = 0.02, setup: Setup = TRAIN
) -> Command:
    """`train tokens`, with many small shards."""
    words = ["tokens", documents, "--tokenizer", tokenizer, "--out", out, "-s", f"shard_mb={shard_mb}"]
    return start([*words, "-s", "check=0.2", "-q", *more], out.parent / "streams", setup)


def begin_extend(base: Path, documents: Path, out: Path, *more: str | Path, setup: Setup = TRAIN) -> Command:
    """`train tokenizer extend`, of the tokenizer that `fit` makes of the same documents."""
    words = ["tokenizer", "extend", base, "--with", documents, "--out", out, "--add", "100", "-s", "held_out=0.1"]
    return start([*words, "-q", *more], out.parent / "streams", setup)


def fit(documents: Path, out: Path, *more: str | Path, file_bytes: int | None = None) -> Ended:
    """To its end."""
    return begin_fit(documents, out, *more, setup=replace(TRAIN, file_bytes=file_bytes)).result()


def tokens(documents: Path, tokenizer: Path, out: Path, *more: str | Path, file_bytes: int | None = None) -> Ended:
    """To its end."""
    return begin_tokens(documents, tokenizer, out, *more, setup=replace(TRAIN, file_bytes=file_bytes)).result()


def call(words: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> Ended:
    """In this process, by the script's own way; for what writes nothing, so that a hundred calls take 2 s."""
    code = run_app(cli.app, [str(word) for word in words])
    return Ended(code, *capsys.readouterr())
