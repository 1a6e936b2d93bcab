"""Assemble examples/dump/ and examples/expected.jsonl from examples/pages/.

In: pages/index.jsonl (one line per document, in dump order) and the page sources that it names, all UTF-8.
Out: the dump as a crawler would have left it (two WARC files, saved HTML, a JSONL file, loose text files),
and what the cleaner must decide about every document in it.

The same sources always give the same bytes, so the dump is committed. One gzip member per record lets readers
recover from damage; the price is a file 1.45 times the size of one member for all.

    python examples/build_dump.py            write both
    python examples/build_dump.py --check    write nothing; exit 1 if what is on disk differs
"""

import base64
import hashlib
import json
import re
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGES = HERE / "pages"
DUMP = HERE / "dump"
EXPECTED = HERE / "expected.jsonl"

Entry = dict[str, Any]
# The label that every HTML source carries, so that it opens in a browser; the dump gets the one in the index.
META = re.compile(r'<meta (?:charset="|http-equiv="Content-Type" content="text/html; charset=)utf-8">\n?')
EXPECTED_KEYS = (
    *("decision", "reason_group", "language"),
    *("must_contain", "must_not_contain", "placeholders", "duplicate_of"),
)
CRAWL_INFO = b"software: wenhai examples\r\nformat: WARC File Format 1.0\r\n"
CRAWL_DATE = "2024-12-01T00:00:00Z"


def served_bytes(entry: Entry) -> bytes:
    """The source as the site served it: relabelled, encoded, and with one bad byte where the index asks."""
    charset: str = entry["charset"]
    source = (PAGES / entry["file"]).read_text(encoding="utf-8")
    if entry["file"].endswith(".html"):
        label = entry["meta"]
        found = META.search(source)
        if found is None:
            raise SystemExit(f'{entry["file"]}: no <meta charset="utf-8"> to relabel; add it after <head>')
        tag = "" if label is None else found[0].replace("utf-8", label)
        source = source[: found.start()] + tag + source[found.end() :]
    try:
        payload: bytes = source.encode(charset)
    except UnicodeEncodeError as e:
        fault = f"{source[e.start]!r} is not in {charset}"
        raise SystemExit(f"{entry['file']}: {fault}; change the text or the charset") from e
    if "bad_byte_before" in entry:
        # 0xB7 is the middle dot of Latin-1: what a careless template leaves in a UTF-8 page.
        mark: bytes = entry["bad_byte_before"].encode(charset)
        payload = payload.replace(mark, b"\xb7" + mark, 1)
    return payload


def sha1_label(data: bytes) -> str:
    """The digest as WARC headers write it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def warc_record(kind: str, date: str, content_type: str, block: bytes, extra: dict[str, str]) -> bytes:
    headers = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, kind + json.dumps(extra))}>",
        "WARC-Date": date,
        **extra,
        "WARC-Block-Digest": sha1_label(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    return head.encode() + block + b"\r\n\r\n"


def response_record(entry: Entry, payload: bytes) -> bytes:
    label = f"; charset={entry['header']}" if entry["header"] else ""
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html{label}\r\nContent-Length: {len(payload)}\r\n\r\n"
    extra = {"WARC-Target-URI": entry["url"], "WARC-Payload-Digest": sha1_label(payload)}
    return warc_record("response", entry["date"], "application/http; msgtype=response", http.encode() + payload, extra)


def warcinfo_record(name: str) -> bytes:
    """The record that opens a file; readers of pages pass over it."""
    extra = {"WARC-Filename": name}
    return warc_record("warcinfo", CRAWL_DATE, "application/warc-fields", CRAWL_INFO, extra)


def gzip_member(data: bytes) -> bytes:
    """One gzip member without a timestamp; `gzip.compress` differs in one byte between Python versions."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + body + tail


def build(entries: list[Entry]) -> dict[str, bytes]:
    """Every file of the dump by its path inside dump/."""
    files: dict[str, bytes] = {}
    for entry in entries:
        out, payload = entry["out"], served_bytes(entry)
        if ".warc" in out:
            wrap = gzip_member if out.endswith(".gz") else bytes
            if out not in files:
                files[out] = wrap(warcinfo_record(out))
            files[out] += wrap(response_record(entry, payload))
        elif out.endswith(".jsonl"):
            row = {"text": payload.decode().rstrip("\n"), "url": entry["url"]}
            files[out] = files.get(out, b"") + json.dumps(row, ensure_ascii=False).encode() + b"\n"
        elif out in files:
            raise SystemExit(f"pages/index.jsonl: two documents go to {out}; give one of them another name")
        else:
            files[out] = payload
    return files


def expected_lines(entries: list[Entry]) -> bytes:
    rows = [{"file": e["out"], "url": e["url"]} | {k: e[k] for k in EXPECTED_KEYS if k in e} for e in entries]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def content(path: Path) -> bytes:
    """What a file holds. Another zlib may compress to other bytes, so gzip members are compared unpacked."""
    return unpack(path.read_bytes()) if path.is_file() else b""


def unpack(data: bytes) -> bytes:
    out = b""
    while data.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(31)
        out += member.decompress(data)
        data = member.unused_data
    return out + data


def main(check: bool) -> int:
    lines = (PAGES / "index.jsonl").read_text(encoding="utf-8").splitlines()
    entries: list[Entry] = [json.loads(line) for line in lines]
    targets = {DUMP / name: data for name, data in build(entries).items()}
    stale = [p for p in DUMP.rglob("*") if p.is_file() and p not in targets]
    targets[EXPECTED] = expected_lines(entries)
    if check:
        wrong = stale + [p for p, data in targets.items() if content(p) != unpack(data)]
        for path in wrong:
            print(f"{path.relative_to(HERE)} differs from its sources; run python examples/build_dump.py")
        return 1 if wrong else 0
    for path in stale:
        path.unlink()
    for path, data in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    kept = sum(e["decision"] == "kept" for e in entries)
    print(f"{len(entries)} documents ({kept} to keep), {sum(map(len, targets.values())):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
