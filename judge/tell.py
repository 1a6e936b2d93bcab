"""The figures of a run on the terminal.

In: a summary. Out: the one-line answer, the account of what was asked, and a table of systems, to stderr.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from judge.report_text import WORDS, headline
from runkit.console import printable, say

MOST_SYSTEMS: Final = 40
MOST_REASONS: Final = 5
MOST_NAME: Final = 28


def tell(found: Mapping[str, Any]) -> None:
    """Tables, to stderr."""
    say(headline(found, WORDS["en"]))
    account = found["accounting"]
    say(
        f"{account['asked']:,} verdicts asked = {account['ok']:,} ok + {account['invalid']:,} invalid + "
        f"{account['error']:,} error; {account['identical']:,} ties of identical answers; {account['pairs']:,} pairs, "
        f"{account['incomplete']:,} without both orders, {account['unanswered']:,} without an answer."
    )
    for fault, count in list(account["reasons"].items())[:MOST_REASONS]:
        say(f"  {count:>8,}  {fault}")
    if not found["systems"]:
        return
    scored = any(one.get("swap_avg_sys") is not None for one in found["systems"].values())
    titles = [f"against {found['reference']}", "n", *(["mean", "reference", "difference"] if scored else [])]
    titles += ["win/tie/loss", "win rate", "shown first"]
    rows = [_row(name, one, scored) for name, one in list(found["systems"].items())[:MOST_SYSTEMS]]
    _table(titles, rows)
    if len(found["systems"]) > MOST_SYSTEMS:
        say(f"… and {len(found['systems']) - MOST_SYSTEMS} more; summary.json has them all.")


def _row(name: str, one: Mapping[str, Any], scored: bool) -> Sequence[str]:
    name = name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"
    if not one["n"]:
        return [name, "0"]
    row = [name, f"{one['n']:,}"]
    if scored:
        row += [_figure(one["swap_avg_sys"]), _figure(one["swap_avg_ref"])]
        interval = one["diff_t_interval"]
        reach = "" if interval is None else f" ± {(interval[1] - interval[0]) / 2:.2f}"
        row.append(f"{_signed(one['swap_avg_diff'])}{reach}")
    row.append("/".join(f"{one['averaged'][key]:,}" for key in ("win", "tie", "loss")))
    low, high = one["win_rate_averaged_interval"]
    row.append(f"{100 * one['win_rate_averaged']:.0f} % ({100 * low:.0f}–{100 * high:.0f})")
    row.append("–" if one["position_effect"] is None else _signed(one["position_effect"]))
    return row


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Not by rich, which cuts figures to fit a narrow terminal, and a figure that is cut is another figure."""
    from rich.cells import cell_len

    lines = [[printable(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(cell_len(line[column]) for line in lines if column < len(line)) for column in range(len(titles))]
    for line in lines:
        cells = []
        for column, cell in enumerate(line):
            space = " " * (widths[column] - cell_len(cell))
            cells.append(space + cell if column else cell + space)
        say("  ".join(cells).rstrip())
