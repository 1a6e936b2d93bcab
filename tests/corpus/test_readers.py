"""Every format gives its pages with origin, source and date, and everything that is no page is counted."""

import bz2
import gzip
import json
import time
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import zstandard
from warcio.archiveiterator import ArchiveIterator

from corpus.mediawiki import plain_text
from corpus.page import Page
from corpus.readers import ReadOptions, read
from runkit.errors import InputError
from runkit.fields import Fault
from runkit.inputs import plan
from tests.corpus.warc_maker import DATE, make, plain_record

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def read_all(
    *inputs: str | Path, options: ReadOptions | None = None, shard_bytes: int = 8_000_000
) -> tuple[list[Page], list[Fault]]:
    pages: list[Page] = []
    faults: list[Fault] = []
    for shard in plan([str(name) for name in inputs], shard_bytes=shard_bytes).shards:
        for item in read(shard, options):
            if isinstance(item, Page):
                pages.append(item)
            else:
                faults.append(item)
    return pages, faults


def test_warc_pages_carry_what_the_record_says(tmp_path: Path) -> None:
    made = make(3)
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(made.data)
    pages, faults = read_all(path)
    assert faults == []
    assert [page.origin for page in pages] == [f"crawl.warc.gz#{start}" for start in made.starts]
    assert {page.url: page.payload for page in pages} == made.payloads
    assert {(page.source, page.kind, page.charset, page.date) for page in pages} == {("crawl", "html", "utf-8", DATE)}


def test_other_warc_records_are_counted(tmp_path: Path) -> None:
    def record(kind: str, mime: str, block: bytes, url: str = "http://a.example/") -> bytes:
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Type: {mime}\r\n"
        return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"

    def http(mime: str, body: bytes, status: str = "200 OK") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n\r\n".encode() + body

    message = "application/http; msgtype=response"
    path = tmp_path / "mixed.warc"
    path.write_bytes(
        record("warcinfo", "application/warc-fields", b"software: x\r\n")
        + record("request", "application/http; msgtype=request", b"GET / HTTP/1.1\r\n\r\n")
        + record("response", message, http("text/html", b"gone", "404 Not Found"))
        + record("response", message, http("image/png", b"\x89PNG"))
        + record("response", message, http("text/html", b" \n"))
        + record("response", "text/dns", b"20240101 a.example. 300 IN A 1.2.3.4", "dns:a.example")
        + record("metadata", "application/json", b"{}")
        + record("conversion", "text/plain", "一段文字\n".encode())
        + record("resource", "text/html", b"<p>saved</p>")
        + record("response", message, http("text/plain; charset=gbk", "纯文本".encode("gbk")))
        + record("response", message, http("text/plain", b"<!DOCTYPE html><p>is html</p>"))
        + record("response", message, b"garbage")
    )
    pages, faults = read_all(path)
    assert [fault.reason for fault in faults] == [
        "skip.warcinfo", "skip.request", "skip.status", "skip.mime", "skip.empty", "skip.scheme",
        "skip.metadata", "http.header",
    ]  # fmt: skip
    assert [(page.kind, page.text, page.payload) for page in pages] == [
        ("text", "一段文字\n", b""),
        ("html", "", b"<p>saved</p>"),
        ("text", "纯文本", b""),
        ("html", "", b"<!DOCTYPE html><p>is html</p>"),
    ]
    assert pages[2].meta == {"encoding": "gb18030"}


def test_records_of_one_member_have_different_origins(tmp_path: Path) -> None:
    path = tmp_path / "one.warc.gz"
    path.write_bytes(gzip.compress(b"".join(plain_record(f"http://a.example/{n}", b"<p>x</p>") for n in range(3))))
    pages, _ = read_all(path)
    assert [page.origin for page in pages] == ["one.warc.gz#0", "one.warc.gz#0+1", "one.warc.gz#0+2"]


def jsonl(count: int, start: int = 0) -> list[bytes]:
    return [
        json.dumps({"text": f"第{n}篇 " + "字" * (n % 50), "url": f"http://a.example/{n}", "id": n}).encode()
        for n in range(start, start + count)
    ]


