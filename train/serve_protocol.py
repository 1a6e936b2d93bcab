"""Requests in OpenAI's protocol: bytes to records whose every field has been looked at.

In: the body of a POST. Out: a `ChatRequest` or a `CompletionRequest`, or an `HttpError` 400 that names the field.
Nothing is passed over in silence: fields that OpenAI has and that change nothing here are known by name, those that we
cannot do are refused, and so is a field that nobody knows, as OpenAI does. `top_k`, `repetition_penalty` and
`add_special_tokens` are vLLM's. null is the same as absent. Price: an unknown field of a newer client has to be left
out of its requests.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from runkit.page import HttpError

Turn = tuple[str, str]
MOST_MESSAGES: Final = 1000  # laying a dialogue out takes time with the square of its turns: 0.5 s
_MOST_STOPS, _MOST_STOP_CHARS = 16, 1000
_MOST_TOP: Final = 20
_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# Say who asks or how it is billed; an answer is the same with and without.
_HARMLESS: Final = frozenset(
    "user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention verbosity".split()  # noqa: SIM905
)
# Field -> the values that ask for nothing.
_UNABLE: Final[Mapping[str, tuple[Any, ...]]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": ("none",),
    "suffix": ("",),
}
_SHARED: Final = frozenset(
    "model max_tokens temperature top_p top_k repetition_penalty presence_penalty frequency_penalty n stop seed "  # noqa: SIM905
    "stream stream_options logprobs response_format".split()
)
CHAT_FIELDS: Final = _SHARED | {"messages", "max_completion_tokens", "top_logprobs"}
COMPLETION_FIELDS: Final = _SHARED | {"prompt", "echo", "best_of", "add_special_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to sample, the same for both kinds of request."""

    model: str | None
    max_tokens: int | None
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    n: int
    stop: tuple[str, ...]
    seed: int | None
    stream: bool
    include_usage: bool
    logprobs: int | None  # alternatives of each token; None: no logprobs at all
    schema: Mapping[str, Any] | None  # of the JSON that the answer must be


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """POST /v1/chat/completions."""

    wish: Wish
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """POST /v1/completions."""

    wish: Wish
    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool
    special: bool  # put the token that begins a text before a prompt that is text


def read_chat(data: bytes) -> ChatRequest:
    """HttpError 400: the body is not such a request."""
    body = _Body(data, CHAT_FIELDS)
    limits = [body.whole(name, 1, 2**31) for name in ("max_completion_tokens", "max_tokens")]
    wanted, top = body.flag("logprobs"), body.whole("top_logprobs", 0, _MOST_TOP)
    if top and not wanted:
        raise HttpError(400, "top_logprobs needs logprobs to be true.", "top_logprobs")
    logprobs = (top or 0) if wanted else None
    wish = _wish(body, limits[0] if limits[0] is not None else limits[1], logprobs)
    return ChatRequest(wish, _turns(body.values.get("messages")))


def read_completion(data: bytes) -> CompletionRequest:
    """HttpError 400: the body is not such a request."""
    body = _Body(data, COMPLETION_FIELDS)
    echo = body.flag("echo")
    limit = body.whole("max_tokens", 0 if echo else 1, 2**31)
    wish = _wish(body, 16 if limit is None else limit, body.whole("logprobs", 0, _MOST_TOP))
    best_of = body.whole("best_of", 1, 128)
    if best_of not in (None, wish.n):
        raise HttpError(400, "best_of is not supported here; leave it out, or as large as n.", "best_of")
    if echo and wish.schema is not None:
        raise HttpError(400, "echo and response_format do not go together.", "echo")
    prompts = _prompts(body.values.get("prompt"))
    return CompletionRequest(wish, prompts, echo, body.flag("add_special_tokens", True))


