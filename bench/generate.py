"""How near does the client come to what an endpoint allows, and what does a call cost it?

    python bench/generate.py [--part limits|unlimited|cpu]... [--seconds 50] [--rounds 3] [--json]

A loopback server in another process. `limits`: 500 requests a minute (a bucket that holds one second's worth), then a
token limit that is reached first; told by headers alone, and to the client beforehand. The rate is that of accepted
requests between the first and the last, the share that of 429s among all. `unlimited`: fixed latency and 64 calls at a
time, against the best that these two allow. `cpu`: CPU milliseconds a call, ours with its ledger and the bare openai
client, 64 calls at a time, by turns, imports left out. Where other work runs, start it by `chrt -f 20`: with a load of
10 on two cores the bare client itself came to 0.33 to 0.63 of the best, and to 0.90 with it.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
TOKENS = 150  # of each call, as the server counts
PROMPT = "请写一道关于日常生活的题目，并给出答案。" * 20


@contextmanager
def server(**options: object) -> Iterator[str]:
    words = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    line = [sys.executable, "-m", "tests.faults.server", *words]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def log_of(url: str) -> list:
    with urllib.request.urlopen(f"{url}/log") as reply:
        return json.load(reply)


def ours(url: str, calls: int, concurrency: int | None, folder: Path, **known: float) -> tuple[float, float]:
    """Wall and CPU seconds of so many calls, by the client with a ledger on the disk."""
    import openai  # noqa: F401

    from runkit.chat import Request
    from runkit.ledger import Ledger
    from runkit.llm_client import Client
    from runkit.llm_order import run_in_order
    from runkit.models import Model

    model = Model(name="loop", url=url, model="loop", max_tokens=TOKENS, **known)

    def build(number: int) -> Request | None:
        text = f"{number}：{PROMPT}"
        return Request(messages=[{"role": "user", "content": text}]) if number < calls else None

    with Ledger.open(folder / "ledger.sqlite") as ledger:
        client = Client(model, ledger, concurrency=concurrency)
        wall, cpu = time.perf_counter(), time.process_time()
        run_in_order(client, build, lambda number, answer: None)
        return time.perf_counter() - wall, time.process_time() - cpu


def bare(url: str, calls: int, concurrency: int) -> tuple[float, float]:
    """The same calls by the openai client alone."""
    import openai

    async def run() -> None:
        places = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

            async def call(number: int) -> None:
                async with places:
                    text = f"{number}：{PROMPT}"
                    await client.chat.completions.create(
                        model="loop", messages=[{"role": "user", "content": text}], max_tokens=TOKENS
                    )

            await asyncio.gather(*map(call, range(calls)))

    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    return time.perf_counter() - wall, time.process_time() - cpu


def one(kind: str, *words: object) -> list[float]:
    """`ours` or `bare` in a process of its own."""
    line = [sys.executable, __file__, "--one", json.dumps([kind, *words])]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def carry_out(
    kind: str, url: str, calls: int, concurrency: int | None = None, known: dict | None = None
) -> list[float]:
    if kind == "bare":
        return list(bare(url, calls, concurrency or 64))
    with tempfile.TemporaryDirectory() as folder:
        return list(ours(url, calls, concurrency, Path(folder), **known or {}))


def limits(seconds: float) -> list[dict]:
    rows = []
    for rpm, tpm in ((500, 500 * TOKENS * 2), (500, 400 * TOKENS)):
        allowed = min(rpm, tpm / TOKENS)
        for known in ({}, {"rpm": rpm, "tpm": tpm}):
            with server(rpm=rpm, tpm=tpm, latency_s=1.0) as url:
                wall, _ = one("ours", url, int(allowed * seconds / 60), None, known)
                log = log_of(url)
            passed = [at for at, fault, *_ in log if fault == "ok"]
            rate = 60 * (len(passed) - 1) / (passed[-1] - passed[0])
            rows.append(
                {
                    "rpm": rpm,
                    "tpm": tpm,
                    "told": "in models.yaml" if known else "by headers",
                    "share_of_allowed": round(rate / allowed, 4),
                    "share_429": round(1 - len(passed) / len(log), 4),
                    "calls": len(passed),
                    "wall_seconds": round(wall, 1),
                }
            )
            print(rows[-1], file=sys.stderr)
    return rows


def unlimited(seconds: float) -> list[dict]:
    rows = []
    for latency_s in (1.0, 0.5):
        calls = 64 * int(seconds / 2 / latency_s)
        with server(latency_s=latency_s) as url:
            wall, cpu = one("ours", url, calls, 64)
        best = calls / 64 * latency_s
        share = round(best / wall, 4)
        rows.append(
            {"latency_s": latency_s, "calls": calls, "share_of_best": share, "cpu_ms": round(1000 * cpu / calls, 2)}
        )
        print(rows[-1], file=sys.stderr)
    return rows


def cpu(rounds: int) -> dict:
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    calls = 1000
    for _ in range(rounds):
        for kind, times in found.items():
            with server(latency_s=0.2) as url:
                times.append(1000 * one(kind, url, calls, 64)[1] / calls)
    middle = {f"{kind}_ms": round(statistics.median(times), 2) for kind, times in found.items()}
    return middle | {"above_ms": round(middle["ours_ms"] - middle["bare_ms"], 2), "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=["limits", "unlimited", "cpu"])
    parser.add_argument("--seconds", type=float, default=50, help="of each rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    call = parser.parse_args()
    if call.one:
        print(json.dumps(carry_out(*json.loads(call.one))))
        return
    parts = call.part or ["limits", "unlimited", "cpu"]
    figures: dict[str, object] = {}
    if "cpu" in parts:
        figures["cpu"] = cpu(call.rounds)
    if "unlimited" in parts:
        figures["unlimited"] = unlimited(call.seconds)
    if "limits" in parts:
        figures["limits"] = limits(call.seconds)
    print(json.dumps(figures, indent=None if call.json else 2))


if __name__ == "__main__":
    main()
