"""Wording of the page about a comparison, in English and Chinese."""

from collections.abc import Mapping
from typing import Any, Final

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "better": "{system} is better than {reference}",
        "worse": "{reference} is better than {system}",
        "cannot_tell": "Cannot tell {system} and {reference} apart; needs about {questions} questions",
        "cannot_tell_ever": "Cannot tell {system} and {reference} apart; they come out even",
        "nothing": "Nothing to compare",
        "several": "Of {count} systems {better} better than {reference}, {worse} worse, {open} cannot be told",
    },
    "zh": {},
}


def headline(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The one line that a reader wants."""
    verdict = found["verdict"]
    if verdict["answer"] == "several":
        counts = {
            name: len(verdict[key]) for name, key in (("better", "better"), ("worse", "worse"), ("open", "cannot_tell"))
        }
        return words["several"].format(count=len(found["systems"]), reference=verdict["reference"], **counts)
    if verdict["system"] is None:
        return words["nothing"]
    key = verdict["answer"]
    if key == "cannot_tell" and verdict["needs_questions"] is None:
        key = "cannot_tell_ever"
    needs = verdict["needs_questions"]
    return words[key].format(
        system=verdict["system"], reference=verdict["reference"], questions="" if needs is None else f"{needs:,}"
    )
