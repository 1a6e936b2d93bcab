"""JSON lines of which some are no document: what crawls and other programs leave in such files."""

import json
import random
from types import MappingProxyType

from tests.faults.texts import text

GOOD_LINES = 12
DEPTH = 100_000
# Each is one line that is no document, and why.
BAD_LINES = MappingProxyType(
    {
        b'{"text": "cut': "json.syntax",
        b"[1, 2, 3]": "json.not_an_object",
        b"null": "json.not_an_object",
        b'{"text": null}': "field.not_text",
        b'{"text": 5}': "field.not_text",
        b'{"title": "no text"}': "field.missing",
        b'{"text": "\\ud800"}': "json.lone_surrogate",
        b'{"text": "\xff\xfe"}': "json.invalid_utf8",
        b'{"text": "a\x00b"}': "json.nul",
        b'{"text": "a\\u0000b"}': "json.nul",
        b'{"number": ' + b"9" * 5_000 + b', "text": "a"}': "json.number_too_large",
        b'{"text": ' + b"[" * DEPTH + b"]" * DEPTH + b"}": "json.too_deep",
        b"\xef\xbb\xbf" + b'{"text": "a"}': "json.bom",
        b"not json at all": "json.syntax",
    }
)


def lines_with_faults(rng: random.Random) -> bytes:
    """The bad lines, two blank ones, and good ones before and behind them."""
    good = [json.dumps({"text": text(rng, 12)}, ensure_ascii=False).encode() for _ in range(GOOD_LINES)]
    mixed = [*good[:1], *BAD_LINES, *good[1:]]
    return b"\n".join([mixed[0], b"", b"   ", *mixed[1:]])
