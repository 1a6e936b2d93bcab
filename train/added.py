"""`added.jsonl`: the pieces that `train tokenizer extend` added to a tokenizer, and what each of them replaces.

In: the file. Out: an `Added`, checked, which tells where new embedding rows stand and of which old rows they are the
mean. No torch is needed. Price: it is read whole, 0.1 s for 20,000 pieces.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.errors import InputError, UsageError

ADDED: Final = "added.jsonl"


@dataclass(frozen=True, slots=True)
class Added:
    """Pieces with the ids first, first + 1, …"""

    path: Path
    first: int
    pieces: list[str]  # as the tokenizer's file writes them
    base_ids: list[list[int]]  # how the base writes the text of each

    @property
    def size(self) -> int:
        """Ids of the tokenizer that has them."""
        return self.first + len(self.pieces)


def read_added(path: Path) -> Added:
    """The list in a file. UsageError: there is no such file. InputError: it is no list of added pieces."""
    try:
        rows: list[Any] = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        ids = [int(row["id"]) for row in rows]
        pieces = [str(row["piece"]) for row in rows]
        base_ids = [[int(number) for number in row["base_ids"]] for row in rows]
    except OSError as error:
        raise UsageError(
            f"Cannot read {path}: {error.strerror}; give the {ADDED} of `train tokenizer extend`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:  # orjson's errors are ValueErrors
        raise InputError(
            f"{path} is no list of added pieces: {error}; give that of `train tokenizer extend`."
        ) from error
    if not rows or any(not base or min(base) < 0 for base in base_ids):
        raise InputError(f"{path} has no pieces, or one without base_ids; give that of `train tokenizer extend`.")
    if ids != list(range(ids[0], ids[0] + len(ids))):
        raise InputError(f"The ids of {path} do not follow one another; give that of `train tokenizer extend`.")
    if any(base >= ids[0] for some in base_ids for base in some):
        raise InputError(f"{path} begins at the id {ids[0]:,}, but has base_ids above; it was edited.")
    return Added(path, ids[0], pieces, base_ids)
