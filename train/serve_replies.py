"""Answers in OpenAI's protocol: pieces of text and tokens to the objects that clients read, whole or as chunks.

In: text, tokens, counts. Out: plain objects, to be written as JSON. A token whose bytes are no whole character is
written as OpenAI's completions write it, `bytes:\\xe4\\xbd`, so that no two tokens look alike for lack of a character.
Price: with 20 alternatives a token takes 1.5 kB.
"""

import codecs
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from train.pieces import Tokenizer

Kind = Literal["chat", "text"]
_OBJECTS = {"chat": "chat.completion", "text": "text_completion"}


@dataclass(frozen=True, slots=True)
class Told:
    """One token as it is told: its bytes, its log-probability (None: nothing stands before it), and the likeliest."""

    id: int
    logprob: float | None
    top: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class Usage:
    """Tokens that were read and written."""

    prompt: int
    completion: int = 0

    def record(self) -> dict[str, int]:
        total = self.prompt + self.completion
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": total}


class Writer:
    """The objects of one reply: the same id and moment in each."""

    def __init__(self, kind: Kind, model: str, tokenizer: Tokenizer, logprobs: int | None) -> None:
        self.kind, self.model, self.logprobs = kind, model, logprobs
        self.id = f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self._name = namer(tokenizer)
        self._bytes = tokenizer.piece_bytes

    def whole(self, choices: Sequence[dict[str, Any]], usage: Usage) -> dict[str, Any]:
        """The reply that does not stream."""
        return {**self._head(_OBJECTS[self.kind]), "choices": list(choices), "usage": usage.record()}

    def choice(
        self, index: int, text: str, finish: str | None, tokens: Sequence[Told], offsets: Sequence[int]
    ) -> dict[str, Any]:
        """One answer."""
        shown = self._shown(tokens, offsets)
        if self.kind == "chat":
            message = {"role": "assistant", "content": text, "refusal": None}
            return {"index": index, "message": message, "logprobs": shown, "finish_reason": finish}
        return {"index": index, "text": text, "logprobs": shown, "finish_reason": finish}

    def first(self, index: int, include_usage: bool) -> dict[str, Any]:
        """What a chat's stream begins with: whose text it is."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}], include_usage)

    def part(
        self,
        index: int,
        text: str,
        finish: str | None,
        tokens: Sequence[Told],
        offsets: Sequence[int],
        include_usage: bool,
    ) -> dict[str, Any]:
        """What came since the last chunk."""
        shown = self._shown(tokens, offsets)
        if self.kind == "chat":
            delta = {"content": text} if text or finish is None else {}
            choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": finish}
        else:
            choice = {"index": index, "text": text, "logprobs": shown, "finish_reason": finish}
        return self._chunk([choice], include_usage)

    def last(self, usage: Usage) -> dict[str, Any]:
        """The chunk with the usage, which has no choices."""
        return {**self._chunk([], True), "usage": usage.record()}

    def _chunk(self, choices: list[dict[str, Any]], include_usage: bool) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        return {**self._head(kind), "choices": choices, **({"usage": None} if include_usage else {})}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _shown(self, tokens: Sequence[Told], offsets: Sequence[int]) -> dict[str, Any] | None:
        if self.logprobs is None:
            return None
        if self.kind == "chat":
            return {"content": [self._chat_token(token) for token in tokens], "refusal": None}
        return {
            "tokens": [self._name(token.id) for token in tokens],
            "token_logprobs": [_finite(token.logprob) for token in tokens],
            "top_logprobs": [self._likeliest(token) for token in tokens] if self.logprobs else None,
            "text_offset": list(offsets),
        }

    def _chat_token(self, token: Told) -> dict[str, Any]:
        top = [self._one(id, logprob) for id, logprob in token.top[: self.logprobs]]
        return {**self._one(token.id, token.logprob), "top_logprobs": top}

    def _one(self, id: int, logprob: float | None) -> dict[str, Any]:
        return {"token": self._name(id), "logprob": _finite(logprob), "bytes": list(self._bytes[id])}

    def _likeliest(self, token: Told) -> dict[str, float | None] | None:
        """By name; the chosen one is always among them. Of two that look alike the likelier stays."""
        if token.logprob is None:
            return None
        found: dict[str, float | None] = {}
        for id, logprob in (*token.top[: self.logprobs], (token.id, token.logprob)):
            found.setdefault(self._name(id), _finite(logprob))
        return found


@dataclass(slots=True)
class Offsets:
    """Where each token begins in the text, in characters; one that is a part of a character begins where that does."""

    at: int = 0
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def take(self, pieces: Iterable[bytes]) -> list[int]:
        """Offsets of the tokens that come next."""
        found = []
        for piece in pieces:
            found.append(self.at)
            self.at += len(self._decoder.decode(piece))
        return found


def namer(tokenizer: Tokenizer) -> Callable[[int], str]:
    """How a token is called in a reply."""
    table = tokenizer.piece_bytes

    def name(id: int) -> str:
        data = table[id]
        if not data:
            return tokenizer.piece(id)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    return name


def _finite(logprob: float | None) -> float | None:
    """JSON has no infinity; -9999.0 is what OpenAI writes for what cannot be."""
    return None if logprob is None else max(logprob, -9999.0)
