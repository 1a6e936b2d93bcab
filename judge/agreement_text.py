"""The figures of `judge agreement` on the terminal.

In: the object that `--json` prints. Out: sentences, to stderr.
"""

from collections.abc import Mapping
from typing import Any

from runkit.console import say


def tell_agreement(found: Mapping[str, Any]) -> None:
    say(
        f"{len(found['reviewers']):,} reviewers, {found['verdicts']:,} verdicts on {found['pairs']:,} pairs of answers "
        f"to {found['questions']:,} questions."
    )
    if found["left_out"]:
        say(f"  {found['left_out']:,} verdicts left out: the run's texts are others now.")
    if len(found["principles"]) > 1:
        versions = ", ".join(f"{version} ({count:,})" for version, count in found["principles"].items())
        say(f"  Given by several versions of the principles: {versions}.")
    for name, one in found["reviewers"].items():
        again = "" if not one["again"]["n"] else f"; the same again {_share(one['again'])}"
        pace = "" if one["median_seconds"] is None else f"; {one['median_seconds']:.0f} s each"
        say(f"  {name}: {one['pairs']:,} pairs; left preferred {_left(one['position'])}{again}{pace}")
    people = found["people"]
    if people["pairs"]:
        interval = people["alpha_interval"]
        reach = "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"
        say(f"People among each other: Krippendorff's alpha {_number(people['alpha'])}{reach}.")
        say(f"  One person says what another one says: {_share(people['ceiling']['another'])}.")
        if people["ceiling"]["others"]["n"]:
            say(f"  One person says what most of the others say: {_share(people['ceiling']['others'])}.")
    for name, one in found["judges"].items():
        _tell_judge(name, one)
    if found["rank"] is not None and found["rank"]["n"]:
        _tell_rank(found["rank"])
    for one in found["calibrated"]:
        _tell_calibrated(one)


def _tell_judge(name: str, one: Mapping[str, Any]) -> None:
    say(
        f"{name} against people: the same winner {_share(one['accuracy'])}; over wins, losses and ties kappa "
        f"{_number(one['kappa'])}, weighted {_number(one['weighted_kappa'])}, {one['n']:,} pairs."
    )
    for kind, words in (("another", "one person"), ("others", "most of them, one left out")):
        if one["ceiling"][kind]["n"]:
            say(f"  It says what {words} says: {_share(one['ceiling'][kind])}.")
    for category, part in one["per_category"].items():
        if part["n"]:
            say(f"  {category or 'no class'}: {_share(part['accuracy'])}, kappa {_number(part['kappa'])}")


def _tell_rank(rank: Mapping[str, Any]) -> None:
    tau = "" if rank["tau"] is None else f", Kendall's tau {rank['tau']:.2f}"
    say(f"Rank by people and by judges on the same {rank['n']:,} pairs{tau}:")
    for name, one in rank["systems"].items():
        say(
            f"  {name}: people {one['people_rank']} ({100 * one['people']:.0f} %), judges {one['judge_rank']} "
            f"({100 * one['judge']:.0f} %)"
        )


def _tell_calibrated(one: Mapping[str, Any]) -> None:
    say(f"{one['system']} against {one['reference']}, by people with the judge's help, over all questions:")
    for kind, unit in (("win_rate", "%"), ("difference", "points")):
        part = one[kind]
        if part is None:
            continue
        by_people = f"{part['n']:,} questions of people alone: {_figure(part, 'human', unit)}"
        say(f"  {kind.replace('_', ' ')} {_figure(part, '', unit)}; {by_people}; judge {_value(part['judge'], unit)}")


def _figure(part: Mapping[str, Any], prefix: str, unit: str) -> str:
    names = (prefix, f"{prefix}_low", f"{prefix}_high") if prefix else ("value", "low", "high")
    value, low, high = (part[name] for name in names)
    if low is None:
        return f"{_value(value, unit)} (too few for an interval)"
    return f"{_value(value, unit)} ({_value(low, unit)} to {_value(high, unit)})"


def _value(value: float, unit: str) -> str:
    return f"{100 * value:.0f} %" if unit == "%" else f"{value:+.2f}".replace("-", "−")


def _share(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "unknown"
    low, high = one["interval"] or (0.0, 1.0)
    return f"{100 * one['value']:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of {one['n']:,}"


def _left(one: Mapping[str, Any]) -> str:
    if one["left_share"] is None:
        return "never tested"
    low, high = one["interval"]
    return f"{100 * one['left_share']:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of {one['left'] + one['right']:,}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}".replace("-", "−")
