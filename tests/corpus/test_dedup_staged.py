"""Deduplication in stages: the same copies as in one go, in files that datatrove's own stages read."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig

from corpus import dedup_staged, save, store
from corpus.dedup import find_copies
from corpus.dedup_config import DedupConfig
from corpus.dedup_staged import PAIR, Compared, compare_bucket, find_exact, read_joins, sign
from corpus.minhash import BANDS
from corpus.page import Page
from corpus.reading import ReadShard
from corpus.save import Save
from corpus.signals import ALL_SIGNALS
from runkit.rundir import RunDir

CONFIG = DedupConfig()
STOCK = MinhashConfig(num_buckets=BANDS, hashes_per_bucket=1, hash_config=HashConfig(hash_fc="sha1"))
SHARDS = (0, 3, 4, 11)
pytestmark = pytest.mark.timeout(200)


def texts(chooser: random.Random, count: int) -> list[tuple[str, str | None]]:
    """Texts of one's own, copies with more or less changed, exact copies, and some without a letter; with URLs."""
    found: list[tuple[str, str | None]] = []
    for _ in range(count):
        kind = chooser.random()
        text = "".join(chr(chooser.randrange(0x4E00, 0x9FA0)) for _ in range(chooser.randrange(60, 300)))
        url = f"https://a.cn/{len(found)}" if chooser.random() < 0.5 else None
        if kind < 0.5 and found:
            text, url = chooser.choice(found[-20:])
            letters = list(text)
            for _ in range(int(len(letters) * chooser.random() * 0.06)):
                letters[chooser.randrange(len(letters))] = chr(chooser.randrange(0x4E00, 0x9FA0))
            text, url = "".join(letters), url if kind < 0.2 else None
        elif kind < 0.6 and found:
            text, url = chooser.choice(found)
        elif kind < 0.65:
            text = "。" * chooser.randrange(4)
        found.append((text, url))
    return found


@pytest.fixture(params=[1, 2])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """Four shards of several parts, one shard without a page; some pages have a reason."""
    monkeypatch.setattr(save, "PART_CHARACTERS", 5_000)
    chooser = random.Random(request.param)
    with RunDir.open(tmp_path / "run", "test", {}, []) as run:
        reader = ReadShard.__new__(ReadShard)
        reader.faults, reader.rest = [], lambda: None
        everything = texts(chooser, 400)
        for shard, chunk in zip(SHARDS, (everything[:90], everything[90:150], [], everything[150:]), strict=True):
            pages = []
            for number, (text, url) in enumerate(chunk):
                page = Page(origin=f"{shard}#{number}", source="t", kind="text", text=text, url=url)
                page.signals = dict.fromkeys(ALL_SIGNALS, 0.0) | {"s_chars": float(chooser.randrange(90))}
                if chooser.random() < 0.2:
                    page.reject("rules.short")
                pages.append(page)
            list(Save(run, reader, with_shingles=True).run(pages, rank=shard))
        yield run


def compared(run: RunDir) -> Compared:
    parts = []
    for shard in SHARDS:
        mark = run.done(f"work-{shard:05d}")
        assert mark is not None
        parts.append([store.part_name(shard, part) for part in range(mark.data["parts"])])
    marks = [sign(run, f"sign-{shard}", shard, names, "") for shard, names in zip(SHARDS, parts, strict=True)]
    assert marks == [run.done(f"sign-{shard}") for shard in SHARDS]
    return Compared(list(SHARDS), parts, [mark.data["documents"] for mark in marks], "")


def staged(run: RunDir, plan: Compared, config: DedupConfig) -> pl.DataFrame:
    find_exact(run, "exact", plan, config)
    for unit in plan.units:
        compare_bucket(run, f"bucket-{unit}", plan, unit, config.jaccard)
    return find_copies(run, plan.all_parts, config, read_joins(run, plan))


@pytest.mark.parametrize("most", [10_000, 70])
@pytest.mark.parametrize("config", [CONFIG, DedupConfig(by_url=False, jaccard=0.9)])
def test_the_same_copies_as_in_one_go(
    run: RunDir, config: DedupConfig, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup_staged, "MOST_IN_RANGE", most)
    plan = compared(run)
    assert plan.ranges == -(-plan.total // most) and len(plan.all_parts) > len(SHARDS)
    found = staged(run, plan, config)
    assert found.equals(find_copies(run, plan.all_parts, config))
    assert set(found["reason"]) == {"dedup.near", "dedup.exact", *(["dedup.url"] if config.by_url else [])}


def pairs(folder: Path) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Of (shard, document), from `.dups` files, the lesser first."""
    found = [np.fromfile(file, PAIR).tolist() for file in folder.glob("*.dups")]
    return {tuple(sorted(((a, b), (c, d)))) for rows in found for a, b, c, d in rows}  # type: ignore[misc]


def clusters(pairs: set[tuple[tuple[int, int], tuple[int, int]]]) -> set[frozenset[tuple[int, int]]]:
    found: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for a, b in pairs:
        joined = found.get(a, {a}) | found.get(b, {b})
        found |= dict.fromkeys(joined, joined)
    return {frozenset(members) for members in found.values()}


def stock(step: PipelineStep, tasks: int, folder: Path) -> None:
    LocalPipelineExecutor([step], tasks=tasks, workers=1, logging_dir=str(folder)).run()


def test_stock_stages_read_our_files(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_staged, "MOST_IN_RANGE", 150)
    plan, work = compared(run), run.file("work")
    staged(run, plan, DedupConfig(by_url=False))
    ours = pairs(work / "dups")
    # Stock buckets take every collision for a copy; ours are those that the shingles bear out, exact copies apart.
    stock(MinhashDedupBuckets(str(work / "signatures"), str(tmp_path / "dups"), config=STOCK), BANDS, tmp_path / "log1")
    theirs = clusters(pairs(tmp_path / "dups"))
    assert len(ours) > 30
    assert all(any(cluster <= other for other in theirs) for cluster in clusters(ours))
    # The stock clustering of our pairs leaves one document of each of our clusters.
    cluster = MinhashDedupCluster(str(work / "dups"), str(tmp_path / "remove"), config=STOCK)
    stock(cluster, 1, tmp_path / "log2")
    removed = {
        (int(file.stem), document)
        for file in (tmp_path / "remove").glob("*.remove")
        for document in np.fromfile(file, "<u4").tolist()
    }
    for members in clusters(ours):
        assert len(members - removed) == 1
    assert removed <= {member for pair in ours for member in pair}
