"""Every claim beside its peers from one run: runs the benches, keeps what they print, writes docs/bench.md with plots.

    python bench/page.py [--only clean extract ...] [--again] [--draw] [--model FOLDER]

In: the benches below, each a process of its own that prints one JSON object. Out: `runs/out/bench/NAME.json` with
date, machine, load and figures (kept: the next start runs only what is missing, `--again` runs all), and docs/bench.md
with a bar chart for each claim in docs/bench/; what is not kept here stays in it as it is. `--draw` runs nothing.
Generation and serving are measured with `--model`, a Hugging Face folder (SmolLM2-135M in the page). A bench that fails
is told and left out; nothing stands in for its figures. About an hour on two quiet cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from claims import CLAIMS, Claim
from plot import bars, told

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "runs" / "out" / "bench"
PAGE = ROOT / "docs" / "bench.md"
MODEL = "MODEL"  # stands for --model
FOLDS = Path("runs") / "out" / "bench" / "folds"  # weights of the extractor that have not seen a page's site
FIRST = {"extract": ["fit_extract.py", "--folds", str(FOLDS), "--out", str(FOLDS / "all.npz")]}
BENCHES = {
    "clean": ["clean.py", "--json"],
    "workers": ["workers.py", "--rounds", "3", "--times", "12", "--json"],
    "extract": ["extract.py", "--folds", str(FOLDS), "--json"],
    "rules": ["rules.py", "--json"],
    "dedup-quality": ["dedup.py", "quality"],
    "dedup-growth": ["dedup.py", "growth", "--documents", "100000", "1000000", "3000000", "10000000"],
    "dedup-peer": ["dedup.py", "peer"],
    "substrings": ["substrings.py", "--mb", "1000", "--json"],
    "tune": ["tune.py", "--json"],
    "classify": ["classify.py", "--json"],
    "tokens": ["tokens.py", "--json"],
    "train": ["train.py", "--json"],
    "train-compiled": ["train.py", "--compiled", "--json"],
    "sft": ["sft.py", "--json"],
    "novelty": ["novelty.py", "--json"],
    "parse": ["parse.py", "--json"],
    "generate": ["generate.py", "--json"],
    "judge": ["judge.py", "--json"],
    "decode": ["decode.py", MODEL, "--threads", "1", "--rounds", "3", "--json"],
    "serve-64": ["serve.py", MODEL, "--threads", "1", "--prompt", "64", "--rounds", "5", "--questions", "0", "--json"],
    "serve-256": [
        "serve.py",
        MODEL,
        "--threads",
        "1",
        "--prompt",
        "256",
        "--rounds",
        "5",
        "--questions",
        "0",
        "--json",
    ],
}


def machine() -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.machine()}, Python {platform.python_version()}"


def run(name: str, model: str | None) -> bool:
    """Whether the bench printed its figures; they are kept then."""
    if MODEL in BENCHES[name] and model is None:
        print(f"{name}: left out without --model", file=sys.stderr)
        return True
    KEPT.mkdir(parents=True, exist_ok=True)
    if name in FIRST and not FOLDS.is_dir():
        FOLDS.mkdir()
        subprocess.run([sys.executable, str(ROOT / "bench" / FIRST[name][0]), *FIRST[name][1:]], cwd=ROOT, check=True)
    load, started = os.getloadavg()[0], time.monotonic()
    words = [str(model) if word == MODEL else word for word in BENCHES[name][1:]]
    command = [sys.executable, str(ROOT / "bench" / BENCHES[name][0]), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.monotonic() - started
    try:
        figures = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed no JSON"])[-1]
        print(f"{name}: {last}", file=sys.stderr)
        return False
    kept = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "load_before": round(load, 2)}
    kept |= {"seconds": round(seconds), "command": " ".join(["bench/" + BENCHES[name][0], *BENCHES[name][1:]])}
    (KEPT / f"{name}.json").write_text(json.dumps({**kept, "figures": figures}, ensure_ascii=False), "utf-8")
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    return True


def written(claim: Claim, found: dict) -> list[str]:
    """The lines of a claim, its plot beside them; none if the bench did not measure it."""
    values = claim.values(found["figures"])
    if not values:
        return []
    picture = PAGE.parent / "bench" / f"{claim.key}.svg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(bars(values, claim.unit, claim.logarithmic), "utf-8")
    better = "less is better" if claim.less else "more is better"
    lines = [f"### {claim.title}", "", f"![{claim.title}](bench/{claim.key}.svg)", ""]
    lines += [f"| | {claim.unit} |", "|---|---:|", *(f"| {name} | {told(value)} |" for name, value in values.items())]
    source = f"{found['date']}, `{found['command']}`, {found['machine']}, load before {found['load_before']}"
    return [*lines, "", f"{better[0].upper()}{better[1:]}. {source}.", ""]


def standing() -> dict[str, list[str]]:
    """The page as it is: {title of a claim: its lines}."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in PAGE.read_text("utf-8").split("\n") if PAGE.is_file() else []:
        if line.startswith("#"):
            title = line.removeprefix("### ") if line.startswith("### ") else ""
        if title:
            found.setdefault(title, []).append(line)
    return found


def page() -> str:
    before = standing()
    lines = [
        "# Benches",
        "",
        "Each figure with its peers from the same run of the same script, on a virtual machine that is shared with",
        "other work: ratios hold better than seconds. `make bench` measures again what is not kept in `runs/out/bench`",
        "and writes this page. Peers and their versions: `bench/requirements-peers.txt`.",
        "",
    ]
    section = ""
    for claim in CLAIMS:
        file = KEPT / f"{claim.bench}.json"
        kept = json.loads(file.read_text("utf-8")) if file.is_file() else None
        body = before.get(claim.title, []) if kept is None else written(claim, kept)
        if body and claim.section != section:
            section = claim.section
            lines += [f"## {section}", ""]
        lines += body
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*BENCHES], default=[*BENCHES])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--model")
    call = parser.parse_args()
    wanted = [] if call.draw else call.only
    failed = [
        name for name in wanted if (call.again or not (KEPT / f"{name}.json").is_file()) and not run(name, call.model)
    ]
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(ROOT)} is written", file=sys.stderr)
    if failed:
        sys.exit(f"without figures: {', '.join(failed)}")


if __name__ == "__main__":
    main()
