"""What is named is found, recognised by content, and cut the same way each time."""

import gzip
import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import fsspec
import polars as pl
import pytest
import zstandard

from runkit.errors import InputError, UsageError
from runkit.inputs import Plan, plan, stem
from tests.corpus.warc_maker import make


def kinds(made: Plan) -> dict[str, tuple[str, str]]:
    return {part.name: (part.format, part.compression) for shard in made.shards for part in shard.parts}


def test_formats_by_content_whatever_the_name(tmp_path: Path) -> None:
    line = b'{"text": "x"}\n'
    warc = make(2, gzip=False).data
    wiki = b'<mediawiki xmlns="x"><page></page></mediawiki>'
    files = {
        "a": (warc, "warc", ""),
        "b.dat": (make(2).data, "warc", "gz"),
        "c.bin": (zstandard.compress(warc), "warc", "zst"),
        "d": (line * 3, "jsonl", ""),
        "e.gz": (gzip.compress(line), "jsonl", "gz"),
        "f.zst": (zstandard.compress(line), "jsonl", "zst"),
        "g": (b"\n <!doctype HTML><p>x", "html", ""),
        "h.php": (b"<p>1</p>" * 9, "html", ""),
        "i.md": (b"<p align=center>logo</p>\n\n# Title\n", "text", ""),
        "j.txt": ("一些文字".encode("gbk"), "text", ""),
        "k": (wiki, "mediawiki", ""),
        "l.bz2": (__import__("bz2").compress(wiki), "mediawiki", "bz2"),
        "m.jsonl": (b"[1, 2]\n" + line, "jsonl", ""),
        "n": ((b'{"text": "' + b"x" * 200_000 + b'"}\n') * 2, "jsonl", ""),
    }
    for name, (data, _, _) in files.items():
        (tmp_path / name).write_bytes(data)
    pl.DataFrame({"text": ["x"]}).write_parquet(tmp_path / "o.data")
    expected = {name: (kind, compression) for name, (_, kind, compression) in files.items()}
    made = plan([str(tmp_path / name) for name in [*files, "o.data"]])
    assert kinds(made) == expected | {"o.data": ("parquet", "")}
    assert made.skipped == ()


