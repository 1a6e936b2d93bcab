"""What `train plan` says to people.

In: its figures, as `--json` prints them. Out: a few tables and sentences on stderr. Price: rich, 50 ms.
"""

from typing import TYPE_CHECKING, Any

from runkit.console import err, printable, say

if TYPE_CHECKING:
    from rich.table import Table

SMALL = 100_000_000  # parameters, below which nobody reaches the share that is assumed
_MEMORY = ("weights", "gradients", "optimizer", "activations", "working", "shared", "total")


def tell(figures: dict[str, Any]) -> None:
    """All of it."""
    _tell_model(figures)
    _tell_tokens(figures)
    for estimate in figures["estimates"]:
        if estimate["share_is"].startswith("assumed, not measured"):
            say(f"{printable(estimate['device'])} was not tried: {estimate['share_is'].partition(': ')[2]}.")
    if figures["estimates"]:
        _tell_hours(figures["estimates"])
        small = figures["parameters"]["total"] < SMALL
        if small and any(one["share_is"] == "assumed" for one in figures["estimates"]):
            say("So small a model leaves a GPU waiting: expect far less than the assumed share; --mfu states another.")
        _tell_memory(figures)


def size(count: float) -> str:
    """Bytes for people, in powers of ten."""
    for unit, width in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= width:
            return f"{count / width:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def amount(count: float) -> str:
    """Tokens or parameters for people."""
    for unit, width in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if count >= width:
            return f"{count / width:,.3g} {unit}"
    return f"{count:,.0f}"


def span(hours: float) -> str:
    """A time for people."""
    if hours < 1 / 3600:
        return "below 1 s"
    if hours < 1 / 60:
        return f"{hours * 3600:,.0f} s"
    if hours < 1:
        return f"{hours * 60:,.0f} min"
    if hours < 100:
        return f"{hours:,.1f} h"
    return f"{hours / 24:,.0f} days" if hours < 24 * 1000 else f"{hours / 24 / 365:,.0f} years"


def few(number: float) -> str:
    """A number with one decimal, or with two digits that say something."""
    return f"{number:,.1f}" if number >= 1 else f"{number:.2g}" if number >= 0.001 else "below 0.001"


def _tell_model(figures: dict[str, Any]) -> None:
    parts = figures["parameters"]
    output = f"output {amount(parts['output'])}" if parts["output"] else "the output matrix is the embedding"
    say(
        f"{parts['total']:,} parameters: embedding {amount(parts['embedding'])}, {output}, attention "
        f"{amount(parts['attention'])}, feed-forward {amount(parts['feed_forward'])}, norms {amount(parts['norms'])}.\n"
        f"A checkpoint takes {size(figures['checkpoint_bytes'])} on the disk, the run up to "
        f"{size(figures['disk_bytes'])}."
    )


def _tell_tokens(figures: dict[str, Any]) -> None:
    again = figures["recomputed_flops_per_token"] / figures["flops_per_token"]
    say(
        f"{figures['tokens']:,} tokens ({figures['tokens_because']}) in {figures['steps']:,} steps of "
        f"{figures['positions_per_step']:,}: {figures['flops']:.3g} FLOPs, {figures['flops_per_token']:.3g} a token"
        + (f", and {again:.0%} more for checkpointing." if again else ".")
    )
    low, high = figures["small_model_tokens"]
    say(
        f"That is {few(figures['tokens_per_parameter'])} tokens a parameter. For a given compute about 20 are best "
        f"(arXiv:2203.15556): {amount(figures['best_tokens'])}. A model that shall be small in use is trained on 100 "
        f"to 200, {amount(low)} to {amount(high)}: 5 to 10 times the compute for a better model of this size, though "
        "a larger one would get further with it."
    )
    for warning in figures["warnings"]:
        say(f"Warning: {warning}")
    for source in figures["sources"]:
        name = " ".join(printable(source["source"]).split())
        text = f"{name}: {source['tokens']:,} tokens, {source['epochs']:.2f} epochs"
        if source["too_often"]:
            text += (
                f", worth about {amount(source['worth_tokens'])} new tokens: beyond 4 epochs repeating gives less and "
                "less (arXiv:2305.16264); add text or lower its weight"
            )
        say(f"{text}.")


def _tell_hours(estimates: list[dict[str, Any]]) -> None:
    table = _table("device", "dtype", "TFLOP/s", "share", "tokens/s", "time", "device hours")
    for one in estimates:
        table.add_row(
            _device(one),
            one["dtype"],
            f"{one['peak'] / 1e12:,.3g}",
            f"{one['share']:.0%} {one['share_is'].partition(',')[0]}",
            f"{one['tokens_per_s']:,.0f}",
            span(one["hours"]),
            few(one["device_hours"]),
        )
    err().print(table)


def _tell_memory(figures: dict[str, Any]) -> None:
    estimates = figures["estimates"]
    table = _table("memory of one process", *(f"{_device(one)}, {one['dtype']}" for one in estimates))
    for part in _MEMORY:
        if any(one["memory"][part] for one in estimates):
            table.add_row(part, *(size(one["memory"][part]) if one["memory"][part] else "–" for one in estimates))
    table.add_row("of", *(size(one["memory_bytes"]) for one in estimates))
    table.add_row("micro_rows", *(f"{one['micro_rows']:,}" for one in estimates))
    table.add_row("micro_rows that fit", *(f"{one['largest_micro_rows']:,}" for one in estimates))
    err().print(table)
    for one in estimates:
        if not one["fits"]:
            say(f"{_device(one)}: does not fit; {_advice(one, figures['config'])}.")


def _advice(one: dict[str, Any], config: dict[str, Any]) -> str:
    if one["largest_micro_rows"]:
        return f"set micro_rows to {one['largest_micro_rows']} or less"
    if not config["checkpointing"]:
        return "set checkpointing: true, or take more memory"
    if config["parallel"] == "ddp" or one["count"] == 1:
        return "train on several GPUs with parallel: fsdp, or take more memory"
    return "take more GPUs, or more memory"


def _device(one: dict[str, Any]) -> str:
    return (f"{one['count']} × " if one["count"] > 1 else "") + printable(one["device"])


def _table(first: str, *others: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right")
    return table
