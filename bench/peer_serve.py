"""lm-evaluation-harness through a server's /v1/completions; run by bench/serve.py in .venv-peers.

    python bench/peer_serve.py URL NAME TOKENIZER REQUESTS.json CONCURRENT
REQUESTS.json is a list of [context, continuation]. Prints one JSON line: the log-probability of each continuation,
whether it is the greedy one, and the wall seconds of `loglikelihood` as its tasks call it.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    url, name, tokenizer, file, concurrent = sys.argv[1:]
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    lm = LocalCompletionsAPI(
        base_url=f"{url}/v1/completions",
        model=name,
        tokenizer=tokenizer,
        tokenizer_backend="huggingface",
        num_concurrent=int(concurrent),
        max_retries=1,
        max_length=8192,
    )
    requests = json.loads(Path(file).read_text(encoding="utf-8"))
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(request), idx=number)
        for number, request in enumerate(requests)
    ]
    wall = time.perf_counter()
    found = lm.loglikelihood(instances, disable_tqdm=True)
    wall = time.perf_counter() - wall
    told = {"wall_seconds": wall, "logprobs": [value for value, _ in found], "greedy": [best for _, best in found]}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
