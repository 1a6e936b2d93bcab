"""`train serve`: a model behind OpenAI's protocol, and a page to talk to it.

In: a run, a Hugging Face folder or a GGUF file. Out: an HTTP server on this machine until a signal ends it; with
`--json` one object on stdout as soon as it answers. Others are let in with a token from a file, never from the command
line, where every process can read it. Price: 8 MB for HTTP beside the model and its cache.
"""

import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.page import Access, Limits, read_token
from runkit.page_server import PageServer, listen, url_of
from runkit.plain_prompts import PLAIN_PROMPTS
from train.chat_template import chat_template, given_template
from train.convert import load_model
from train.generate import Engine
from train.number_types import DTYPES
from train.serve_answers import Desk
from train.serve_app import Service, serving_app

_NAME = re.compile(r"[\w.@:+/-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """What `train serve` and `train chat` say of the model that they load."""

    run: Path
    dtype: str = "fp32"
    threads: int | None = None
    seq_len: int | None = None
    slots: int = 8
    name: str | None = None
    template: str | None = None
    plain_prompt: str = "zh-qa"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCall:
    """The command line of `train serve`, parsed."""

    model: ModelCall
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    max_queue: int = 64
    limits: Limits = field(default_factory=Limits)
    as_json: bool = False
    quiet: bool = False
    verbose: int = 0


def load_service(call: ModelCall, max_queue: int = 0) -> Service:
    """The model, ready to be asked. UsageError: it has no tokenizer, or a setting does not fit it."""
    if call.plain_prompt not in PLAIN_PROMPTS:
        raise UsageError(f"--plain-prompt {call.plain_prompt} is unknown; known are {', '.join(PLAIN_PROMPTS)}.")
    name = call.name or call.run.resolve().name.removesuffix(".gguf")
    if not _NAME.fullmatch(name):
        if call.name is not None:
            raise UsageError("--name takes up to 200 letters, digits and . _ - : + @ /")
        name = "model"
    if call.threads is not None:
        torch.set_num_threads(call.threads)
    loaded = load_model(call.run, DTYPES[call.dtype])
    if loaded.tokenizer is None:
        raise UsageError(f"{call.run} holds a model but no tokenizer; put the one that belongs to it beside it.")
    longest = loaded.config.seq_len
    if call.seq_len is not None and not 2 <= call.seq_len <= longest:
        raise UsageError(f"--seq-len {call.seq_len} is not between 2 and {longest:,}, which the model is made for.")
    template = chat_template(loaded.files, loaded.tokenizer, str(call.run), given=given_template(call.template))
    model = loaded.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    engine = Engine(model, loaded.tokenizer, slots=call.slots, seq_len=call.seq_len)
    return Service(
        name=name,
        model=model,
        tokenizer=loaded.tokenizer,
        template=template,
        plain_prompt=PLAIN_PROMPTS[call.plain_prompt],
        desk=Desk(engine, max_queue),
        created=int(time.time()),
    )


def serve(call: ServeCall) -> None:
    """Serve until a signal. EnvironmentFault: the port is taken, which is found out before the model is loaded."""
    token = None if call.token_file is None else read_token(call.token_file)
    access = Access(token=token, open_paths=frozenset({"/", "/health"}))
    bound = listen(call.host, call.port, has_token=token is not None)
    try:
        service = load_service(call.model, call.max_queue)
        guard = serving_app(service, access, call.limits, log=call.verbose > 0)
        fault: list[BaseException] = []
        server = PageServer(guard, bound, on_stop=service.desk.give_up)

        def failed(error: BaseException) -> None:
            fault.append(error)
            server.stop_from_thread()

        def ready() -> None:
            service.desk.start(failed)
            _tell(call, service, url_of(bound))

        server.on_ready = ready
        try:
            server.serve()
        finally:
            service.desk.stop()
        if fault:
            raise fault[0]
    finally:
        bound.close()


def _tell(call: ServeCall, service: Service, url: str) -> None:
    if call.as_json:
        about: dict[str, Any] = {"url": url, "model": service.name, "pid": os.getpid()}
        emit_json(about)
    if not call.quiet:
        kind = "a base model: /v1/completions" if service.template is None else "a chat model"
        place = "" if call.token_file is None else f", for who has the token in {call.token_file}"
        say(f"Serving {service.name}, {kind}{place}. Chat page {url}/ , for programs {url}/v1 ; Ctrl-C stops.")
    threading.current_thread().name = "http"
