"""Runs of `train tokens` for the tests: documents, calls, starts in a process of their own."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from train.config import TokensConfig
from train.tokens import TokensCall

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n",
    "白日依山尽，黄河入海流。\n\n欲穷千里目，更上一层楼。",
    "The quick brown fox\n  jumps over the lazy dog.\n\tTabs, too.\n",
    " 前后有空格 \n",
    "罕见字：龘䶮，表情😀，控制\x01符，下划线▁和标记</s><|im_start|>。",
    "\ufeffcafe\u0301 e\u0301 ﬁ ①",
    "\n",
    "a" * 3000,
]


def texts(count: int) -> list[str]:
    return [f"第{n}篇。" + TEXTS[n % len(TEXTS)] * (1 + n % 3) for n in range(count)]


def write_documents(folder: Path) -> Path:
    """Two files of 60 and 40 documents; the name of one is markup."""
    folder.mkdir()
    for name, part in (("poems", texts(60)), ("<b>news", texts(100)[60:])):
        lines = [json.dumps({"id": f"{name}-{n}", "text": text}) for n, text in enumerate(part)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def make_call(documents: Path, model: Path, out: Path, **config: Any) -> TokensCall:
    return TokensCall(
        documents=[str(documents)],
        tokenizer=model,
        out=out,
        config=TokensConfig(**{"shard_mb": 0.004, "check": 1.0, **config}),
        workers=1,
        limit=None,
        sample=None,
        seed=0,
        dry_run=False,
        as_json=False,
        quiet=True,
        max_bad=1.0,
        started=time.monotonic(),
    )


def tree(out: Path) -> dict[str, str]:
    """Every file but those that tell times."""
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name not in {"usage.json", ".lock"})
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def summary_of(out: Path) -> Any:
    return json.loads((out / "summary.json").read_text("utf-8"))


def edit(file: Path, place: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[place] ^= 1
    file.write_bytes(raw)


RUN = """
import resource, sys, time
from pathlib import Path
from runkit.console import app, run_app
from tests.train.token_runs import make_call
from train.tokens import tokens
from dataclasses import replace
documents, model, out, workers, file_bytes = sys.argv[1:]
if int(file_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes), int(file_bytes)))
command = app("train", "")
command.command()(lambda: tokens(replace(make_call(Path(documents), Path(model), Path(out)), workers=int(workers))))
sys.exit(run_app(command, []))
"""


def start(call: TokensCall, workers: int, file_bytes: int = 0) -> "subprocess.Popen[str]":
    words = [call.documents[0], str(call.tokenizer), str(call.out), str(workers), str(file_bytes)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *words], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
