"""How fast is `train serve` through HTTP, alone and with eight at once, and does lm-evaluation-harness find the same?

    python bench/serve.py MODEL [--tokens 64] [--prompt 64] [--clients 8] [--rounds 3] [--threads 2]
                          [--questions 3] [--subjects S]... [--json]

MODEL is a Hugging Face folder with a tokenizer. One server, started as a user starts it; requests are streamed over
loopback by plain sockets. Each round measures one request, then `--clients` at once, then the first token of one and
a bare forward of the same prompt in this process, so that all see the same machine; ratios are taken within a round,
and their median is told, in wall seconds and in CPU seconds of the server, which say more where other work is going on
(with one thread: two that wait for each other burn CPU seconds). The harness asks C-Eval's questions through
local-completions (echo, log-probabilities) and is compared with `train eval mcq` in this process; without .venv-peers,
and with --questions 0, this part is skipped.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".venv-peers" / "bin" / "python"


@contextmanager
def server(call: argparse.Namespace) -> Iterator[dict]:
    line = [sys.executable, "-m", "train", "serve", str(call.model), "--port", "0", "--json", "-q"]
    line += ["--threads", str(call.threads), "--slots", str(call.clients)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def ask(url: str, ids: list[int], tokens: int) -> dict:
    """One streamed request: seconds to the first token, seconds in all, tokens."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=600)
    body = {"prompt": ids, "max_tokens": tokens, "temperature": 0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    began = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    reply, first, count = connection.getresponse(), 0.0, 0
    while line := reply.readline():
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            if not first and event["choices"] and (event["choices"][0]["text"] or event["choices"][0]["finish_reason"]):
                first = time.perf_counter() - began
            count = (event["usage"] or {}).get("completion_tokens", 0)
    return {"first": first, "seconds": time.perf_counter() - began, "tokens": count}


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent(pid: int, work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` finds, and the CPU seconds that the server takes for it."""
    before = cpu_seconds(pid)
    found = work()
    return found, cpu_seconds(pid) - before


def at_once(url: str, prompts: list[list[int]], tokens: int) -> float:
    """Tokens a second of all requests together."""
    found: list[dict] = []
    threads = [threading.Thread(target=lambda ids=ids: found.append(ask(url, ids, tokens))) for ids in prompts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(one["tokens"] for one in found) / (time.perf_counter() - began)


def measure(call: argparse.Namespace, url: str, pid: int) -> dict:
    import torch

    from train.measuring import load_measured

    torch.set_num_threads(call.threads)
    model, tokenizer = load_measured(call.model)
    text = " ".join(f"The {number}. boat left the harbour at noon and came back late." for number in range(400))
    ids = tokenizer.encode(text).tolist()
    prompts = [ids[number * 7 : number * 7 + call.prompt] for number in range(call.clients)]
    ask(url, prompts[0], 4)
    rows = []
    for _ in range(call.rounds):
        one, one_cpu = spent(pid, lambda: ask(url, prompts[0], call.tokens))
        many, many_cpu = spent(pid, lambda: at_once(url, prompts, call.tokens))
        firsts = [spent(pid, lambda: ask(url, prompts[0], 1)["first"]) for _ in range(3)]
        bares = [_forward(torch, model, prompts[0]) for _ in range(3)]
        first, first_cpu = (min(one) for one in zip(*firsts, strict=True))
        bare, bare_cpu = (min(one) for one in zip(*bares, strict=True))
        alone = one["tokens"] / one["seconds"]
        row = {"alone": alone, "many": many, "gain": many / alone, "first": first, "first_ratio": first / bare}
        row["gain_cpu"] = call.clients * one_cpu / many_cpu  # every answer has as many tokens
        row["first_ratio_cpu"] = first_cpu / bare_cpu
        rows.append(row)
        print(f"round {len(rows)}: {row}", file=sys.stderr)
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _forward(torch, model, ids: list[int]) -> tuple[float, float]:
    """Wall and CPU seconds of one pass over the prompt, to the logits behind it."""
    row = torch.tensor([ids])
    with torch.inference_mode():
        wall, cpu = time.perf_counter(), time.process_time()
        model.logits(model.hidden(row)[0, -1])
        return time.perf_counter() - wall, time.process_time() - cpu


def harness(call: argparse.Namespace, told: dict) -> dict:
    from bench.mcq import Ours, choices

    asked = argparse.Namespace(
        model=call.model, folder=call.folder, subjects=call.subjects, limit=call.questions, threads=call.threads
    )
    ours = Ours(asked)
    with tempfile.TemporaryDirectory() as name:
        requests = Path(name, "requests.json")
        requests.write_text(json.dumps(ours.requests()), encoding="utf-8")
        line = [str(PEERS), str(ROOT / "bench" / "peer_serve.py"), told["url"], told["model"], str(call.model)]
        environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run([*line, str(requests), "4"], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    mine = ours.run()["logprobs"]
    return {
        "questions": len(mine) // 4,
        "same_choice": sum(map(int.__eq__, choices(mine), choices(theirs["logprobs"]))),
        "largest_difference": max(abs(a - b) for a, b in zip(mine, theirs["logprobs"], strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=DATA / "mcq-zh")
    parser.add_argument("--questions", type=int, default=3, help="of each subject, asked through the harness")
    parser.add_argument("--subjects", action="append", help="repeatable")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    call.model = call.model.resolve()
    with server(call) as told:
        figures = measure(call, told["url"], told["pid"])
        if call.questions and PEERS.exists() and call.folder.is_dir():
            figures |= harness(call, told)
        else:
            print("skipped: the harness, for .venv-peers or the questions are missing", file=sys.stderr)
    if call.json:
        print(json.dumps(figures))
        return
    print(f"alone        {figures['alone']:.1f} tokens/s, first token after {1000 * figures['first']:.0f} ms,")
    print(
        f"             {figures['first_ratio']:.2f} times a bare forward of the {call.prompt} tokens (asked: 1.2), "
        f"{figures['first_ratio_cpu']:.2f} in CPU seconds"
    )
    print(
        f"{call.clients} at once   {figures['many']:.1f} tokens/s, {figures['gain']:.2f} times one (asked: 3), "
        f"{figures['gain_cpu']:.2f} in CPU seconds"
    )
    if "questions" in figures:
        print(f"harness      {figures['same_choice']} of {figures['questions']} choices as `train eval mcq`'s,")
        print(f"             log-probabilities differ by {figures['largest_difference']:.1e} at most")


if __name__ == "__main__":
    main()
