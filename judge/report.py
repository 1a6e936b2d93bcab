"""The page about a comparison: which is better, how sure that is, and what to look at before believing it."""

from collections.abc import Mapping
from typing import Any

from judge.report_text import WORDS, headline
from judge.summary import Run
from runkit import report as r


def report(run: Run, found: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    return r.page(headline(found, WORDS[lang]), lang=lang)
