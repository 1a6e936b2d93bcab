"""Answers that are JSON by construction, through the server, and what is said where the library is missing."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import torch

from tests.train.serving import Served, served, service
from tests.train.test_serve import ASKED, post
from train.pieces import Tokenizer

pytestmark = pytest.mark.timeout(60)
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def chat(bpe: Tokenizer) -> Iterator[Served]:
    with served(service(bpe)) as running:
        yield running


@pytest.fixture(scope="module")
def client(chat: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0, timeout=30)


def test_json_by_schema(client: openai.OpenAI) -> None:
    pytest.importorskip("llguidance", reason="the extra [json] is not installed")
    schema = {
        "type": "object",
        "properties": {"名": {"type": "string", "maxLength": 6}, "分": {"enum": [1, 2, 3]}},
        "required": ["名", "分"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    asked: Any = {"model": "tiny", "messages": ASKED, "max_tokens": 200, "response_format": form}
    for seed in range(5):
        choice = client.chat.completions.create(**asked, seed=seed, temperature=1.5).choices[0]
        found = json.loads(choice.message.content or "")
        assert set(found) == {"名", "分"} and found["分"] in (1, 2, 3) and len(found["名"]) <= 6
        assert choice.finish_reason == "stop"
    form["json_schema"]["schema"] = {"not": {"type": "string"}}
    with pytest.raises(openai.BadRequestError, match="schema cannot be used"):
        client.chat.completions.create(**asked)


def test_json_without_the_library(chat: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.constrained._LIBRARY", None)
    monkeypatch.setattr(chat.service, "_maker", None)
    status, body = post(chat, "/v1/chat/completions", {"messages": ASKED, "response_format": {"type": "json_object"}})
    assert status == 400 and "wenhai[json]" in body["error"]["message"]
