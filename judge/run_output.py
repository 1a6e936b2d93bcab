"""What commands that ask models write beside the records, and how they leave a run that came to nothing.

In: faults of inputs, the ledger. Out: quarantine.jsonl, calls.json; an empty folder where no call was ever answered.
Price: the ledger is opened once more at the end of a run that failed.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from judge.records import ANSWERS, QUARANTINE, QUESTIONS, VERDICTS
from judge.store import SEAL
from runkit.console import say
from runkit.fields import Fault, fault_lines
from runkit.files import write_bytes, write_json
from runkit.ledger import LEDGER, Ledger, Totals
from runkit.rundir import RunDir

CALLS: Final = "calls.json"
_OURS: Final = (
    *(LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", CALLS, QUESTIONS, ANSWERS, VERDICTS, QUARANTINE, "systems.json"),
    *("summary.json", "report.html", "usage.json", "resolved.yaml", "manifest.json", f"marks/{SEAL}.json"),
)


def write_faults(run: RunDir, faults: Sequence[Fault]) -> None:
    """What could not be read, where there is any."""
    if faults:
        write_bytes(run.file(QUARANTINE), fault_lines(faults))


def write_calls(run: RunDir, ledger: Ledger, priced: bool) -> None:
    """Sums over all calls of all starts."""
    totals = ledger.totals()
    write_json(run.file(CALLS), {**asdict(totals), "cost_usd": totals.spent_usd if priced else None})


def calls_of(run: Path) -> dict[str, Any]:
    """As `write_calls` left them, for --json; {} where no call was made."""
    file = run / CALLS
    return {"calls": orjson.loads(file.read_bytes())} if file.is_file() else {}


def tell_calls(run: Path) -> None:
    """What the calls of all starts came to, if there were some."""
    calls = calls_of(run).get("calls")
    if calls is None or not calls["attempts"]:
        return
    cost = "" if calls["cost_usd"] is None else f"; {calls['cost_usd']:.4f} USD"
    failed = calls["calls"].get("failed", 0)
    again = f", {failed:,} calls failed (--retry-failed asks them again)" if failed else ""
    say(
        f"{sum(calls['attempts'].values()):,} requests, {calls['prompt_tokens']:,} tokens asked and "
        f"{calls['completion_tokens']:,} answered{cost}{again}."
    )


def nothing_came(run: RunDir) -> bool:
    """Whether no call of this run was ever answered or paid for: a wrong address, key or name of a model."""
    if not run.file(LEDGER).is_file():
        return True
    with Ledger.open(run.file(LEDGER)) as ledger:
        totals: Totals = ledger.totals()
    return not totals.spent_usd and not {"done", "failed"} & set(totals.calls)


def give_back(run: RunDir) -> None:
    """Leave the folder to the mended call, which has another address or model."""
    for name in _OURS:
        run.file(name).unlink(missing_ok=True)
