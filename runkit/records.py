"""One document as every stage sees it, and what is decided by its id alone.

In: an id or an origin. Out: a `Document`, a fallback id, and two fair choices. A choice is a hash of the id, so it
is the same in every run, for any number of workers, and in whatever order the documents come. Price: 1 µs each.
"""

import hashlib
import math
from typing import NamedTuple


class Document(NamedTuple):
    """Clean text with its origin; docs/formats.md describes the columns of the same names.

    A tuple, for a frozen dataclass takes 2 µs more to make.
    """

    id: str
    origin: str  # "<file>#<byte offset or row>", in the set that was read; unique there
    text: str
    url: str | None
    source: str
    language: str | None
    date: str | None
    meta: str  # a JSON object


def id_of(origin: str) -> str:
    """The id of a record that brings none: 96 bits, so one collision is expected beyond 10^14 documents."""
    return hashlib.blake2b(origin.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def id_of_text(text: str) -> str:
    """The id of a document that brings none: the same wherever the text lies, however the set is named and cut."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def held_out_hash(id: str) -> int:
    """What `held_out` compares, below 2^64; kept where the ids themselves are not at hand."""
    digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8, person=b"held-out")
    return int.from_bytes(digest.digest(), "little")


def held_out(id: str, share: float) -> bool:
    """Is this document kept from training, to measure on? True for about `share` of all ids."""
    return held_out_hash(id) < held_out_bound(share)


def held_out_bound(share: float) -> int:
    """Documents whose `held_out_hash` is below this are held out. Exact: the share's 53 bits times a power of two."""
    return math.ceil(share * 2**64)


def sampled(id: str, share: float, seed: int = 0) -> bool:
    """Is this document in a sample of `share`? Says nothing about `held_out`: the two hashes are independent."""
    key = seed.to_bytes(8, "little")
    digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8, key=key)
    return int.from_bytes(digest.digest(), "little") < share * 2**64
