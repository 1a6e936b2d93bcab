"""`corpus trace` where things are odd: hostile names, ids that stand twice, exported files, pictures, nothing."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from corpus.cli import app
from corpus.page import Page
from runkit.console import run_app
from runkit.files import sha256_file, write_bytes, write_json
from runkit.rundir import RunDir
from tests.corpus.run_maker import make, page
from tests.corpus.trace_chain import PNG, do, write_ledger

LONG = "山里的茶园在清明前后最忙，采茶的人天不亮就上山，太阳出来以前要把嫩芽收完。" * 6
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_app(app, ["trace", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def found(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0, err
    return dict(orjson.loads(out))


def clean(path: Path, pages: list[Page], fingerprint: str = "ab" * 32) -> Path:
    """A finished run of `corpus clean` with marks, made of a dump with these bytes."""
    run = make(path, [pages]).run.path
    outputs = {str(file.relative_to(run)): sha256_file(file) for file in sorted(run.glob("*/*.parquet"))}
    RunDir(run, {}, True).mark("done-00000", outputs, {})
    body = orjson.loads((run / "manifest.json").read_bytes())
    body.pop("sha256")
    body["inputs"][0]["fingerprint"] = fingerprint
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    write_json(run / "manifest.json", {**body, "sha256": digest})
    return run


def as_input(run: Path, name: str) -> dict[str, Any]:
    file = run / name
    return {"name": f"{run.name}/{name}", "size": file.stat().st_size, "fingerprint": sha256_file(file)}


def tokens(path: Path, made_from: Path, ids: list[str], entry: dict[str, Any] | None = None) -> Path:
    """A folder of token shards with these documents."""
    kinds = [("start", "<i8"), ("length", "<i8"), ("characters", "<i8"), ("bytes", "<i8")]
    index = np.zeros(len(ids), np.dtype([*kinds, ("source", "<i4"), ("id_hash", "<u8")]))
    index["length"], index["start"] = 3, np.arange(len(ids)) * 3
    buffer = io.BytesIO()
    np.save(buffer, index)
    files = {
        "shards/00000.bin": np.zeros(3 * len(ids), "<u2").tobytes(),
        "shards/00000.index.npy": buffer.getvalue(),
        "shards/00000.ids.jsonl": b"".join(orjson.dumps(id) + b"\n" for id in ids),
    }
    with RunDir.open(path, "train tokens", {}, [entry or as_input(made_from, "documents/00000-000.parquet")]) as run:
        for name, data in files.items():
            write_bytes(run.file(name), data)
        run.mark("shard-00000", {name: sha256_file(run.file(name)) for name in files}, {})
        shards = [{"name": "00000", "documents": len(ids), "sources": ["dump"]}]
        summary = {"format": 1, "dtype": "uint16", "tokenizer": {"sha256": "0" * 64}, "shards": shards}
        write_json(run.file("summary.json"), summary)
    return path


def test_ids_that_two_dumps_share_are_kept_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = clean(tmp_path / "one", [page(1, url="https://one.example/"), page(2)])
    clean(tmp_path / "two", [page(1, url="https://two.example/"), page(2, text="别的")], "cd" * 32)
    id = pl.read_parquet(one / "documents/00000-000.parquet")["id"][0]
    tokens(tmp_path / "tokens", one, [id])
    code, _, err = call(capsys, id, "--runs", tmp_path)
    assert code == 3 and err.count("\n") == 1
    assert f"the document one:{id}; the document two:{id}" in err and "RUN:ID" in err
    first = found(capsys, f"one:{id}", "--runs", tmp_path)
    assert [node["name"] for node in first["ahead"] if node["what"] == "documents"] == ["one"]
    assert [node["name"] for node in first["ahead"][0]["children"]] == ["tokens"]
    second = found(capsys, f"two:{id}", "--runs", tmp_path)
    assert second["counts"]["documents"] == 1 and "shards" not in second["counts"]
    by_url = found(capsys, "https://two.example/", "--runs", tmp_path)
    assert "shards" not in by_url["counts"]


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, mark in (("a", "ab"), ("b", "cd")):
        clean(tmp_path / folder / "clean", [page(1, url=f"https://{folder}.example/")], mark * 32)
    id = pl.read_parquet(tmp_path / "a/clean/documents/00000-000.parquet")["id"][0]
    code, _, err = call(capsys, f"clean:{id}", "--runs", tmp_path)
    assert code == 3 and "a/clean, b/clean" in err and err.count("\n") == 1
    for name in ("b/clean", tmp_path / "b" / "clean"):
        result = found(capsys, f"{name}:{id}", "--runs", tmp_path)
        assert [row["url"] for node in result["ahead"] for row in node["first"] if "url" in row] == [
            "https://b.example/"
        ]


def test_copies_of_an_earlier_run_lead_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = clean(tmp_path / "old", [page(1, url="https://old.example/", text=LONG)])
    new = clean(tmp_path / "new", [page(7, url="https://new.example/", text=LONG), page(8, text=LONG[::-1])], "cd" * 32)
    do("corpus", "dedup", new, "--against", old, "--out", tmp_path / "deduped", "--workers", 1, "-q")
    kept = pl.read_parquet(old / "documents/00000-000.parquet")["id"][0]
    tokens(tmp_path / "tokens", old, [kept])
    result = found(capsys, "https://new.example/", "--runs", tmp_path)
    nodes = {node["name"]: node for node in result["ahead"] if node["name"]}
    assert nodes["old"]["first"][0]["via"] == "copy" and nodes["old"]["first"][0]["url"] == "https://old.example/"
    assert {node["name"] for node in nodes["old"]["children"]} >= {"tokens"}
    assert result["counts"]["shards"] == 1


def test_hostile_names_cannot_command_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://evil.example/\x1b[31mred\x07\u202egpj.<script>alert(1)</script>"
    pages = [page(1, url=url, source="\x9b2Js"), page(2, "rules.\x1b[2Jx", url=url)]
    clean(tmp_path / "runs" / "a\x1b]0;name\x07 b\nc", pages)
    code, out, err = call(capsys, url, "--runs", tmp_path / "runs")
    assert code == 0 and not CONTROL.search(out + err) and "evil.example/red" in out
    html = tmp_path / "page.html"
    code, out, _ = call(capsys, url, "--runs", tmp_path / "runs", "--json", "--page", html, "--ids", tmp_path / "ids")
    assert code == 0 and out.count("\n") == 1 and orjson.loads(out)["counts"]["documents"] == 2
    text = html.read_text("utf-8")
    assert not CONTROL.search(text) and "<script" not in text and "&lt;script&gt;" in text
    assert {orjson.loads(line)["url"] for line in (tmp_path / "ids").read_bytes().splitlines() if b'"url"' in line} == {
        url
    }
    assert run_app(app, ["index", str(tmp_path / "runs")]) == 0
    text = (tmp_path / "runs" / "index.html").read_text("utf-8")
    assert not CONTROL.search(text) and "\x1b" not in capsys.readouterr().err


def test_what_is_no_part_of_a_run_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(tmp_path / "runs" / "clean", [page(1)])
    picture = tmp_path / "cat.png"
    write_bytes(picture, PNG)
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "runs", target_is_directory=True)
    for thing, runs, words in (
        (picture, "runs", "is no input of any run"),
        (tmp_path / "empty", "runs", "neither a run nor a checkpoint"),
        ("nothing-of-this-name", "runs", "is called nothing-of-this-name"),
        ("https://nowhere.example/", "runs", "has the address https://nowhere.example/"),
        ("\x1b[31m\x00", "runs", "is called"),
        ("https://site1.example/1", "empty", "There is no run below"),
        ("https://site1.example/1", "gone", "is no folder"),
    ):
        code, out, err = call(capsys, thing, "--runs", tmp_path / runs)
        assert code == 3 and not out and err.count("\n") == 1 and words in err, (thing, err)
    for wrong in (["--as", "thing"], ["--only", "sideways"], ["--limit", "0"]):
        assert call(capsys, "x", "--runs", tmp_path, *wrong)[0] == 2
    assert run_app(app, ["index", str(tmp_path / "empty")]) == 3 and not (tmp_path / "empty" / "index.html").exists()


def test_items_in_an_exported_file_lead_to_the_tuning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clean(tmp_path / "clean", [page(1, url="https://mine.example/"), page(2)])
    id, other = pl.read_parquet(source / "documents/00000-000.parquet")["id"]
    items = [{"id": f"i-{n}", "instruction": f"问{n}", "input": "", "output": "答", "document_ids": [one]}
             for n, one in enumerate((id, other, id))]  # fmt: skip
    exported = tmp_path / "train.json"
    write_bytes(exported, orjson.dumps(items))
    inputs = [{"name": "train/train.json", "size": exported.stat().st_size, "fingerprint": sha256_file(exported)}]
    with RunDir.open(
        tmp_path / "chat", "train sft", {"data": {"held_out": 0.0, "weights": {"train": 1}}}, inputs
    ) as run:
        left = {"source": "train", "id": "i-2", "reason": "length.too_long", "detail": ""}
        write_bytes(run.file("left_out.jsonl"), orjson.dumps(left) + b"\n")
        write_json(run.file("summary.json"), {"dialogues": {"used": 2}})
    result = found(capsys, "https://mine.example/", "--runs", tmp_path)
    file = next(node for node in result["ahead"] if node["name"] == "train.json")
    assert [row["id"] for row in file["first"]] == ["i-0", "i-2"] and file["first"][0]["path"] == str(exported)
    [chat] = file["children"]
    assert chat["facts"] == {"trained": 1, "of": 2, "left_out": 1}
    fates = {row["id"]: row["fate"] for row in chat["children"][0]["first"]}
    assert fates == {"i-0": "trained", "i-2": "left_out"}
    exported.unlink()
    result = found(capsys, "https://mine.example/", "--runs", tmp_path)
    assert [(one["run"], one["input"]) for one in result["unknown"]] == [("chat", "train.json")]


def test_documents_outside_of_all_runs_are_found_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    books = tmp_path / "books.jsonl"
    rows = [{"id": f"b{n}", "url": f"https://books.example/{n}", "text": LONG} for n in range(3)]
    write_bytes(books, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    entry = {"name": "books.jsonl", "size": books.stat().st_size, "fingerprint": sha256_file(books)}
    tokens(tmp_path / "tokens", books, ["b0", "b1", "b2"], entry)
    for thing in ("https://books.example/1", "b1"):
        result = found(capsys, thing, "--runs", tmp_path)
        [file] = result["ahead"]
        assert file["name"] == "books.jsonl" and [row["row"] for row in file["first"]] == [1]
        assert [row["number"] for row in file["children"][0]["first"]] == [1]
        assert result["behind"][0]["first"][0]["origin"] == f"books.jsonl#{len(orjson.dumps(rows[0])) + 1}"
    books.unlink()
    code, _, err = call(capsys, "https://books.example/1", "--runs", tmp_path)
    assert code == 3 and "but tokens was made from books.jsonl, which is not there;" in err
    result = found(capsys, "b1", "--runs", tmp_path)  # its shard still names it
    assert result["counts"] == {"shards": 1} and [one["input"] for one in result["unknown"]] == ["books.jsonl"]


def test_calls_that_were_sent_the_text_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clean(tmp_path / "clean", [page(1, url="https://mine.example/", text=LONG), page(2, text=LONG[::-1])])
    inputs = [as_input(source, "documents/00000-000.parquet")]
    with RunDir.open(tmp_path / "made", "selfinstruct generate", {}, inputs) as run:
        request = orjson.dumps({"messages": [{"role": "user", "content": f"材料：{LONG[:200]}"}]})
        write_ledger(run.file("ledger.sqlite"), "d" * 64, request)
    before = sorted((file.name, file.stat().st_mtime_ns) for file in (tmp_path / "made").iterdir())
    result = found(capsys, "https://mine.example/", "--runs", tmp_path)
    assert result["counts"]["calls"] == 1
    result = found(capsys, "https://site2.example/2", "--runs", tmp_path)
    assert "calls" not in result["counts"]
    assert before == sorted((file.name, file.stat().st_mtime_ns) for file in (tmp_path / "made").iterdir())


def test_what_was_not_learnt_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clean(tmp_path / "clean", [page(1, url="https://mine.example/")])
    id = pl.read_parquet(source / "documents/00000-000.parquet")["id"][0]
    shards = tokens(tmp_path / "tokens", source, [id])
    from corpus.runs_found import find_runs
    from corpus.runs_models import shards_fingerprint

    mark = shards_fingerprint(next(run for run in find_runs([tmp_path]).runs if run.path == shards))
    inputs = [{"name": "shards 0", "size": 1, "fingerprint": mark}]
    for name, data, fate in (
        ("all", {"held_out": 0.0, "weights": {}}, "trained"),
        ("weighted", {"held_out": 0.0, "weights": {"other": 1.0}}, "not_drawn"),
        ("kept-out", {"held_out": 0.999999, "weights": {}}, "held_out"),
    ):
        with RunDir.open(tmp_path / name, "train pretrain", {"data": data}, inputs):
            pass
        result = found(capsys, "https://mine.example/", "--runs", tmp_path)
        node = next(one for one in result["ahead"][0]["children"][0]["children"] if one["name"] == name)
        assert node["children"][0]["first"][0]["fate"] == fate
        assert {"code": "unfinished"} in node["notes"]
