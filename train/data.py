"""From token shards to rows for training, none of their tokens lost, and a place in the data that is one integer.

In: opened shards and a `DataConfig`. Out: `Rows`: row r is the same in every process and after every restart, so a
trainer keeps one number to go on from. A document of n ids has n - 1 positions (id i, with id i + 1 as its target);
each position of each drawn document stands in exactly one row. Trade-off: which piece stands in which row is computed
at the start, from the lengths alone, and held in memory; nothing is written, so nothing can be out of date. Price:
1 s and 130 MB for a million documents, and 90 µs for each row of 2,048 positions that is served.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from runkit.errors import InputError, UsageError
from runkit.mixture import Mixture, mix
from train.config import DataConfig
from train.packing import Cuts, Int32, Int64, Layout, cuts, pack, permutation, reordered
from train.shards import TokenArray, TokenShards

NO_TARGET: Final = -100  # what the cross-entropy of torch leaves out
PROBED: Final = 256  # documents whose ids are part of the hash of the data
MAX_PIECES: Final = 2**28  # 130 to 310 bytes each while they are laid out


class TooMuch(UsageError):
    """More is asked for than can be laid out in memory."""


class Sequences(Protocol):
    """Sequences of ids by number, of which rows are made; `Documents` are some, and dialogues."""

    sources: list[str]
    source: Int32  # (D,) index into `sources`
    length: Int64  # (D,) ids
    vocab_size: int

    @property
    def sha256(self) -> str: ...
    def __len__(self) -> int: ...
    def id(self, document: int) -> str: ...
    def tokens(self, document: int) -> NDArray[Any]: ...  # (n,) whole numbers
    def learnt(self, document: int) -> NDArray[np.bool_] | None: ...  # (n,) ids that are targets; None: all
    def place(self, document: int) -> str: ...  # where it lies, for people
    def held_out(self, share: float) -> NDArray[np.bool_]: ...  # (D,)


class Documents:
    """All documents of some folders of shards, numbered through; a source that several folders hold is one source."""

    def __init__(self, folders: Sequence[TokenShards]) -> None:
        """InputError: folders made with different tokenizers or types of number. UsageError: one is given twice."""
        places = [folder.path.resolve() for folder in folders]
        for place, folder in zip(places, folders, strict=True):
            if places.count(place) > 1:
                raise UsageError(f"{folder.path} is given twice; name each folder once, and use weights to repeat it.")
        for folder in folders[1:]:
            _check_same(folders[0], folder)
        self.folders = list(folders)
        self.vocab_size = folders[0].vocab_size
        self.sources = sorted({name for folder in folders for name in folder.sources})
        numbers = [np.array([self.sources.index(name) for name in folder.sources], np.int32) for folder in folders]
        self.source: Int32 = np.concatenate([n[f.source] for n, f in zip(numbers, folders, strict=True)])
        self.length: Int64 = np.concatenate([folder.length for folder in folders])
        self._first: Int64 = np.cumsum([0, *map(len, folders)])

    def __len__(self) -> int:
        return len(self.length)

    def tokens(self, document: int) -> TokenArray:
        """The ids of one document, (n,), as they are stored."""
        folder = self.folder(document)
        # As a plain array: each slice of a memory map makes another memory map, which takes 3 µs.
        return np.asarray(self.folders[folder].tokens(document - int(self._first[folder])))

    def learnt(self, document: int) -> None:
        """Every id of a document is learnt."""

    def place(self, document: int) -> str:
        """The folder of a document."""
        return str(self.folders[self.folder(document)].path)

    def id(self, document: int) -> str:
        """The id of a document; reads those of its whole shard."""
        folder = self.folder(document)
        return self.folders[folder].id(document - int(self._first[folder]))

    def folder(self, document: int) -> int:
        """Which of `folders` holds a document."""
        return int(np.searchsorted(self._first, document, side="right")) - 1

    def held_out(self, share: float) -> NDArray[np.bool_]:
        """Which documents `runkit.records.held_out` keeps from training, (D,)."""
        return np.concatenate([folder.held_out(share) for folder in self.folders])

    @property
    def sha256(self) -> str:
        """Of the tokenizer, of which documents there are and how long they are, and of the ids of some of them.

        Documents that were encoded anew differ in length somewhere; `PROBED` of them are read all the same, since to
        read all would take as long as an epoch.
        """
        digest = hashlib.sha256(self.folders[0].tokenizer_sha256.encode())
        for array in (*(folder.id_hash for folder in self.folders), self.length):
            digest.update(_raw(array))
        for document in np.linspace(0, len(self) - 1, min(PROBED, len(self)), dtype=np.int64).tolist():
            digest.update(_raw(self.tokens(document)))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to train on, (B, T) each; B rows of T positions."""

    inputs: Int32  # ids; 0 where empty
    targets: Int32  # the id that follows; -100 where empty or not to be learnt
    documents: Int32  # number of the piece within its row, from 0; -1 where empty
    positions: Int32  # within the piece, from 0; 0 where empty


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of several batches, one after another."""
    columns = [(batch.inputs, batch.targets, batch.documents, batch.positions) for batch in batches]
    return Batch(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a document that stands in one row."""

    document: int
    start: int  # position within the document
    length: int  # positions


