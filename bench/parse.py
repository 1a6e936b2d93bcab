"""How many whole items does the parser find in recorded replies, and does it keep a cut one?

    python bench/parse.py [--file tests/selfinstruct/replies.jsonl] [--json]

A line of the file is a reply with its faults, why it ended, its whole items (instruction, input, output) and the
instructions of its cut or broken ones ("" where nothing of it is left). The items and the truth were written for this
project, three quarters by rendering items in 41 styles and damaging the result, the rest by hand; the truth is what
was rendered, not what a parser said. Recovered: equal to the last character. Kept: an item that is given out as whole
and is not among the whole ones, because it was cut or because a neighbour or chatter got into it.

Beside ours stand the rules of Alpaca and of BELLE as published, in our own words. Both prompts end with
"N. Instruction:" (N. 指令：), so a reply begins within its first item, and items are parted by ###. For them our
markers, where a reply has them as asked for, are turned into their grammar ("[任务 4]\\n指令：" into
"###\\n4. 指令："); all other faults stay as they are. They know no JSON and are measured on replies that were asked for
as a list; the fairest row is that of replies in the very form that was asked for. Alpaca: each part between ### must
split at "N. Instruction:", "N. Input:" and "N. Output:" into its three texts, N counted up from the first, and the last
part is left out when the reply ended for its length. BELLE: the texts between 指令：, 输入： and 输出：, the same for
the last part.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfinstruct.parse import parse

REPLIES = Path(__file__).parent.parent / "tests" / "selfinstruct" / "replies.jsonl"
Item = tuple[str, str, str]
Row = dict[str, Any]
WORDS = {"alpaca": ("Instruction", "Input", "Output"), "belle": ("指令", "输入", "输出")}


def ours(row: Row) -> list[Item]:
    found = parse(row["text"], row["finish_reason"], row["asked"] == "json")
    return [(one.instruction, one.input, one.output) for one in found if one.fault is None]


def converted(text: str, peer: str) -> tuple[str, int]:
    """Our grammar as the peer's; the number of the first item."""
    head = re.search(r"^\[任务 (\d+)\]\n指令：", text, re.MULTILINE)
    first = int(head.group(1)) if head else 4
    instruction, given, output = WORDS[peer]
    colon, nothing = (":", "<noinput>") if peer == "alpaca" else ("：", "<无输入>")
    number = first

    def item(match: re.Match[str]) -> str:
        nonlocal number
        number = int(match.group(1))
        return f"###\n{number}. {instruction}{colon} "

    lines = re.sub(r"^\[任务 (\d+)\]\n指令：", item, text, flags=re.MULTILINE).split("\n")
    number = first
    for place, line in enumerate(lines):
        if match := re.match(rf"(\d+)\. {instruction}{colon}", line):
            number = int(match.group(1))
        for name, word in (("输入：", given), ("输出：", output)):
            if line.startswith(name):
                rest = nothing if line == "输入：无" else line[len(name) :]
                lines[place] = f"{number}. {word}{colon}\n{rest}"
        if line == "[完]":
            lines[place] = "###"
    return "\n".join(lines).removeprefix("###\n"), first


def alpaca(row: Row) -> list[Item]:
    text, first = converted(row["text"], "alpaca")
    if not text.startswith(f"{first}. Instruction:"):
        text = f"{first}. Instruction:" + text
    found, parts = [], text.split("###")
    for place, part in enumerate(parts):
        if place == len(parts) - 1 and row["finish_reason"] == "length":
            continue
        pieces = re.split(rf"{first + place}\.\s+(?:Instruction|Input|Output):", part)
        if len(pieces) == 4:
            given = "" if pieces[2].strip().lower() == "<noinput>" else pieces[2].strip()
            found.append((pieces[1].strip(), given, pieces[3].strip()))
    return found


def belle(row: Row) -> list[Item]:
    text, first = converted(row["text"], "belle")
    if not re.search("指令[:：]", text[:10]):
        text = f"{first}. 指令：" + text
    found, parts = [], text.split("###")
    for place, part in enumerate(parts):
        if place == len(parts) - 1 and row["finish_reason"] == "length":
            continue
        match = re.search("指令[:：](.*?)输入[:：](.*?)输出[:：](.*)", part, re.DOTALL)
        if match:
            texts = [re.sub(r"\d+\.$", "", one.strip()).strip() for one in match.groups()[:2]]
            found.append((texts[0], "" if "无输入" in texts[1] else texts[1], match.group(3).strip()))
    return found


def figures(rows: Sequence[Row], reader: Callable[[Row], list[Item]]) -> dict[str, Any]:
    """Of all replies together; `kept` lists the replies with an item that is none."""
    whole = recovered = cut = cut_kept = kept = 0
    wrong: list[str] = []
    started = time.process_time()
    read = [reader(row) for row in rows]
    seconds = time.process_time() - started
    for row, found in zip(rows, read, strict=True):
        truth = Counter(tuple(one) for one in row["whole"])
        surplus = Counter(found) - truth
        whole += truth.total()
        recovered += truth.total() - (truth - Counter(found)).total()
        cut += len(row["cut"])
        cut_kept += sum(count for one, count in surplus.items() if one[0] in row["cut"])
        kept += surplus.total()
        if surplus or truth - Counter(found):
            wrong.append(row["id"])
    share = round(recovered / max(whole, 1), 4)
    return {
        "replies": len(rows), "whole": whole, "recovered": recovered, "share": share, "cut": cut, "cut_kept": cut_kept,
        "other_wrong_kept": kept - cut_kept, "wrong": wrong, "us_per_item": round(seconds * 1e6 / max(whole, 1)),
    }  # fmt: skip


def measure(path: Path) -> dict[str, dict[str, Any]]:
    """Ours on all replies and on lists, and each peer on lists."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lists = [row for row in rows if row["asked"] == "list"]
    plain = [row for row in lists if row["made"] == "as asked"]
    return {
        "ours, all": figures(rows, ours),
        "ours, lists": figures(lists, ours),
        "alpaca, lists": figures(lists, alpaca),
        "belle, lists": figures(lists, belle),
        "ours, lists in the form asked for": figures(plain, ours),
        "alpaca, lists in the form asked for": figures(plain, alpaca),
        "belle, lists in the form asked for": figures(plain, belle),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, default=REPLIES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.file)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, one in found.items():
        print(
            f"{name:36} {one['recovered']}/{one['whole']} = {one['share']:.2%} of whole items; "
            f"{one['cut_kept']} of {one['cut']} cut kept, {one['other_wrong_kept']} other wrong; "
            f"{one['us_per_item']} µs an item"
        )


if __name__ == "__main__":
    main()
