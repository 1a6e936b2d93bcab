"""RUN/README.md: the dataset card, laid out as the Hugging Face hub reads it, so that a run can be published.

In: the manifest and the summary. Out: Markdown with a YAML head that names the languages, the size and where
the documents lie. It depends on these alone. Price: names of inputs and sources are written with every sign
escaped that Markdown could take for its own, which is ugly as plain text. The licence is left to the user.
"""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from corpus.config import MEANS, CleanConfig
from corpus.report_text import LABELS, reason_text, signal_text
from corpus.signals import ALL_SIGNALS
from runkit.config import dump_yaml, plain
from runkit.report import number, percent, visible

MOST_ROWS = 20
# The hub's names for sizes; each bound is ten times the one before, the first is 1,000.
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Cleaned text corpus",
        "about": "{kept} documents with {characters} characters of text, cleaned from {read} documents "
        "({size} of input) by `corpus clean` of Wenhai. What was thrown away, and why: report.html.",
        "load": "Load it",
        "languages": "Languages", "sources": "Sources",
        "made": "What it was made from", "steps": "How it was made",
        "step": "step", "documents": "documents left", "characters": "characters left", "share": "share",
        "columns": "Columns", "column": "column", "meaning": "meaning",
        "id": "stable hash of the origin", "origin": "input file and place in it",
        "text": "the text, normalised", "url": "address, if known",
        "source": "name of the input", "language": "ISO 639-1, as identified",
        "date": "date in the input, if any",
        "meta": "JSON: title, encoding, remarks, masked personal data by kind",
        "signals": "Besides, what was measured on each document, as 32-bit numbers:",
        "reasons": "Reasons for rejection", "reason": "reason", "count": "documents", "why": "meaning",
        "personal": "Personal data",
        "masked": "ID numbers, telephone numbers, bank cards, e-mail and IP addresses were replaced by "
        "placeholders such as `<PHONE>` where they could be proven to be such: {counts}. Names and postal "
        "addresses of people were not looked for. The documents in rejected/ are as they were found: do not "
        "publish that folder.",
        "unmasked": "Personal data was not masked (personal.mask is off). Look before you publish anything.",
        "none": "none found",
        "licence": "Licence",
        "licence_note": "The texts belong to those who wrote them. Fill in under which terms you pass this "
        "collection on, here and as `license:` at the top.",
        "again": "Reproduce it",
        "again_note": "The same inputs, settings and versions give the same bytes. Save the settings as "
        "clean.yaml, then:",
        "settings": "Settings",
        "versions": "Versions", "more": "and {count} more",
        "colon": ": ", "file": "file", "bytes": "bytes",
    },
    "zh": {
        "title": "清洗后的文本语料",
        "about": "共 {kept} 篇文档、{characters} 个字符的正文，由文海的 `corpus clean` 从 {read} 篇文档"
        "（输入 {size}）中清洗得到。淘汰了什么、为什么淘汰，见 report.html。",
        "load": "加载",
        "languages": "语言", "sources": "来源",
        "made": "原始数据", "steps": "处理过程",
        "step": "步骤之后", "documents": "剩余文档", "characters": "剩余字符", "share": "占比",
        "columns": "字段", "column": "字段", "meaning": "含义",
        "id": "由出处算出的固定哈希", "origin": "输入文件及其中的位置",
        "text": "规范化后的正文", "url": "网址（如有）",
        "source": "输入的名称", "language": "识别出的语言，ISO 639-1",
        "date": "输入自带的日期（如有）",
        "meta": "JSON：标题、编码、备注、各类已遮盖的个人信息",
        "signals": "此外是每篇文档的各项指标，均为 32 位浮点数：",
        "reasons": "淘汰原因", "reason": "原因", "count": "文档", "why": "含义",
        "personal": "个人信息",
        "masked": "能够确证的身份证号、电话号码、银行卡号、电子邮箱和 IP 地址已替换为 `<PHONE>` 之类的"
        "占位符：{counts}。没有查找姓名和住址。rejected/ 里的文档保持原样，请勿公开该目录。",
        "unmasked": "没有遮盖个人信息（personal.mask 已关闭），公开之前请先检查。",
        "none": "未发现",
        "licence": "许可",
        "licence_note": "文本的权利属于各自的作者。请在此处和文件开头的 `license:` 写明提供语料的条款。",
        "again": "复现",
        "again_note": "输入、设置和版本相同，结果逐字节相同。把下面的设置存为 clean.yaml，然后运行：",
        "settings": "设置",
        "versions": "版本", "more": "另有 {count} 项",
        "colon": "：", "file": "文件", "bytes": "字节",
    },
}  # fmt: skip