def test_jsonl_quarantines_exactly_the_bad_lines(tmp_path: Path) -> None:
    """Row 12, with file, line and byte offset; the shard cuts must not change any of it."""
    lines = jsonl(2_000)
    bad = {
        10: (b'{"text": null}', "field.not_text"),
        11: (b'{"text": ["a"]}', "field.not_text"),
        12: (b'{"body": "x"}', "field.missing"),
        400: (b'{"text": "\xff"}', "json.invalid_utf8"),
        401: (b'["a"]', "json.not_an_object"),
        402: (b"null", "json.not_an_object"),
        900: (b'{"text": "a\\u0000b"}', "json.nul"),
        901: (b'{"text": "\\udc00"}', "json.lone_surrogate"),
        1_500: (b'{"text": "x", "n": ' + b"1" * 5_000 + b"}", "json.number_too_large"),
        1_999: (b'{"text": ' + b"[" * 100_000, "json.too_deep"),
    }
    for at, (line, _) in bad.items():
        lines[at] = line
    data = b"\xef\xbb\xbf" + b"\n".join(lines)
    path = tmp_path / "texts.jsonl"
    path.write_bytes(data)
    truth, offset = [], 3
    for number, line in enumerate(lines, 1):
        if number - 1 in bad:
            truth.append(("texts.jsonl", offset, number, bad[number - 1][1]))
        offset += len(line) + 1
    for shard_bytes in (8_000_000, 20_000, 3_000):
        pages, faults = read_all(path, shard_bytes=shard_bytes)
        assert [(fault.name, fault.offset, fault.line, fault.reason) for fault in faults] == truth
        assert [page.meta["id"] for page in pages] == [n for n in range(2_000) if n not in bad]
        assert [page.origin for page in pages[:2]] == ["texts.jsonl#0", f"texts.jsonl#{len(lines[0]) + 4}"]
        assert len({page.id for page in pages}) == len(pages)


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_compressed_jsonl_in_many_members(tmp_path: Path, compression: str) -> None:
    pack = gzip.compress if compression == "gz" else zstandard.ZstdCompressor().compress
    blocks = [b"\n".join(jsonl(50, start)) + b"\n" for start in range(0, 3_000, 50)]
    path = tmp_path / f"x.jsonl.{compression}"
    path.write_bytes(b"".join(pack(block) for block in blocks))
    whole, _ = read_all(path)
    cut, faults = read_all(path, shard_bytes=5_000)
    assert len(plan([str(path)], shard_bytes=5_000).shards) > 3
    assert faults == [] and [page.text for page in cut] == [page.text for page in whole]
    assert len({page.origin for page in cut}) == 3_000


def test_damage_in_compressed_jsonl_costs_its_member(tmp_path: Path) -> None:
    members = [gzip.compress(b"\n".join(jsonl(20, start)) + b"\n", mtime=0) for start in range(0, 200, 20)]
    broken = bytearray(members[4])
    broken[len(broken) // 2] ^= 0xFF
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"".join([*members[:4], bytes(broken), b"garbage", *members[5:]]))
    pages, faults = read_all(path)
    kept = {page.meta["id"] for page in pages}
    assert kept >= {*range(80), *range(100, 200)}
    assert any(fault.reason == "gz.damaged" for fault in faults)
    assert all(page.text == json.loads(jsonl(1, page.meta["id"])[0])["text"] for page in pages)


