"""What is asked of a model and what comes back, without any network: requests, replies, and what an error means.

In: a `Request` and a `Model`, or the status and bytes of an HTTP reply. Out: the canonical body and its key; a
`Reply`, or a `Trouble` that says whether to try again, to give this item up, or to stop. Replies are parsed strictly:
text is never empty and never an error message. Price: 20 µs a call.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from runkit.console import printable
from runkit.errors import UsageError
from runkit.models import Model

Message = Mapping[str, Any]  # role and content


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of /chat/completions; what is None is left to the model's entry, then to the endpoint."""

    messages: Sequence[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] | None = None
    response_format: Mapping[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    repetition: int = 0  # a different number is a different call, with the same bytes

    def body(self, model: Model) -> dict[str, Any]:
        """The JSON object that is sent."""
        limit = self.max_tokens if self.max_tokens is not None else model.max_tokens
        fields = {
            "model": model.model,
            "messages": list(self.messages),
            model.max_tokens_field: limit,
            "temperature": self.temperature if self.temperature is not None else model.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": list(self.stop) if self.stop is not None else None,
            "response_format": self.response_format,
            "logprobs": self.logprobs,
            "top_logprobs": self.top_logprobs,
        }
        return {key: value for key, value in fields.items() if value is not None} | model.extra_body


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as it goes over the wire."""

    key: str  # sha256 of URL, body and repetition, in hex
    body: dict[str, Any]
    bytes: bytes  # of the body, canonical
    most_completion: int | None  # tokens the reply can have; None: nothing limits it


def prepare(request: Request, model: Model) -> Prepared:
    """The canonical request and its key. UsageError: it cannot be written as JSON."""
    body = request.body(model)
    try:
        data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise UsageError(f"A request cannot be written as JSON: {error}; correct the texts or `extra_body`.") from error
    head = orjson.dumps({"url": model.url, "repetition": request.repetition}, option=orjson.OPT_SORT_KEYS)
    limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return Prepared(
        key=hashlib.sha256(head + b"\n" + data).hexdigest(),
        body=body,
        bytes=data,
        most_completion=max((limit for limit in limits if isinstance(limit, int)), default=None),
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer of the model: `text` is never empty, but may be cut (`finish_reason` "length")."""

    text: str
    finish_reason: str | None
    usage: Usage | None
    cost_usd: float  # of all attempts of this call
    call_id: str  # the key in the ledger, the same in every run
    raw: bytes  # the body as it came


FailureKind = Literal["content_filter", "bad_request", "refusal", "empty", "bad_reply", "timeout", "connection", "http"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that has no answer and will get none in this run."""

    kind: FailureKind
    message: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt brought no answer.

    `then`: "retry"; "fail" this call alone; "stop" the whole run. `billed`: the provider may want money for it.
    """

    outcome: str  # for the ledger: http_429, timeout, empty …
    kind: FailureKind
    message: str
    then: Literal["retry", "fail", "stop"]
    billed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a good body holds."""

    text: str
    finish_reason: str | None
    usage: Usage | None


_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|credit|funds)|exceeded your current quota|arrear|billing_(hard|not)|"
    r"余额不足|欠费|account.{0,20}(overdue|deactivated)|\"code\": ?\"?1113",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"content[_ ]?(filter|policy|management)|data_?inspection_?failed|content exists risk|"
    r"sensitive[ _](words?|content|info)|moderation|flagged|敏感|不安全|违规|内容安全|responsible_?ai|"
    r"\"code\": ?\"?1301",
    re.IGNORECASE,
)
_STOP_STATUS: Final = {401, 402, 403, 404, 405, 410, 501}
_RETRY_STATUS: Final = {408, 409, 425, 429}
_CONTENT_STATUS: Final = {400, 403, 422, 451}
MESSAGE_CHARS: Final = 300


def trouble_of_status(status: int, body: bytes) -> Trouble:
    """What a status other than 2xx means; the first 64 kB of the body are looked at."""
    message = error_message(body)
    text = _plain(body)
    outcome = f"http_{status}"
    said = f"{status}: {message}" if message else f"status {status}"
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(text)):
        return Trouble("quota", "http", said, "stop")
    if status in _CONTENT_STATUS and _CONTENT.search(text):
        return Trouble("content_filter", "content_filter", said, "fail")
    if status in _STOP_STATUS or 300 <= status < 400:
        return Trouble(outcome, "http", said, "stop")
    if status in _RETRY_STATUS or status >= 500 or status < 200:
        return Trouble(outcome, "http", said, "retry")
    return Trouble(outcome, "bad_request", said, "fail")


def _plain(body: bytes) -> str:
    """An error as one text, without JSON's escapes: half of the words looked for are Chinese."""
    try:
        return orjson.dumps(orjson.loads(body[:65536])).decode()
    except orjson.JSONDecodeError:
        return body[:65536].decode("utf-8", "replace")


def error_message(body: bytes) -> str:
    """What the endpoint says of its error: one short line, made safe for a terminal."""
    text = body[:65536].decode("utf-8", "replace")
    try:
        value = orjson.loads(body[:65536])
    except orjson.JSONDecodeError:
        value = None
    while isinstance(value, dict):
        value = next((value[key] for key in ("error", "message", "detail", "msg") if key in value), None)
    if isinstance(value, str):
        text = value
    elif "<html" in text.lower():
        text = ""
    line = " ".join(printable(text).split())
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…"


def read_body(body: bytes) -> tuple[Answer | Trouble, Usage | None]:
    """The answer in a body of status 200, or why there is none; and the usage, where the body tells it."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Trouble("bad_json", "bad_reply", "the reply is not JSON", "retry", billed=True), None
    if not isinstance(value, dict):
        return Trouble("bad_json", "bad_reply", "the reply is no JSON object", "retry", billed=True), None
    usage = _usage(value.get("usage"))
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return _no_choice(value, body), usage
    reason = choices[0].get("finish_reason")
    reason = reason if isinstance(reason, str) else None
    message = choices[0].get("message")
    message = message if isinstance(message, dict) else {}
    if reason in ("content_filter", "sensitive"):
        stopped = "the endpoint's content filter stopped the answer"
        return Trouble("content_filter", "content_filter", stopped, "fail", billed=True), usage
    text = _text(message.get("content"))
    if not text.strip():
        if isinstance(message.get("refusal"), str) and message["refusal"].strip():
            refused = f"the model refused: {error_message(message['refusal'].encode('utf-8', 'replace'))}"
            return Trouble("refusal", "refusal", refused, "fail", billed=True), usage
        # Asking again with the same limit would be cut at the same place.
        then: Literal["fail", "retry"] = "fail" if reason == "length" else "retry"
        cut = "is empty at max_tokens; what came before may have been reasoning"
        said = f"the answer {cut if reason == 'length' else 'is empty'}"
        return Trouble("empty", "empty", said, then, billed=True), usage
    return Answer(text, reason, usage), usage


def _no_choice(value: dict[str, Any], body: bytes) -> Trouble:
    """Some gateways send their errors with status 200."""
    if value.get("error"):
        text, message = _plain(body), error_message(body) or "an error without a word"
        if _QUOTA.search(text):
            return Trouble("quota", "http", message, "stop")
        if _CONTENT.search(text):
            return Trouble("content_filter", "content_filter", message, "fail")
        return Trouble("error_in_reply", "bad_reply", message, "retry", billed=True)
    return Trouble("no_choices", "bad_reply", "the reply holds no choices", "retry", billed=True)


def _text(content: Any) -> str:
    """The content as text; some endpoints send it in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**40 for n in (prompt, completion)):
        return None
    return Usage(prompt, completion)  # type: ignore[arg-type]  # looked at in the line above
