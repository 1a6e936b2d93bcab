"""Rows for training: every pair of neighbouring ids once, in whatever process, and the command that shows them."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.errors import InputError, UsageError
from runkit.files import sha256_file, write_json
from runkit.records import Document, held_out, held_out_hash
from tests.train.making import byte_level
from train.config import DataConfig
from train.data import Documents, Rows, held_out_documents, held_out_rows, training_data
from train.data_view import DataCall, show_data
from train.shards import Encoded, TokenShards, open_shards, write_shard
from train.tokenizer import load

Config = functools.partial(DataConfig, held_out=0.0, seq_len=16)


def shards(
    folder: Path, lengths: Sequence[int], sources: Sequence[str] = (), first_id: int = 0, **changes: object
) -> TokenShards:
    """One shard; no id stands in it twice, so that a pair of ids tells where it comes from."""
    sources = sources or ["web"] * len(lengths)
    names = sorted(set(sources))
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    ids = np.arange(first_id, first_id + sum(lengths), dtype="<u4")
    ids.tofile(folder / "shards" / "00000.bin")
    length = np.array(lengths, np.int64)
    opened = TokenShards(
        path=folder,
        tokenizer=folder / "tokenizer.json",
        tokenizer_sha256="0" * 64,
        vocab_size=10_000_000,
        dtype=np.dtype("<u4"),
        bos=None,
        eos=None,
        sources=names,
        names=["00000"],
        first=np.array([0, len(lengths)]),
        shard=np.zeros(len(lengths), np.int32),
        start=np.cumsum(length) - length,
        length=length,
        characters=length,
        bytes=length,
        source=np.array([names.index(source) for source in sources], np.int32),
        id_hash=np.array([held_out_hash(f"{folder.name}/{number}") for number in range(len(lengths))], np.uint64),
    )
    return replace(opened, **changes)  # type: ignore[arg-type]


def pairs(rows: Rows) -> Counter[tuple[int, int]]:
    """How often each (input, target) is served; checks on the way that rows are what they should be."""
    batch = rows.batch(0, len(rows))
    assert batch.inputs.shape == batch.targets.shape == batch.documents.shape == batch.positions.shape
    assert batch.inputs.shape == (len(rows), rows.seq_len)
    assert {array.dtype for array in (batch.inputs, batch.targets, batch.documents, batch.positions)} == {
        np.dtype("i4")
    }
    filled = batch.documents >= 0
    assert (filled == (batch.targets != -100)).all() and filled[:, 0].all()
    assert (np.diff(filled.astype(int)) <= 0).all()  # what is empty is at the end
    assert not batch.inputs[~filled].any() and not batch.positions[~filled].any()
    follows = np.diff(batch.documents) == 0
    begins = ~follows & filled[:, 1:]
    assert (np.diff(batch.documents)[begins] == 1).all() and not batch.documents[:, 0].any()
    assert not batch.positions[:, 0].any() and not batch.positions[:, 1:][begins].any()
    inside = follows & filled[:, 1:]
    assert (np.diff(batch.positions)[inside] == 1).all()
    assert (batch.inputs[:, 1:][inside] == batch.targets[:, :-1][inside]).all()
    return Counter(zip(batch.inputs[filled].tolist(), batch.targets[filled].tolist(), strict=True))


def expected_pairs(opened: TokenShards, documents: Sequence[int]) -> Counter[tuple[int, int]]:
    return Counter(
        (first, first + 1)
        for document in documents
        for first in range(int(opened.start[document]), int(opened.start[document] + opened.length[document]) - 1)
    )


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=30).filter(lambda lengths: max(lengths) > 1),
    seq_len=st.integers(8, 32),
    seed=st.integers(0, 3),
    waste=st.sampled_from([0.0, 0.001, 1.0]),
)
def test_every_pair_is_served_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seq_len: int, seed: int, waste: float
) -> None:
    opened = shards(tmp_path_factory.getbasetemp() / "pairs", lengths)
    data = training_data(Documents([opened]), Config(seq_len=seq_len, seed=seed, waste=waste))
    assert pairs(data.rows) == expected_pairs(opened, range(len(lengths)))


def test_any_process_is_served_the_same(tmp_path: Path) -> None:
    opened = shards(tmp_path, [7 + number % 90 for number in range(300)])
    rows = training_data(Documents([opened]), Config()).rows
    again = training_data(Documents([opened]), Config()).rows
    assert rows.sha256 == again.sha256
    whole = rows.batch(0, len(rows))
    step, processes = 8, 4
    for first in range(0, len(rows) - step, step):
        for process in range(processes):
            part = again.batch(first + process * step // processes, step // processes)
            own = slice(first + process * step // processes, first + (process + 1) * step // processes)
            assert (part.inputs == whole.inputs[own]).all() and (part.targets == whole.targets[own]).all()
            assert (part.documents == whole.documents[own]).all() and (part.positions == whole.positions[own]).all()
    for first, count in ((len(rows), 1), (len(rows) - 3, 4), (-1, 1), (0, len(rows) + 1), (0, -1)):
        with pytest.raises(ValueError, match="were asked for"):
            rows.batch(first, count)


def test_the_hash_tells_other_data_apart(tmp_path: Path) -> None:
    lengths = [7 + number % 50 for number in range(200)]
    one = shards(tmp_path / "one", lengths)
    first = training_data(Documents([one]), Config()).rows.sha256
    others = [
        training_data(Documents([one]), Config(seed=1)).rows.sha256,
        training_data(Documents([one]), Config(seq_len=17)).rows.sha256,
        training_data(Documents([shards(tmp_path / "two", lengths)]), Config()).rows.sha256,  # other documents
        training_data(Documents([replace(one, tokenizer_sha256="1" * 64)]), Config()).rows.sha256,
    ]
    shards(tmp_path / "one", lengths, first_id=1)  # the same documents, encoded in another way
    others.append(training_data(Documents([replace(one)]), Config()).rows.sha256)
    assert len({first, *others}) == 6


def test_rows_are_shuffled_by_seed(tmp_path: Path) -> None:
    documents = Documents([shards(tmp_path, [17] * 1000)])  # one row each
    orders = [training_data(documents, Config(seed=seed)).rows.batch(0, 1000).inputs[:, 0] // 17 for seed in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(1000))
        # Neighbours of a fair shuffle lie 333 ± 7.5 apart on the average.
        assert abs(np.abs(np.diff(order.astype(int))).mean() - 333) < 40
    assert (orders[0] != orders[1]).mean() > 0.9


def test_sources_are_drawn_by_weight(tmp_path: Path) -> None:
    opened = shards(tmp_path, [20] * 300, ["books"] * 100 + ["web"] * 200)
    data = training_data(Documents([opened]), Config(weights={"books": 1.0, "web": 0.2}, tokens=6000))
    books, web = data.sources
    assert (books.source, books.documents, books.tokens, books.weight) == ("books", 100, 2000, pytest.approx(1 / 1.2))
    assert (books.drawn_documents, books.drawn_tokens, books.epochs) == (250, 5000, 2.5)
    assert (web.documents, web.drawn_documents, web.drawn_tokens, web.epochs) == (200, 50, 1000, 0.25)
    seen = pairs(data.rows)
    times = Counter(seen[first, first + 1] for first in range(0, 6000, 20))  # by the first pair of each document
    assert times == {3: 50, 2: 50, 1: 50, 0: 150}
    assert sum(seen.values()) == 300 * 19 == data.rows.positions


def test_drawing_ends_at_the_nearest_document(tmp_path: Path) -> None:
    documents = Documents([shards(tmp_path, [20] * 100)])
    for tokens, drawn in ((29, 1), (31, 2), (2000, 100), (2009, 100), (2011, 101)):
        assert training_data(documents, Config(tokens=tokens)).sources[0].drawn_documents == drawn


def test_held_out_documents_are_only_measured_on(tmp_path: Path) -> None:
    opened = shards(tmp_path, [12] * 400)
    documents = Documents([opened])
    apart = [number for number in range(400) if held_out(f"{tmp_path.name}/{number}", 0.25)]
    assert 60 < len(apart) < 140
    assert held_out_documents(documents, 0.25).tolist() == apart
    config = Config(held_out=0.25, tokens=10_000)
    data, measured = training_data(documents, config), held_out_rows(documents, config)
    assert pairs(measured) == expected_pairs(opened, apart)
    rest = [number for number in range(400) if number not in apart]
    assert set(pairs(data.rows)) == set(expected_pairs(opened, rest))
    assert data.sources[0].documents == len(rest)
    assert measured.sha256 == held_out_rows(documents, Config(held_out=0.25, seed=9)).sha256
    assert len(held_out_rows(documents, Config())) == 0


def test_folders_are_joined_by_the_names_of_sources(tmp_path: Path) -> None:
    one = shards(tmp_path / "one", [30] * 4, ["web", "wiki", "web", "wiki"])
    two = shards(tmp_path / "two", [40] * 3, ["books", "wiki", "wiki"], first_id=120)
    data = training_data(Documents([one, two]), Config())
    counts = {source.source: (source.documents, source.tokens) for source in data.sources}
    assert counts == {"books": (1, 40), "web": (2, 60), "wiki": (4, 140)}
    both = shards(tmp_path / "both", [30] * 4 + [40] * 3)
    assert pairs(data.rows) == expected_pairs(both, range(7))
    own = training_data(Documents([one, two]), Config(weights={"books": 1.0}))
    assert {pair[0] for pair in pairs(own.rows)} == set(range(120, 159)) and len(own.warnings) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tokenizer_sha256": "1" * 64}, r"one and \S+two were made with different tokenizers"),
        ({"dtype": np.dtype("<u2"), "vocab_size": 9}, r"one holds ids as uint32 .* \S+two as uint16 of 9"),
    ],
)
def test_folders_must_fit(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Documents([shards(tmp_path / "one", [9]), shards(tmp_path / "two", [9], **changes)])


def test_a_folder_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one is given twice"):
        Documents([shards(tmp_path / "one", [9]), shards(tmp_path / "x" / ".." / "one", [9])])


@pytest.mark.parametrize(
    ("lengths", "config", "error", "expected"),
    [
        ([1, 1, 0], {}, InputError, "no document of two tokens"),
        ([], {}, InputError, "no document of two tokens"),
        ([9] * 3, {"held_out": 0.9999999}, InputError, "All documents are held out"),
        ([9] * 3, {"tokens": 15}, UsageError, "fewer than one row of seq_len = 16"),
        ([900] * 3, {"tokens": 20}, UsageError, "come to no whole document"),
        ([9] * 3, {"tokens": 10**18}, UsageError, "more than the 268,435,456 that are held in memory"),
        ([9] * 3, {"weights": {"wob": 1.0}}, UsageError, "did you mean web?"),
    ],
)
def test_what_cannot_be_trained_on(
    tmp_path: Path, lengths: list[int], config: dict[str, object], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error) as caught:
        training_data(Documents([shards(tmp_path, lengths)]), Config(**config))
    assert expected in str(caught.value)


def test_a_source_too_small_for_a_document_is_told(tmp_path: Path) -> None:
    opened = shards(tmp_path, [900] * 2 + [10] * 100, ["long"] * 2 + ["short"] * 100)
    data = training_data(Documents([opened]), Config(weights={"long": 0.5, "short": 0.5}, tokens=400))
    assert data.warnings == ["long has a weight, but its share comes to no whole document; raise tokens."]


def test_ids_beyond_the_vocabulary_are_noticed(tmp_path: Path) -> None:
    rows = training_data(Documents([shards(tmp_path, [20, 20], vocab_size=39)]), Config(seq_len=19)).rows
    with pytest.raises(InputError, match="holds the id 39, but its tokenizer has 39 ids"):
        rows.batch(0, 2)


SEQ_LEN = 256
TEXTS = {"wiki": "潮水退去以后，孩子们沿着沙滩捡贝壳。" * 3, "web\x1b[2J": "The tide came in at noon.\x1b[2J"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Token shards on the disk: 40 texts of two sources, each ended by <|endoftext|>, which is id 0."""
    path = tmp_path_factory.mktemp("shards")
    tokenizer = load(byte_level(path))
    documents = [
        Document(f"{number}-{source[:4]}", f"x#{number}", text * (1 + number % 3), None, source, "zh", None, "{}")
        for number in range(20)
        for source, text in TEXTS.items()
    ]
    ids = [np.append(row, 0) for row in tokenizer.encode_batch([document.text for document in documents])]
    encoded = Encoded(np.concatenate(ids).astype("<u2"), np.array([len(row) for row in ids]), documents)
    written = write_shard(lambda name: path / name, "00000", [encoded])
    write_json(path / "manifest.json", {"command": "train tokens"})
    write_json(
        path / "summary.json",
        {
            "format": 1,
            "tokenizer": {"file": "tokenizer.json", "sha256": sha256_file(tokenizer.path), "size": tokenizer.size},
            "dtype": "uint16",
            "bos": None,
            "eos": 0,
            "shards": [written.entry],
        },
    )
    return path


