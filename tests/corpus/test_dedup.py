"""Copies are found whatever the order of the dump, and the best version stays."""

import random
from pathlib import Path

import pytest

from corpus.dedup import find_copies
from corpus.dedup_config import DedupConfig
from corpus.page import Page
from corpus.reading import ReadShard
from corpus.save import Save
from corpus.signals import ALL_SIGNALS
from corpus.store import part_name
from runkit.rundir import RunDir

WORDS = [
    "渡口",
    "船工",
    "河水",
    "村庄",
    "赶集",
    "清晨",
    "傍晚",
    "缆绳",
    "木桩",
    "客人",
    "石桥",
    "上游",
    "水位",
    "风向",
    "孩子",
    "书包",
    "稻田",
    "晒谷",
    "屋檐",
    "灯光",
]


def article(seed: int, sentences: int = 30) -> str:
    chooser = random.Random(seed)
    return "\n".join("".join(chooser.sample(WORDS, 8)) + "。" for _ in range(sentences))


def decide(tmp_path: Path, texts: list[tuple[str, str | None]], config: DedupConfig) -> dict[int, tuple[str, int]]:
    """{place of a copy: (reason, place of the one that stays)}."""
    pages = [Page(origin=f"t#{i}", source="t", kind="text", text=text, url=url) for i, (text, url) in enumerate(texts)]
    for page in pages:
        page.signals = dict.fromkeys(ALL_SIGNALS, 0.0)
        page.signals |= {"s_chars": float(len(page.text)), "s_punct_line_share": 1.0}
    places = {page.id: place for place, page in enumerate(pages)}
    with RunDir.open(tmp_path / f"run{len(list(tmp_path.iterdir()))}", "test", {}, []) as run:
        reader = ReadShard.__new__(ReadShard)
        reader.faults, reader.rest = [], lambda: None
        half = len(pages) // 2  # two parts, so that copies meet across files
        for shard, chunk in enumerate((pages[:half], pages[half:])):
            list(Save(run, reader, with_shingles=config.enabled).run(chunk, rank=shard))
        parts = [part_name(0, 0), part_name(1, 0)]
        frame = find_copies(run, parts, config)
    found = {}
    for row in frame.iter_rows(named=True):
        assert row["shard"] == (places[row["id"]] >= half)
        found[places[row["id"]]] = (row["reason"], places[row["duplicate_of"]])
    return found


def test_exact_copies_keep_one_and_letters_decide(tmp_path: Path) -> None:
    text = article(1)
    texts = [(text, None), (article(2), None), (text.replace("。", "！ "), None), (article(3), None)]
    found = decide(tmp_path, texts, DedupConfig())
    assert len(found) == 1
    ((copy, (reason, kept)),) = found.items()
    assert {copy, kept} == {0, 2}
    assert reason == "dedup.exact"


def test_near_copies_keep_the_longest_wherever_it_stands(tmp_path: Path) -> None:
    short, middle = article(5, 30), article(5, 30) + "\n" + article(6, 2)
    longest = middle + "\n" + article(7, 2)
    versions = [(short, None), (middle, None), (longest, None), (article(8), None), (article(9), None)]
    for seed in range(4):
        order = list(range(5))
        random.Random(seed).shuffle(order)
        found = decide(tmp_path, [versions[i] for i in order], DedupConfig())
        copies = {order[place]: (reason, order[kept]) for place, (reason, kept) in found.items()}
        assert copies == {0: ("dedup.near", 2), 1: ("dedup.near", 2)}


def test_below_the_threshold_both_stay(tmp_path: Path) -> None:
    texts = [(article(11, 20), None), (article(11, 20) + "\n" + article(12, 20), None)]
    assert decide(tmp_path, texts, DedupConfig()) == {}


def test_same_page_under_two_addresses_of_tracking(tmp_path: Path) -> None:
    one, other = "http://news.example/a?id=3", "https://news.example/a?utm_source=x&id=3#top"
    later = article(21, 12) + "\n" + article(22, 8)
    texts = [(article(21, 12), one), (later, other), (article(23), "http://news.example/a?id=4")]
    assert decide(tmp_path, texts, DedupConfig()) == {0: ("dedup.url", 1)}
    assert decide(tmp_path, texts, DedupConfig(by_url=False)) == {}
    # A site that gives all its pages one address loses none of them.
    assert decide(tmp_path, [(article(24), one), (article(25), one)], DedupConfig()) == {}


def test_switched_off_nothing_is_a_copy(tmp_path: Path) -> None:
    texts = [(article(31), None), (article(31), None)]
    assert decide(tmp_path, texts, DedupConfig(enabled=False)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_clusters_agree_with_brute_force(tmp_path: Path, seed: int) -> None:
    """Against all pairs: every copy is similar to something in its cluster, and no two that stay are near-identical."""
    chooser = random.Random(seed)
    texts = []
    for base in range(12):
        text = article(100 * seed + base, 40).split("\n")
        for _ in range(chooser.randint(1, 4)):
            edited = [line for line in text if chooser.random() > 0.02]
            texts.append(("\n".join(edited) + "\n" + article(chooser.randint(10**6, 10**7), 1), None))
    chooser.shuffle(texts)
    found = decide(tmp_path, texts, DedupConfig())

    def grams(text: str) -> set[str]:
        letters = "".join(c for c in text if c not in "。\n")
        return {letters[i : i + 5] for i in range(len(letters) - 4)}

    sets = [grams(text) for text, _ in texts]
    similar = lambda a, b: len(sets[a] & sets[b]) / len(sets[a] | sets[b])  # noqa: E731
    standing = [place for place in range(len(texts)) if place not in found]
    assert all(similar(a, b) < 0.85 for i, a in enumerate(standing) for b in standing[:i])
    assert all(any(similar(copy, other) >= 0.75 for other in range(len(texts)) if other != copy) for copy in found)
    assert all(kept in standing for _, kept in found.values())
