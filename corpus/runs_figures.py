"""The figures by which people know a run: a few numbers of its summary, by stable names.

In: a run. Out: (name, value) in the order in which they are told; none where the run is not finished or not known. What
a summary lacks is left out, so older runs and foreign ones are shown with what they have. Price: summary.json is read.
"""

from collections.abc import Mapping
from typing import Any, Final

from corpus.runs_found import Run

Value = int | float | str
# Command -> (name of the figure, path in summary.json); the first that are there are told.
_FIGURES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "corpus clean": (("read", "documents.read"), ("kept", "documents.kept"), ("characters", "characters.kept")),
    "corpus tune": (("read", "documents.read"), ("kept", "documents.kept"), ("characters", "characters.kept")),
    "corpus dedup": (("read", "documents.read"), ("kept", "documents.kept"), ("cut", "documents.cut")),
    "corpus decontaminate": (("read", "documents.read"), ("kept", "documents.kept"), ("matches", "matches")),
    "corpus quality score": (("documents", "documents"), ("scored", "scored")),
    "corpus quality fit": (("auc", "held_out.auc"), ("accuracy", "held_out.accuracy")),
    "corpus quality fit-perplexity": (("median", "median"), ("order", "order")),
    "corpus stats": (("documents", "documents"), ("characters", "characters")),
    "train tokenizer fit": (("pieces", "tokenizer.size"), ("characters_per_token", "held_out.characters_per_token")),
    "train tokenizer extend": (("pieces", "tokenizer.size"), ("characters_per_token", "after.characters_per_token")),
    "train tokens": (
        ("documents", "documents"),
        ("tokens", "tokens"),
        ("characters_per_token", "characters_per_token"),
    ),
    "train pretrain": (
        *(("parameters", "parameters"), ("steps", "steps"), ("tokens", "tokens")),
        *(("loss", "loss"), ("held_out_loss", "held_out_loss")),
    ),
    "train sft": (
        *(("parameters", "parameters"), ("steps", "steps"), ("dialogues", "dialogues.used")),
        *(("loss", "loss"), ("held_out_loss", "held_out_loss")),
    ),
    "train eval mcq": (("questions", "all.n"), ("accuracy", "all.accuracy")),
    "selfinstruct generate": (("kept", "kept"), ("rejected", "rejected")),
    "selfinstruct dedup": (("read", "read"), ("kept", "kept")),
    "judge compare": (("questions", "questions"),),
    "judge answer": (("questions", "questions"),),
    "judge import": (("questions", "questions"),),
    "judge selftest": (("passed", "passed"), ("cases", "cases")),
}


def figures_of(run: Run) -> list[tuple[str, Value]]:
    """A run's main figures."""
    body = run.summary or {}
    found = [(name, value) for name, path in _FIGURES.get(run.command, ()) if (value := _at(body, path)) is not None]
    if run.command.startswith("judge "):
        found += _win_rates(body)
    return found


def _at(body: Mapping[str, Any], path: str) -> Value | None:
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _win_rates(body: Mapping[str, Any]) -> list[tuple[str, Value]]:
    """Of each system against the reference."""
    systems = body.get("systems")
    found: list[tuple[str, Value]] = []
    for name, figures in systems.items() if isinstance(systems, dict) else ():
        rate = figures.get("win_rate_averaged") if isinstance(figures, dict) else None
        value = rate.get("value") if isinstance(rate, dict) else rate
        if isinstance(value, int | float):
            found.append((f"win_rate:{name}", value))
    return found


def cost_of(run: Run) -> float | None:
    """US dollars that calls of a run took; None: it made none, or nobody knows their price."""
    cost = run.json("calls.json").get("cost_usd")
    return float(cost) if isinstance(cost, int | float) else None


def spent_of(run: Run) -> dict[str, float]:
    """Seconds and CPU seconds over all starts, and the memory of the largest process, as usage.json has them."""
    usage = run.usage
    starts = usage.get("all_starts")
    found: dict[str, float] = {}
    for key, body in (("seconds", starts), ("cpu_seconds", starts), ("starts", starts), ("peak_memory_bytes", usage)):
        value = body.get(key) if isinstance(body, dict) else None
        value = usage.get(key) if value is None else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = value
    return found
