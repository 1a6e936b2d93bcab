"""Answers that are JSON by construction: at each token only what a schema still allows can be chosen.

In: a JSON schema, a tokenizer. Out: a constraint for `train.generate`. llguidance does the work (extra [json]): it
knows which of 49,152 tokens may come next in 0.1 ms, whatever bytes they stand for. Between the parts of an object at
most one space or one indented line is allowed, for small models love to write blanks for ever. Price: a keyword of JSON
Schema that it does not know is refused, never passed over; 0.3 s for the vocabulary, once.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import numpy as np
import orjson
import torch
from torch import Tensor

from runkit.errors import UsageError
from train.pieces import Tokenizer
from train.sampling import RequestError

_LIBRARY: ModuleType | None
try:
    import llguidance
except ImportError:  # the extra is not installed
    _LIBRARY = None
else:
    _LIBRARY = llguidance
_OPTIONS: Final = {"whitespace_pattern": r"\x20|\n\x20{0,16}"}
_MOST_SCHEMA_BYTES: Final = 65_536


class JsonConstraint:
    """One answer on its way; made by `JsonMaker`."""

    def __init__(self, matcher: Any, size: int, end_ids: frozenset[int]) -> None:
        self._matcher, self._size = matcher, size
        self._ends = torch.tensor(sorted(end_ids), dtype=torch.long)

    @property
    def done(self) -> bool:
        """The JSON is whole, and nothing can follow."""
        self._check()
        return bool(self._matcher.is_stopped())

    def allowed(self, ids: Sequence[int]) -> Tensor:
        """Which ids may come behind the answer, (V,) of bool; those that end it only where it may end."""
        bits = np.frombuffer(self._matcher.compute_logit_bias(), np.uint8)[: self._size]
        self._check()
        mask = torch.from_numpy(bits > 0)
        mask[self._ends] = bool(self._matcher.is_accepting())
        return mask

    def accept(self, id: int) -> None:
        """`id` was chosen."""
        self._matcher.consume_token(id)
        self._check()

    def _check(self) -> None:
        """RequestError: the schema turned out to be too much work. llguidance would end the answer, unfinished."""
        if self._matcher.is_error():
            raise RequestError(f"The schema cannot be followed: {_line(self._matcher.get_error())}.")


class JsonMaker:
    """Constraints for one tokenizer, which is read once."""

    def __init__(self, tokenizer: Tokenizer, end_ids: frozenset[int]) -> None:
        """UsageError: the extra is not installed, or nothing could end an answer."""
        if _LIBRARY is None:
            raise UsageError("Answers as JSON need llguidance; install it with: pip install 'wenhai[json]'.")
        if not end_ids:
            raise UsageError("Answers as JSON need a tokenizer with a token that ends a text.")
        self.tokenizer, self.end_ids = tokenizer, end_ids
        wrapped = _LIBRARY.TokenizerWrapper(_Described(tokenizer, min(end_ids)))
        self._library = _LIBRARY.LLTokenizer(wrapped, eos_token=sorted(end_ids))

    def constraint(self, schema: Mapping[str, Any]) -> JsonConstraint:
        """For one answer. UsageError: the schema is wrong, too large, or asks for what is not supported."""
        assert _LIBRARY is not None
        data = orjson.dumps(schema)
        if len(data) > _MOST_SCHEMA_BYTES:
            raise UsageError(f"The schema is larger than {_MOST_SCHEMA_BYTES:,} bytes.")
        try:
            grammar = _LIBRARY.LLMatcher.grammar_from_json_schema(data.decode(), overrides=_OPTIONS)
        except ValueError as error:
            raise UsageError(f"The schema cannot be used: {_line(error)}.") from None
        matcher = _LIBRARY.LLMatcher(self._library, grammar, log_level=0)
        if matcher.is_error():
            raise UsageError(f"The schema cannot be used: {_line(matcher.get_error())}.")
        if matcher.is_stopped() or not any(matcher.compute_logit_bias()):
            raise UsageError("The schema allows no answer.")
        return JsonConstraint(matcher, self.tokenizer.size, self.end_ids)


class _Described:
    """The tokenizer as llguidance asks for it."""

    def __init__(self, tokenizer: Tokenizer, eos: int) -> None:
        table = tokenizer.piece_bytes
        self.eos_token_id, self.bos_token_id = eos, tokenizer.special.bos
        self.special_token_ids = [number for number, data in enumerate(table) if not data]
        self.tokens = [data or f"<|{number}|>".encode() for number, data in enumerate(table)]
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text).tolist()
        return found


def _line(error: object) -> str:
    """The first lines of a message as one, without the library's own state behind it."""
    text = " ".join(str(error).partition("<state>")[0].split("\n\n")[0].split())
    return (text if len(text) <= 300 else text[:299] + "…").rstrip(".")
