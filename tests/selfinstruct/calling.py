"""The command as a user calls it, in this process, and files of instructions for it to read."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import zstandard

from runkit.console import run_app
from selfinstruct.cli import app
from selfinstruct.novelty import Novelty

Novelty().judge([("", "compiled before a test's time runs")])

PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.ZstdCompressor().compress}


class Told:
    """What a call left on the terminal."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.out)
        return found

    @property
    def error(self) -> str:
        """The one sentence."""
        lines = [line for line in self.err.splitlines() if line.startswith("Error:")]
        assert len(lines) == 1 and "Traceback" not in self.err, self.err
        return lines[0]


def call(capsys: pytest.CaptureFixture[str], *words: object) -> Told:
    capsys.readouterr()
    code = run_app(app, [str(word) for word in words])
    return Told(code, *capsys.readouterr())


def item(instruction: str, **more: Any) -> dict[str, Any]:
    return {"instruction": instruction, "input": "", "output": "好", **more}


def lines(records: list[Any]) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def write(path: Path, records: list[Any], pack: str = "", array: bool = False) -> Path:
    """As JSON lines or an array, packed."""
    path = path.with_name(path.name + pack)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PACK[pack](orjson.dumps(records) if array else lines(records)))
    return path


def write_parquet(path: Path, records: list[dict[str, Any]]) -> Path:
    pl.DataFrame(records).write_parquet(path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]
