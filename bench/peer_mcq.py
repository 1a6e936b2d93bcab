"""lm-evaluation-harness over the same questions; run by bench/mcq.py in .venv-peers.

    python bench/peer_mcq.py MODEL REQUESTS.json BATCH
REQUESTS.json is a list of [context, continuation]. Prints one JSON line: the log-probability of each continuation, and
the wall and CPU seconds of `loglikelihood` as its tasks call it; loading the model is left out.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    model, file, batch = sys.argv[1:]
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=batch)
    requests = json.loads(Path(file).read_text(encoding="utf-8"))
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(request), idx=number)
        for number, request in enumerate(requests)
    ]
    wall, cpu = time.perf_counter(), time.process_time()
    found = lm.loglikelihood(instances, disable_tqdm=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu, "logprobs": [value for value, _ in found]}))


if __name__ == "__main__":
    main()