class Rows:
    """Rows of `seq_len` positions, served by number."""

    def __init__(self, documents: Sequences, layout: Layout, seq_len: int) -> None:
        self.documents, self.layout, self.seq_len = documents, layout, seq_len

    def __len__(self) -> int:
        return self.layout.rows

    @property
    def positions(self) -> int:
        """How many are filled, in all rows."""
        return int(self.layout.length.sum(dtype=np.int64))

    @property
    def waste(self) -> float:
        """The share of positions that is empty."""
        return 1 - self.positions / (len(self) * self.seq_len) if len(self) else 0.0

    @property
    def sha256(self) -> str:
        """Of all that decides which ids stand in which row: kept in a checkpoint, it shows data that have changed."""
        layout = self.layout
        digest = hashlib.sha256(f"{self.seq_len} {self.documents.sha256}".encode())
        for array in (layout.first, layout.document, layout.start, layout.length):
            digest.update(_raw(array))
        return digest.hexdigest()

    def pieces(self, row: int) -> list[Piece]:
        """What stands in a row, in order."""
        own = slice(int(self.layout.first[row]), int(self.layout.first[row + 1]))
        columns = (self.layout.document[own], self.layout.start[own], self.layout.length[own])
        return [Piece(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def ids(self, piece: Piece) -> Int32:
        """The inputs of a piece and its last target, (length + 1,). InputError: an id beyond the vocabulary."""
        ids = self.documents.tokens(piece.document)[piece.start : piece.start + piece.length + 1]
        if (highest := int(ids.max())) >= self.documents.vocab_size:
            raise InputError(
                f"{self.documents.place(piece.document)} holds the id {highest:,}, but "
                f"its tokenizer has {self.documents.vocab_size:,} ids; run `train tokens` again."
            )
        return ids.astype(np.int32)

    def batch(self, first: int, count: int) -> Batch:
        """Rows first … first+count-1, the same whoever asks: process p of P asks for its part of a step's rows.

        ValueError: there are not so many rows; a trainer plans its steps by `len`. InputError: as `ids`.
        """
        if not 0 <= first <= first + count <= len(self):
            raise ValueError(f"rows {first} to {first + count} were asked for, but there are {len(self)}")
        shape = (count, self.seq_len)
        batch = Batch(
            np.zeros(shape, np.int32),
            np.full(shape, NO_TARGET, np.int32),
            np.full(shape, -1, np.int32),
            np.zeros(shape, np.int32),
        )
        for row in range(count):
            end = 0
            for number, piece in enumerate(self.pieces(first + row)):
                ids = self.ids(piece)
                place = (row, slice(end, end + piece.length))
                batch.inputs[place], batch.targets[place] = ids[:-1], self._targets(piece, ids)
                batch.documents[place] = number
                batch.positions[place] = np.arange(piece.length)
                end += piece.length
        return batch

    def _targets(self, piece: Piece, ids: Int32) -> Int32:
        learnt = self.documents.learnt(piece.document)
        if learnt is None:
            return ids[1:]
        return np.where(learnt[piece.start + 1 : piece.start + 1 + piece.length], ids[1:], NO_TARGET).astype(np.int32)


@dataclass(frozen=True, slots=True)
class DrawnSource:
    """One source as it is trained on; documents that are held out or have no position are not counted."""

    source: str
    documents: int
    tokens: int
    weight: float  # of all that is drawn
    drawn_documents: int
    drawn_tokens: int

    @property
    def epochs(self) -> float:
        """How often the source is gone round."""
        return self.drawn_tokens / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Rows to train on, and how they came about."""

    rows: Rows
    sources: list[DrawnSource]
    warnings: list[str]  # sentences
    cuts: Cuts
    lengths: Int64  # (N,) positions of each document as often as it is drawn


def training_data(documents: Sequences, config: DataConfig) -> TrainingData:
    """Draw each source for its epochs, lay what is drawn into rows and shuffle these.

    InputError: no documents are left to train on. UsageError: weights that do not fit the sources, a budget that is
    too small or too large.
    """
    instances, sources, warnings = _draw(documents, config)
    lengths = documents.length[instances] - 1
    layout = pack(lengths, config.seq_len, config.waste)
    shuffled = reordered(layout, permutation(layout.rows, config.seed, "rows"))
    rows = Rows(documents, replace(shuffled, document=instances[shuffled.document]), config.seq_len)
    return TrainingData(rows, sources, warnings, cuts(layout, lengths, config.seq_len), lengths)


def held_out_documents(documents: Sequences, share: float) -> Int64:
    """The documents that are never trained on and have a position to measure on, in order."""
    return np.flatnonzero(documents.held_out(share) & (documents.length >= 2))


def held_out_rows(documents: Sequences, config: DataConfig) -> Rows:
    """Rows of all held-out documents, in the order in which they were packed; there may be none."""
    return _rows_of(documents, held_out_documents(documents, config.held_out), config)


def held_out_by_source(documents: Sequences, config: DataConfig) -> dict[str, Rows]:
    """The same, of each source that has some by itself."""
    held_out = held_out_documents(documents, config.held_out)
    numbers = documents.source[held_out]
    return {
        source: _rows_of(documents, held_out[numbers == number], config)
        for number, source in enumerate(documents.sources)
        if (numbers == number).any()
    }


def _rows_of(documents: Sequences, chosen: Int64, config: DataConfig) -> Rows:
    layout = pack(documents.length[chosen] - 1, config.seq_len, config.waste)
    return Rows(documents, replace(layout, document=chosen[layout.document]), config.seq_len)


def _draw(documents: Sequences, config: DataConfig) -> tuple[Int64, list[DrawnSource], list[str]]:
    """The documents as often as each is drawn, in random order; the sources; warnings."""
    usable = (documents.length >= 2) & ~documents.held_out(config.held_out)
    if not usable.any():
        raise InputError(_nothing(documents, config))
    if config.tokens is not None and config.tokens < config.seq_len:
        raise UsageError(
            f"tokens = {config.tokens:,} are fewer than one row of seq_len = {config.seq_len:,}; raise tokens."
        )
    sizes = np.bincount(documents.source[usable], documents.length[usable], len(documents.sources))
    mixture = mix(dict(zip(documents.sources, map(int, sizes), strict=True)), config.weights, config.tokens)
    _check_memory(mixture, documents, usable, config)
    chosen, sources = [], []
    for number, part in enumerate(mixture.parts):
        own = np.flatnonzero(usable & (documents.source == number))
        order = permutation(len(own), config.seed, f"draw {part.source}")
        drawn = own[_epochs(documents.length[own], part.drawn, order)]
        chosen.append(drawn)
        tokens = int(documents.length[drawn].sum())
        sources.append(DrawnSource(part.source, len(own), part.size, part.weight, len(drawn), tokens))
    instances = np.concatenate(chosen)
    if not len(instances):
        raise UsageError(
            f"tokens = {config.tokens:,} come to no whole document; raise tokens above a document's length."
        )
    instances = instances[permutation(len(instances), config.seed, "documents")]
    return instances, sources, [*mixture.warnings, *_missed(sources)]


def _epochs(lengths: Int64, tokens: float, order: Int64) -> Int64:
    """All documents for each whole epoch, and for the rest the first of `order` up to the nearest whole document."""
    size = int(lengths.sum())
    if not size:
        return order[:0]
    epochs = int(tokens // size)
    left = tokens - epochs * size
    ends = np.concatenate([[0], np.cumsum(lengths[order])])
    count = min(int(np.searchsorted(ends, left)), len(order))
    if count and left - ends[count - 1] <= ends[count] - left:
        count -= 1
    return np.concatenate([np.tile(np.arange(len(lengths)), epochs), order[:count]])


def _missed(sources: list[DrawnSource]) -> list[str]:
    return [
        f"{source.source} has a weight, but its share comes to no whole document; raise tokens."
        for source in sources
        if source.weight > 0 and source.tokens and not source.drawn_documents
    ]


def _check_memory(mixture: Mixture, documents: Sequences, usable: NDArray[np.bool_], config: DataConfig) -> None:
    counts = np.bincount(documents.source[usable], minlength=len(documents.sources)).tolist()
    pieces = sum(part.epochs * count for part, count in zip(mixture.parts, counts, strict=True))
    pieces += mixture.budget / config.seq_len
    if pieces > MAX_PIECES:
        raise TooMuch(
            f"tokens = {mixture.budget:,.0f} would make about {pieces:,.0f} pieces of documents, more than the "
            f"{MAX_PIECES:,} that are held in memory; lower tokens or give longer documents."
        )


def _nothing(documents: Sequences, config: DataConfig) -> str:
    if (documents.length >= 2).any():
        return f"All documents are held out (held_out = {config.held_out:g}); lower it or give more documents."
    return "The shards hold no document of two tokens or more, so there is nothing to train on; give more documents."


def _raw(array: NDArray[Any]) -> bytes:
    """The length and the numbers, the same on every machine."""
    return f"{len(array)} ".encode() + array.astype(array.dtype.newbyteorder("<")).tobytes()


def _check_same(one: TokenShards, other: TokenShards) -> None:
    if one.tokenizer_sha256 != other.tokenizer_sha256:
        raise InputError(
            f"{one.path} and {other.path} were made with different tokenizers; run `train tokens` for one again."
        )
    if one.dtype != other.dtype or one.vocab_size != other.vocab_size:
        raise InputError(
            f"{one.path} holds ids as {one.dtype} of {one.vocab_size:,}, {other.path} as {other.dtype} of "
            f"{other.vocab_size:,}; run `train tokens` for one again."
        )
