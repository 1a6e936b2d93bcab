"""Rows 12 and 26 for `train`: hostile lines are named one by one; what comes out depends on the inputs alone."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.kill import assert_same, tree
from tests.faults.launch import FULL, TRAIN, Command, run
from tests.faults.lines import BAD_LINES, GOOD_LINES, lines_with_faults
from tests.faults.train_runs import begin_extend, begin_fit, begin_tokens, fit, tokens
from train.shards import open_shards

pytestmark = pytest.mark.timeout(600 if FULL else 120)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "lines.jsonl").write_bytes(lines_with_faults(random.Random(12)))
    return folder / "lines.jsonl"


def good_texts(file: Path) -> list[str]:
    lines = [line for line in file.read_bytes().split(b"\n") if line.strip()]
    return [json.loads(line)["text"] for line in lines if line not in BAD_LINES]


def expected_faults(file: Path) -> list[tuple[str, int, int, str]]:
    """(file, line, byte, reason) of the bad lines, told from the bytes."""
    found, offset = [], 0
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if line in BAD_LINES:
            found.append((file.name, number, offset, BAD_LINES[line]))
        offset += len(line) + 1
    return found


def quarantined(files: list[Path]) -> list[tuple[str, int, int, str]]:
    rows = [json.loads(line) for file in sorted(files) for line in file.read_text("utf-8").splitlines()]
    return [(row["file"], row["line"], row["offset"], row["reason"]) for row in rows]


def summary_of(out: Path) -> Any:
    return json.loads((out / "summary.json").read_text("utf-8"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_fit_names_every_bad_line(tmp_path: Path, hostile: Path, workers: str) -> None:
    out = tmp_path / "run"
    ended = fit(hostile, out, "--vocab", "400", "--workers", workers)
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    assert quarantined([out / "quarantine.jsonl"]) == expected_faults(hostile)
    summary = summary_of(out)
    assert summary["learnt_from"]["documents"] + summary["held_out"]["documents"] == GOOD_LINES
    total = sum(summary[part]["characters"] for part in ("learnt_from", "held_out"))
    assert total == sum(map(len, good_texts(hostile)))
    assert sum(summary["faults"].values()) == len(BAD_LINES)


@pytest.mark.parametrize(("workers", "shard_mb"), [("1", 8.0), ("2", 0.004)])
def test_tokens_names_every_bad_line(
    tmp_path: Path, hostile: Path, tokenizer: Path, workers: str, shard_mb: float
) -> None:
    out = tmp_path / "run"
    ended = begin_tokens(hostile, tokenizer, out, "--workers", workers, shard_mb=shard_mb).result()
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    assert quarantined([*out.glob("quarantine/*.jsonl")]) == expected_faults(hostile)
    shards = open_shards(out)
    assert [shards.text(number) for number in range(len(shards))] == good_texts(hostile)
    assert sum(summary_of(out)["faults"].values()) == len(BAD_LINES)


@pytest.mark.parametrize(("most", "code"), [("0.5", 6), ("0.54", 0)])  # 14 of 26 are bad: 0.538
def test_too_many_bad_lines(tmp_path: Path, hostile: Path, tokenizer: Path, most: str, code: int) -> None:
    out = tmp_path / "run"
    ended = tokens(hostile, tokenizer, out, "--max-bad", most)
    assert (ended.code, ended.out) == (code, "")
    assert ("14 of 26" in ended.err) == (code == 6), ended.err
    assert len(open_shards(out)) == GOOD_LINES  # all the same finished


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("command", ["fit", "extend", "tokens"])
def test_same_call_with_other_workers(
    request: pytest.FixtureRequest, tmp_path: Path, documents: Path, tokenizer: Path, command: str, workers: str
) -> None:
    out = tmp_path / "run"
    if command == "tokens":
        started = begin_tokens(documents, tokenizer, out, "--workers", workers)
    elif command == "fit":
        started = begin_fit(documents, out, "--workers", workers)
    else:
        started = begin_extend(tokenizer, documents, out, "--workers", workers)
    assert started.result().code == 0
    whole = {"fit": "tokenizer", "extend": "extended", "tokens": "shards"}[command]
    assert_same(out, tree(request.getfixturevalue(whole)))


def test_hash_seeds(tmp_path: Path, documents: Path, tokenizer: Path, shards: Path) -> None:
    """Real starts, against forks of a process with a seed of its own."""
    started: list[tuple[Command, Path, Path]] = []
    for seed in ("0", "1", "2") if FULL else ("0", "1"):
        setup = replace(TRAIN, env=(("PYTHONHASHSEED", seed),))
        for name, whole in (("fit", tokenizer), ("tokens", shards)):
            out = tmp_path / f"{name}{seed}"
            if name == "fit":
                command = begin_fit(documents, out, "--workers", "2", setup=setup)
            else:
                command = begin_tokens(documents, tokenizer, out, "--workers", "2", setup=setup)
            started.append((command, out, whole))
    for command, out, whole in started:
        ended = command.result()
        assert ended.code == 0, ended.err
        assert_same(out, tree(whole))


def test_the_order_of_rows_depends_on_its_seed_alone(tmp_path: Path, shards: Path) -> None:
    """It is no file; its hash is what a checkpoint keeps."""
    found = []
    for seed in ("3", "3", "4"):
        ended = run(["data", shards, "--seq-len", "128", "--seed", seed, "--json", "-q"], tmp_path, TRAIN)
        found.append(json.loads(ended.out)["sha256"])
    assert found[0] == found[1] != found[2]


def test_no_id_is_lost(shards: Path) -> None:
    """No id beyond the vocabulary, and none between the documents."""
    opened = open_shards(shards)
    ids = np.concatenate([opened.tokens(number) for number in range(len(opened))])
    assert ids.max() < opened.vocab_size
    assert len(ids) == sum(len(opened.mapped(shard)) for shard in range(len(opened.names)))
