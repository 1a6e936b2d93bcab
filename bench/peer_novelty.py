"""rouge_score as Alpaca uses it, for bench/novelty.py; runs in .venv-peers.

    python bench/peer_novelty.py JOB.json

In: {"texts": [...], "stream": bool, "pairs": [[i, j], ...], "loop": [i, ...]}. Out: one JSON object: with `stream` for
each text whether the loop of Alpaca's generate_instruction.py keeps it (F1 of ROUGE-L to every one kept before is at
most 0.7) and the border cases it met; for `pairs` their F1; for `loop` the CPU seconds of comparing these texts with
all before them.
"""

import json
import sys
import time
from pathlib import Path

from rouge_score import rouge_scorer

LIMIT = 0.7


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    tokens = [scorer._tokenizer.tokenize(text) for text in job["texts"]]
    found: dict[str, object] = {}
    if job.get("stream"):
        kept: list[int] = []
        keeps = []
        for i, own in enumerate(tokens):
            keeps.append(all(rouge_scorer._score_lcs(own, tokens[j]).fmeasure <= LIMIT for j in kept))
            kept += [i] * keeps[-1]
        found["keeps"] = keeps
    found["scores"] = [rouge_scorer._score_lcs(tokens[i], tokens[j]).fmeasure for i, j in job.get("pairs", [])]
    if job.get("loop"):
        started, pairs = time.process_time(), 0
        for i in job["loop"]:
            max(rouge_scorer._score_lcs(tokens[i], other).fmeasure for other in tokens[:i])
            pairs += i
        found["loop"] = {"pairs": pairs, "cpu_seconds": time.process_time() - started}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
