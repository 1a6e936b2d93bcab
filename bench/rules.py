"""Do the rules keep good text and reject damage? Over main texts of real pages, damage made from them, and leftovers.

    python bench/rules.py [--data ../shared/data] [--language zh] [--json]

Good: main texts of at least 200 characters (English: 400). Damage: bench/damage.py, one of each kind from each text.
Outside: what a page shows beside its main text (resiliparse's whole text without the lines of the main text). Each
text goes through normalisation, the boilerplate lines, language and the shipped rules, as in `corpus clean`.
"""

import argparse
import io
import json
import random
import re
from collections import Counter
from pathlib import Path

import zstandard
from damage import DAMAGE
from resiliparse.extract.html2text import extract_plain_text

from corpus.config import load
from corpus.decode import decode
from corpus.page import Page
from corpus.steps import ApplyRules, DetectLanguage, Measure, Normalize

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
SHORTEST = {"zh": 200, "en": 400}


def reasons_of(texts: list[str]) -> list[list[str]]:
    """All reasons of each text under the shipped config, in order."""
    config = load(None, [])
    pages = [Page(origin=f"t#{i}", source="t", kind="text", text=text) for i, text in enumerate(texts)]
    steps = [Normalize(config.normalize), DetectLanguage(config.languages), Measure(), ApplyRules(config.rules)]
    stream = iter(pages)
    for step in steps:
        stream = step(stream)
    return [page.reasons for page in stream]


def share(texts: list[str], kept: bool) -> dict:
    found = reasons_of(texts)
    hits = sum(bool(reasons) != kept for reasons in found)
    first = Counter(reason for reasons in found for reason in reasons).most_common(3)
    return {"texts": len(texts), "share": round(hits / max(len(texts), 1), 4), "reasons": dict(first)}


def outside(pages: list[dict], folder: Path) -> list[str]:
    texts = []
    for page in pages:
        raw = zstandard.ZstdDecompressor().stream_reader((folder / page["html"]).open("rb")).read()
        whole = extract_plain_text(decode(raw, None, html=True).text, main_content=False, links=False)
        main = re.sub(r"\s", "", page["text"])
        lines = [line.strip() for line in whole.split("\n") if line.strip()]
        texts.append("\n".join(line for line in lines if re.sub(r"\s|^[•*-]", "", line) not in main))
    return texts


def other_texts(data: Path, rng: random.Random) -> dict[str, list[str]]:
    found = {}
    for path in sorted((data / "text-zh").glob("*.jsonl.zst")):
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(path.open("rb")), encoding="utf-8")
        texts = [text for text in (json.loads(line)["text"] for line in lines) if len(text) >= 200]
        found[path.name.split(".")[0]] = rng.sample(texts, min(300, len(texts)))
    return found


def measure(data: Path, language: str) -> dict[str, dict]:
    rng = random.Random(5)
    folder = data / "pages"
    pages = [
        json.loads(line) for line in (folder / f"{language}.jsonl").read_text(encoding="utf-8").split("\n") if line
    ]
    good = [page["text"] for page in pages if len(page["text"]) >= SHORTEST[language]]
    rows = {"good, kept": share(good, kept=True)}
    if language == "zh":
        for name, texts in other_texts(data, rng).items():
            rows[f"good, kept: {name}"] = share(texts, kept=True)
    total = hits = 0.0
    # Misreading and shuffling Han characters leave English as it is; its damage is not measured here.
    for group, makers in (DAMAGE if language == "zh" else {}).items():
        for name, maker in makers.items():
            row = share([maker(text, rng) for text in good], kept=False)
            rows[f"damage, rejected: {group}, {name}"] = row
            total, hits = total + row["texts"], hits + row["texts"] * row["share"]
    if total:
        rows["damage, rejected: all"] = {"texts": int(total), "share": round(hits / total, 4), "reasons": {}}
    rows["outside, rejected"] = share(outside(pages, folder), kept=False)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--language", choices=("zh", "en"), default="zh")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if not (call.data / "pages").is_dir():
        parser.error(f"there is no folder {call.data / 'pages'}; give --data")
    rows = measure(call.data, call.language)
    if call.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for name, row in rows.items():
        reasons = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
        print(f"{name:<58} {row['texts']:>5} {100 * row['share']:>6.1f} %  {reasons}")


if __name__ == "__main__":
    main()
