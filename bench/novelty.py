"""How fast and how exact is ROUGE-L novelty, beside Alpaca's loop and rapidfuzz?

    python bench/novelty.py [--data FOLDER] [--chinese N] [--english-sample N] [--chinese-sample N] [--json]

speed: all of the English set in its order, as the whole command `selfinstruct dedup` and as the library alone; then as
many Chinese instructions as --chinese says, made of real ones by recombination and mutation with a seed. exact: which
English items are kept, beside rouge_score's own arithmetic (which compares floats; an F1 of exactly 0.7 it may round
up), on a sample half of which is mutated and on all pairs of the set whose F1 is near 0.7; which Chinese ones, beside
rapidfuzz on every pair. Peers' times are extrapolated from the sample that is named. One core; CPU seconds; medians.
"""

import argparse
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data" / "instructions"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
LIMIT = 0.7
BATCH = 8192
NEAR = (0.6, 0.8)  # F1 of the pairs that count as close to the border
ASKED = 10_000  # of them are asked of our library
LOOPED = 40  # texts whose comparison with all before them is timed for the peers


def instructions(*files: Path) -> list[str]:
    from runkit.fields import Fault
    from runkit.instructions import find_items

    found = find_items([str(file) for file in files]).read()
    return [one.instruction for one in found if not isinstance(one, Fault)]


