"""Inputs of every kind from the plan to the pages: URLs, the web, odd names, odd encodings, odd members."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from corpus.page import Page
from corpus.readers import read
from runkit.errors import UsageError
from runkit.inputs import plan
from tests.corpus.warc_maker import make


def test_members_that_split_lines_are_no_place_to_cut(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": f"{n} " + "行" * (n % 90)}).encode() + b"\n" for n in range(5_000))
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"".join(gzip.compress(lines[at : at + 4_001]) for at in range(0, len(lines), 4_001)))
    texts = []
    for shard in plan([str(path)], shard_bytes=20_000).shards:
        for item in read(shard):
            assert isinstance(item, Page)
            texts.append(item.text)
    assert texts == [json.loads(line)["text"] for line in lines.splitlines()]


def clean(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corpus", "clean", *arguments, "--workers", "2"]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    """Names in GBK, as Chinese zip files unpacked elsewhere leave them."""
    folder = tmp_path / "dump"
    folder.mkdir()
    text = "我们今天来谈一谈中国的历史与文化，这是一篇文章。\n" * 20
    bad = os.fsencode(folder) + b"/bad\xff"
    Path(os.fsdecode(bad + b".txt")).write_text(text)
    Path(os.fsdecode(bad + b".css")).write_text("p {}")
    pl.DataFrame({"text": [text]}).write_parquet(folder / "x.parquet")
    (folder / "x.parquet").rename(os.fsdecode(bad + b".parquet"))
    made = plan([str(folder)])
    assert [(file.name, file.path) for file in made.files] == [
        (f"dump/bad\\xff.{suffix}", f"{folder}/bad\\xff.{suffix}") for suffix in ("parquet", "txt")
    ]
    assert [skipped.path for skipped in made.skipped] == [f"{folder}/bad\\xff.css"]
    pages = [item for shard in made.shards for item in read(shard)]
    assert [isinstance(page, Page) and (page.origin, page.source, page.text) for page in pages] == [
        (f"dump/bad\\xff.{suffix}#0", "bad\\xff", text) for suffix in ("parquet", "txt")
    ]
    result = clean(str(folder), "--out", str(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_bytes())
    assert summary["inputs"]["files"] == 2


def test_utf_16_text_is_no_binary_data(tmp_path: Path) -> None:
    text = "我们今天来谈一谈中国的历史与文化，这是一篇文章。😀\n" * 4_000
    (tmp_path / "le.txt").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    (tmp_path / "be.txt").write_bytes(b"\xfe\xff" + text.encode("utf-16-be"))
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(200))
    (tmp_path / "noise.txt").write_bytes(b"\xff\xfe" + noise)
    made = plan([str(tmp_path)])
    parts = [part for shard in made.shards for part in shard.parts]
    assert [(Path(part.name).name, part.format) for part in parts] == [("be.txt", "text"), ("le.txt", "text")]
    assert [skipped.reason for skipped in made.skipped] == ["binary data"]
    pages = [item for shard in made.shards for item in read(shard)]
    assert [isinstance(page, Page) and page.text for page in pages] == [text, text]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server of `tmp_path`/www that knows no ranges."""
    (tmp_path / "www").mkdir()
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_files_on_the_web(tmp_path: Path, web: str) -> None:
    lines = b"".join(json.dumps({"text": f"第{n}篇文章。" * 9}).encode() + b"\n" for n in range(500))
    packed = make(40)
    files = {"one.jsonl": lines, "two.warc.gz": packed.data}
    for name, data in files.items():
        (tmp_path / "www" / name).write_bytes(data)
    pl.DataFrame({"text": ["一篇文章。"] * 9}).write_parquet(tmp_path / "www" / "three.parquet")
    addresses = [f"{web}/{name}" for name in [*files, "three.parquet"]]
    made = plan(addresses, shard_bytes=1_000)
    assert [file.size_bytes for file in made.files[:2]] == [len(data) for data in files.values()]
    assert made.files[0].fingerprint == hashlib.sha256(lines).hexdigest(), "a copy is known by its bytes"
    pages = [item for shard in made.shards for item in read(shard)]
    assert all(isinstance(page, Page) for page in pages) and len(pages) == 549
    result = clean(*addresses, "--out", str(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_bytes())["documents"]["read"] == 549


def test_an_address_that_is_not_there_is_one_sentence(tmp_path: Path, web: str) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl does not exist"):
        plan([f"{web}/none.jsonl"])
    result = clean(f"{web}/none.jsonl", "--out", str(tmp_path / "run"))
    assert result.returncode == 2 and "Traceback" not in result.stderr


def test_of_a_run_only_its_documents_are_read(tmp_path: Path) -> None:
    """Neither what it rejected nor its report, and nothing of a run that has not come to its end."""
    texts = ("今天的天气很好，我们去了公园。" * 30, "", "山上的云很白。" * 30)
    lines = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    run = tmp_path / "run"
    assert clean(str(tmp_path / "texts.jsonl"), "--out", str(run), "-s", "rules=[]").returncode == 0
    assert json.loads((run / "summary.json").read_bytes())["documents"]["rejected"] == 1
    again = clean(str(run), "--out", str(tmp_path / "again"), "-s", "rules=[]", "--json")
    assert json.loads(again.stdout)["documents"] == {"read": 2, "kept": 2, "rejected": 0}
    (run / "summary.json").unlink()
    stopped = clean(str(run), "--out", str(tmp_path / "third"))
    assert stopped.returncode == 3 and "is not finished" in stopped.stderr