def test_jsonl_with_html_and_meta(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = {
        "html": "<p>页</p>",
        "text": "页",
        "url": "u",
        "date": "2024-01-02",
        "title": "t",
        "big": "x" * 5_000,
    }
    path.write_text(json.dumps(row | {"meta": {"k": 1, "deep": {"a": 1}}}) + "\n")
    (page,), _ = read_all(path, options=ReadOptions(html_field="html"))
    assert (page.kind, page.payload.decode(), page.charset) == ("html", "<p>页</p>", "utf-8")
    assert (page.url, page.date, page.meta) == ("u", "2024-01-02", {"title": "t", "k": 1})
    (page,), _ = read_all(path)
    assert (page.kind, page.text, page.payload) == ("text", "页", b"")
    _, (fault,) = read_all(path, options=ReadOptions(max_record_bytes=2))
    assert fault.reason == "record.too_large"


def test_parquet_rows(tmp_path: Path) -> None:
    texts = [None if n == 7 else f"第{n}篇" * 40 for n in range(1_000)]
    frame = pl.DataFrame({"text": texts, "url": [f"u{n}" for n in range(1_000)], "n": range(1_000)})
    path = tmp_path / "x.parquet"
    frame.write_parquet(path, row_group_size=100)
    for shard_bytes in (8_000_000, 10_000):
        pages, faults = read_all(path, shard_bytes=shard_bytes)
        assert [(fault.offset, fault.reason) for fault in faults] == [(7, "field.not_text")]
        assert [page.text for page in pages] == [text for text in texts if text is not None]
        assert pages[-1].origin == "x.parquet#999" and pages[-1].url == "u999"
    assert len(plan([str(path)], shard_bytes=10_000).shards) > 3


def test_documents(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.html").write_bytes("<html><p>国</p></html>".encode("gbk"))
    (folder / "b.md").write_bytes("# 题目\n\n正文".encode("utf-16"))
    (folder / "c.html.zst").write_bytes(zstandard.compress(b"<html><p>packed</p></html>"))
    (folder / "d.txt").write_bytes("繁體中文的內容，這是我們的文章。".encode("big5") * 5)
    (folder / "e.html.gz").write_bytes(gzip.compress(b"<html>" + b"x" * 9_999)[:-9])
    pages, faults = read_all(folder)
    assert [(page.origin, page.kind, page.source) for page in pages] == [
        ("site/a.html#0", "html", "a"),
        ("site/b.md#0", "text", "b"),
        ("site/c.html.zst#0", "html", "c"),
        ("site/d.txt#0", "text", "d"),
    ]
    assert pages[0].payload == "<html><p>国</p></html>".encode("gbk")
    assert pages[1].text == "# 题目\n\n正文"
    assert pages[3].text.startswith("繁體中文的內容") and pages[3].meta["encoding"] == "big5"
    assert [(fault.name, fault.reason) for fault in faults] == [("site/e.html.gz", "gz.cut")]


WIKI = """<mediawiki xml:lang="zh"><siteinfo><base>https://wiki.example/wiki/Main</base></siteinfo>
<page><title>番茄</title><ns>0</ns><id>3</id><revision><id>9</id><timestamp>2024-01-01T00:00:00Z</timestamp>
<text bytes="1" xml:space="preserve">{{Infobox|a={{b|c}}
}}'''番茄'''是[[茄科|茄科植物]]，原產於-{zh-hans:美洲;zh-hant:美洲大陸}-。&lt;!-- c
--&gt;&lt;ref name="x"&gt;注&lt;/ref&gt;
[[File:T.jpg|thumb|一張[[圖]]]]
== 栽培 ==
{| class="x"
| 表格
|}
* 喜[[陽光]]，見[http://a.example 這裡]。
[[Category:蔬菜]]</text></revision></page>
<page><title>转</title><ns>0</ns><id>4</id><redirect title="番茄" />
<revision><text>#REDIRECT</text></revision></page>
<page><title>Talk:番茄</title><ns>1</ns><id>5</id><revision><text>讨论</text></revision></page>
<page><title>完</title><ns>0</ns><id>6</id><revision><text>最後一篇 &amp;amp; 完。</text></revision></page>
<page><title>断</title><ns>0</ns>"""


@pytest.mark.parametrize("compression", ["", "gz", "bz2"])
def test_mediawiki(tmp_path: Path, compression: str) -> None:
    data = WIKI.encode()
    path = tmp_path / ("zhwiki.xml" + (f".{compression}" if compression else ""))
    path.write_bytes({"": data, "gz": gzip.compress(data), "bz2": bz2.compress(data)}[compression])
    pages, faults = read_all(path)
    assert [page.text for page in pages] == [
        "番茄是茄科植物，原產於美洲。\n\n栽培\n\n喜陽光，見這裡。",
        "最後一篇 & 完。",
    ]
    assert (pages[0].url, pages[0].date) == (
        "https://wiki.example/wiki/%E7%95%AA%E8%8C%84",
        "2024-01-01T00:00:00Z",
    )
    assert pages[0].meta == {"title": "番茄", "id": "3"}
    assert [fault.reason for fault in faults] == ["skip.redirect", "skip.namespace", "mediawiki.cut"]


@pytest.mark.parametrize(
    "hostile",
    [
        "<ref>" * 20_000,
        "{{" * 50_000,
        "[[File:" * 20_000,
        "[//x" * 30_000,
        "= " * 50_000,
        "<!--" * 30_000,
        "-{" * 50_000,
    ],
)
def test_hostile_wikitext_takes_linear_time(hostile: str) -> None:
    start = time.process_time()
    plain_text(hostile + "字")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", ["x.warc.gz", "x.warc", "x.warc.zst"])
@pytest.mark.parametrize("at", [0, 1, 60])
def test_a_damaged_beginning_does_not_cost_the_file(tmp_path: Path, name: str, at: int) -> None:
    made = make(30, gzip=name.endswith("gz"))
    data = made.data
    if name.endswith("zst"):
        bounds = [*made.starts, len(data)]
        data = b"".join(zstandard.compress(data[a:b]) for a, b in pairwise(bounds))
    path = tmp_path / name
    path.write_bytes(data[:at] + b"\x00\xff\x00\xff" + data[at + 4 :])
    pages, faults = read_all(path)
    assert [page.url for page in pages] == list(made.payloads)[1:] and len(faults) == 1


def test_a_damaged_parquet_file_is_counted(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [f"第{n}篇" * 40 for n in range(1_000)], "n": range(1_000)})
    path = tmp_path / "x.parquet"
    frame.write_parquet(path, row_group_size=100)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    pages, faults = read_all(path, shard_bytes=1_000)
    assert {fault.reason for fault in faults} == {"parquet.damaged"} and len(pages) == 900


def test_a_file_that_went_away_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "x"}\n')
    (shard,) = plan([str(path)]).shards
    path.unlink()
    with pytest.raises(InputError, match=r"x\.jsonl"):
        list(read(shard))


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is absent")
def test_real_dump_agrees_with_warcio_and_is_cut_alike(tmp_path: Path) -> None:
    path = DATA / "dump" / "pages.warc.gz"
    start = time.process_time()
    pages, faults = read_all(path)
    spent = (time.process_time() - start) / len(pages)
    assert (len(pages), faults) == (1_117, [])
    # 310 µs were measured; the machine that runs the tests may be busy, so only a gross loss fails.
    assert spent < 1e-3, f"{spent * 1e6:.0f} µs a record"
    small, _ = read_all(path, shard_bytes=1_000_000)
    assert [page.origin for page in small] == [page.origin for page in pages]
    with path.open("rb") as file:
        for record, page in zip(ArchiveIterator(file), pages[:200], strict=False):
            assert record.rec_headers.get_header("WARC-Target-URI") == page.url
            assert record.content_stream().read() == page.payload


