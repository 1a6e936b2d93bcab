"""Texts that are encoded in parts: the ids are those of the whole text, for any model."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runkit.documents import plan_documents, read_documents
from runkit.records import Document
from tests.train.making import small_model
from train.encode import Encoder
from train.model_file import new_model, read_model
from train.tokenizer import load

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "text-zh" / "weekly.jsonl.zst"
CHARACTERS = "\n 中a"
PIECES = st.lists(st.text(CHARACTERS, min_size=2, max_size=3), max_size=8, unique=True)
STRINGS = st.lists(st.text(CHARACTERS + "▁龘", min_size=5, max_size=30), max_size=5)
KINDS = ("plain", "adds a space", "unigram", "no bytes", "unused", "user defined")


@pytest.mark.parametrize("kind", KINDS)
@given(pieces=PIECES, known=st.sampled_from(["\n▁中a", "▁中a", "\n中"]), strings=STRINGS)
@example(pieces=[" 中"], known="\n▁中a", strings=["中中\n中中\n中中"])  # a piece with the space in front
@settings(max_examples=40, deadline=None)
def test_cut_texts_give_the_same_ids(
    tmp_path_factory: pytest.TempPathFactory, kind: str, pieces: list[str], known: str, strings: list[str]
) -> None:
    """For any model: with pieces across line ends, with spaces put in front, of kinds that may not be cut."""
    path = tmp_path_factory.getbasetemp() / "drawn.model"
    path.write_bytes(new_model([], [piece.replace(" ", "▁") for piece in pieces], [*known]))
    model = read_model(path)
    model.normalizer_spec.add_dummy_prefix = kind == "adds a space"
    if kind == "unigram":
        model.trainer_spec.model_type = 1
    if kind == "no bytes":
        kept = [piece for piece in model.pieces if piece.type != piece.BYTE]
        del model.pieces[:]
        model.pieces.extend(kept)
        model.trainer_spec.byte_fallback = False
    for piece in model.pieces[259 : 259 + len(pieces) // 2]:
        if kind == "unused":
            piece.type = piece.UNUSED
        if kind == "user defined":
            piece.type = piece.USER_DEFINED
    path.write_bytes(model.SerializeToString())
    tokenizer = load(path)
    if kind == "no bytes":  # such a model cannot write the sign of a space
        strings = [string.replace("▁", "b") for string in strings]
    expected = [tokenizer.encode(string).tolist() for string in strings]
    ids, lengths = Encoder(tokenizer, segment=1).encode(strings)
    found = np.split(ids, np.cumsum(lengths)[:-1]) if strings else []
    assert [row.tolist() for row in found] == expected


def test_cut_texts_of_real_articles(tmp_path: Path) -> None:
    if not DATA.is_file():
        pytest.skip("the development data are not here")
    model = small_model(tmp_path)
    read = (item for shard in plan_documents([str(DATA)]).shards for item in read_documents(shard))
    texts = [document.text for document in islice(read, 12) if isinstance(document, Document)]
    ids, lengths = Encoder(load(model)).encode(texts)
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    expected = library.encode(texts)
    assert lengths.tolist() == list(map(len, expected))
    assert ids.tolist() == [number for row in expected for number in row]
