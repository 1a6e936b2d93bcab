"""`selfinstruct export`: a set of instructions in the layout that a trainer reads.

In: a run or a file in any layout of layouts.py. Out: one JSON file (alpaca), JSON lines (belle, sharegpt, messages) or
a folder with parquet and a dataset card for the Hugging Face hub. Fields that a layout has no place for stand beside it
under our names, so reading the file gives the same records again. Price: 10 µs a record; alpaca and parquet hold all of
them in memory.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.console import emit_json, printable, say
from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.files import atomic_write, write_text
from runkit.instructions import MORE, PLAIN, find_items
from runkit.layouts import LAYOUTS
from runkit.text import han_count

CARD: Final = "README.md"
DATA: Final = "data/train.parquet"
_KINDS: Final = {name: float if name == "nearest_rouge_l" else str for name in PLAIN}
_SIZES: Final = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")


@dataclass(frozen=True, slots=True)
class ExportCall:
    """The command line of `export`, parsed."""

    source: Path
    out: Path
    layout: str  # of LAYOUTS, or parquet
    system: str
    as_json: bool
    lang: str


def export(call: ExportCall) -> None:
    """UsageError: `out` is there already. InputError: nothing can be read, or a record is bad."""
    if call.out.exists() and not (call.out.is_dir() and not any(call.out.iterdir())):
        raise UsageError(
            f"{call.out} is there already; give --out a new {'folder' if call.layout == 'parquet' else 'file'}."
        )
    if call.out.is_dir() and call.layout != "parquet":
        raise UsageError(f"{call.out} is a folder; give --out a file for {call.layout}.")
    if call.layout == "parquet" and call.system:
        raise UsageError("--system is for conversations and flat layouts; leave it out for parquet.")
    records = _records(call.source)
    count = _parquet(call, list(records)) if call.layout == "parquet" else _json(call, records)
    if call.as_json:
        emit_json({"items": count, "format": call.layout, "out": str(call.out)})
    say(f"{count:,} items: {call.out}")


def _records(source: Path) -> Iterator[dict[str, Any]]:
    """Each with its id. A set that is passed on must not lose a record in silence, so a bad one ends it."""
    for found in find_items([str(source)]).read():
        if isinstance(found, Fault):
            where = f"line {found.line}" if found.line is not None else f"item {found.offset}"
            raise InputError(f"{found.name}, {where}: {found.reason}: {found.detail}; mend or remove it.")
        yield found.record if "id" in found.record else found.record | {"id": found.id}


def _json(call: ExportCall, records: Iterator[dict[str, Any]]) -> int:
    write = LAYOUTS[call.layout]
    count = 0
    with atomic_write(call.out) as file:
        array = call.layout == "alpaca"
        file.write(b"[\n" if array else b"")
        for record in records:
            file.write((b",\n" if count else b"") if array else b"")
            file.write(orjson.dumps(write(record, call.system)) + (b"" if array else b"\n"))
            count += 1
        file.write(b"\n]\n" if array else b"")
    return count


def _parquet(call: ExportCall, records: list[dict[str, Any]]) -> int:
    """Columns as in docs/formats.md; `more` is a JSON object of the other fields."""
    import polars as pl

    rows = []
    for record in records:
        plain = {name: value for name, value in record.items() if type(value) is _KINDS.get(name)}
        more = {name: value for name, value in record.items() if name not in plain}
        rows.append({name: plain.get(name) for name in PLAIN} | {MORE: orjson.dumps(more).decode() if more else None})
    schema = {name: pl.Float64 if name == "nearest_rouge_l" else pl.String for name in (*PLAIN, MORE)}
    with atomic_write(call.out / DATA) as file:
        pl.DataFrame(rows, schema=schema).write_parquet(file, compression="zstd")
    write_text(call.out / CARD, card(records, call.lang, _made_by(call.source)))
    return len(records)


def _made_by(source: Path) -> str:
    """What the card may say of a set: `generate` or `dedup` for a run of these, else `file`."""
    manifest = source / "manifest.json"
    command = ""
    if manifest.is_file():
        with suppress(orjson.JSONDecodeError, AttributeError):
            command = str(orjson.loads(manifest.read_bytes()).get("command", ""))
    return {"selfinstruct generate": "generate", "selfinstruct dedup": "dedup"}.get(command, "file")


def _language(records: list[dict[str, Any]]) -> str:
    """Chinese where most of the instructions are, English where most are not."""
    texts = [str(record.get("instruction") or "") for record in records]
    return "zh" if 2 * sum(4 * han_count(text) >= len(text.strip()) for text in texts) >= len(texts) else "en"


def card(records: list[dict[str, Any]], lang: str, made_by: str = "file") -> str:
    """The dataset card, laid out as the hub reads it; the licence is left to the user. `made_by`: as `_made_by`."""
    size = _SIZES[min(len(_SIZES) - 1, max(0, len(str(len(records))) - 3))]
    models, kinds = (Counter(_cell(str(one.get(key) or "–")) for one in records) for key in ("model", "category"))
    words = _WORDS[lang]
    head = (
        f"---\nlanguage:\n- {_language(records)}\nsize_categories:\n- {size}\ntask_categories:\n- text-generation\n"
        f"configs:\n- config_name: default\n  data_files: {DATA}\n---\n"
    )
    parts = [f"# {words['title']}", words[f"about_{made_by}"].format(count=f"{len(records):,}")]
    if models["template"]:
        parts.append(words["rules"].format(count=f"{models['template']:,}"))
    for title, counts in (("kind", kinds), ("model", models)):
        lines = [f"| {words[title]} | {words['items']} |", "|---|---|"]
        lines += [f"| {name} | {count:,} |" for name, count in counts.most_common(40)]
        parts.append("\n".join(lines))
    parts.append(words["columns"])
    parts.append(words["licence"])
    return head + "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Plain inside of a Markdown table."""
    return "".join(f"&#{ord(sign)};" if sign in "|<>&`*_[]\\" else sign for sign in " ".join(printable(text).split()))


