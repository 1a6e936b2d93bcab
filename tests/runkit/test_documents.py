"""A set of documents: runs, tables, lines and texts read alike; what is raw or broken is refused or counted."""

import gzip
import hashlib
import json
import subprocess
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkit.documents import Document, Fault, cut_text, held_out, plan_documents, read_documents, sampled
from runkit.errors import InputError
from tests.corpus.run_maker import make, page
from tests.corpus.warc_maker import make as make_warc

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "dump"
MB = 1_000_000


def read_all(*inputs: str | Path, shard_bytes: int = 8_000_000, **options: str) -> tuple[list[Document], list[Fault]]:
    documents: list[Document] = []
    faults: list[Fault] = []
    for shard in plan_documents([str(name) for name in inputs], shard_bytes=shard_bytes).shards:
        for item in read_documents(shard, **options):
            if isinstance(item, Document):
                documents.append(item)
            else:
                faults.append(item)
    return documents, faults


def a_run(path: Path, first: int = 0, kept: int = 3) -> Path:
    pages = [page(first + number, meta={"title": f"标题{number}"}, date="2024-05-06") for number in range(kept)]
    make(path, [pages, [page(first + 90, "rules.short")]])
    return path


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    return path


def test_a_run_gives_its_documents_and_nothing_else(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    documents, faults = read_all(run)
    assert faults == []
    assert [document.text for document in documents] == [f"第{n}篇的正文。\n第二行。" for n in range(3)]
    ids = [hashlib.blake2b(f"dump.warc.gz#{n}".encode(), digest_size=12).hexdigest() for n in range(3)]
    assert documents[1] == Document(
        id=ids[1],
        origin="run/documents/00000-000.parquet#1",
        text="第1篇的正文。\n第二行。",
        url="https://site1.example/1",
        source="dump",
        language="zh",
        date="2024-05-06",
        meta='{"title":"标题1"}',
    )
    assert [document.id for document in documents] == ids
    assert {document.source for document in read_all(f"web={run}")[0]} == {"web"}


def test_a_run_of_the_command_is_read_as_it_counts_itself(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "corpus", "clean", str(EXAMPLE), "--out", str(run), "--workers", "1", "-q"]
    subprocess.run(command, check=True, capture_output=True)
    documents, _ = read_all(run)
    counts = json.loads((run / "summary.json").read_bytes())
    assert len(documents) == counts["documents"]["kept"] > 0
    assert sum(len(document.text) for document in documents) == counts["characters"]["kept"]


def test_runs_are_found_wherever_a_folder_or_pattern_leads(tmp_path: Path) -> None:
    for number, name in enumerate(("runs/a", "runs/b", "other/a")):
        a_run(tmp_path / name, first=10 * number)
    lines(tmp_path / "runs" / "more.jsonl", {"text": "多"})
    for inputs, count in (
        ((tmp_path / "runs",), 7),
        ((tmp_path / "runs" / "*",), 7),
        ((tmp_path / "runs" / "a", tmp_path / "other" / "a"), 6),
        ((tmp_path / "runs" / "a" / "documents",), 3),
        ((tmp_path / "runs" / "a", tmp_path / "runs" / "a" / "documents"), 3),
    ):
        documents, faults = read_all(*inputs)
        assert (len(documents), faults) == (count, [])
        made = plan_documents([str(name) for name in inputs])
        assert len({file.name for file in made.files}) == len(made.files)
        assert len({document.origin for document in documents}) == count


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (run / "work").mkdir()
    inputs = (
        run,
        tmp_path,
        run / "documents",
        run / "documents" / "*.parquet",
        run / "documents" / "00000-000.parquet",
    )
    for given_as in inputs:
        with pytest.raises(InputError, match=r"run is not finished; run `corpus clean` on it again first\.$"):
            plan_documents([str(given_as)])
    (run / "work").rmdir()
    assert len(read_all(run)[0]) == 3
    (run / "summary.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        plan_documents([str(run)])


def test_an_empty_run_is_one_sentence(tmp_path: Path) -> None:
    full, empty = a_run(tmp_path / "full"), a_run(tmp_path / "empty", kept=0)
    with pytest.raises(InputError, match=r"empty kept no documents; [^.]*report\.html[^.]*\.$"):
        plan_documents([str(full), str(empty)])


def test_a_run_behind_a_url(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    fs = fsspec.filesystem("memory")
    fs.put(str(run), "/runs/zh", recursive=True)
    try:
        made = plan_documents(["memory://runs/zh"])
        assert [file.name for file in made.files] == ["zh/documents/00000-000.parquet"]
        assert [file.reason for file in made.skipped] == ["a parquet file without rows"], "all of it was rejected"
        fs.pipe("/".join(("/runs/zh", "work", "00000-000.parquet")), b"")
        for address in ("memory://runs", "memory://runs/zh/documents/00000-000.parquet"):
            with pytest.raises(InputError, match="runs/zh is not finished"):
                plan_documents([address])
    finally:
        fs.rm("/runs", recursive=True)


def test_raw_material_is_sent_to_the_first_stage(tmp_path: Path) -> None:
    raw = {
        "a.warc.gz": make_warc(2).data,
        "b.html": b"<html><p>x",
        "c.xml": b"<mediawiki><page></page></mediawiki>",
    }
    folder = tmp_path / "dump"
    folder.mkdir()
    for name, data in raw.items():
        (folder / name).write_bytes(data)
    (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for given_as in (folder, *(folder / name for name in raw)):
        with pytest.raises(InputError, match="run `corpus clean` on it first"):
            plan_documents([str(given_as)])
    lines(folder / "d.jsonl", {"text": "可读"})
    made = plan_documents([str(folder)])
    assert [file.name for file in made.files] == ["dump/d.jsonl"]
    assert sorted(Path(file.path).name for file in made.skipped) == ["0.png", *raw]


def test_fields_of_a_record_and_what_stands_in_for_them(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "zh.v1.jsonl",
        {
            "text": "一",
            "id": "own",
            "source": "书",
            "url": "u",
            "language": "zh",
            "date": "2024",
            "meta": {"b": 1, "a": 2},
        },
        {"text": "二", "id": 7, "meta": '{"k": 1}', "timestamp": 5},
        {"text": "三", "id": "", "source": "", "url": "", "language": "", "meta": "no json"},
        {"text": "四", "id": True, "source": 3, "url": 4, "language": 5, "meta": [1]},
    )
    documents, faults = read_all(path)
    starts = [0, *(n + 1 for n, byte in enumerate(path.read_bytes()) if byte == 10)]
    ids = [hashlib.blake2b(text.encode(), digest_size=12).hexdigest() for text in "一二三四"]
    assert faults == []
    assert [(d.id, d.source, d.url, d.language, d.date, d.meta) for d in documents] == [
        ("own", "书", "u", "zh", "2024", '{"a":2,"b":1}'),
        ("7", "zh.v1", None, None, "5", '{"k": 1}'),
        (ids[2], "zh.v1", None, None, None, "{}"),
        (ids[3], "zh.v1", None, None, None, "{}"),
    ]
    assert [document.origin for document in documents] == [f"zh.v1.jsonl#{start}" for start in starts[:4]]
    assert {document.source for document in read_all(f"名={path}")[0]} == {"名"}


def test_values_of_a_table_that_json_cannot_hold(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["一", "二"], "meta": [{"day": date(2024, 5, 6)}, {"day": None}]})
    frame.write_parquet(tmp_path / "x.parquet")
    documents, faults = read_all(tmp_path / "x.parquet")
    assert faults == [] and [json.loads(d.meta) for d in documents] == [{"day": "2024-05-06"}, {"day": None}]


def test_a_bad_record_is_a_fault_at_its_place(tmp_path: Path) -> None:
    bad = [
        (b'{"text": ""}', "text.empty"),
        (b'{"text": null}', "field.not_text"),
        (b'{"body": "x"}', "field.missing"),
        (b'{"text": "a\\u0000b"}', "json.nul"),
        (b'{"text": "\\udc00"}', "json.lone_surrogate"),
        (b'{"text": "\xff"}', "json.invalid_utf8"),
        (b"[]", "json.not_an_object"),
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + b"\n".join(line for line, _ in bad) + b'\n{"text": "good"}\n')
    documents, faults = read_all(path)
    assert [document.text for document in documents] == ["good", "good"]
    assert [(fault.reason, fault.line) for fault in faults] == [(reason, n) for n, (_, reason) in enumerate(bad, 2)]
    assert path.read_bytes()[faults[3].offset :].startswith(bad[3][0])
    assert "text_field=" in faults[2].detail and "corpus" not in faults[2].detail


def test_a_table_with_another_text_column(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame(
        {"body": [f"第{n}篇" for n in range(500)], "id": range(500), "meta": [{"n": n} for n in range(500)]}
    )
    frame.write_parquet(path, row_group_size=50)
    documents, faults = read_all(path, shard_bytes=1_000, text_field="body")
    assert faults == [] and len(plan_documents([str(path)], shard_bytes=1_000).shards) > 3
    assert [(d.id, d.text, d.meta, d.origin) for d in documents] == [
        (str(n), f"第{n}篇", f'{{"n":{n}}}', f"x.parquet#{n}") for n in range(500)
    ]
    documents, (fault,) = read_all(path)
    assert documents == [] and fault.reason == "field.missing" and "it has body, id, meta" in fault.detail


@given(st.text(alphabet=st.sampled_from("a字😀\n\r\ufeff"), max_size=200), st.integers(4, 40), st.integers(1, 50))
def test_cuts_of_a_text_are_the_text(text: str, most: int, step: int) -> None:
    data = text.encode()
    cuts = list(cut_text((data[at : at + step] for at in range(0, len(data), step)), most))
    assert b"".join(cuts) == data
    assert all(0 < len(cut) <= most for cut in cuts)
    for cut, following in pairwise(cuts):
        cut.decode()
        window = (cut + following)[:most]
        in_last_half = window[most // 2 :]
        assert cut.endswith(b"\n") if b"\n" in in_last_half else most - len(cut) < 4
    assert len(cuts) <= 1 or len(data) > most


@given(st.binary(max_size=200), st.integers(4, 40))
def test_cuts_of_any_bytes_are_the_bytes(data: bytes, most: int) -> None:
    cuts = list(cut_text([data], most))
    assert b"".join(cuts) == data and all(0 < len(cut) <= most for cut in cuts)


@pytest.mark.parametrize("suffix", [".txt", ".md", ".txt.gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_long_text_is_cut_and_nothing_is_lost(tmp_path: Path, suffix: str, mark: bytes) -> None:
    text = "".join(f"{n} 床前明月光，疑是地上霜。\r\n" for n in range(40_000)) + "无行" * 600_000
    data = mark + text.encode()
    path = tmp_path / f"诗{suffix}"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    documents, faults = read_all(path)
    assert faults == [] and "".join(document.text for document in documents) == text
    offsets = [int(document.origin.rpartition("#")[2]) for document in documents]
    sizes = [end - start for start, end in pairwise([*offsets, len(data)])]
    assert offsets[0] == 0 and max(sizes) <= MB and len(sizes) == 6
    for document, start, size in zip(documents, offsets, sizes, strict=True):
        assert data[start : start + size].removeprefix(mark).decode() == document.text
        digest = hashlib.blake2b(document.text.encode(), digest_size=12)
        assert (document.id, document.source, document.meta) == (digest.hexdigest(), "诗", "{}")


def test_what_has_no_id_is_held_out_the_same_however_the_set_is_named_and_cut(tmp_path: Path) -> None:
    texts = [f"第{n}首" for n in range(400)]
    (tmp_path / "in").mkdir()
    members = [json.dumps({"text": text}).encode() + b"\n" for text in texts]
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(b"".join(map(gzip.compress, members)))
    lines(tmp_path / "b.jsonl", *({"text": text} for text in texts))
    found = []
    for name, size in (("in", 8_000_000), ("in/a.jsonl.gz", 8_000_000), ("in", 2_000), ("b.jsonl", 1_000)):
        plan = plan_documents([str(tmp_path / name)], shard_bytes=size)
        documents = [item for shard in plan.shards for item in read_documents(shard) if isinstance(item, Document)]
        assert len(documents) == 400
        found.append({document.text for document in documents if held_out(document.id, 0.1)})
    assert found[0] == found[1] == found[2] == found[3]
    assert 20 < len(found[0]) < 60


def test_a_text_of_one_megabyte_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"line\n" * (MB // 5))
    assert len(read_all(path)[0]) == 1
    path.write_bytes(b"line\n" * (MB // 5) + b"\n")
    assert len(read_all(path)[0]) == 2


def test_texts_that_cannot_be_read(tmp_path: Path) -> None:
    head = "甲乙丙\n".encode()
    packed = gzip.compress(hashlib.sha256(b"x").hexdigest().encode() * 9_000)
    files = {
        "cut.txt.gz": (packed[: len(packed) // 2], "gz.cut", 0),
        "empty.txt": (b"\xef\xbb\xbf", "text.empty", 0),
        "gbk.txt": (b"abc\n" + "中文".encode("gbk"), "text.not_utf8", 4),
        "half.txt": (head + "字".encode()[:2], "text.not_utf8", len(head)),
        "late.txt": (head * 200_000 + b"\xff" + head * 200_000, "text.not_utf8", len(head) * 200_000),
        "nul.txt": (head * 10_000 + b"\0" + head, "text.nul", len(head) * 10_000),
        "utf16.txt": ("文字，文字。".encode("utf-16"), "text.not_utf8", 0),
    }
    for name, (data, _, _) in files.items():
        (tmp_path / name).write_bytes(data)
    documents, faults = read_all(tmp_path)
    assert [(Path(fault.name).name, fault.reason, fault.offset) for fault in faults] == [
        (name, reason, offset) for name, (_, reason, offset) in files.items()
    ]
    assert all("corpus clean" in fault.detail for fault in faults if fault.reason == "text.not_utf8")
    assert {Path(document.origin.partition("#")[0]).name for document in documents} == {"late.txt"}
    assert "".join(d.text for d in documents) == (head * 200_000).decode()[: sum(len(d.text) for d in documents)]


def test_a_file_that_went_away_is_a_clear_error(tmp_path: Path) -> None:
    (shard,) = plan_documents([str(lines(tmp_path / "x.jsonl", {"text": "x"}))]).shards
    (tmp_path / "x.jsonl").unlink()
    with pytest.raises(InputError, match=r"x\.jsonl was there"):
        list(read_documents(shard))


def test_lines_and_texts_are_read_without_polars(tmp_path: Path) -> None:
    lines(tmp_path / "x.jsonl", {"text": "x"})
    (tmp_path / "y.txt").write_text("y")
    code = (
        "import sys, os; from runkit.documents import plan_documents, read_documents;"
        "print(sum(len(list(read_documents(shard))) for shard in plan_documents([sys.argv[1]]).shards),"
        "len(os.listdir('/proc/self/task')), *({'polars', 'fsspec', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["2", "1"]


def test_held_out_is_a_fixed_and_fair_choice_that_no_sample_foresees() -> None:
    ids = [hashlib.sha256(str(n).encode()).hexdigest()[:24] for n in range(100_000)]
    out = {id for id in ids if held_out(id, 0.01)}
    taken = {id for id in ids if sampled(id, 0.01)}
    for chosen in (out, taken, {id for id in ids if sampled(id, 0.01, seed=1)}):
        assert 870 < len(chosen) < 1_130  # four standard deviations
    assert len(out & taken) < 30 and out < {id for id in ids if held_out(id, 0.02)}
    assert not any(held_out(id, 0) for id in ids[:1_000]) and all(held_out(id, 1) for id in ids[:1_000])
    word = int.from_bytes(
        hashlib.blake2b("文\udc00".encode("utf-8", "surrogatepass"), digest_size=8, person=b"held-out").digest(),
        "little",
    )
    assert held_out("文\udc00", (word + 2048) / 2**64) and not held_out("文\udc00", (word - 2048) / 2**64)