def test_a_parquet_file_without_text_is_one_fault_and_the_rest_is_read(tmp_path: Path) -> None:
    pl.DataFrame({"body": ["x"] * 9, "id": range(9)}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"text": range(9)}).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame({"text": ["一".encode(), b"\xff"], "url": [b"http://a.example/", b"\xff"]}).write_parquet(
        tmp_path / "c.parquet"
    )
    pl.DataFrame({"text": ["三"]}).write_parquet(tmp_path / "d.parquet")
    pages, faults = read_all(*sorted(tmp_path.iterdir()))
    assert [(page.text, page.url) for page in pages] == [("一", "http://a.example/"), ("三", None)]
    assert [(fault.name, fault.offset, fault.reason) for fault in faults] == [
        ("a.parquet", 0, "field.missing"),
        ("b.parquet", 0, "field.not_text"),
        ("c.parquet", 1, "field.not_text"),
    ]
    assert "it has body, id;" in faults[0].detail and "-s read.text_field=" in faults[0].detail
    assert "Int64" in faults[1].detail


def test_a_line_without_text_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"content": "x", "id": 1}\n{}\n')
    _, faults = read_all(path)
    assert [fault.reason for fault in faults] == ["field.missing"] * 2
    assert "it has content, id;" in faults[0].detail and "-s read.text_field=" in faults[0].detail
    assert "it has none;" in faults[1].detail
