"""The table at the end of runs/extend.sh: the model as it came, after Chinese text, after tuning.

    runs/before_after.py OUT

Tokens a character are of the held-out Chinese text, from the report of `train tokenizer extend`; bits a character and
the share of right choices are what `train eval` kept there. Chance is 25 %.
"""

import json
import sys
from pathlib import Path
from typing import Any

STAGES = {"model": "as it came", "chinese": "after Chinese text", "chat": "after tuning"}


def read(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none."""
    return json.loads(path.read_bytes()) if path.is_file() else {}


def row(out: Path, stage: str, extended: dict[str, Any]) -> list[str]:
    """What was measured of one stage; a dash where nothing was."""
    tokens = extended.get("before" if stage == "model" else "after", {}).get("tokens_per_character")
    bits = read(out / f"ppl-{stage}.json").get("bits_per_character")
    right = read(out / f"mcq-{stage}" / "results.json").get("all", {})
    share = "–"
    if right.get("n"):
        share = f"{right['accuracy']:.1%} of {right['n']:,} ({right['low']:.1%}–{right['high']:.1%})"
    figures = (f"{figure:.3f}" if figure is not None else "–" for figure in (tokens, bits))
    return [STAGES[stage], *figures, share]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    extended = read(out / "tokenizer" / "summary.json")
    rows = [["", "tokens a character", "bits a character", "right choices (95 %)"]]
    rows += [row(out, stage, extended) for stage in STAGES]
    widths = [max(len(line[column]) for line in rows) for column in range(4)]
    print()
    for first, *rest in rows:
        figures = (f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        print("  ".join([f"{first:{widths[0]}}", *figures]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
