"""kill -9 and Ctrl-C for `corpus stats`, `quality` and `tune --apply`: started again they end with the same bytes."""

import json
import random
import signal
from pathlib import Path

import pytest

from tests.faults.kill import Killer, assert_same, tree
from tests.faults.launch import Command, start, until

pytestmark = pytest.mark.timeout(240)  # a start takes seconds where the machine is shared
HAN = "山水云雨风花雪月江河湖海松竹梅兰春夏秋冬东南西北天地日星金木土石田园书画琴棋"
CALLS = {
    "stats": ["stats", "{f}/good.jsonl", "{f}/bad.jsonl", "-q", "--workers", "2"],
    "score": ["quality", "score", "{f}/good.jsonl", "{f}/bad.jsonl", "--model", "{f}/fit", "-q", "--workers", "2"],
    "fit": ["quality", "fit", "--good", "{f}/good.jsonl", "--bad", "{f}/bad.jsonl", "-s", "bits=12"],
    "tune": ["tune", "{f}/run", "--apply", "-s", "rules.chars.min=200", "-q", "--workers", "2"],
}


def text(chooser: random.Random, characters: str) -> str:
    lines = ("".join(chooser.choices(characters, k=30)) + "。" for _ in range(chooser.randrange(2, 12)))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets, a run over them, a fitted classifier, and what each call comes to when nothing disturbs it."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    folder, chooser = tmp_path_factory.mktemp("stopped"), random.Random(3)
    for name, characters in (("good", HAN[:20]), ("bad", HAN[16:])):
        rows = [json.dumps({"id": f"{name}{n}", "text": text(chooser, characters)}) for n in range(120)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    words = ["clean", folder / "good.jsonl", "--out", folder / "run", "-q", "-s", "read.shard_mb=0.02"]
    assert start(words, folder / "streams").result().code == 0
    for kind in ("fit", "stats", "score", "tune"):
        ended = call(folder, kind, folder / kind).result()
        assert ended.code == 0, ended.err
    return folder


def call(folder: Path, kind: str, out: Path) -> Command:
    words = [word.format(f=folder) for word in CALLS[kind]]
    return start([*words, "--out", out], out.parent / "streams")


SPAN_S = {"score": 0.08, "fit": 0.4, "tune": 0.4}  # about what each takes on a quiet machine


@pytest.mark.parametrize("kind", ["score", "fit", "tune"])
def test_killed_at_random_moments(folder: Path, tmp_path: Path, kind: str) -> None:
    expected = tree(folder / kind)
    killer = Killer(lambda out: call(folder, kind, out), tmp_path, seed=5, span_s=SPAN_S[kind], workers=99)
    assert len(killer.kill(2, expected)) == 2


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [
        ("stats", signal.SIGKILL, -9),
        ("stats", signal.SIGINT, 130),
        ("fit", signal.SIGINT, 130),
        ("tune", signal.SIGINT, 130),
    ],
)
def test_stopped_once_the_run_has_begun(folder: Path, tmp_path: Path, kind: str, number: int, code: int) -> None:
    out = tmp_path / "run"
    command = call(folder, kind, out)
    until(lambda: (out / "manifest.json").is_file() or command.ended(0), "the run has begun")
    command.send(number)
    ended = command.result()
    assert ended.code == code and "Traceback" not in ended.err, ended.err
    assert call(folder, kind, out).result().code == 0
    assert_same(out, tree(folder / kind))
