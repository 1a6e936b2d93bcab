"""Row 26: same inputs, config and seed: same bytes, for any number of workers and any hash seed of Python."""

from pathlib import Path

import pytest

from tests.faults.kill import assert_same, identities, tree
from tests.faults.launch import FULL, SHARDS, Setup, clean, run
from tests.faults.texts import EXAMPLE

pytestmark = pytest.mark.timeout(600 if FULL else 120)
BEST = ("-s", "extract.mode=best", "-s", "read.shard_mb=0.1")


def test_same_call_twice_and_one_worker(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    clean([dump], tmp_path / "again", *SHARDS, "--workers", "2")
    assert_same(tmp_path / "again", expected)
    clean([dump], tmp_path / "one", *SHARDS, "--workers", "1")
    assert_same(tmp_path / "one", expected)


def test_hash_seeds_in_the_best_mode(tmp_path: Path) -> None:
    """The libraries behind `best` hold sets of strings. The small count compares one seed with a random one."""
    trees = []
    for seed, workers in (("0", "2"), ("1", "1"), ("2", "2")) if FULL else (("", "2"), ("1", "1")):
        words = ["clean", EXAMPLE, "--out", tmp_path / f"run{seed}", "-q", *BEST, "--workers", workers]
        env = (("PYTHONHASHSEED", seed),) if seed else ()
        ended = run(words, tmp_path / "streams", Setup(env=env))
        assert ended.code == 0, ended.err
        trees.append(tree(tmp_path / f"run{seed}"))
    assert trees.count(trees[0]) == len(trees)


def test_a_sample_depends_on_its_seed_alone(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        clean([EXAMPLE], tmp_path / name, "--sample", "0.5", "--seed", seed, "--workers", "1")
        found.append((tree(tmp_path / name), set(identities(tmp_path / name))))
    assert found[0] == found[1]
    assert found[0][1] != found[2][1]
    assert 30 < len(found[0][1]) < 66  # 0.5 of 96