class _Body:
    """The fields of a request; each is asked for by its kind."""

    def __init__(self, data: bytes, known: Collection[str]) -> None:
        try:
            values = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise HttpError(400, f"The body is no JSON: {error}.") from None
        if not isinstance(values, dict):
            raise HttpError(400, f"The body is {_kind(values)}, but must be a JSON object.")
        self.values: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        for name, value in self.values.items():
            if name in _UNABLE and value not in _UNABLE[name]:
                raise HttpError(400, f"{name} is not supported by this server; leave it out.", name)
            if name not in known and name not in _UNABLE and name not in _HARMLESS:
                near = difflib.get_close_matches(name[:100], known, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise HttpError(400, f"Unknown field {_short(name)}.{hint}", name[:100])

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise HttpError(400, f"{name} is {_kind(value)}, but must be true or false.", name)
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise HttpError(400, f"{name} is {_kind(value)}, but must be a whole number.", name)
        if not low <= value <= high:
            raise HttpError(400, f"{name} is {value}, but must be between {low} and {high}.", name)
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise HttpError(400, f"{name} is {_kind(value)}, but must be a number.", name)
        if not low <= value <= high:
            raise HttpError(400, f"{name} is {value:.6g}, but must be between {low:g} and {high:g}.", name)
        return float(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            raise HttpError(400, f"{name} is {_kind(value)}, but must be an object.", name)
        return value


def _wish(body: _Body, max_tokens: int | None, logprobs: int | None) -> Wish:
    model = body.values.get("model")
    if model is not None and not isinstance(model, str):
        raise HttpError(400, f"model is {_kind(model)}, but must be a string.", "model")
    stream = body.flag("stream")
    options = body.mapping("stream_options")
    if options and not stream:
        raise HttpError(400, "stream_options needs stream to be true.", "stream_options")
    unknown = set(options) - {"include_usage", "include_obfuscation"}
    if unknown:
        raise HttpError(400, f"stream_options does not have {_short(min(unknown))}.", "stream_options")
    include_usage = options.get("include_usage") or False
    if not isinstance(include_usage, bool):
        raise HttpError(400, "stream_options.include_usage must be true or false.", "stream_options")
    top_k = body.whole("top_k", -1, 2**31) or 0
    return Wish(
        model=model,
        max_tokens=max_tokens,
        temperature=body.number("temperature", 0, 2, 1.0),
        top_p=body.number("top_p", 0, 1, 1.0),
        top_k=max(top_k, 0),
        repetition_penalty=body.number("repetition_penalty", 0.01, 10, 1.0),
        presence_penalty=body.number("presence_penalty", -2, 2, 0.0),
        frequency_penalty=body.number("frequency_penalty", -2, 2, 0.0),
        n=body.whole("n", 1, 128) or 1,
        stop=_stops(body.values.get("stop")),
        seed=body.whole("seed", -(2**63), 2**64 - 1),
        stream=stream,
        include_usage=include_usage,
        logprobs=logprobs,
        schema=_schema(body.mapping("response_format")),
    )


def _stops(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise HttpError(400, f"stop is {_kind(value)}, but must be a string or a list of strings.", "stop")
    if len(given) > _MOST_STOPS:
        raise HttpError(400, f"stop has {len(given)} strings, but at most {_MOST_STOPS} are taken.", "stop")
    if any(not 0 < len(one) <= _MOST_STOP_CHARS for one in given):
        raise HttpError(400, f"A stop string has between 1 and {_MOST_STOP_CHARS:,} characters.", "stop")
    return tuple(given)


def _schema(form: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name = "response_format"
    kind = form.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        raise HttpError(400, f"{name}.type must be text, json_object or json_schema.", name)
    inner = form.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        raise HttpError(400, f"{name}.json_schema.schema must be an object: the schema.", name)
    return schema


def _turns(messages: Any) -> tuple[Turn, ...]:
    if messages is None:
        raise HttpError(400, "messages is missing.", "messages")
    if not isinstance(messages, list) or not messages:
        raise HttpError(400, "messages must be a list of one message or more.", "messages")
    if len(messages) > MOST_MESSAGES:
        raise HttpError(400, f"messages has {len(messages):,}, but at most {MOST_MESSAGES:,} are taken.", "messages")
    turns = tuple(_turn(message, f"messages[{number}]") for number, message in enumerate(messages))
    if turns[-1][0] != "user":
        raise HttpError(400, "The last message must be the user's.", "messages")
    return turns


def _turn(message: Any, place: str) -> Turn:
    if not isinstance(message, dict):
        raise HttpError(400, f"{place} is {_kind(message)}, but must be an object with role and content.", "messages")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        raise HttpError(400, f"{place}.role must be one of {', '.join(_ROLES)}.", "messages")
    if message.get("tool_calls") or message.get("function_call"):
        raise HttpError(400, f"{place} calls a tool, which this server does not support.", "messages")
    if isinstance(content, list):
        content = "".join(_part(part, place) for part in content)
    if not isinstance(content, str):
        raise HttpError(400, f"{place}.content is {_kind(content)}, but must be text.", "messages")
    return _ROLES[role], content


def _part(part: Any, place: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise HttpError(
            400, f"{place}.content holds a part that is not text; this server reads text alone.", "messages"
        )
    return str(part["text"])


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    """A string, a list of strings, a list of ids, or a list of lists of ids."""
    if value is None:
        raise HttpError(400, "prompt is missing.", "prompt")
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise HttpError(400, "prompt must be text, a list of texts, or one or more lists of token ids.", "prompt")
    if _are_ids(value):
        return (tuple(value),)
    if all(isinstance(one, str) for one in value):
        return tuple(value)
    if all(isinstance(one, list) and _are_ids(one) for one in value):
        return tuple(tuple(one) for one in value)
    raise HttpError(400, "prompt must hold nothing but texts, or nothing but token ids.", "prompt")


def _are_ids(values: Sequence[Any]) -> bool:
    return all(type(one) is int for one in values)


def _kind(value: Any) -> str:
    """For people: what was sent."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
