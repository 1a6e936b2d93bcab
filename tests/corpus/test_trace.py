"""`corpus trace` over a chain of runs: what it lists is what is there, found by brute force in the files themselves."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from corpus.cli import app
from runkit.console import run_app
from runkit.files import sha256_file
from runkit.records import held_out
from tests.corpus.trace_chain import CALL, HELD_OUT, MINUTES, MIRROR, Chain, do, make_chain

pytestmark = pytest.mark.timeout(180)  # five programs are started for the chain
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("chain"))


def traced(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run_app(app, ["trace", *map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = orjson.loads(out)
    return found


def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> Lines:
    file = tmp_path / "ids.jsonl"
    traced(capsys, *arguments, "--ids", file)
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def nodes(found: list[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    for node in found or []:
        yield node
        yield from nodes(node["children"])


def of(lines: Lines, what: str) -> Lines:
    return [line for line in lines if line["what"] == what]


def rows_of(run: Path) -> list[tuple[str, str, int, str, str]]:
    """(run, file, row, id, url) of every document, by brute force."""
    found = []
    for file in sorted(run.glob("*/*.parquet")):
        if file.parent.name in {"documents", "rejected"}:
            table = pl.read_parquet(file).select("id", "url")
            name = f"{file.parent.name}/{file.name}"
            found += [(run.name, name, row, *values) for row, values in enumerate(table.iter_rows())]
    return found


def urls_of(chain: Chain) -> list[str]:
    return [orjson.loads(line)["url"] for line in (chain.dump / "notes.jsonl").read_bytes().splitlines()]


def test_every_address_is_found_in_every_artefact(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everywhere = rows_of(chain.clean) + rows_of(chain.dedup)
    ids = [orjson.loads(line) for line in (chain.tokens / "shards/00000.ids.jsonl").read_bytes().splitlines()]
    index = np.load(chain.tokens / "shards/00000.index.npy")
    items = [
        (name, number, orjson.loads(line))
        for name in ("instructions.jsonl", "rejected.jsonl")
        for number, line in enumerate((chain.instructions / name).read_bytes().splitlines(), 1)
    ]
    assert len(set(urls_of(chain))) == 9
    for url in urls_of(chain):
        lines = listed(tmp_path, capsys, url, "--runs", chain.root)
        own = {row[3] for row in everywhere if row[4] == url}
        same = {row[3] for row in everywhere if row[4] in (MINUTES, MIRROR)} if url in (MINUTES, MIRROR) else own
        found = {(line["run"], line["file"], line["row"], line["id"], line["url"]) for line in of(lines, "documents")}
        assert found == {row for row in everywhere if row[3] in own | same}, url
        assert {line["id"] for line in of(lines, "documents") if line["via"] == "itself"} == own
        places = {(line["number"], line["start"], line["length"]) for line in of(lines, "shards")}
        assert places == {
            (n, int(index[n]["start"]), int(index[n]["length"])) for n, id in enumerate(ids) if id in own | same
        }
        wanted = {(name, n) for name, n, item in items if (own | same) & set(item.get("document_ids", []))}
        assert {(line["file"], line["line"]) for line in of(lines, "instructions")} == wanted
        trained = [id for id in ids if id in own | same]
        bases = [line for line in of(lines, "checkpoints") if line["run"] == "base"]
        assert len(bases) == (1 if trained else 0)
        for line in bases:
            assert line["of"] == sum(not held_out(id, HELD_OUT) for id in ids)
            assert line["trained"] == sum(not held_out(id, HELD_OUT) for id in trained)
        answers = {(line["system"], line["question_id"]) for line in of(lines, "answers")}
        systems = ({"base"} if trained else set()) | ({"chat"} if trained or wanted else set())
        assert answers == {(system, f"q-{number}") for system in systems for number in (1, 2)}


def test_a_copy_leads_to_the_version_that_was_kept(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {row[4]: row[1].split("/")[0] for row in rows_of(chain.clean) if row[4] in (MINUTES, MIRROR)}
    removed = next(url for url, state in states.items() if state == "rejected")
    lines = of(listed(tmp_path, capsys, removed, "--runs", chain.root), "documents")
    mine = next(line for line in lines if line["url"] == removed and line["run"] == "clean")
    kept = next(line for line in lines if line["url"] != removed and line["run"] == "clean")
    assert mine["via"] == "itself" and mine["reasons"] == ["dedup.exact"] and mine["similarity"] == 1
    assert kept["via"] == "copy" and kept["id"] == mine["copy_of"] and kept["file"].startswith("documents/")
    found = traced(capsys, removed, "--runs", chain.root)
    shards = next(node for node in nodes(found["ahead"]) if node["what"] == "shards")
    assert {"code": "only_copies"} in shards["notes"]


def test_records_hosts_ids_and_files_name_the_same_documents(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows_of(chain.clean) if row[4] == MINUTES)
    origin = pl.read_parquet(chain.clean / row[1])["origin"][row[2]]
    by_url = traced(capsys, MINUTES, "--runs", chain.root)
    for thing in (row[3], origin, origin.replace("#", ":"), origin.removeprefix("dump/"), f"clean:{row[3]}"):
        assert traced(capsys, thing, "--runs", chain.root)["ahead"] == by_url["ahead"], thing
    other = MINUTES.replace("https://", "http://") + "/?utm_source=app"
    assert traced(capsys, other, "--runs", chain.root)["counts"] == by_url["counts"]
    host = traced(capsys, "linjiang.example", "--runs", chain.root)
    assert {r["url"] for n in nodes(host["ahead"]) for r in n["first"] if "url" in r} == {MINUTES, MIRROR}
    dump = traced(capsys, chain.dump / "notes.jsonl", "--runs", chain.root)
    clean = next(node for node in nodes(dump["ahead"]) if node["name"] == "clean")
    assert dump["kind"] == "dump" and clean["rows"] == len(urls_of(chain))


def test_backward_from_an_answer_to_the_dump(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = traced(capsys, "judged:q-1", "--runs", chain.root)
    answers = {node["name"]: node for node in nodes(found["behind"]) if node["what"] == "answers"}
    assert set(answers) == {"base", "chat"}
    inside = {node["name"] for node in nodes([answers["chat"]])}
    assert {"chat/checkpoints/step-00000001", "base/checkpoints/step-00000002", "instructions", "seeds.jsonl"} <= inside
    inside = {node["name"] for node in nodes([answers["base"]])}
    assert {"base/checkpoints/step-00000002", "base", "tokens", "dedup", "clean"} <= inside
    dump = next(node for node in nodes(found["behind"]) if node["name"] == "dump/notes.jsonl")
    assert dump["what"] == "file" and dump["facts"]["sha256"] == sha256_file(chain.dump / "notes.jsonl")
    call = next(node for node in nodes(found["behind"]) if node["what"] == "calls")
    assert call["first"][0]["call_id"] == CALL and call["first"][0]["cost_usd"] == 0.5
    file = tmp_path / "behind.jsonl"
    traced(capsys, chain.base / "checkpoints/step-00000002", "--only", "behind", "--ids", file)
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert {(line["run"], line["id"]) for line in of(lines, "documents")} == {
        (run.name, row[3])
        for run in (chain.clean, chain.dedup)
        for row in rows_of(run)
        if row[1].startswith("documents")
    }


def test_backward_from_an_instruction_and_a_call(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (chain.instructions / "instructions.jsonl").read_bytes().splitlines()
    item = next(one for line in lines if (one := orjson.loads(line)).get("document_ids"))
    found = traced(capsys, item["id"], "--runs", chain.root)
    documents = next(node for node in nodes(found["behind"]) if node["what"] == "documents")
    assert {row["id"] for row in documents["first"]} == set(item["document_ids"])
    record = next(node for node in nodes(found["behind"]) if node["what"] == "record")
    assert record["facts"]["path"] == "dump/notes.jsonl"
    assert {node["name"] for node in nodes(found["ahead"]) if node["what"] == "checkpoints"} == {"chat"}
    call = traced(capsys, CALL, "--runs", chain.root)
    assert call["kind"] == "call" and {n["what"] for n in nodes(call["behind"])} >= {"calls", "answers", "question"}


def test_items_that_were_written_out_and_read_again(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(chain.root, tmp_path / "copy")
    do("selfinstruct", "export", copy / "instructions", "--format", "sharegpt", "--out", copy / "out.jsonl")
    do("selfinstruct", "dedup", copy / "out.jsonl", "--out", copy / "again", "-q")
    lines = (copy / "again" / "instructions.jsonl").read_bytes().splitlines()
    item = next(one for line in lines if (one := orjson.loads(line)).get("document_ids"))
    found = traced(capsys, f"again:{item['id']}", "--runs", copy)
    assert [node["name"] for node in nodes(found["behind"])][:4] == ["again", "out.jsonl", "instructions", "clean"]
    url = next(row[4] for row in rows_of(chain.clean) if row[3] == item["document_ids"][0])
    ahead = [node["name"] for node in nodes(traced(capsys, url, "--runs", copy)["ahead"])]
    assert ahead.index("out.jsonl") + 1 == ahead.index("again")


def test_forward_from_a_checkpoint_and_a_shard(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    found = traced(capsys, chain.base / "checkpoints/step-00000002")
    assert [node["name"] for node in nodes(found["ahead"])] == ["base", "chat", "judged"]
    shard = traced(capsys, chain.tokens / "shards/00000.bin")
    assert shard["kind"] == "shard" and shard["ahead"][0]["rows"] == 5
    run = traced(capsys, chain.instructions)
    assert [node["name"] for node in nodes(run["ahead"])] == ["chat", "judged"]


def test_a_moved_folder_is_found(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = traced(capsys, MINUTES, "--runs", chain.root)
    moved = shutil.copytree(chain.root, tmp_path / "else where" / "文件夹")
    found = traced(capsys, MINUTES, "--runs", moved)
    assert found["ahead"][0] == before["ahead"][0] and found["counts"] == before["counts"]
    shutil.move(moved / "clean", tmp_path / "apart" / "renamed")
    found = traced(capsys, MINUTES, "--runs", moved, "--runs", tmp_path / "apart")
    assert found["counts"] == before["counts"] and not found["faults"]
    names = {node["name"].rpartition("/")[2] for node in nodes(found["ahead"])}
    assert {"renamed", "dedup", "tokens", "base", "chat", "judged"} <= names


def test_a_deleted_run_is_said_to_be_missing(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(chain.root, tmp_path / "copy")
    shutil.rmtree(copy / "dedup")
    found = traced(capsys, MINUTES, "--runs", copy)
    shards = next(node for node in nodes(found["ahead"]) if node["what"] == "shards")
    assert shards["rows"] == 1 and {"code": "by_id", "count": 1} in shards["notes"]
    assert {(one["run"], one["input"]) for one in found["unknown"]} == {
        (run, "dedup/documents/00000-000.parquet") for run in ("tokens", "tokenizer")
    }
    behind = traced(capsys, copy / "base/checkpoints/step-00000002", "--only", "behind")
    missing = [node for node in nodes(behind["behind"]) if node["what"] == "missing"]
    assert {node["name"] for node in missing} == {"dedup/documents/00000-000.parquet"}
    assert all(note["code"] == "not_below" for node in missing for note in node["notes"])
    assert run_app(app, ["trace", MINUTES, "--runs", str(copy)]) == 0
    assert "tokens was made from dedup/documents/00000-000.parquet, which is not there." in capsys.readouterr().out


def test_a_changed_file_is_said_to_be_changed(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(chain.root, tmp_path / "copy")
    file = copy / "dedup/documents/00000-000.parquet"
    table = pl.read_parquet(file).with_columns(pl.lit("en").alias("language"))
    table.write_parquet(file)
    found = traced(capsys, MINUTES, "--runs", copy)
    assert [one["file"] for one in found["faults"] if one["what"] == "changed"] == ["dedup/documents/00000-000.parquet"]
    notes = [note for node in nodes(found["ahead"]) for note in node["notes"]]
    assert not [note for note in notes if note["code"] == "by_id"]  # its mark still says what tokens was made from
    (copy / "clean/rejected/00000-000.parquet").write_bytes(b"PAR1 no more")
    found = traced(capsys, MINUTES, "--runs", copy)
    assert ("unreadable", "clean/rejected/00000-000.parquet") in {(o["what"], o["file"]) for o in found["faults"]}


def test_the_page_is_whole_in_both_languages(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, heading in (("en", "What came of it"), ("zh", "用到了哪里")):
        page = tmp_path / f"{lang}.html"
        traced(capsys, MINUTES, "--runs", chain.root, "--page", page, "--lang", lang)
        text = page.read_text("utf-8")
        assert heading in text and MINUTES in text and "<script" not in text and "http-equiv" in text
