"""How good and how fast are `train tokenizer fit`, `train tokenizer extend` and `train tokens`, beside their peers?

    python bench/tokens.py [--texts FOLDER] [--base tokenizer.model] [--mcq FOLDER] [--rounds 3] [--slow] [--json]

fit: characters a token on held-out documents (chosen by a hash of their id) and CPU seconds, of the whole command on
our side, of the training alone on the others'. encode: MB of UTF-8 for each CPU second on one core, of the command
without its start-up, beside the bare encoder on texts that lie in memory. extend: tokens a character on questions that
nothing was learnt from. Medians over rounds, peers in turn with us. `--slow` runs the trainer of `tokenizers` too.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
VOCAB = 16_000
HELD_OUT = 0.01


def command(*words: object) -> dict:
    """The JSON object of one of our commands, run by one process."""
    return command_json(*words, "--workers", "1")


def command_json(*words: object) -> dict:
    line = [sys.executable, "-m", "train", *map(str, words), "--json", "-q"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(line)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def peer(*words: object) -> dict | None:
    if not PEERS.exists():
        return None
    line = [str(PEERS), str(ROOT / "bench" / "peer_tokens.py"), *map(str, words)]
    environment = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def split(folder: Path, out: Path) -> int:
    """Write the set's texts as `learn` and `held_out`; its size in bytes."""
    from runkit.documents import Document, held_out, plan_documents, read_documents

    texts: dict[str, list[str]] = {"learn": [], "held_out": []}
    size = 0
    for shard in plan_documents([str(folder)]).shards:
        for document in read_documents(shard):
            if isinstance(document, Document):
                texts["held_out" if held_out(document.id, HELD_OUT) else "learn"].append(document.text)
                size += len(document.text.encode())
    out.write_text(json.dumps(texts), encoding="utf-8")
    return size


def fits(call: argparse.Namespace, texts: Path, folder: Path) -> dict[str, dict]:
    names = ["sentencepiece", "sentencepiece-defaults", "rustbpe"] + ["tokenizers"] * call.slow
    rounds: dict[str, list[dict]] = {"ours": []} | {name: [] for name in names}
    for number in range(call.rounds):  # in turn, so that a slow minute hits all alike
        words = ("tokenizer", "fit", call.texts, "--vocab", VOCAB, "--out", folder / f"tok{number}")
        figures = command(*words, "-s", f"held_out={HELD_OUT}")
        per_token = figures["held_out"]["characters_per_token"]
        rounds["ours"].append({"cpu_seconds": figures["cpu_seconds"], "characters_per_token": per_token})
        for name in names:
            if name != "tokenizers" or number == 0:
                rounds[name] += filter(None, [peer("fit", name, texts, VOCAB)])
    return {name: median(found) for name, found in rounds.items() if found}


def encodings(call: argparse.Namespace, texts: Path, folder: Path, size: int) -> dict[str, dict]:
    model = folder / "tok0" / "tokenizer.model"
    (folder / "one.jsonl").write_text('{"text": "一"}\n', encoding="utf-8")
    rounds: dict[str, list[dict]] = {"ours": [], "sentencepiece": [], "tiktoken": []}
    for number in range(call.rounds):
        start_up = command("tokens", folder / "one.jsonl", "--tokenizer", model, "--out", folder / f"one{number}")
        whole = command("tokens", call.texts, "--tokenizer", model, "--out", folder / f"shards{number}")
        rounds["ours"].append({"cpu_seconds": whole["cpu_seconds"] - start_up["cpu_seconds"]})
        for name in ("sentencepiece", "tiktoken"):
            rounds[name] += filter(None, [peer("encode", name, texts, model)])
    rows = {name: median(found) for name, found in rounds.items() if found}
    for row in rows.values():
        row["mb_per_cpu_second"] = round(size / 1e6 / row["cpu_seconds"], 2)
    return rows


