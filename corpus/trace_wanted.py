"""Which documents are meant: by address, host, id, or the record of a dump that they were made of.

In: one text. Out: a condition on the columns of documents, cheap enough for every row, and a test for the few rows that
pass it. An address is also found as other dumps spell it (`corpus/urls.py` says what counts as the same); a host stands
for all hosts below it too. Price: 0.1 s for a million addresses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from corpus.urls import normalize_url, url_host

Kind = Literal["url", "host", "document", "record", "dump"]
_RECORD: Final = re.compile(r"(.+)[:#](\d+)(?:\+\d+)?", re.DOTALL)
_HOST: Final = re.compile(r"[^\s/:#?@]+\.[^\s/:#?@.]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some documents. `condition` takes the columns `id`, `origin`, `url`; `test` says it for sure of one row."""

    kind: Kind
    text: str
    condition: pl.Expr
    test: Callable[[str, str, str | None], bool]


def by_url(text: str) -> Wanted:
    """An address, and what counts as the same one."""
    key, host = normalize_url(text), url_host(text)

    def test(_id: str, _origin: str, url: str | None) -> bool:
        return url == text or bool(key and url and normalize_url(url) == key)

    condition = pl.col("url") == text
    if key and host.isascii() and not host.startswith("xn--") and ".xn--" not in host:
        condition |= pl.col("url").str.contains("(?i)" + pl.escape_regex(host.removeprefix("www.")))
    elif key:  # it may be written in other scripts there
        condition |= pl.col("url").str.contains("(?i)xn--|[^\\x00-\\x7f]")
    return Wanted("url", text, condition, test)


def by_host(text: str) -> Wanted:
    """A host and all below it."""
    host = url_host(f"http://{text}") or text.lower()

    def test(_id: str, _origin: str, url: str | None) -> bool:
        found = url_host(url) if url else ""
        return found == host or found.endswith("." + host)

    condition = pl.col("url").str.contains("(?i)" + pl.escape_regex(host))
    if "xn--" in host:
        condition |= pl.col("url").str.contains("[^\\x00-\\x7f]")
    return Wanted("host", text, condition, test)


def by_id(text: str) -> Wanted:
    """A document's id."""
    return Wanted("document", text, pl.col("id") == text, lambda id, _origin, _url: id == text)


def by_record(file: str, offset: int) -> Wanted:
    """A record of a dump: the end of its file's path, and where it begins."""
    pattern = re.compile(rf"(?:.*/)?{re.escape(file)}#{offset}(?:\+\d+)?", re.DOTALL)
    condition = pl.col("origin").str.contains(rf"#{offset}(?:\+\d+)?$")
    return Wanted("record", f"{file}#{offset}", condition, lambda _id, origin, _url: bool(pattern.fullmatch(origin)))


def by_dump(name: str) -> Wanted:
    """All records of one input of `corpus clean`, by the name that the run gives it."""
    condition = pl.col("origin").str.starts_with(f"{name}#")
    return Wanted("dump", name, condition, lambda _id, origin, _url: origin.rpartition("#")[0] == name)


def as_record(text: str) -> tuple[str, int] | None:
    """`FILE:OFFSET` or `FILE#OFFSET`."""
    found = _RECORD.fullmatch(text)
    return (found[1], int(found[2])) if found is not None and len(found[2]) <= 18 else None


def looks_like_host(text: str) -> bool:
    """Whether this may be the name of a host."""
    return _HOST.fullmatch(text) is not None
