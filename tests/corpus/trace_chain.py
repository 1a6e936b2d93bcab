"""A small chain of runs for the tests of `corpus trace` and `corpus index`: real ones where they take a second.

dump → clean → dedup → tokens → base → chat → judged, and clean → instructions → chat. Training and judging are laid
down as docs/formats.md describes them, with the fingerprints that the real programs compute.
"""

import hashlib
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from judge.served import fingerprint as judged_fingerprint
from runkit.files import sha256_file, write_bytes, write_json
from runkit.ledger import Ledger
from runkit.rundir import RunDir
from train.data import Documents
from train.shards import open_shards

ROOT = Path(__file__).resolve().parents[2]
MINUTES = "https://shequ.linjiang.example/minutes/2024q3"
MIRROR = "https://mirror.linjiang.example/minutes/2024q3"  # the same text
HELD_OUT = 0.3
CALL = "c" * 64
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00" + bytes(range(256))


@dataclass
class Chain:
    """The folder with everything, and its runs."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        return self.root / name


def do(*arguments: object) -> None:
    """Run a command that must succeed; in a process of its own, for polars' threads and forked workers do not mix."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def make_dump(folder: Path) -> None:
    """The notes of the examples, and one of them again at another address; a picture beside."""
    raw = (ROOT / "examples" / "dump" / "notes.jsonl").read_bytes()
    records = [orjson.loads(line) for line in raw.splitlines()]
    again = next(one for one in records if one["url"] == MINUTES)
    write_bytes(folder / "notes.jsonl", raw + orjson.dumps({**again, "url": MIRROR}) + b"\n")
    write_bytes(folder / "cat.png", PNG)


def make_chain(root: Path) -> Chain:
    """Everything below `root`."""
    chain = Chain(root)
    make_dump(root / "dump")
    do("corpus", "clean", root / "dump", "--out", chain.clean, "--workers", 1, "-q")
    do("corpus", "dedup", chain.clean, "--out", chain.dedup, "--workers", 1, "-q")
    fit = ("--vocab", 600, "-s", "held_out=0.1", "--workers", 1, "-q")
    do("train", "tokenizer", "fit", chain.dedup, "--out", chain.tokenizer, *fit)
    do("train", "tokens", chain.dedup, "--tokenizer", chain.tokenizer, "--out", chain.tokens, "--workers", 1, "-q")
    seeds = ROOT / "examples" / "seeds.jsonl"
    write_bytes(root / "seeds.jsonl", seeds.read_bytes())
    made = ("--model", "template", "--from-docs", chain.clean, "--n", 12, "-q", "--out", chain.instructions)
    do("selfinstruct", "generate", "--seeds", root / "seeds.jsonl", *made)
    make_models(chain)
    make_judged(chain)
    return chain


def checkpoint(run: Path, step: int, weights: bytes) -> Path:
    """A checkpoint as `train` lays it down."""
    folder = run / "checkpoints" / f"step-{step:08}"
    files = {"config.json": b"{}", "model.safetensors": weights, "state/state.json": b"{}"}
    for name, data in files.items():
        write_bytes(folder / name, data)
    body = {
        "format": 1,
        "step": step,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    write_json(folder / "manifest.json", {**body, "sha256": digest})
    return folder


def make_models(chain: Chain) -> None:
    """`base`, trained on the shards, and `chat`, tuned on the instructions."""
    documents = Documents([open_shards(chain.tokens)])
    shards = [{"name": "shards 0", "size": len(documents), "fingerprint": documents.sha256}]
    data = {"held_out": HELD_OUT, "weights": {}}
    with RunDir.open(chain.base, "train pretrain", {"data": data, "steps": 2}, shards) as run:
        first = checkpoint(run.path, 2, b"weights of base")
        write_json(run.file("summary.json"), {"parameters": 10, "steps": 2, "tokens": 99, "loss": 6.5})
    items = chain.instructions / "instructions.jsonl"
    inputs = [
        {
            "name": "mine/instructions/instructions.jsonl",
            "size": items.stat().st_size,
            "fingerprint": sha256_file(items),
        },
        {"name": "--from", "size": 10, "fingerprint": "0" * 64},
    ]
    with RunDir.open(chain.chat, "train sft", {"data": data, "steps": 1}, inputs) as run:
        weights = first / "model.safetensors"
        entry = {"name": "model/model.safetensors", "size": weights.stat().st_size, "fingerprint": sha256_file(weights)}
        write_json(run.file("from.json"), {"name": "base/checkpoints/step-00000002", "files": [entry]})
        checkpoint(run.path, 1, b"weights of chat")
        write_json(run.file("summary.json"), {"parameters": 10, "steps": 1, "dialogues": {"used": 12}})


def make_judged(chain: Chain) -> None:
    """`judged`: both models asked two questions, one answer's call in the ledger."""
    systems = [
        {"name": name, "model": f"checkpoint-{judged_fingerprint(chain.root / name)[:16]}", "checkpoint": name}
        for name in ("base", "chat")
    ]
    config = {"systems": systems, "judges": [{"name": "overlap"}]}
    with RunDir.open(chain.judged, "judge compare", config, []) as run:
        questions = [{"id": f"q-{number}", "category": "open_qa", "text": f"第{number}题？"} for number in (1, 2)]
        answers = [
            {"question_id": one["id"], "system": name, "text": "答", "state": "ok", "detail": "", "call_id": CALL}
            for one in questions
            for name in ("base", "chat")
        ]
        verdicts = [
            {"question_id": "q-1", "first": "base", "second": "chat", "judge": "overlap", "state": "ok",
             "choice": "tie", "score_first": 5.0, "score_second": 5.0, "call_id": None}
        ]  # fmt: skip
        for name, rows in (("questions", questions), ("answers", answers), ("verdicts", verdicts)):
            write_bytes(run.file(f"{name}.jsonl"), b"".join(orjson.dumps(row) + b"\n" for row in rows))
        write_ledger(run.file("ledger.sqlite"), CALL, b'{"messages":[]}')
        write_json(run.file("summary.json"), {"questions": 2, "systems": {}})


def write_ledger(file: Path, key: str, request: bytes) -> None:
    """A ledger with one call that is done."""
    with Ledger.open(file):
        pass
    connection = sqlite3.connect(file)
    values = (key, "http://localhost/v1", "m", "done", request, b"{}", 7, 2, 0.5, 1.0, 2.0)
    columns = "key, url, model, state, request, reply, prompt_tokens, completion_tokens, cost_usd, planned_at, ended_at"
    connection.execute(f"INSERT INTO calls ({columns}) VALUES ({','.join('?' * len(values))})", values)
    connection.commit()
    connection.close()