def extension(call: argparse.Namespace, folder: Path) -> dict | None:
    """Tokens a character on questions and their options, before and after."""
    from train.tokenizer import load

    if call.base is None or not call.mcq.is_dir():
        return None
    command("tokenizer", "extend", call.base, "--with", call.texts, "--add", 20_000, "--out", folder / "more")
    questions = []
    for file in sorted(call.mcq.rglob("val/*.csv")):
        with file.open(encoding="utf-8-sig", newline="") as rows:
            questions += [" ".join(row[1:6]) for row in list(csv.reader(rows))[1:]]
    characters = sum(map(len, questions))
    figures: dict[str, float] = {}
    for name, path in (("before", call.base), ("after", folder / "more")):
        tokenizer = load(path)
        figures[name] = round(sum(map(len, tokenizer.encode_batch(questions))) / characters, 4)
        figures[f"{name}_size"] = tokenizer.size
    before, after = load(call.base), load(folder / "more")
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))["learn"]
    lines = [line for text in texts for line in text.split("\n") if line]
    lines = random.Random(0).sample(lines, min(3_000, len(lines)))
    figures["lines"] = len(lines)
    figures["lines_back"] = sum(after.decode(after.encode(line).tolist()) == line for line in lines)
    if call.english.is_file():
        pages = [json.loads(line)["text"] for line in call.english.read_text(encoding="utf-8").split("\n") if line]
        ascii_only = [line for page in pages for line in page.split("\n") if len(line) > 40 and line.isascii()][:1_000]
        figures["english"] = len(ascii_only)
        figures["english_same"] = sum(before.encode(x).tolist() == after.encode(x).tolist() for x in ascii_only)
    return figures


def packing(folder: Path) -> dict:
    """Positions that stay empty, and what padding and cropping would cost on the same documents."""
    return command_json("data", folder / "shards0")


def median(rounds: list[dict]) -> dict:
    return {key: round(statistics.median(entry[key] for entry in rounds), 4) for key in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, default=DATA / "text-zh")
    parser.add_argument("--base", type=Path, help="a LLaMA-like tokenizer.model to extend")
    parser.add_argument("--mcq", type=Path, default=DATA / "mcq-zh")
    parser.add_argument("--english", type=Path, default=DATA / "pages" / "en.jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if not call.texts.exists():
        parser.error(f"there is no {call.texts}; give --texts")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = folder / "texts.json"
        size = split(call.texts, texts)
        figures = {
            "fit": fits(call, texts, folder),
            "encode": encodings(call, texts, folder, size),
            "packing": packing(folder),
            "extend": extension(call, folder),
        }
    if call.json:
        print(json.dumps(figures))
        return
    for name, row in figures["fit"].items():
        print(
            f"fit    {name:<24} {row['characters_per_token']:.3f} characters a token {row['cpu_seconds']:>7.1f} CPU s"
        )
    bare = figures["encode"].get("sentencepiece")
    for name, row in figures["encode"].items():
        beside = f" {row['mb_per_cpu_second'] / bare['mb_per_cpu_second']:.2f} of sentencepiece" if bare else ""
        print(f"encode {name:<24} {row['mb_per_cpu_second']:.2f} MB a CPU second{beside}")
    row = figures["packing"]
    empty = 1 - row["positions"] / (row["rows"] * row["config"]["seq_len"])
    print(f"pack   {row['rows']:,} rows, {empty:.3%} empty; padding would leave {row['padding_waste']:.1%} empty,")
    print(f"       cropping would lose {row['cropping_loss']:.1%} of the tokens")
    if figures["extend"]:
        row = figures["extend"]
        sizes = f"{row['before_size']:,} to {row['after_size']:,}"
        print(f"extend {sizes}: {row['before']} to {row['after']} tokens a character")
        print(f"extend {row['lines_back']:,} of {row['lines']:,} lines come back")
        if "english" in row:
            print(f"extend {row['english_same']:,} of {row['english']:,} English paragraphs are encoded as before")
    if not PEERS.exists():
        print("peers skipped: .venv-peers is missing; `make .venv-peers/installed` makes it")


if __name__ == "__main__":
    main()
