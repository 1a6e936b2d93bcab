"""Token shards: what does not belong together is named before anything is trained on it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from runkit.errors import InputError, UsageError
from runkit.files import is_temp
from tests.train.making import small_model
from tests.train.token_runs import edit, make_call, write_documents
from train.model_file import new_model
from train.shards import open_shards
from train.tokens import tokens


def test_wide_ids(tmp_path: Path) -> None:
    model, text = tmp_path / "wide.model", "甲乙丙丁"
    merges = [chr(0x4E00 + n // 256) + chr(0x4E00 + n % 256) for n in range(65_600)]
    model.write_bytes(new_model([], merges, [*text]))
    (tmp_path / "one.jsonl").write_text(json.dumps({"text": text}))
    call = make_call(tmp_path / "one.jsonl", model, tmp_path / "out")
    tokens(call)
    shards = open_shards(call.out)
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert shards.dtype == np.dtype("<u4")
    assert shards.tokens(0).tolist() == [1, *library.encode(text), 2]
    assert shards.tokens(0).max() > 65_535


def without(name: str) -> Callable[[Path, Path], None]:
    return lambda out, other: (out / name).unlink()


def cut(name: str) -> Callable[[Path, Path], None]:
    return lambda out, other: os.truncate(out / name, (out / name).stat().st_size - 2)


def taken(*names: str) -> Callable[[Path, Path], None]:
    def take(out: Path, other: Path) -> None:
        for name in names:
            shutil.copy(other / name, out / name)

    return take


def changed(name: str, key: str, value: object) -> Callable[[Path, Path], None]:
    def change(out: Path, other: Path) -> None:
        found = json.loads((out / name).read_text())
        (out / name).write_text(json.dumps({**found, key: value}))

    return change


def more(out: Path, other: Path) -> None:
    shutil.copy(other / "shards/00001.bin", out / "shards/00099.bin")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (without("shards/00001.bin"), "00001.bin is missing"),
        (without("shards/00001.index.npy"), "00001.index.npy is missing"),
        (without("tokenizer/tokenizer.model"), "tokenizer.model is missing"),
        (without("summary.json"), "is not finished"),
        (without("manifest.json"), "holds no token shards"),
        (cut("shards/00001.bin"), "00001.bin has"),
        (cut("shards/00001.index.npy"), "00001.index.npy is not"),
        (taken("shards/00001.bin"), "00001.bin does not hold"),
        (taken("shards/00001.bin", "shards/00001.index.npy"), "00001.bin does not hold"),
        (taken("summary.json"), "00000.bin does not hold"),
        (more, "00099.bin is of another run"),
        (lambda out, other: edit(out / "tokenizer/tokenizer.model", 9), "is not the tokenizer"),
        (changed("manifest.json", "command", "corpus clean"), "holds no token shards"),
        (changed("summary.json", "format", 2), "format 2"),
        (changed("summary.json", "tokenizer", {"size": 5}), "summary.json was edited"),
        (changed("summary.json", "dtype", "uint32"), "says uint32"),
    ],
)
def test_what_does_not_belong_together(
    finished: tuple[Path, Path], tmp_path: Path, harm: Callable[[Path, Path], None], says: str
) -> None:
    out, other = (Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in finished)
    harm(out, other)
    with pytest.raises(InputError, match=says):
        open_shards(out)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs over the same documents whose files have the same sizes: one with bos alone, one with eos alone."""
    folder = tmp_path_factory.mktemp("finished")
    model, documents = small_model(folder / "model"), write_documents(folder / "set")
    tokens(make_call(documents, model, folder / "a", bos=True, eos=False))
    tokens(make_call(documents, model, folder / "b", bos=False, eos=True))
    return folder / "a", folder / "b"


def test_no_folder_or_another_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        open_shards(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no token shards"):
        open_shards(tmp_path)


def test_nothing_temporary_is_left(finished: tuple[Path, Path]) -> None:
    assert not [file for folder in finished for file in folder.rglob("*") if is_temp(file.name)]
