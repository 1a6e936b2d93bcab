"""How fast are answers made beside transformers' `generate`, and are they the same?

    python bench/decode.py MODEL [--rounds 9] [--tokens 32] [--threads 2] [--only PART ...] [--json]

MODEL is a Hugging Face folder with a tokenizer; both sides compute it in fp32, in one process, with the same threads.
Four parts: `same`: greedy answers of 64 tokens to English and Chinese prompts, alone and eight at once; `one`: the
seconds of one answer; `eight`: eight requests at once beside one; `first`: the time to the first token beside a bare
forward pass of the prompt whose logits are computed for the last id alone, ours and theirs. What is compared runs in
turn, forwards and backwards, and a ratio is that of one round; figures are medians with the lowest and highest. Wall
and CPU seconds are both told: on a machine that does other things too, only the latter mean much.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from train.convert import load_model  # noqa: E402
from train.generate import Engine, Piece, Sampling, generate  # noqa: E402

PROMPTS = [
    *("The capital of France is", "def fibonacci(n):", "Once upon a time, there was", "Water boils at", "1 + 1 ="),
    *("My favourite book is", "The three laws of", "Dear Sir or Madam,", "import numpy as np\n", "In 1969, "),
    *("To make bread, you need", "Q: Why is the sky blue?\nA:"),
    *("今天天气很好，", "中国的首都是", "从前有座山，", "人工智能是", "问：水的沸点是多少？\n答：", "春眠不觉晓，"),
    *("我最喜欢的书是", "学习编程需要", "北京和上海", "1、"),
]
LENGTHS = (32, 256, 1024)
Timed = tuple[float, float]  # wall and CPU seconds


def timed(work: Callable[[], object]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def rounds(count: int, works: dict[str, Callable[[], object]]) -> dict[str, list[Timed]]:
    """Each of the works once a round, in turn, every second round backwards; the first round does not count."""
    found: dict[str, list[Timed]] = {name: [] for name in works}
    for number in range(count + 1):
        for name in list(works)[:: -1 if number % 2 else 1]:
            spent = timed(works[name])
            if number:
                found[name].append(spent)
    return found


def ratios(first: list[Timed], second: list[Timed], factor: float = 1.0) -> dict[str, list[float]]:
    """`factor` · first / second of each round: median, lowest, highest; in wall and in CPU seconds."""
    figures = {}
    for place, unit in enumerate(("wall", "cpu")):
        found = sorted(factor * a[place] / b[place] for a, b in zip(first, second, strict=True))
        figures[unit] = [round(value, 2) for value in (statistics.median(found), found[0], found[-1])]
    return figures


class Bench:
    """Both models, loaded once."""

    def __init__(self, call: argparse.Namespace) -> None:
        self.call = call
        torch.set_num_threads(call.threads)
        loaded = load_model(call.model)
        assert loaded.tokenizer is not None
        self.ours, self.tokenizer = loaded.model.eval(), loaded.tokenizer
        self.engine = Engine(self.ours, self.tokenizer)
        self.theirs = transformers.AutoModelForCausalLM.from_pretrained(call.model, dtype=torch.float32).eval()
        self.theirs.generation_config.eos_token_id = None  # always as many tokens as asked for

    def prompts(self) -> list[list[int]]:
        return [self.tokenizer.encode(text).tolist() for text in PROMPTS]

    def their_answer(self, prompt: list[int], tokens: int) -> list[int]:
        ids = torch.tensor([prompt])
        found = self.theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0
        )
        return found[0, len(prompt) :].tolist()

    def our_answers(self, prompts: list[list[int]], tokens: int) -> list[list[int]]:
        return [list(found.ids) for found in generate(self.engine, prompts, greedy(tokens))]

    def same(self) -> dict:
        prompts = self.prompts()
        theirs = [self.their_answer(prompt, 64) for prompt in prompts]
        alone = [self.our_answers([prompt], 64)[0] for prompt in prompts]
        together = self.our_answers(prompts, 64)
        return {
            "prompts": len(prompts),
            "alone": sum(map(list.__eq__, alone, theirs)),
            "together": sum(map(list.__eq__, together, theirs)),
        }

    def one(self) -> dict:
        prompt, tokens = self.prompts()[0], self.call.tokens
        found = rounds(
            self.call.rounds,
            {
                "ours": lambda: self.our_answers([prompt], tokens),
                "theirs": lambda: self.their_answer(prompt, tokens),
            },
        )
        rates = {name: round(tokens / statistics.median(wall for wall, _ in spent), 1) for name, spent in found.items()}
        return {"tokens_per_second": rates, "times_as_fast": ratios(found["theirs"], found["ours"])}

    def eight(self) -> dict:
        prompts, tokens = self.prompts()[:8], self.call.tokens
        found = rounds(
            self.call.rounds,
            {
                "one": lambda: self.our_answers(prompts[:1], tokens),
                "eight": lambda: self.our_answers(prompts, tokens),
            },
        )
        rate = 8 * tokens / statistics.median(wall for wall, _ in found["eight"])
        return {"tokens_per_second": round(rate, 1), "times_as_fast": ratios(found["one"], found["eight"], 8.0)}

    def first(self) -> dict:
        figures = {}
        generator = torch.Generator().manual_seed(0)
        for length in LENGTHS:
            prompt = torch.randint(100, self.tokenizer.size, (length,), generator=generator).tolist()
            ids = torch.tensor([prompt])
            found = rounds(
                self.call.rounds,
                {
                    "engine": lambda prompt=prompt: self.first_token(prompt),
                    "ours": lambda ids=ids: self.bare(ids),
                    "theirs": lambda ids=ids: self.their_bare(ids),
                },
            )
            figures[str(length)] = {
                "seconds": round(statistics.median(wall for wall, _ in found["engine"]), 3),
                "of_ours": ratios(found["engine"], found["ours"]),
                "of_theirs": ratios(found["engine"], found["theirs"]),
            }
        return figures

    def first_token(self, prompt: list[int]) -> None:
        pieces: list[Piece] = []
        self.engine.submit(prompt, greedy(1), pieces.append)
        while not pieces:
            self.engine.step()

    @torch.inference_mode()
    def bare(self, ids: torch.Tensor) -> None:
        self.ours.logits(self.ours.hidden(ids)[:, -1]).argmax(-1)

    @torch.inference_mode()
    def their_bare(self, ids: torch.Tensor) -> None:
        self.theirs(ids, logits_to_keep=1, use_cache=False).logits.argmax(-1)


def greedy(tokens: int) -> Sampling:
    return Sampling(max_tokens=tokens, temperature=0)


def shown(times: dict[str, list[float]]) -> str:
    return ", ".join(
        f"{median:.2f} ({low:.2f} to {high:.2f}) in {unit} seconds" for unit, (median, low, high) in times.items()
    )


def show(figures: dict) -> None:
    if "same" in figures:
        same = figures["same"]
        print(f"same   {same['alone']} of {same['prompts']} answers as transformers', eight at once {same['together']}")
    if "one" in figures:
        rates = figures["one"]["tokens_per_second"]
        print(f"one    ours {rates['ours']} tokens/s, theirs {rates['theirs']}; times as fast:")
        print(f"       {shown(figures['one']['times_as_fast'])}")
    if "eight" in figures:
        print(f"eight  {figures['eight']['tokens_per_second']} tokens/s; times those of one request:")
        print(f"       {shown(figures['eight']['times_as_fast'])}")
    for length, found in figures.get("first", {}).items():
        print(f"first  {found['seconds']} s behind {length} ids; of a bare pass of ours {shown(found['of_ours'])}")
        print(f"       of theirs {shown(found['of_theirs'])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", action="append", choices=("same", "one", "eight", "first"))
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    transformers.logging.set_verbosity_error()
    bench = Bench(call)
    figures = {}
    for part in call.only or ("same", "one", "eight", "first"):
        figures[part] = getattr(bench, part)()
        print(f"{part} is done", file=sys.stderr)
    if call.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
