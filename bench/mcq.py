"""How fast is `train eval mcq` beside lm-evaluation-harness, and does it find the same?

    python bench/mcq.py MODEL [--folder C-EVAL] [--subjects S]... [--limit 40] [--rounds 3] [--batches 1,4]
                        [--threads 1] [--json]

MODEL is a Hugging Face folder with a tokenizer. Both get the same prompts, five examples before each question, and the
four letters as continuations, in fp32, without a begin token, which is the peer's default. Wall and CPU seconds of the
evaluation, encoding included and loading left out: the median of pairs that run one after the other. The peer's batch
sizes are all tried in the first round, and the fastest is kept. One thread each, unless told: threads that wait
for each other burn CPU seconds on a machine that does other things too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
SUBJECTS = ["ancient_chinese", "clinical_knowledge", "journalism"]


class Ours:
    """Our side, loaded once."""

    def __init__(self, call: argparse.Namespace) -> None:
        import torch

        from train.mcq import McqCall, read_exams
        from train.mcq_prompts import Prompter, find_letters
        from train.measuring import load_measured

        known = [] if call.subjects == ["all"] else call.subjects or SUBJECTS
        self.call = McqCall(run=call.model, folder=call.folder, subjects=tuple(known), limit=call.limit)
        self.exams = read_exams(self.call)
        torch.set_num_threads(call.threads)
        self.model, tokenizer = load_measured(call.model)
        letters = find_letters(tokenizer, "zh")
        self.prompter = Prompter(tokenizer, "zh", letters, None, self.model.config.seq_len)

    def requests(self) -> list[list[str]]:
        from train.mcq_prompts import text_of
        from train.mcq_subjects import subject_of

        space = self.prompter.letters.space
        return [
            [text_of(subject_of(exam.name), exam.examples, question, "zh", space), space + letter]
            for exam in self.exams
            for question in exam.questions
            for letter in "ABCD"
        ]

    def run(self) -> dict:
        from train.mcq import answer

        wall, cpu = time.perf_counter(), time.process_time()
        rows = [row for exam in self.exams for row in answer(self.model, self.prompter, exam, self.call.batch)]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        logprobs = [row.logprobs[letter] for row in rows for letter in "ABCD"]
        return {"wall_seconds": wall, "cpu_seconds": cpu, "logprobs": logprobs}


def peer(call: argparse.Namespace, requests: Path, batch: str) -> dict:
    line = [str(PEERS), str(ROOT / "bench" / "peer_mcq.py"), str(call.model), str(requests), batch]
    threads = {"OMP_NUM_THREADS": str(call.threads), "MKL_NUM_THREADS": str(call.threads)}
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"} | threads
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def choices(logprobs: list[float]) -> list[int]:
    rows = [logprobs[first : first + 4] for first in range(0, len(logprobs), 4)]
    return [row.index(max(row)) for row in rows]


def compare(call: argparse.Namespace, requests: Path, ours: Ours) -> dict:
    batches = call.batches.split(",")
    pairs: list[tuple[dict, dict]] = []
    tried: dict[str, float] = {}
    for _ in range(call.rounds):
        mine = ours.run()
        theirs = {batch: peer(call, requests, batch) for batch in batches}
        tried = tried or {batch: round(found["cpu_seconds"], 1) for batch, found in theirs.items()}
        batches = [min(theirs, key=lambda batch: theirs[batch]["cpu_seconds"])]
        pairs.append((mine, theirs[batches[0]]))
        ratio = pairs[-1][1]["cpu_seconds"] / mine["cpu_seconds"]
        print(f"round {len(pairs)}: {ratio:.2f} in CPU seconds", file=sys.stderr)
    mine, theirs = pairs[0]
    same = sum(map(int.__eq__, choices(mine["logprobs"]), choices(theirs["logprobs"])))
    figures = {
        "questions": len(mine["logprobs"]) // 4,
        "same_choice": same,
        "largest_difference": max(abs(a - b) for a, b in zip(mine["logprobs"], theirs["logprobs"], strict=True)),
        "peer_batch": batches[0],
        "peer_cpu_seconds_by_batch": tried,
    }
    for unit in ("cpu_seconds", "wall_seconds"):
        figures[unit] = [round(statistics.median(pair[side][unit] for pair in pairs), 2) for side in (0, 1)]
        figures[f"{unit}_ratios"] = sorted(round(theirs[unit] / mine[unit], 2) for mine, theirs in pairs)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--folder", type=Path, default=DATA / "mcq-zh")
    parser.add_argument("--subjects", action="append", help="repeatable; all: every subject")
    parser.add_argument("--limit", type=int, default=40, help="questions of each subject")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", default="1,4", help="the peer's batch sizes to try")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if not call.folder.is_dir():
        parser.error(f"there is no {call.folder}; give --folder")
    if not PEERS.exists():
        sys.exit("skipped: .venv-peers is missing; `make .venv-peers/installed` makes it")
    ours = Ours(call)
    with tempfile.TemporaryDirectory() as name:
        requests = Path(name, "requests.json")
        requests.write_text(json.dumps(ours.requests()), encoding="utf-8")
        figures = compare(call, requests, ours)
    if call.json:
        print(json.dumps(figures))
        return
    print(f"choices      {figures['same_choice']} of {figures['questions']} as lm-evaluation-harness's")
    print(f"             log-probabilities differ by {figures['largest_difference']:.1e} at most")
    for unit in ("cpu_seconds", "wall_seconds"):
        mine, theirs = figures[unit]
        ratios = figures[f"{unit}_ratios"]
        middle = statistics.median(ratios)
        print(f"{unit:<12} ours {mine}, theirs {theirs}: {middle:.2f} times as fast ({ratios[0]} to {ratios[-1]})")
    print(f"peer         its batch size {figures['peer_batch']} of {figures['peer_cpu_seconds_by_batch']}")


if __name__ == "__main__":
    main()
