"""How fast is `corpus clean`, beside stock datatrove in the same run?

    python bench/clean.py [--dump DUMP] [--pages pages/zh.jsonl] [--rounds 3] [--json]

Four rows: the real command with `extract.mode=fast`, one worker (second start of the command, so that kernels are
compiled); stock datatrove with Trafilatura; datatrove with the same extractor as ours; and the chain after extraction
(language, signals, rules, personal data, MinHash signature) over the same Chinese texts on both sides. CPU seconds
of the process and its children, start-up included, but for the chain. Medians over rounds: machines are noisy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".venv-peers" / "bin" / "python"


def ours(dump: Path) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "corpus", "clean", str(dump), "--out", f"{folder}/run", "--json", "-q"]
        command += ["-s", "extract.mode=fast", "--workers", "1"]
        done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    summary = json.loads(done.stdout)
    return {"documents": summary["documents"]["read"], "cpu_seconds": summary["cpu_seconds"]}


def peer(*arguments: str) -> dict | None:
    """A figure of bench/peer_datatrove.py, or None when the peers are not installed."""
    if not PEERS.exists():
        return None
    command = [str(PEERS), str(ROOT / "bench" / "peer_datatrove.py"), *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def our_chain(texts: list[str]) -> dict:
    """Everything between extraction and the files, on our side, for texts that lie in memory."""
    from corpus.config import load
    from corpus.measure import to_codes
    from corpus.minhash import fingerprint
    from corpus.page import Page
    from corpus.steps import ApplyRules, DetectLanguage, MaskPersonal, Measure

    config = load(None, [])
    for _ in range(2):  # the first pass compiles and loads the model
        pages = [Page(origin=f"t#{i}", source="t", kind="text", text=text) for i, text in enumerate(texts)]
        for page in pages:
            page.signals["s_boilerplate_share"] = 0.0
        steps = [DetectLanguage(config.languages), Measure(), ApplyRules(config.rules), MaskPersonal(config.personal)]
        before = time.process_time()
        stream = iter(pages)
        for step in steps:
            stream = step(stream)
        done = list(stream)
        for start in range(0, len(done), 256):
            fingerprint(*to_codes([page.text for page in done[start : start + 256]]))
        spent = time.process_time() - before
    return {"documents": len(texts), "cpu_seconds": spent}


def median(rounds: list[dict]) -> dict:
    spent = statistics.median(r["cpu_seconds"] for r in rounds)
    return {"documents": rounds[0]["documents"], "cpu_seconds": round(spent, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", type=Path, default=DATA / "dump" / "pages.warc.gz")
    parser.add_argument("--pages", type=Path, default=DATA / "pages" / "zh.jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    for path in (call.dump, call.pages):
        if not path.is_file():
            parser.error(f"there is no {path}; give --dump and --pages")
    texts = [json.loads(line)["text"] for line in call.pages.read_text(encoding="utf-8").split("\n") if line]
    rows: dict[str, dict | None] = {}
    ours(call.dump)  # compiles
    clean_rounds: dict[str, list[dict | None]] = {"ours, fast": [], "datatrove, trafilatura": [], "datatrove, fast": []}
    for _ in range(call.rounds):  # in turn, so that a slow minute hits all alike
        clean_rounds["ours, fast"].append(ours(call.dump))
        clean_rounds["datatrove, trafilatura"].append(peer("clean", str(call.dump), "trafilatura"))
        clean_rounds["datatrove, fast"].append(peer("clean", str(call.dump), "fast"))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        file.flush()
        clean_rounds["chain, ours"] = [our_chain(texts) for _ in range(call.rounds)]
        clean_rounds["chain, datatrove"] = [peer("chain", file.name) for _ in range(call.rounds)]
    for name, rounds in clean_rounds.items():
        rows[name] = median(rounds) if None not in rounds else None
    report(rows, call.json)


def report(rows: dict[str, dict | None], as_json: bool) -> None:
    for row in filter(None, rows.values()):
        row["documents_per_cpu_second"] = round(row["documents"] / row["cpu_seconds"], 1)
        row["ms_per_document"] = round(1000 * row["cpu_seconds"] / row["documents"], 3)
    ratios = {}
    for name, a, b in (
        ("ours / datatrove stock", "ours, fast", "datatrove, trafilatura"),
        ("ours / datatrove, same extractor", "ours, fast", "datatrove, fast"),
        ("chain: ours / datatrove", "chain, ours", "chain, datatrove"),
    ):
        if rows[a] and rows[b]:
            ratios[name] = round(rows[a]["documents_per_cpu_second"] / rows[b]["documents_per_cpu_second"], 2)
    if as_json:
        print(json.dumps({"rows": rows, "ratios": ratios}))
        return
    for name, row in rows.items():
        if row is None:
            print(f"{name:<36} skipped: .venv-peers is missing; `make .venv-peers/installed` makes it")
        else:
            print(
                f"{name:<36} {row['documents']:>6} documents {row['cpu_seconds']:>8.2f} CPU s "
                f"{row['documents_per_cpu_second']:>8.1f} /s {row['ms_per_document']:>8.3f} ms"
            )
    for name, ratio in ratios.items():
        print(f"{name:<36} {ratio:.2f}x")


if __name__ == "__main__":
    main()
