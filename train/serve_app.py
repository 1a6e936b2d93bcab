"""The paths of `train serve`: requests in, answers of the engine out, whole or as server-sent events.

In: a `Service`, that is a model with its engine and templates. Out: a guarded app. A prompt is encoded, a schema read
and an echoed prompt scored in threads beside the loop, so that a long one delays nobody's next token. When the
sender leaves, its answers are given up at once, streamed or not. Price: the log-probabilities of an echoed prompt take
a pass of their own, beside the one that begins the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runkit.errors import UsageError
from runkit.page import Access, Guard, HttpError, Limits, Receive, Scope, Send, guarded, json_response, page_response
from runkit.page_policy import static_policy
from runkit.plain_prompts import PlainPrompt
from train.chat_template import FILE, NAMED, ChatTemplate
from train.constrained import JsonMaker
from train.generate import Piece, RequestError, Sampling, score
from train.mcq_prompts import begin_id
from train.model import Model
from train.pieces import Tokenizer
from train.serve_answers import Answers, Ask, Desk
from train.serve_protocol import ChatRequest, CompletionRequest, Wish, read_chat, read_completion
from train.serve_replies import Offsets, Told, Usage, Writer

PAGE: Final = Path(__file__).parent / "chat_page.html"
_EVENTS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


@dataclass(slots=True, eq=False)
class Service:
    """A model as it is served. `template` None: a base model, which `plain_prompt` is for."""

    name: str
    model: Model
    tokenizer: Tokenizer
    template: ChatTemplate | None
    plain_prompt: PlainPrompt
    desk: Desk
    created: int
    beside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "beside"))
    _maker: JsonMaker | None = None

    @property
    def seq_len(self) -> int:
        return self.desk.engine.seq_len

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids behind which a text is over."""
        eos = self.tokenizer.special.eos
        ends = frozenset() if eos is None else frozenset([eos])
        return ends if self.template is None else ends | self.template.end_ids

    @property
    def template_name(self) -> str | None:
        """One of ours by name, the model's own by that of its file; where it lies is nobody's business."""
        if self.template is None:
            return None
        return next((name for name, text in NAMED.items() if text == self.template.text), FILE)

    def about(self) -> dict[str, Any]:
        """The model as /v1/models tells it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "wenhai",
            "max_model_len": self.seq_len,
            "parameters": self.model.config.parameters,
            "chat_template": self.template_name,
            "plain_prompt": self.plain_prompt.record(),
        }

    def check_model(self, name: str | None) -> None:
        """HttpError 404: another model is asked for."""
        if name not in (None, self.name):
            shown = (name or "")[:100]
            raise HttpError(
                404, f"There is no model {shown} here; this server has {self.name}.", "model", "model_not_found"
            )

    def maker(self) -> JsonMaker:
        """Made when JSON is asked for the first time. UsageError: the extra is not installed."""
        self._maker = self._maker or JsonMaker(self.tokenizer, self.end_ids)
        return self._maker

    def asks(self, wish: Wish, prompts: Sequence[Sequence[int]], most: int | None) -> list[Ask]:
        """`n` answers to each prompt; `most`: tokens of an answer, None: all that there is room for."""
        found = []
        for prompt in prompts:
            for number in range(wish.n):
                constraint = None if wish.schema is None else self.maker().constraint(wish.schema)
                sampling = Sampling(
                    max_tokens=most if most is not None else self.seq_len,
                    temperature=wish.temperature,
                    top_p=wish.top_p,
                    top_k=wish.top_k,
                    repetition_penalty=wish.repetition_penalty,
                    presence_penalty=wish.presence_penalty,
                    frequency_penalty=wish.frequency_penalty,
                    stop=wish.stop,
                    end_ids=self.end_ids,
                    seed=None if wish.seed is None else wish.seed + number,
                    logprobs=wish.logprobs,
                    constraint=constraint,
                )
                found.append(Ask(prompt, sampling))
        return found

    def check_length(self, ids: Sequence[int], param: str) -> None:
        """HttpError 400: nothing to go on from, an id that is none, or no room for an answer."""
        if not ids:
            raise HttpError(400, f"{param} is empty, and this model has no token that begins a text.", param)
        if min(ids) < 0 or max(ids) >= self.tokenizer.size:
            raise HttpError(400, f"{param} has an id outside of 0 to {self.tokenizer.size - 1:,}.", param)
        if len(ids) >= self.seq_len:
            raise HttpError(
                400,
                f"{param} has {len(ids):,} tokens and leaves no room for an answer: the model reads and writes "
                f"{self.seq_len:,} in all. Shorten it.",
                param,
                "context_length_exceeded",
            )


@dataclass(frozen=True, slots=True)
class _Job:
    """A request that is ready to be computed."""

    writer: Writer
    wish: Wish
    asks: list[Ask]
    prompt_tokens: int
    heads: list["_Head"]  # what stands before each answer: an echoed prompt, or nothing


@dataclass(slots=True)
class _Head:
    """An echoed prompt with its tokens; empty where none is wanted."""

    text: str = ""
    tokens: list[Told] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    at: Offsets = field(default_factory=Offsets)


def serving_app(service: Service, access: Access, limits: Limits, log: bool) -> Guard:
    """The app of a model."""
    page = PAGE.read_bytes()
    policy = static_policy(page)

    async def models(request: Request) -> Response:
        return json_response({"object": "list", "data": [service.about()]})

    async def model(request: Request) -> Response:
        service.check_model(request.path_params["name"])
        return json_response(service.about())

    async def health(request: Request) -> Response:
        engine = service.desk.engine
        return json_response({"status": "ok", "active": engine.active, "waiting": engine.waiting})

    async def chat_page(request: Request) -> Response:
        return page_response(page, policy)

    routes = [
        Route("/", chat_page),
        Route("/health", health),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/v1/chat/completions", _Endpoint(service, _chat_job), methods=["POST"]),
        Route("/v1/completions", _Endpoint(service, _completion_job), methods=["POST"]),
    ]
    return guarded(routes, access, limits, log)


def _chat_job(service: Service, data: bytes) -> _Job:
    request: ChatRequest = read_chat(data)
    wish = request.wish
    service.check_model(wish.model)
    if service.template is None:
        raise HttpError(
            400,
            f"{service.name} is a base model without a chat template; use /v1/completions, for which /v1/models tells "
            "a plain prompt.",
            code="no_chat_template",
        )
    ids = service.template.question(request.turns).tolist()
    service.check_length(ids, "messages")
    service.desk.check(wish.n)
    writer = Writer("chat", service.name, service.tokenizer, wish.logprobs)
    asks = service.asks(wish, [ids], wish.max_tokens)
    return _Job(writer, wish, asks, len(ids), [_Head() for _ in asks])


def _completion_job(service: Service, data: bytes) -> _Job:
    request: CompletionRequest = read_completion(data)
    wish = request.wish
    service.check_model(wish.model)
    prompts = [prompt_ids(service, prompt, request.special) for prompt in request.prompts]
    for ids in prompts:
        service.check_length(ids, "prompt")
    service.desk.check(len(prompts) * wish.n)
    writer = Writer("text", service.name, service.tokenizer, wish.logprobs)
    asks = [] if wish.max_tokens == 0 else service.asks(wish, prompts, wish.max_tokens)
    heads = [_echoed(service, ids, wish.logprobs) if request.echo else _Head() for ids in prompts]
    heads = [_copy(head) for head in heads for _ in range(wish.n)]
    return _Job(writer, wish, asks, sum(map(len, prompts)), heads)


def _copy(head: _Head) -> _Head:
    """For `n` answers behind the same prompt; each goes on counting by itself."""
    return _Head(head.text, head.tokens, head.offsets, Offsets(head.at.at))


def prompt_ids(service: Service, prompt: str | tuple[int, ...], special: bool) -> list[int]:
    """Ids of a prompt as a document begins in training; `special`: with the token that begins a text, if it is text."""
    if not isinstance(prompt, str):
        return list(prompt)
    ids: list[int] = service.tokenizer.encode(prompt).tolist()
    begin = begin_id(service.tokenizer, None) if special else None
    if begin is None and not ids:
        begin = service.tokenizer.special.eos  # behind the end of a text another one begins
    return ids if begin is None else [begin, *ids]


def _echoed(service: Service, ids: Sequence[int], logprobs: int | None) -> _Head:
    text = service.tokenizer.decode(ids)
    if logprobs is None:
        return _Head(text, at=Offsets(len(text)))
    given, likeliest = score(service.model, ids, logprobs)
    tokens = [Told(ids[0], None, ())]
    tokens += [Told(id, value, top) for id, value, top in zip(ids[1:], given, likeliest, strict=True)]
    head = _Head(text, tokens)
    pieces = [service.tokenizer.piece_bytes[id] for id in ids]
    if service.tokenizer.strips_space:  # the space before a text is no part of it
        first = next((number for number, piece in enumerate(pieces) if piece), 0)
        pieces[first] = pieces[first].removeprefix(b" ")
    head.offsets = head.at.take(pieces)
    head.at.at = len(text)
    return head


class _Endpoint:
    """One path that makes answers, as an ASGI app: it has to know when the sender leaves."""

    def __init__(self, service: Service, prepare: Callable[[Service, bytes], _Job]) -> None:
        self.service, self.prepare = service, prepare

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = (await receive())["body"]
        await _while_there(receive, self._answer(data, scope, receive, send))

    async def _answer(self, data: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            job = await loop.run_in_executor(self.service.beside, self.prepare, self.service, data)
        except (UsageError, RequestError) as error:
            raise HttpError(400, str(error)) from None
        with self.service.desk.answers(job.asks, live=job.wish.stream) as answers:
            if job.wish.stream:
                await _stream(job, answers, send)
            else:
                reply = await _whole(job, answers)
                await json_response(reply)(scope, receive, send)


async def _whole(job: _Job, answers: Answers) -> dict[str, Any]:
    texts = [[head.text] for head in job.heads]
    tokens = [list(head.tokens) for head in job.heads]
    offsets = [list(head.offsets) for head in job.heads]
    finish: list[str | None] = ["length"] * len(job.heads)  # where no token was wanted
    usage = Usage(job.prompt_tokens)
    async for number, piece in answers.pieces():
        texts[number].append(piece.text)
        tokens[number] += _told(piece)
        offsets[number] += job.heads[number].at.take(token.bytes for token in piece.tokens)
        if piece.finish is not None:
            finish[number] = piece.finish
            usage.completion += piece.count
    choices = [
        job.writer.choice(number, "".join(texts[number]), finish[number], tokens[number], offsets[number])
        for number in range(len(job.heads))
    ]
    return job.writer.whole(choices, usage)


async def _stream(job: _Job, answers: Answers, send: Send) -> None:
    """Server-sent events; what fails on the way is one of them."""
    await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
    told, writer, usage = job.wish.include_usage, job.writer, Usage(job.prompt_tokens)
    try:
        for number, head in enumerate(job.heads):
            if writer.kind == "chat":
                await _event(send, writer.first(number, told))
            elif head.text or not job.asks:
                finish = None if job.asks else "length"
                await _event(send, writer.part(number, head.text, finish, head.tokens, head.offsets, told))
        async for number, piece in answers.pieces():
            offsets = job.heads[number].at.take(token.bytes for token in piece.tokens)
            usage.completion += piece.count if piece.finish is not None else 0
            await _event(send, writer.part(number, piece.text, piece.finish, _told(piece), offsets, told))
        if told:
            await _event(send, writer.last(usage))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
    except HttpError as error:
        await _event(send, error.body())
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _event(send: Send, value: object) -> None:
    await send({"type": "http.response.body", "body": b"data: " + orjson.dumps(value) + b"\n\n", "more_body": True})


def _told(piece: Piece) -> list[Told]:
    return [Told(token.id, token.logprob, token.top) for token in piece.tokens]


async def _while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until it is done or the sender has left, whichever comes first."""
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(receive))
    both: set[Awaitable[None]] = {task, left}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    finally:
        left.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if not task.cancelled():
        task.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
