"""A tiny model behind `train serve`'s app, in a thread of the test's own process, on a real loopback socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runkit.page import Access, Limits
from runkit.page_server import PageServer, listen, url_of
from runkit.plain_prompts import PLAIN_PROMPTS
from train.chat_template import PLAIN, ChatTemplate, chat_template
from train.convert import Loaded, write_model
from train.generate import Engine
from train.model import Model
from train.model_config import ModelConfig
from train.pieces import Tokenizer
from train.serve_answers import Desk
from train.serve_app import Service, serving_app

TOKEN = "correct-horse-battery-staple"


def random_model(vocab: int, seq_len: int = 256) -> Model:
    """Weights are large, so that probabilities are far from even. Without transformers, which takes 5 s to import."""
    shape = ModelConfig(vocab=vocab, dim=32, layers=2, heads=4, kv_heads=2, hidden=64, seq_len=seq_len, tied=False)
    model = Model(shape)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def saved_model(out: Path, tokenizer: Tokenizer, seq_len: int = 256) -> Path:
    """A chat model on the disk that hardly ever ends an answer by itself."""
    model = random_model(tokenizer.size, seq_len)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.special.eos] = 0.0
    files = {tokenizer.path.name: tokenizer.path.read_bytes(), "chat_template.jinja": PLAIN.encode()}
    write_model(out, Loaded(model, tokenizer, model.config, files), torch.float32)
    return out


def service(tokenizer: Tokenizer, chat: bool = True, max_queue: int = 64, slots: int = 4, **more: Any) -> Service:
    """A random model of 57,000 weights with `seq_len` 256; `model` replaces it."""
    model: Model = more.get("model") or random_model(tokenizer.size)
    template: ChatTemplate | None = chat_template({}, tokenizer, "tests", given="plain") if chat else None
    engine = Engine(model, tokenizer, slots=slots)
    prompt = PLAIN_PROMPTS["zh-qa"]
    return Service("tiny", model, tokenizer, template, prompt, Desk(engine, max_queue), 1_700_000_000)


@dataclass
class Served:
    """A running server."""

    url: str
    port: int
    service: Service


@contextmanager
def served(service: Service, access: Access | None = None, limits: Limits | None = None) -> Iterator[Served]:
    """Answers while the block lasts."""
    bound = listen("127.0.0.1", 0, has_token=False)
    ready, broken = threading.Event(), []
    guard = serving_app(service, access or Access(open_paths=frozenset({"/", "/health"})), limits or Limits(), False)
    server = PageServer(guard, bound, ready.set, service.desk.give_up, grace_s=0.2)
    thread = threading.Thread(target=lambda: asyncio.run(server.run()), daemon=True)
    thread.start()
    service.desk.start(broken.append)
    assert ready.wait(20)
    url = url_of(bound)
    try:
        yield Served(url, int(url.rsplit(":", 1)[1]), service)
    finally:
        server.stop_from_thread()
        thread.join(20)
        service.desk.stop()
        bound.close()
        assert not broken and not thread.is_alive()