_WORDS: Final = {
    "en": {
        "title": "Instruction data",
        "about_file": "{count} tasks with an answer.",
        "about_dedup": "{count} tasks with an answer, of which `selfinstruct dedup` of Wenhai kept those whose "
        "instruction is not nearly the same as one before.",
        "about_generate": "{count} tasks with an answer, made and filtered by `selfinstruct` of Wenhai: no two "
        "instructions are nearly the same, and each passed the filters that report.html of the run lists.",
        "rules": "No model wrote {count} of them: rules made them of documents and by computing.",
        "kind": "kind",
        "model": "written by",
        "items": "items",
        "columns": "`instruction`, `input` (may be empty) and `output` are the task; `nearest` and `nearest_rouge_l` "
        "the most similar instruction before it; `more` holds the rest as JSON: seeds, documents, the hash of the "
        "prompt.",
        "licence": "Fill in under which terms you pass this on, here and as `license:` at the top; terms of the model "
        "that wrote it may apply.",
    },
    "zh": {
        "title": "指令数据",
        "about_file": "共 {count} 条带答案的任务。",
        "about_dedup": "共 {count} 条带答案的任务，由文海的 `selfinstruct dedup` 去重：任意两条指令都不雷同。",
        "about_generate": "共 {count} 条带答案的任务，由文海的 `selfinstruct` 生成并过滤：任意两条指令都不雷同，"
        "每条都通过了运行报告 report.html 所列的过滤。",
        "rules": "其中 {count} 条并非出自模型，而是由规则根据文档和计算得出。",
        "kind": "类别",
        "model": "来源",
        "items": "条数",
        "columns": "`instruction`、`input`（可为空）与 `output` 构成任务；`nearest` 与 `nearest_rouge_l` "
        "是此前最相近的指令及其相似度；`more` 以 JSON 保存其余字段：种子、文档、提示的哈希。",
        "licence": "请在此处和文件开头的 `license:` 中写明以何种条款发布；可能还须遵守生成模型的条款。",
    },
}
