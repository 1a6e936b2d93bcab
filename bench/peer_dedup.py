"""Stock datatrove's four MinHash stages over a folder of JSON lines; run by bench/dedup.py with the peers' Python.

    python bench/peer_dedup.py FOLDER OUT
Prints one JSON line: CPU seconds of each stage (signatures, buckets, clusters, filter), with those of children, how
many documents stay, and CPU seconds of the start, not in the others: imports and loading the tokenizer. Settings are
datatrove's own (14 buckets of 8 hashes, 5-grams of words), its Chinese word tokenizer, one process.
"""

import contextlib
import gzip
import json
import os
import resource
import sys
import tempfile
from pathlib import Path


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    folder = sys.argv[1]
    load_word_tokenizer("zh").word_tokenize("今天的天气很好。")
    start = cpu_seconds()
    config = MinhashConfig()
    seconds = {}
    with tempfile.TemporaryDirectory() as work:
        reader = lambda: JsonlReader(folder)  # noqa: E731
        stages = {
            "signatures": ([reader(), MinhashDedupSignature(f"{work}/s", config=config, language="zh")], 1),
            "buckets": ([MinhashDedupBuckets(f"{work}/s", f"{work}/b", config=config)], config.num_buckets),
            "clusters": ([MinhashDedupCluster(f"{work}/b", f"{work}/c", config=config)], 1),
            "filter": ([reader(), MinhashDedupFilter(f"{work}/c"), JsonlWriter(f"{work}/out")], 1),
        }
        for name, (steps, tasks) in stages.items():
            before = cpu_seconds()
            with contextlib.redirect_stdout(sys.stderr):
                LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=f"{work}/logs/{name}").run()
            seconds[name] = cpu_seconds() - before
        ids = []
        for file in sorted(Path(work, "out").rglob("*.jsonl.gz")):
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                ids += [json.loads(line)["id"] for line in lines]
    spent = {"start_cpu_seconds": start, "stages": seconds, "cpu_seconds": sum(seconds.values())}
    print(json.dumps({**spent, "kept": len(ids)}))


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