def test_what_is_no_input_is_listed_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "x.txt").write_text("hidden")
    (folder / ".hidden.txt").write_text("hidden")
    (folder / "sub" / "good.txt").write_text("good")
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (folder / "style.css").write_text("p { color: red }")
    (folder / "data.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "pretty.json").write_text('{\n  "a": 1\n}\n')
    (folder / "cut.parquet").write_bytes(b"PAR1" + bytes(100))
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to(folder / "nowhere")
    made = plan([str(folder)])
    assert [file.name for file in made.files] == ["dump/sub/good.txt"]
    assert {Path(entry.path).name for entry in made.skipped} == {
        "empty.jsonl", "photo.txt", "style.css", "data.bin", "pretty.json", "cut.parquet", "pipe", "broken",
    }  # fmt: skip
    assert all(entry.reason for entry in made.skipped)
    named = plan([str(folder / "style.css")])
    assert kinds(named) == {"style.css": ("text", "")}, "named by the user, any text is taken"


def test_devices_and_sparse_files_do_not_hang(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.txt"
    with sparse.open("wb") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(InputError, match="sparse"):
        plan([str(sparse)])
    with pytest.raises(InputError, match="/dev/zero"):
        plan(["/dev/zero"])


def test_nothing_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    for missing in ("nothing.jsonl", "no*.jsonl", "zh=nothing"):
        with pytest.raises(UsageError, match=r"no"):
            plan([str(tmp_path / missing)])
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder"):
        plan([str(tmp_path / "folder")])
    with pytest.raises(UsageError):
        plan([])


def test_names_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/x.jsonl", "b/x.jsonl", "b/y.v2.jsonl.gz", "b/[z].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        data = b'{"text": "x"}\n'
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    monkeypatch.chdir(tmp_path)

    def found(*inputs: str) -> list[tuple[str, str]]:
        return [(part.name, part.source) for shard in plan(inputs).shards for part in shard.parts]

    assert found("a/x.jsonl", "b/x.jsonl") == [("a/x.jsonl", "x"), ("b/x.jsonl", "x")]
    assert found("b/y.v2.jsonl.gz") == [("y.v2.jsonl.gz", "y.v2")]
    assert found("news=b") == [("b/[z].txt", "news"), ("b/x.jsonl", "news"), ("b/y.v2.jsonl.gz", "news")]
    assert found("b/*.jsonl*") == [("x.jsonl", "x"), ("y.v2.jsonl.gz", "y.v2")]
    assert found("**/x.jsonl") == [("a/x.jsonl", "x"), ("b/x.jsonl", "x")]
    assert found("b/[z].txt") == [("[z].txt", "[z]")], "an existing path is no pattern"
    from_here = found(".")
    monkeypatch.chdir(tmp_path / "a")
    assert found("..") == from_here == found(str(tmp_path))
    twice = plan(["x.jsonl", "../a/x.jsonl"])
    assert len(twice.files) == 1 and twice.skipped[0].reason == "named twice"
    assert stem("s3://b/c/d.warc.zst?x=1") == "d"


def test_fingerprints_are_sha256_and_plans_pickle(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "x"}\n' * 5_000)
    made = plan([str(path)], shard_bytes=10_000)
    assert made.files[0].fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.files[0].size_bytes == path.stat().st_size
    assert pickle.loads(pickle.dumps(made)) == made == plan([str(path)], shard_bytes=10_000)


@pytest.mark.parametrize("shard_bytes", [3_000, 10_000, 10**9])
def test_cuts_cover_each_file_and_lie_at_records(tmp_path: Path, shard_bytes: int) -> None:
    warc, packed = make(300, gzip=False), make(300)
    lines = [json.dumps({"text": "行" * (n % 90), "n": n}).encode() + b"\n" for n in range(2_000)]
    files = {
        "a.warc": (warc.data, set(warc.starts)),
        "b.warc.gz": (packed.data, set(packed.starts)),
        "c.jsonl": (b"".join(lines), {sum(map(len, lines[:n])) for n in range(2_000)}),
        "d.jsonl.gz": (gzip.compress(b"".join(lines)), {0}),
        "e.txt": (b"word " * 9_000, {0}),
    }
    for name, (data, starts) in files.items():
        (tmp_path / name).write_bytes(data)
        made = plan([str(tmp_path / name)], shard_bytes=shard_bytes)
        parts = [part for shard in made.shards for part in shard.parts]
        assert parts[0].start == 0 and parts[-1].end == len(data)
        assert all(left.end == right.start for left, right in pairwise(parts))
        assert {part.start for part in parts} <= starts
        if len(starts) > 1 and shard_bytes < 10**6:
            sizes = [part.end - part.start for part in parts]
            assert len(parts) > 2 and max(sizes) < 2.5 * shard_bytes, sizes
        if name == "c.jsonl":
            assert [part.first_line for part in parts] == [data.count(b"\n", 0, part.start) + 1 for part in parts]


def test_a_heap_of_comments_is_recognised_quickly(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"<!-- a --> " * 3_000 + b"no tag")
    start = time.process_time()
    plan([str(path)])
    assert time.process_time() - start < 1


def test_small_files_share_shards(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}.html").write_text("<html>" + "x" * 994)
    shards = plan([str(tmp_path)], shard_bytes=10_000).shards
    assert [len(shard.parts) for shard in shards] == [10] * 10
    assert [shard.index for shard in shards] == list(range(10))
    assert [part.name[-8:-5] for shard in shards for part in shard.parts] == [f"{n:03}" for n in range(100)]


def test_urls() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/dump/a.jsonl", b'{"text": "one"}\n')
    fs.pipe("/dump/sub/b.warc.gz", make(2).data)
    fs.pipe("/dump/.hidden.jsonl", b'{"text": "no"}\n')
    try:
        made = plan(["web=memory://dump"])
        assert [(file.name, bool(file.fingerprint)) for file in made.files] == [
            ("dump/a.jsonl", True), ("dump/sub/b.warc.gz", True),
        ]  # fmt: skip
        assert [(part.source, part.labelled) for shard in made.shards for part in shard.parts] == [("web", True)] * 2
        assert [file.name for file in plan(["memory://dump/*.jsonl"]).files] == ["a.jsonl"]
        for missing in ("memory://dump/none", "memory://dump/none*", "nosuch://x"):
            with pytest.raises(UsageError):
                plan([missing])
    finally:
        fs.rm("/dump", recursive=True)


def test_file_urls(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "x"}\n')
    assert plan([f"file://{tmp_path}/x.jsonl"]).files[0].name == "x.jsonl"


def test_planning_starts_no_threads_and_stays_light(tmp_path: Path) -> None:
    """The process that plans forks the workers; polars and numpy would be threads there."""
    pl.DataFrame({"text": ["x"] * 10}).write_parquet(tmp_path / "x.parquet", row_group_size=5)
    (tmp_path / "x.jsonl").write_text('{"text": "x"}\n')
    code = (
        "import sys, os; from runkit.inputs import plan; plan([sys.argv[1]]);"
        "print(len(os.listdir('/proc/self/task')), *({'polars', 'fsspec', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1"]
