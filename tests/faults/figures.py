"""What `make faults` ends with: each row of docs/faults.md, how its tests ended, their seconds, and what they counted.

A plugin of pytest (`-p tests.faults.figures`). In: the tables of docs/faults.md, whose third column names the tests of
a row, and the reports of a run. Out: a table on the terminal and the same as Markdown in runs/out/faults.md, with date
and machine. A test file that stands in several rows counts in each of them.
"""

import os
import platform
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "faults.md"
RECORD: Final = ROOT / "runs" / "out" / "faults.md"
OUTCOMES: Final = ("failed", "skipped", "passed")


@dataclass(frozen=True)
class Row:
    """A row of docs/faults.md."""

    command: str
    rows: str
    """Its numbers, or a dash."""
    fault: str
    files: tuple[str, ...]
    """Names of test files, without folders."""


@dataclass
class Ran:
    """What came of the tests of one file."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    """What its tests printed: their counts."""


def rows(page: str) -> list[Row]:
    """The rows of all tables, in their order."""
    found, command = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            command = line[3:].replace("`", "")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        files = tuple(dict.fromkeys(re.findall(r"(test_\w+\.py)", cells[2]))) if len(cells) == 6 else ()
        if files:
            found.append(Row(command, cells[0].strip("| "), cells[1], files))
    return found


class Table:
    """Gathers the reports of a run."""

    def __init__(self) -> None:
        self.ran: dict[str, Ran] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ran = self.ran.setdefault(Path(report.location[0]).name, Ran())
        ran.seconds += report.duration
        if report.when == "call" or report.outcome != "passed":
            ran.outcomes[report.outcome] += 1
            ran.said += [line for line in report.capstdout.splitlines() if line.strip()]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = markdown(rows(PAGE.read_text("utf-8")), self.ran)
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        RECORD.write_text("\n".join(lines) + "\n", "utf-8")
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.line(line)
        terminalreporter.line(f"Also in {RECORD.relative_to(ROOT)}")


def markdown(table: list[Row], ran: dict[str, Ran]) -> list[str]:
    """The lines of the record. A row none of whose tests ran says so."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    counts = "full" if os.environ.get("WENHAI_FULL") == "1" else "small"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}; the {counts} counts",
        "",
        "| command | row | fault | tests | seconds |",
        "|---|---|---|---|---|",
    ]
    for row in table:
        outcomes: Counter[str] = sum((ran[name].outcomes for name in row.files if name in ran), Counter())
        seconds = sum(ran[name].seconds for name in row.files if name in ran)
        told = ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name]) or "not run"
        lines.append(f"| {row.command} | {row.rows} | {row.fault} | {told} | {seconds:.0f} |")
    lines += ["", "What the tests counted:", ""]
    return lines + [f"- `{name}`: {line}" for name, found in sorted(ran.items()) for line in found.said]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table(), "faults-table")