def test_show_data_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = DataConfig(seq_len=SEQ_LEN, held_out=0.1, weights={"wiki": 1.0})
    show_data(DataCall(shards=[folder], config=config, show=1000, as_json=True, quiet=True))
    out, err = capsys.readouterr()
    assert err == ""
    shown = orjson.loads(out)
    opened = open_shards(folder)
    kept = [n for n in range(40) if not held_out(opened.id(n), 0.1) and opened.id(n).endswith("wiki")]
    positions = [int(opened.length[n]) - 1 for n in kept]
    assert shown["positions"] == sum(positions)
    assert shown["waste"] == pytest.approx(1 - sum(positions) / (shown["rows"] * SEQ_LEN))
    assert sum(shown["documents"].values()) == len(kept)
    assert shown["padding_waste"] == pytest.approx(
        1 - sum(positions) / sum(SEQ_LEN * -(-n // SEQ_LEN) for n in positions)
    )
    assert [source["source"] for source in shown["sources"]] == sorted(TEXTS)
    assert [source["epochs"] for source in shown["sources"]] == [0, 1]
    assert {piece["document"] for piece in shown["shown"]} == {opened.id(n) for n in kept}
    whole = [piece for piece in shown["shown"] if piece["positions"] == piece["of"]]
    assert len(whole) == shown["documents"]["whole"] > 0
    for piece in whole:
        assert piece["text"] == TEXTS["wiki"] * (1 + int(piece["document"].partition("-")[0]) % 3)


def test_show_data_on_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_data(DataCall(shards=[folder], config=DataConfig(seq_len=32), show=500, as_json=False, quiet=False))
    out, err = capsys.readouterr()
    assert out == "" and "\x1b[2J" not in err
    for expected in ("tokens drawn", "stay empty", "padding each", "cropping", "Row 0", "── wiki · ", "── web · "):
        assert expected in err
    assert "whole\nThe tide came in at noon." in err and "cut behind it" in err and "cut before" in err