def card(manifest: Mapping[str, Any], summary: Mapping[str, Any], config: CleanConfig, lang: str) -> str:
    """The card of a finished run."""
    t = _TEXTS[lang]
    documents = summary["documents"]
    about = t["about"].format(
        kept=number(documents["kept"]),
        characters=number(summary["characters"]["kept"]),
        read=number(documents["read"]),
        size=f"{summary['inputs']['bytes'] / 1e6:,.1f} MB",
    )
    load = "from datasets import load_dataset\n\n"
    load += 'data = load_dataset("parquet", data_files="documents/*.parquet")'
    parts = [
        f"---\n{_head(summary, t)}---\n\n# {t['title']}",
        about,
        f"## {t['load']}\n\n{_fenced(load, 'python')}",
        f"## {t['made']}\n\n{_inputs(manifest, t)}",
        f"## {t['steps']}\n\n{_steps(summary, t, lang)}",
        f"## {t['reasons']}\n\n{_reasons(summary, t, lang)}" if summary["reasons"] else "",
        f"## {t['languages']}\n\n{_shares(summary['languages']['kept'], t)}",
        f"## {t['sources']}\n\n{_shares(summary['sources']['kept'], t)}",
        f"## {t['columns']}\n\n{_columns(t, lang)}",
        f"## {t['personal']}\n\n{_personal(summary, config, t, lang)}",
        f"## {t['again']}\n\n{_reproduce(manifest, config, t)}",
        f"## {t['licence']}\n\n{t['licence_note']}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _head(summary: Mapping[str, Any], t: Mapping[str, str]) -> str:
    kept = summary["documents"]["kept"]
    # "und" and the like are no ISO 639-1 codes, and the hub refuses them.
    languages = [name for name in _ranked(summary["languages"]["kept"]) if re.fullmatch("[a-z]{2}", name)]
    head = {
        "pretty_name": t["title"],
        **({"language": languages} if languages else {}),
        "size_categories": [_SIZES[min(max(len(str(kept)) - 3, 0), len(_SIZES) - 1)]],
        "task_categories": ["text-generation"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "documents/*.parquet"}]}],
    }
    return dump_yaml(head)


def _inputs(manifest: Mapping[str, Any], t: Mapping[str, str]) -> str:
    inputs = manifest["inputs"]
    rows = [(_plain(file["name"]), number(file["size"]), str(file["fingerprint"])[:16]) for file in inputs]
    return _table((t["file"], t["bytes"], "sha256"), rows, t)


def _steps(summary: Mapping[str, Any], t: Mapping[str, str], lang: str) -> str:
    rows, first = [], summary["funnel"][0]
    for stage in summary["funnel"]:
        name = LABELS[lang].get(f"step.{stage['step']}", _plain(stage["step"]))
        left = [number(stage["documents"]), percent(stage["documents"], first["documents"])]
        rows.append((name, *left, number(stage["characters"])))
    return _table((t["step"], t["documents"], t["share"], t["characters"]), rows, t)


def _reasons(summary: Mapping[str, Any], t: Mapping[str, str], lang: str) -> str:
    ranked = _ranked(summary["reasons"])
    rows = [(_code(name), number(count), _cell(reason_text(name, lang))) for name, count in ranked.items()]
    return _table((t["reason"], t["count"], t["why"]), rows, t)


def _shares(counts: Mapping[str, int], t: Mapping[str, str]) -> str:
    whole = sum(counts.values())
    rows = [(_plain(name), number(count), percent(count, whole)) for name, count in _ranked(counts).items()]
    return _table(("", t["count"], t["share"]), rows, t)


def _columns(t: Mapping[str, str], lang: str) -> str:
    names = ("id", "origin", "text", "url", "source", "language", "date", "meta")
    table = _table((t["column"], t["meaning"]), [(f"`{name}`", t[name]) for name in names], t)
    signals = [(f"`{name}`", _cell(signal_text(name, lang))) for name in ALL_SIGNALS]
    return f"{table}\n\n{t['signals']}\n\n{_table((t['column'], t['meaning']), signals, t, len(signals))}"


def _personal(summary: Mapping[str, Any], config: CleanConfig, t: Mapping[str, str], lang: str) -> str:
    if not config.personal.mask:
        return t["unmasked"]
    labels = LABELS[lang]
    between, colon = ("、", " ") if lang == "zh" else (", ", " ")
    counts = between.join(
        f"{labels.get(f'masked.{kind}', _plain(kind))}{colon}{number(count)}"
        for kind, count in _ranked(summary["masked"]).items()
    )
    return t["masked"].format(counts=counts or t["none"])


def _reproduce(manifest: Mapping[str, Any], config: CleanConfig, t: Mapping[str, str]) -> str:
    run = manifest["config"]
    options = "".join(f" --{key} {run[key]}" for key in ("limit", "sample") if run.get(key) is not None)
    # What a worker may take is a matter of the machine and not of the data.
    settings = {key: value for key, value in plain(config).items() if key not in MEANS}
    versions = ", ".join(f"{_plain(name)} {_plain(value)}" for name, value in sorted(manifest["versions"].items()))
    command = f"corpus clean INPUT... --config clean.yaml{options} --out RUN"
    return (
        f"{t['again_note']}\n\n{_fenced(command, 'sh')}\n\n{t['versions']}{t['colon']}{versions}\n\n"
        f"<details>\n<summary>{t['settings']}{t['colon']}clean.yaml</summary>\n\n"
        f"{_fenced(dump_yaml(settings), 'yaml')}\n\n</details>"
    )


def _fenced(text: str, kind: str) -> str:
    """A block of code behind a fence that nothing inside it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def _table(
    titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], t: Mapping[str, str], most: int = MOST_ROWS
) -> str:
    """Cells are Markdown already. Columns of numbers stand on the right."""
    if not rows:
        return f"{t['none'].capitalize()}."
    numeric = [all(re.fullmatch(r"[<>]?[\d,.]+%?|–", row[column]) for row in rows) for column in range(len(titles))]
    lines = [titles, tuple("---:" if right else "---" for right in numeric), *rows[:most]]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return table + (f"\n\n{t['more'].format(count=number(len(rows) - most))}" if len(rows) > most else "")


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    safe = html.escape(" ".join(visible(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:])", r"\\\1", safe)


def _cell(text: str) -> str:
    """A text of ours in a table."""
    return html.escape(text, quote=False).replace("|", r"\|")


def _code(name: str) -> str:
    return f"`{name}`" if re.fullmatch(r"[\w.]+", name) else _plain(name)


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
