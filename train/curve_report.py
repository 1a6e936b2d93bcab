"""A measurement at each checkpoint of a run, as a table on the terminal and as a page with charts.

In: the figures of each checkpoint with its `step`, in rising order. Out: lines on stderr, or one self-contained HTML
page in English or Chinese that depends on these alone.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, Literal

from runkit.charts import Series, line_chart
from runkit.console import err
from runkit.report import Column, Html, element, page, section, table

Kind = Literal["ppl", "mcq"]
Rows = Sequence[dict[str, Any]]
_PPL: Final = (("loss", 4), ("ppl", 2), ("bits_per_character", 4), ("bits_per_byte", 4))  # and their decimals
_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Measured at each checkpoint",
        "step": "step",
        "loss": "loss",
        "ppl": "ppl",
        "bits_per_character": "bits/character",
        "bits_per_byte": "bits/byte",
        "accuracy": "accuracy",
        "interval": "95 % interval",
        "low": "lower bound",
        "high": "upper bound",
        "all": "all",
        "hard": "C-Eval Hard",
        "figures": "Figures",
        "charts": "Charts",
        "loss_chart": "Loss a token, by source",
        "bits_chart": "Bits for each character, by source",
        "accuracy_chart": "Accuracy and its 95 % interval",
        "category_chart": "Accuracy by category",
        "chance": "Guessing gives 0.25.",
    },
    "zh": {
        "title": "各检查点的测量结果",
        "step": "步数",
        "loss": "损失",
        "ppl": "困惑度",
        "bits_per_character": "每字符比特",
        "bits_per_byte": "每字节比特",
        "accuracy": "正确率",
        "interval": "95% 区间",
        "low": "下限",
        "high": "上限",
        "all": "全部",
        "hard": "C-Eval Hard",
        "figures": "数据",
        "charts": "曲线",
        "loss_chart": "每个词元的损失，按来源",
        "bits_chart": "每字符比特，按来源",
        "accuracy_chart": "正确率及其 95% 区间",
        "category_chart": "各类别正确率",
        "chance": "随机猜测为 0.25。",
    },
}


def tell_curve(kind: Kind, rows: Rows) -> None:
    """The table, to stderr."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    titles, cells = _table(kind, rows, _WORDS["en"])
    for title in titles:
        shown.add_column(title, justify="right")
    for row in cells:
        shown.add_row(*map(Text, row))
    err().print(shown)


def curve_page(run: str, kind: Kind, rows: Rows, lang: str) -> str:
    """The page about the run of this name."""
    words = _WORDS[lang]
    titles, cells = _table(kind, rows, words)
    charts = _ppl_charts(rows, words) if kind == "ppl" else _mcq_charts(rows, words)
    return page(
        f"{words['title']}: {run}",
        section(words["charts"], element("div", *charts, class_="charts"), name="charts"),
        section(words["figures"], table([Column(title, numeric=True) for title in titles], cells), name="figures"),
        lang=lang,
    )


def _table(kind: Kind, rows: Rows, words: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells."""
    if kind == "ppl":
        titles = [words["step"], *(words[key] for key, _ in _PPL)]
        return titles, [[f"{row['step']:,}", *(_decimal(row[key], places) for key, places in _PPL)] for row in rows]
    groups = _groups(rows)
    titles = [words["step"], words["accuracy"], words["interval"], *(words.get(name, name) for name in groups)]
    cells = []
    for row in rows:
        whole = row["all"]
        interval = "–" if whole["low"] is None else f"{whole['low']:.1%} – {whole['high']:.1%}"
        shares = [_percent(_accuracy(row, name)) for name in groups]
        cells.append([f"{row['step']:,}", _percent(whole["accuracy"]), interval, *shares])
    return titles, cells


def _groups(rows: Rows) -> list[str]:
    """Categories, and "hard" where there are such subjects; all checkpoints were asked the same."""
    return [*rows[0]["categories"], *(["hard"] if rows[0]["hard"] else [])]


def _accuracy(row: dict[str, Any], group: str) -> float | None:
    found: float | None = (row["hard"] if group == "hard" else row["categories"][group])["accuracy"]
    return found


def _ppl_charts(rows: Rows, words: dict[str, str]) -> Iterable[Html]:
    steps = [row["step"] for row in rows]
    sources = list(rows[0]["by_source"])
    for key, label in (("loss", "loss_chart"), ("bits_per_character", "bits_chart")):
        lines = [Series(words["all"], steps, [row[key] for row in rows])]
        if len(sources) > 1:
            lines += [Series(name, steps, [row["by_source"][name][key] for row in rows]) for name in sources]
        yield line_chart(lines, label=words[label], x_title=words["step"], y_title=words[key])


def _mcq_charts(rows: Rows, words: dict[str, str]) -> Iterable[Html]:
    steps = [row["step"] for row in rows]
    chart = partial(line_chart, x_title=words["step"], y_title=words["accuracy"], note=words["chance"])
    whole = [Series(words[key], steps, [row["all"][key] for row in rows]) for key in ("accuracy", "low", "high")]
    yield chart(whole, label=words["accuracy_chart"])
    groups = [Series(words.get(name, name), steps, [_accuracy(row, name) for row in rows]) for name in _groups(rows)]
    if groups:
        yield chart(groups, label=words["category_chart"])


def _decimal(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
