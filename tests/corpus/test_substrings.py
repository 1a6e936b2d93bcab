"""Exact substrings against all windows of all documents, and spans of lines and paragraphs against Python."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import substrings
from corpus.measure import to_codes
from corpus.paragraphs import Pieces, Wanted, cut_texts, find_repeats, pieces_of
from corpus.substrings import Search, TextPart, find_spans

NONE = np.zeros(0, np.int64)


def in_parts(documents: Sequence[str], size: int) -> list[TextPart]:
    return [
        TextPart(*to_codes(documents[start : start + size]), NONE, NONE) for start in range(0, len(documents), size)
    ]


def covered(parts: Sequence[TextPart], found: Sequence[substrings.Spans]) -> list[set[int]]:
    """The characters to cut of each document."""
    cut: list[set[int]] = []
    for part, spans in zip(parts, found, strict=True):
        of_part: list[set[int]] = [set() for _ in range(len(part.offsets) - 1)]
        for document, start, stop in zip(spans.document, spans.start, spans.stop, strict=True):
            begin = part.offsets[document]
            of_part[document] |= set(range(int(start - begin), int(stop - begin)))
        cut += of_part
    return cut


def brute(documents: Sequence[str], search: Search, walls: Sequence[set[int]] = ()) -> list[set[int]]:
    """Every window looked up in every document."""
    where: dict[str, list[tuple[int, int]]] = {}
    for number, text in enumerate(documents):
        for start in range(len(text) - search.length + 1):
            if not walls or not walls[number] & set(range(start, start + search.length)):
                where.setdefault(text[start : start + search.length], []).append((number, start))
    cut: list[set[int]] = [set() for _ in documents]
    for places in where.values():
        holders = {number for number, _ in places}
        if len(holders) < search.least:
            continue
        for number, start in places:
            if number >= search.old and not (search.keep_first and number == min(holders)):
                cut[number] |= set(range(start, start + search.length))
    return cut


@st.composite
def sets_of_documents(draw: st.DrawFn) -> list[str]:
    """Few letters, and pieces of one document in another, so that there is something to find."""
    alphabet = draw(st.sampled_from(["ab", "abc文", "abcdefgh字𠀀"]))
    documents = draw(st.lists(st.text(alphabet, max_size=50), min_size=1, max_size=7))
    for source, target, start, length in draw(
        st.lists(st.tuples(*[st.integers(0, 6)] * 2, st.integers(0, 49), st.integers(1, 30)), max_size=6)
    ):
        piece = documents[source % len(documents)][start : start + length]
        documents[target % len(documents)] += piece
    return documents


@settings(max_examples=150, deadline=None)
@given(
    sets_of_documents(),
    st.builds(Search, st.sampled_from([2, 3, 5, 8, 13]), st.integers(2, 3), st.booleans(), st.integers(0, 2)),
    st.integers(1, 4),
)
def test_all_repeats_and_nothing_else(documents: list[str], search: Search, size: int) -> None:
    parts = in_parts(documents, size)
    assert covered(parts, find_spans(parts, search)) == brute(documents, search)


@settings(max_examples=30, deadline=None)
@given(sets_of_documents(), st.integers(2, 3))
def test_workers_and_memory_change_nothing(documents: list[str], least: int) -> None:
    parts = in_parts(documents, 2)
    search = Search(4, least)
    expected = covered(parts, find_spans(parts, search))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(substrings, "MOST_PASSES", 16)
        assert covered(parts, find_spans(parts, search, workers=2, budget=20)) == expected


@settings(max_examples=60, deadline=None)
@given(sets_of_documents(), st.data())
def test_no_window_reaches_into_what_is_cut_already(documents: list[str], data: st.DataObject) -> None:
    parts, walls = [], []
    for text in documents:
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, len(text)))
        walls.append(set(range(start, stop)))
        parts.append(TextPart(*to_codes([text]), np.array([start]), np.array([stop])))
    search = Search(4, 2)
    assert covered(parts, find_spans(parts, search)) == brute(documents, search, walls)


def lines_of(texts: Sequence[str], least: int = 1) -> list[tuple[int, str]]:
    codes, offsets = to_codes(texts)
    lines, _ = pieces_of(texts, codes, offsets, least, 1)
    return shown(lines, codes)


def shown(pieces: Pieces, codes: np.ndarray) -> list[tuple[int, str]]:
    whole = "".join(map(chr, codes))
    return [(int(d), whole[a:b]) for d, a, b in zip(pieces.document, pieces.start, pieces.stop, strict=True)]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text("ab 　\n。文", max_size=30), min_size=1, max_size=4), st.integers(1, 3))
def test_lines_are_those_of_python(texts: list[str], least: int) -> None:
    def visible(line: str) -> int:
        return len("".join(line.split()))

    expected = [(n, line) for n, text in enumerate(texts) for line in text.split("\n") if visible(line) >= least]
    assert lines_of(texts, least) == expected


def test_paragraphs_lie_between_blank_lines_else_each_line_is_one() -> None:
    texts = ["甲一\n甲二\n\n乙一\n \n\n丙一\n丙二\n", "丁\n戊", "\n\n己\n"]
    codes, offsets = to_codes(texts)
    _, paragraphs = pieces_of(texts, codes, offsets, 1, 1)
    expected = [(0, "甲一\n甲二"), (0, "乙一"), (0, "丙一\n丙二"), (1, "丁"), (1, "戊"), (2, "己")]
    assert shown(paragraphs, codes) == expected


def test_code_blocks_are_never_cut() -> None:
    text = "说明\n```python\nimport os\n```\n结束"
    assert lines_of([text]) == [(0, "说明"), (0, "结束")]


def test_texts_keep_their_paragraphs_when_something_is_cut() -> None:
    text = "甲\n乙\n\n丙\n\n丁"
    for gone, expected in (
        ("甲", "乙\n\n丙\n\n丁"),
        ("乙", "甲\n\n丙\n\n丁"),
        ("丙", "甲\n乙\n\n丁"),
        ("丁", "甲\n乙\n\n丙"),
        ("甲\n乙", "丙\n\n丁"),
        (text, ""),
    ):
        codes, offsets = to_codes(["前", text, "后"])
        start = offsets[1] + text.index(gone)
        span = np.array([1], np.int32), np.array([start]), np.array([start + len(gone)])
        assert cut_texts(codes, offsets, *span) == ["前", expected, "后"], gone


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("甲乙丙丁戊"), max_size=6), min_size=1, max_size=8),
    st.integers(2, 3),
    st.booleans(),
    st.integers(1, 3),
)
def test_lines_in_many_documents(documents: list[list[str]], least: int, keep_first: bool, size: int) -> None:
    """Against counting in Python, in parts, some documents gone, with little memory."""
    texts = ["\n".join(lines) for lines in documents]
    there = [number % 5 != 4 for number in range(len(texts))]
    parts = []
    for start in range(0, len(texts), size):
        codes, offsets = to_codes(texts[start : start + size])
        parts.append(pieces_of(texts[start : start + size], codes, offsets, 1, 1)[0])
    standing = [np.array(there[start : start + size]) for start in range(0, len(texts), size)]
    cuts, counts, _ = find_repeats(
        len(parts), lambda part: parts[part], lambda part: standing[part], Wanted(least, keep_first, 0), budget=3
    )
    holders = {line: [n for n, lines in enumerate(documents) if there[n] and line in lines] for line in "甲乙丙丁戊"}
    expected = []
    for number, lines in enumerate(documents):
        for place, line in enumerate(lines):
            among = holders[line]
            if there[number] and len(among) >= least and not (keep_first and number == among[0]):
                expected.append((number, 2 * place, len(among)))
    found = []
    for part, (chosen, count) in enumerate(zip(cuts, counts, strict=True)):
        begins = to_codes(texts[part * size : part * size + size])[1]
        for piece, documents_with in zip(chosen, count, strict=True):
            row = int(parts[part].document[piece])
            found.append((part * size + row, int(parts[part].start[piece] - begins[row]), int(documents_with)))
    assert sorted(found) == sorted(expected)