def command(file: Path, out: Path) -> dict:
    line = [sys.executable, "-m", "selfinstruct", "dedup", str(file), "--out", str(out), "--json", "-q"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(line)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def judged(texts: list[str], threshold: float = LIMIT) -> tuple[list, float]:
    """What our library says of each, and its CPU seconds without the start of numba."""
    from selfinstruct.novelty import Novelty

    Novelty(threshold=threshold).judge([("", "warm")])
    novelty, found = Novelty(threshold=threshold), []
    started = time.process_time()
    for first in range(0, len(texts), BATCH):
        found += novelty.judge([(str(first + n), text) for n, text in enumerate(texts[first : first + BATCH])])
    return found, time.process_time() - started


def rouge(folder: Path, **job: object) -> dict | None:
    if not PEERS.exists():
        return None
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    line = [str(PEERS), str(ROOT / "bench" / "peer_novelty.py"), str(folder / "job.json")]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def coded(texts: list[str]) -> list[str]:
    """Each text as a string with one character for each token, which is what rapidfuzz is fastest on."""
    from selfinstruct.novelty import tokens_of

    cut, known = tokens_of("char"), {}
    signs = [[known.setdefault(token, len(known)) for token in cut(text)] for text in texts]
    return ["".join(chr(0x10000 + sign) for sign in some) for some in signs]


def mutated(words: list[str], pool: list[str], random_: random.Random) -> list[str]:
    """The same words with up to a third of them replaced, dropped or moved, or more put in."""
    words = words[:]
    for _ in range(random_.randint(1, max(1, len(words) // 3))):
        place = random_.randrange(len(words))
        kind = random_.random()
        if kind < 0.5:
            words[place] = random_.choice(pool)
        elif kind < 0.7:
            words.insert(place, random_.choice(pool))
        elif len(words) > 2:
            word = words.pop(place)
            if kind < 0.8:
                words.insert(random_.randrange(len(words) + 1), word)
    return words


def chinese(texts: list[str], count: int, seed: int) -> Iterator[str]:
    """Recombined and mutated: fronts of one and ends of another, words replaced, a few exact copies."""
    import rjieba

    random_ = random.Random(seed)
    words = [rjieba.cut(text) for text in dict.fromkeys(texts) if 4 <= len(text) <= 200]
    pool = [word for some in words for word in some if len(word) > 1]
    parts = [re.findall(r"[^，。？！；：、\n]+[，。？！；：、\n]*", "".join(some)) for some in words]
    ends = [some[-1] for some in parts if some] + [part for some in parts for part in some[1:]]
    for _ in range(count):
        kind, place = random_.random(), random_.randrange(len(words))
        if kind < 0.02:
            yield "".join(words[place])
        elif kind < 0.5:
            yield "".join(mutated(words[place], pool, random_))
        else:
            front = random_.choice(parts[place] or [""])
            topic = "".join(random_.sample(pool, random_.randint(1, 3)))
            whole = rjieba.cut(front + random_.choice((topic, "")) + random_.choice(ends))
            yield "".join(mutated(whole, pool, random_) if random_.random() < 0.7 else whole)


def english_speed(file: Path, folder: Path, rounds: int) -> dict:
    texts = instructions(file)
    whole, alone, start = [], [], []
    (folder / "one.jsonl").write_text('{"instruction": "one", "input": "", "output": ""}\n', encoding="utf-8")
    for number in range(rounds):
        start.append(command(folder / "one.jsonl", folder / f"one{number}")["cpu_seconds"])
        whole.append(command(file, folder / f"en{number}"))
        alone.append(judged(texts)[1])
    return {
        "items": len(texts),
        "kept": whole[0]["kept"],
        "cpu_seconds": statistics.median(one["cpu_seconds"] for one in whole),
        "cpu_seconds_of_one_item": statistics.median(start),
        "cpu_seconds_library": round(statistics.median(alone), 3),
    }


def chinese_speed(texts: list[str], count: int, folder: Path, seed: int) -> dict:
    import orjson

    with (folder / "zh.jsonl").open("wb") as file:
        for text in chinese(texts, count, seed):
            file.write(orjson.dumps({"instruction": text, "input": "", "output": ""}) + b"\n")
    found = command(folder / "zh.jsonl", folder / "zh")
    return {
        "items": found["read"],
        "kept": found["kept"],
        "cpu_seconds": found["cpu_seconds"],
        "peak_memory_bytes": found["peak_memory_bytes"],
    }


def near_pairs(texts: list[str]) -> list[tuple[int, int]]:
    """All pairs with an F1 close to the border, found by rapidfuzz."""
    import numpy as np
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    signs, pairs = coded(texts), []
    for first in range(0, len(signs), 500):
        rows = signs[first : first + 500]
        scores = process.cdist(
            rows, signs[: first + len(rows)], scorer=Indel.normalized_similarity, score_cutoff=NEAR[0], dtype=np.float32
        )
        for row, other in np.argwhere((scores >= NEAR[0]) & (scores <= NEAR[1])).tolist():
            if other < first + row:
                pairs.append((first + row, other))
    return pairs


def english_exact(texts: list[str], size: int, folder: Path, seed: int) -> dict | None:
    random_ = random.Random(seed)
    sample = random_.sample(texts, size // 2)
    pool = [word for text in sample for word in text.split()]
    sample += [" ".join(mutated(text.split() or ["?"], pool, random_)) for text in sample]
    random_.shuffle(sample)
    theirs = rouge(folder, texts=sample, stream=True)
    if theirs is None:
        return None
    kept = [not one.over for one in judged(sample)[0]]
    pairs = near_pairs(texts)
    scores = rouge(folder, texts=texts, pairs=pairs)["scores"]
    from selfinstruct.novelty import tokens_of

    lengths = [len(tokens_of("char")(text)) for text in texts]
    both = [lengths[i] + lengths[j] for i, j in pairs]
    commons = [round(score * total / 2) for score, total in zip(scores, both, strict=True)]
    exact = [20 * common == 7 * total for common, total in zip(commons, both, strict=True)]
    rounded = sum(score > LIMIT for score, on_border in zip(scores, exact, strict=True) if on_border)
    unlike = sum(abs(2 * c / t - s) > 1e-9 for c, t, s in zip(commons, both, scores, strict=True))
    return {
        "items": len(sample),
        "kept": sum(kept),
        "different": sum(a != b for a, b in zip(kept, theirs["keeps"], strict=True)),
        "pairs_near": len(pairs),
        "pairs_on_the_border": sum(exact),
        "of_them_rounded_up": rounded,
        "scores_different": unlike,
        "of_part_told_otherwise": pairs_that_differ(texts, pairs, scores),
    }


def pairs_that_differ(texts: list[str], pairs: list[tuple[int, int]], scores: list[float]) -> int:
    """Pairs whose F1 we say otherwise, each asked of a set of one; of many a part."""
    from selfinstruct.novelty import Novelty

    wrong = 0
    every = max(1, len(pairs) // ASKED)
    for (i, j), score in zip(pairs[::every], scores[::every], strict=True):
        novelty = Novelty()
        novelty.add("", texts[j])
        wrong += abs(novelty.nearest(texts[i]).score - score) > 1e-9
    return wrong


def chinese_exact(texts: list[str]) -> dict:
    import numpy as np
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    ours, _ = judged(texts)
    signs, kept = coded(texts), []
    different = scores_different = 0
    for own, one in zip(signs, ours, strict=True):
        if not own:  # rapidfuzz calls two empty strings equal
            continue
        row = process.cdist([own], kept, scorer=Indel.normalized_similarity, dtype=np.float64)[0] if kept else []
        best = float(max(row, default=0))
        over = best > LIMIT + 1e-12  # F1 of exactly 0.7 may be a hair above it as a float
        different += over != one.over
        scores_different += one.over and abs(one.score - best) > 1e-9
        if not over:
            kept.append(own)
    return {"items": len(texts), "kept": len(kept), "different": different, "scores_different": scores_different}


def peers(texts: list[str], folder: Path, seed: int) -> dict[str, dict]:
    """CPU seconds for all of the set, extrapolated from comparing some texts with all before them."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    every = len(texts) * (len(texts) - 1) // 2
    chosen = sorted(random.Random(seed).sample(range(1, len(texts)), min(LOOPED, len(texts) - 1)))
    rows = {}
    if theirs := rouge(folder, texts=texts, loop=chosen[:8]):
        rows["Alpaca's loop"] = theirs["loop"]
    signs = coded(texts)
    started = time.process_time()
    for i in chosen:
        process.extractOne(signs[i], signs[:i], scorer=Indel.normalized_similarity, score_cutoff=LIMIT)
    rows["rapidfuzz"] = {"pairs": sum(chosen), "cpu_seconds": time.process_time() - started}
    for row in rows.values():
        row["all_cpu_seconds"] = round(row["cpu_seconds"] / row["pairs"] * every, 1)
    return rows


def show(figures: dict) -> None:
    one = figures["english"]
    print(f"speed  English {one['items']:,} items, {one['kept']:,} kept: {one['cpu_seconds']:.2f} CPU s the command")
    print(f"       (of one item {one['cpu_seconds_of_one_item']:.2f}), {one['cpu_seconds_library']:.2f} the library")
    for name, row in figures["peers"].items():
        print(f"       {name}: {row['all_cpu_seconds']:,.0f} CPU s, extrapolated from {row['pairs']:,} pairs")
    if one := figures["chinese"]:
        share = one["kept"] / one["items"]
        print(f"speed  Chinese {one['items']:,} items, {share:.1%} kept: {one['cpu_seconds']:.1f} CPU s,", end=" ")
        print(f"{one['peak_memory_bytes'] / 1e6:,.0f} MB")
    if one := figures["english_exact"]:
        print(f"exact  English {one['items']:,} items, {one['kept']:,} kept: {one['different']} decided otherwise")
        print(
            f"       {one['pairs_near']:,} pairs of all are near 0.7, {one['scores_different']} with another F1;",
            end=" ",
        )
        print(f"{one['pairs_on_the_border']:,} at 0.7, of which it rounds {one['of_them_rounded_up']} above")
    if one := figures["chinese_exact"]:
        print(
            f"exact  Chinese {one['items']:,} items, {one['kept']:,} kept: {one['different']} decided otherwise,",
            end=" ",
        )
        print(f"{one['scores_different']} with another F1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="holds alpaca_en, alpaca_zh, belle_*")
    parser.add_argument("--chinese", type=int, default=1_000_000, help="items to make; 0: none")
    parser.add_argument("--english-sample", type=int, default=3_000, help="fully compared by rouge_score; 0: none")
    parser.add_argument("--chinese-sample", type=int, default=20_000, help="fully compared by rapidfuzz; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    english, chinese_ = call.data / "alpaca_en.jsonl.zst", call.data / "alpaca_zh.jsonl.zst"
    belle = sorted(call.data.glob("belle_*.jsonl"))
    for file in (english, chinese_):
        if not file.is_file():
            parser.error(f"there is no {file}; give --data")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts, seeds = instructions(english), instructions(chinese_, *belle)
        figures = {
            "english": english_speed(english, folder, call.rounds),
            "peers": peers(texts, folder, call.seed),
            "chinese": chinese_speed(seeds, call.chinese, folder, call.seed) if call.chinese else None,
            "chinese_exact": chinese_exact(seeds[: call.chinese_sample]) if call.chinese_sample else None,
            "english_exact": english_exact(texts, call.english_sample, folder, call.seed)
            if call.english_sample
            else None,
        }
    figures["cpu_seconds_bench"] = round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 1)
    if call.json:
        print(json.dumps(figures))
        return
    show(figures)
    if not PEERS.exists():
        print("rouge_score skipped: .venv-peers is missing; `make .venv-peers/installed` makes it")


if __name__ == "__main__":
    main()
