"""Do the intervals of `judge` cover what they promise, and how fast are its figures?

    python bench/judge.py [--rounds 2000] [--seed 1] [--part coverage speed] [--json]

Coverage: worlds with known truth are drawn `--rounds` times, with the seed printed beside; each row says how often the
95 % interval held the truth (93 to 97 % is what we promise at 80 questions) and how wide it was; the plain percentile
bootstrap stands beside ours for comparison. PPI++ rows say how wide they are beside people alone. Speed: 50,000
verdicts of seven models by Bradley–Terry beside evalica in the same run; 100,000 recorded verdicts through `judge
import` and `judge report`. Three minutes at 2,000 rounds on one core.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # instead of this folder, where `judge` would be this file
from judge import bradley_terry, intervals, length, position, ppi, stats  # noqa: E402

Draw = Callable[[np.random.Generator], Iterator[tuple[str, float, tuple[float, float] | None]]]

# Differences as recorded scores give them: mostly small, in halves, with few large losses. Mean -0.265, skewness -2.2.
STEPS = np.array([-6.0, -4.0, -1.0, -0.5, 0.0, 0.5, 1.0])
SHARES = np.array([0.04, 0.06, 0.10, 0.10, 0.30, 0.30, 0.10])


def mean_world(kind: str, n: int) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        if kind == "normal":
            d, truth = rng.normal(0.3, 1.5, n), 0.3
        elif kind == "halves":
            d, truth = rng.choice(STEPS, size=n, p=SHARES), float(STEPS @ SHARES)
        else:
            d, truth = rng.exponential(1.0, n), 1.0
        seed = int(rng.integers(2**31))
        test = stats.t_test(d)
        yield "t", truth, (test.low, test.high)
        yield "bootstrap-t", truth, intervals.bootstrap(d, rounds=999, seed=seed)
        means = np.concatenate([w @ d for w in intervals.resamples(n, 999, seed)]) / n
        yield "(percentile bootstrap)", truth, intervals.percentiles(means, 0.95)

    return draw


def clustered_world(n: int) -> Draw:
    """One to six rows for each question, which share half their variance."""

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        question = np.repeat(np.arange(n), rng.integers(1, 7, n))
        shared = rng.exponential(1.0, n) - 1.0
        d = 0.3 + shared[question] + rng.normal(0, 1, len(question))
        yield "clustered t", 0.3, intervals.t_interval(d, question)
        yield "clustered bootstrap-t", 0.3, intervals.bootstrap(d, question, rounds=999, seed=int(rng.integers(2**31)))
        p = 1 / (1 + np.exp(-0.5 - shared[question]))
        won = np.where(rng.random(len(question)) < 0.2, 0.0, np.where(rng.random(len(question)) < p, 1.0, -1.0))
        yield "clustered win rate", CLUSTERED_RATE, intervals.win_rate_interval(won, question)

    return draw


# 0.1 + 0.8 · mean of 1 / (1 + exp(-0.5 - e + 1)) over exponential e, by quadrature.
_E = (np.arange(200_000) + 0.5) / 200_000
CLUSTERED_RATE = 0.1 + 0.8 * float((1 / (1 + np.exp(-0.5 + np.log1p(-_E) + 1.0))).mean())


def win_rate_world(win: float, tie: float, n: int) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        result = rng.choice([1.0, 0.0, -1.0], size=n, p=[win, tie, 1 - win - tie])
        yield "Tango", win + tie / 2, intervals.win_rate_interval(result)
        yield "(t)", win + tie / 2, wald(result)

    return draw


def wald(result: np.ndarray) -> tuple[float, float]:
    """As others have it: of no width where all results are the same."""
    test = stats.t_test(result)
    low, high = (test.mean, test.mean) if test.low is None or test.high is None else (test.low, test.high)
    return (0.5 + low / 2, 0.5 + high / 2)


def orders_world(n: int) -> Draw:
    """Scores in halves, cut off at 1 and 10, being shown first worth one point before that; truth from a million."""

    def scores(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
        quality = rng.normal(7, 1.2, n)
        a, b = quality + rng.normal(0.4, 1.5, n), quality + rng.normal(0, 1.5, n)
        noise = rng.normal(0, 0.5, (4, n))
        shown = (a + 1 + noise[0], b + noise[1], a + noise[2], b + 1 + noise[3])
        return tuple(np.clip(np.round(x * 2) / 2, 1, 10) for x in shown)

    def parts(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
        a_first, b_second, a_second, b_first = scores(rng, n)
        return a_second - b_first, a_first - b_second, (a_first + a_second) / 2, (b_first + b_second) / 2

    d1, d2, system, reference = parts(np.random.default_rng(99), 1_000_000)
    truth = position.position(d1, d2)
    ratio = float(system.mean() / reference.mean())

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        d1, d2, system, reference = parts(rng, n)
        found = position.position(d1, d2)
        yield "ratio (Fieller)", ratio, intervals.ratio_interval(system, reference)
        yield "position effect (t)", truth.effect, found.effect_interval
        yield "preferred when first", truth.preferred_when_first, found.preferred_when_first_interval
        yield "verdict changed (Wilson)", truth.verdict_changed_rate, found.verdict_changed_interval
        yield "strict flip (Wilson)", truth.strict_flip_rate, found.strict_flip_interval

    return draw


def bradley_terry_world(n: int) -> Draw:
    """Four systems, each pair in both orders on each question, outcomes of a question drawn together."""
    truth = np.array([-0.8, -0.2, 0.2, 0.8])
    first, second = (x.ravel() for x in np.divmod(np.arange(16), 4))
    first, second = first[first != second], second[first != second]

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        f, s, question = np.tile(first, n), np.tile(second, n), np.repeat(np.arange(n), 12)
        # A common uniform draw for the two orders of a pair keeps the margins logistic and ties them together.
        pair = rng.random((n, 4, 4))
        same = np.triu(pair, 1) + np.triu(pair, 1).transpose(0, 2, 1)
        u = np.where(f < s, same[question, f, s], 1.0 - same[question, f, s])
        outcome = (u < 1 / (1 + np.exp(-(truth[f] - truth[s] + 0.4)))).astype(float)
        found = bradley_terry.fit(f, s, outcome, 4, clusters=question)
        best, gap, order = found.strength(3), found.difference(3, 1), found.order_effect()
        yield "Bradley–Terry strength", 0.8, (best.low, best.high)
        yield "Bradley–Terry difference", 1.0, (gap.low, gap.high)
        yield "Bradley–Terry order", 0.4, (order.low, order.high)

    return draw


def length_world(n: int) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        longer = rng.normal(100, 150, n)
        p = 1 / (1 + np.exp(-(0.4 + 1.0 * np.tanh(longer / 150))))
        result = np.where(rng.random(n) < p, 1.0, -1.0)
        found = length.length_adjusted(result, longer)
        yield "length-adjusted win rate", 1 / (1 + math.exp(-0.4)), found and (found.low, found.high)

    return draw


WIDTHS: dict[str, list[float]] = {}


def ppi_world(kind: str, n: int, rest: int) -> Draw:
    """People's scores and results; a judge that sees most of them, nothing of them, or is biased and on another
    scale."""

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        quality = rng.exponential(1.0, n + rest) - 0.7
        human = quality + rng.normal(0, 0.5, n + rest)
        judge = {
            "good judge": quality + rng.normal(0, 0.4, n + rest),
            "useless judge": rng.normal(0, 1, n + rest),
            "biased judge": 5.0 + 3.0 * quality + rng.normal(0, 1.5, n + rest),
        }[kind]
        found = ppi.ppi_mean(human[:n], judge[:n], judge[n:])
        WIDTHS.setdefault(f"PPI++ mean, {kind}, n={n}", []).append(
            (found.high - found.low) / (found.human_high - found.human_low)
        )
        yield "PPI++ mean", 0.3, (found.low, found.high)
        yield "(people alone)", 0.3, (found.human_low, found.human_high)
        cut = (stats.signs(np.round(human)), stats.signs(np.round(judge - (5.0 if kind == "biased judge" else 0.0))))
        rate = ppi.ppi_win_rate(cut[0][:n], cut[1][:n], cut[1][n:])
        WIDTHS.setdefault(f"PPI++ win rate, {kind}, n={n}", []).append(
            (rate.high - rate.low) / (rate.human_high - rate.human_low)
        )
        yield "PPI++ win rate", PPI_RATE, (rate.low, rate.high)

    return draw


def _ppi_rate() -> float:
    rng = np.random.default_rng(98)
    human = rng.exponential(1.0, 4_000_000) - 0.7 + rng.normal(0, 0.5, 4_000_000)
    return 0.5 + float(stats.signs(np.round(human)).mean()) / 2


PPI_RATE = _ppi_rate()


def worlds() -> dict[str, Draw]:
    found: dict[str, Draw] = {}
    for n in (20, 80):
        for kind in ("normal", "halves", "exponential"):
            found[f"{kind} differences, n={n}"] = mean_world(kind, n)
        found[f"1 to 6 rows a question, {n} questions"] = clustered_world(n)
        for win, tie in ((0.4, 0.2), (0.1, 0.2), (0.02, 0.02)):
            found[f"wins {win:.0%}, ties {tie:.0%}, n={n}"] = win_rate_world(win, tie, n)
        found[f"both orders, cut off scores, n={n}"] = orders_world(n)
        found[f"four systems, {n} questions"] = bradley_terry_world(n)
        found[f"longer is better, n={n}"] = length_world(n)
        for kind in ("good judge", "useless judge", "biased judge"):
            found[f"{kind}, {n} with people, {8 * n} without"] = ppi_world(kind, n, 8 * n)
    return found


def coverage(rounds: int, seed: int) -> list[dict]:
    rows = []
    for number, (name, draw) in enumerate(worlds().items()):
        held: dict[str, list[tuple[bool, float]]] = {}
        for at in range(rounds):
            for figure, truth, interval in draw(np.random.default_rng([seed, number, at])):
                low, high = interval or (math.nan, math.nan)
                held.setdefault(figure, []).append((low <= truth <= high, high - low))
        for figure, results in held.items():
            share = statistics.fmean(hit for hit, _ in results)
            rows.append(
                {
                    "world": name,
                    "interval": figure,
                    "coverage_percent": round(100 * share, 1),
                    "error_percent": round(100 * math.sqrt(share * (1 - share) / rounds), 1),
                    "width": round(float(np.nanmean([width for _, width in results])), 3),
                }
            )
    return rows


def bradley_terry_speed(seed: int) -> dict:
    import evalica

    rng = np.random.default_rng(seed)
    n, k = 50_000, 7
    truth = np.linspace(-1, 1, k)
    first = rng.integers(0, k, n)
    second = (first + rng.integers(1, k, n)) % k
    outcome = (rng.random(n) < 1 / (1 + np.exp(-(truth[first] - truth[second] + 0.3)))).astype(float)
    outcome[rng.random(n) < 0.1] = 0.5
    question = rng.integers(0, 5_000, n)
    names = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    xs, ys, winners = first.tolist(), second.tolist(), [names[x] for x in outcome]
    calls: dict[str, Callable[[], object]] = {
        "ours: order term, clustered covariance": lambda: bradley_terry.fit(first, second, outcome, k, True, question),
        "ours: strengths alone": lambda: bradley_terry.fit(first, second, outcome, k, False),
        "evalica: strengths alone": lambda: evalica.bradley_terry(xs, ys, winners, tolerance=1e-10, limit=10_000),
        "ours: 1,000 rounds of clustered bootstrap": lambda: bradley_terry.bootstrap(
            first, second, outcome, k, question, rounds=1000
        ),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(5):  # in turn, so that a slow moment hits all alike
        for name, call in calls.items():
            before = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - before)
    ours = bradley_terry.fit(first, second, outcome, k, False).strengths
    peer = evalica.bradley_terry(xs, ys, winners, tolerance=1e-12, limit=10_000).scores.sort_index()
    theirs = np.log(peer.to_numpy())
    seconds = {name: round(statistics.median(values), 4) for name, values in spent.items()}
    return {"seconds": seconds, "greatest_difference": float(np.abs(ours - theirs + theirs.mean()).max())}


def figures_speed() -> dict:
    """Bootstraps of 2,000 rounds."""
    rng = np.random.default_rng(0)
    found = {}
    for name, values, clusters in (
        ("100,000 rows of 25,000 questions", rng.normal(size=100_000), np.arange(100_000) % 25_000),
        ("100,000 rows of 1,000 questions", rng.normal(size=100_000), np.arange(100_000) % 1_000),
        ("80 questions", rng.normal(size=80), None),
    ):
        before = time.perf_counter()
        intervals.bootstrap(values, clusters)
        found[name] = round(time.perf_counter() - before, 4)
    return found


def report_speed(verdicts: int = 100_000) -> dict | None:
    """`judge import` and `judge report --json` of recorded two-score texts; None without the command."""
    if not (ROOT / "judge" / "cli_figures.py").exists():
        return None
    rng = np.random.default_rng(0)
    systems = ["alpha", "beta", "gamma", "delta", "epsilon"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "verdicts.jsonl"
        with file.open("w", encoding="utf-8") as out:
            for number in range(verdicts):
                question, rest = divmod(number, 2 * len(systems))
                system, order = systems[rest // 2], rest % 2
                scores = rng.integers(2, 21, 2) / 2
                row = {
                    "question_id": f"q{question}",
                    "category": ("writing", "coding", "math", "generic")[question % 4],
                    "first": "reference" if order == 0 else system,
                    "second": system if order == 0 else "reference",
                    "judge": "j",
                    "raw": f"{scores[0]:g} {scores[1]:g}\nThe first answer says more, and what it says is right.",
                }
                out.write(json.dumps(row) + "\n")
        found = {}
        for name, arguments in (
            ("import", ["import", str(file), "--grammar", "two-scores", "--reference", "reference", "--out"]),
            ("report", ["report"]),
        ):
            command = [sys.executable, "-m", "judge", *arguments, f"{folder}/run", "--json"]
            before = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
            if done.returncode:
                return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
            found[f"judge {name}"] = round(time.perf_counter() - before, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", nargs="+", choices=["coverage", "speed"], default=["coverage", "speed"])
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    found: dict = {"seed": call.seed, "rounds": call.rounds}
    if "speed" in call.part:
        found["bradley_terry"] = bradley_terry_speed(call.seed)
        found["bootstrap_seconds"] = figures_speed()
        found["report_seconds"] = report_speed()
    if "coverage" in call.part:
        found["coverage"] = coverage(call.rounds, call.seed)
        found["ppi_width"] = {name: round(statistics.fmean(x), 3) for name, x in WIDTHS.items()}
    if call.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show(found)


def show(found: dict) -> None:
    print(f"seed {found['seed']}")
    if "bradley_terry" in found:
        print("Bradley–Terry, 50,000 verdicts of 7 systems (median of 5)")
        for name, seconds in found["bradley_terry"]["seconds"].items():
            print(f"  {name:<44} {seconds:8.4f} s")
        print(f"  strengths differ from evalica's by at most {found['bradley_terry']['greatest_difference']:.1e}")
        for name, seconds in found["bootstrap_seconds"].items():
            print(f"bootstrap-t, 2,000 rounds, {name:<34} {seconds:8.4f} s")
        if found["report_seconds"] is None:
            print("100,000 verdicts: skipped, there is no `judge report` yet")
        for name, seconds in (found["report_seconds"] or {}).items():
            print(f"100,000 verdicts, {name:<42} {seconds} s")
    if "coverage" in found:
        print(f"coverage of 95 % intervals, {found['rounds']} rounds")
        for row in found["coverage"]:
            print(
                f"  {row['world']:<44} {row['interval']:<26} {row['coverage_percent']:6.1f} % "
                f"(± {row['error_percent']:.1f})   width {row['width']:.3f}"
            )
        for name, ratio in found["ppi_width"].items():
            print(f"  width beside people alone: {name:<44} {ratio:.2f}")


if __name__ == "__main__":
    main()
