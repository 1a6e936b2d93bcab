"""`train serve` through the official client: chat, stream, logprobs, completions, JSON, errors, batching, leaving."""

import http.client
import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import torch

from runkit.chat import Answer, Request, prepare, read_body, trouble_of_status
from runkit.models import Model
from runkit.page import Access, Limits
from tests.train.serving import TOKEN, Served, random_model, served, service
from train.generate import Sampling, generate
from train.pieces import Tokenizer
from train.serve_replies import namer

pytestmark = pytest.mark.timeout(60)
torch.set_num_threads(1)
ASKED: list[Any] = [{"role": "system", "content": "简短"}, {"role": "user", "content": "你好，今天天气怎么样？"}]


@pytest.fixture(scope="module")
def chat(bpe: Tokenizer) -> Iterator[Served]:
    with served(service(bpe)) as running:
        yield running


@pytest.fixture(scope="module")
def base(spm: Tokenizer) -> Iterator[Served]:
    with served(service(spm, chat=False)) as running:
        yield running


@pytest.fixture(scope="module")
def client(chat: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def plain(base: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base.url}/v1", api_key="none", max_retries=0, timeout=30)


def post(running: Served, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON of a POST without any client's help."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {"content-type": "application/json", **(headers or {})})
    reply = connection.getresponse()
    found = json.loads(reply.read())
    connection.close()
    return reply.status, found


def test_chat_answers_as_the_engine_does(chat: Served, client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="tiny", messages=ASKED, temperature=0, max_tokens=12)
    template = chat.service.template
    assert template is not None
    ids = template.question([("system", "简短"), ("user", ASKED[1]["content"])]).tolist()
    sampling = Sampling(max_tokens=12, temperature=0, end_ids=template.end_ids)
    mine = generate(_other_engine(chat), [ids], sampling)[0]
    choice = reply.choices[0]
    assert (choice.message.content, choice.finish_reason) == (mine.text, mine.finish)
    assert reply.usage is not None and reply.usage.prompt_tokens == len(ids)
    assert reply.usage.completion_tokens == len(mine.ids)
    assert reply.object == "chat.completion" and reply.model == "tiny" and reply.id.startswith("chatcmpl-")


def test_stream_says_the_same_as_the_whole(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": ASKED, "max_tokens": 20, "seed": 5, "n": 2}
    whole = client.chat.completions.create(**asked)
    texts, finish, usage = ["", ""], ["", ""], None
    for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finish[choice.index] = choice.finish_reason or finish[choice.index]
        usage = chunk.usage or usage
    assert texts == [choice.message.content for choice in whole.choices]
    assert finish == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage
    assert texts[0] != texts[1]


def test_chat_logprobs(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": ASKED, "max_tokens": 9, "logprobs": True, "temperature": 0}
    reply = client.chat.completions.create(**asked, top_logprobs=3)
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None and reply.usage is not None
    assert len(logprobs.content) == reply.usage.completion_tokens
    for token in logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token  # greedy
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob)
    told = b"".join(bytes(token.bytes or []) for token in logprobs.content)
    assert told.decode("utf-8", "replace").startswith(reply.choices[0].message.content or "?")
    streamed = [
        token
        for chunk in client.chat.completions.create(**asked, top_logprobs=3, stream=True)
        for choice in chunk.choices
        for token in (choice.logprobs.content or [] if choice.logprobs else [])
    ]
    assert [token.token for token in streamed] == [token.token for token in logprobs.content]
    assert client.chat.completions.create(**asked).choices[0].logprobs is not None


def test_echo_and_logprobs_are_those_of_a_forward_pass(base: Served, plain: openai.OpenAI) -> None:
    ids = [1, *base.service.tokenizer.encode("今天天气不错，我们去吃饭。").tolist()]
    reply = plain.completions.create(model="tiny", prompt=ids, max_tokens=1, temperature=0, logprobs=2, echo=True)
    choice = reply.choices[0]
    logprobs = choice.logprobs
    assert logprobs is not None and logprobs.token_logprobs is not None and logprobs.top_logprobs is not None
    assert logprobs.tokens is not None and logprobs.text_offset is not None
    with torch.no_grad():
        model = base.service.model
        rows = model.logits(model.hidden(torch.tensor([ids]))[0]).log_softmax(-1)
    given = logprobs.token_logprobs
    assert given[0] is None and logprobs.top_logprobs[0] is None
    for place, id in enumerate(ids[1:]):
        assert given[place + 1] == pytest.approx(float(rows[place, id]), abs=1e-4)
    name = namer(base.service.tokenizer)
    assert logprobs.tokens[: len(ids)] == [name(id) for id in ids]
    assert len(logprobs.tokens) == len(ids) + 1 == len(given) == len(logprobs.text_offset)
    best = max(logprobs.top_logprobs[-1], key=logprobs.top_logprobs[-1].__getitem__)
    assert logprobs.tokens[-1] == best == name(int(rows[-1].argmax()))
    assert choice.text.startswith("今天天气不错，我们去吃饭。")
    assert logprobs.text_offset[-1] == len("今天天气不错，我们去吃饭。")
    assert sorted(logprobs.text_offset) == logprobs.text_offset


@pytest.mark.parametrize(
    "prompt", ["你好", ["你好", "今天"], [5, 6, 7], [[5, 6], [7, 8, 9]]], ids=["text", "texts", "ids", "lists"]
)
def test_prompts_of_every_kind(plain: openai.OpenAI, prompt: Any) -> None:
    reply = plain.completions.create(model="tiny", prompt=prompt, max_tokens=4, n=2, seed=1)
    count = 2 if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    assert [choice.index for choice in reply.choices] == list(range(2 * count))
    again = plain.completions.create(model="tiny", prompt=prompt, max_tokens=4, n=2, seed=1, stream=True)
    texts = [""] * (2 * count)
    for chunk in again:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in reply.choices]


def test_echo_without_anything_new(plain: openai.OpenAI) -> None:
    reply = plain.completions.create(model="tiny", prompt="你好", max_tokens=0, echo=True, logprobs=0)
    choice = reply.choices[0]
    assert (choice.text, choice.finish_reason) == ("你好", "length") and choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None and choice.logprobs.token_logprobs[0] is None
    chunks = list(plain.completions.create(model="tiny", prompt="你好", max_tokens=0, echo=True, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "你好"


def test_stop_strings_end_an_answer(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": ASKED, "temperature": 0, "max_tokens": 40}
    text = client.chat.completions.create(**asked).choices[0].message.content or ""
    cut = text[5:7]
    reply = client.chat.completions.create(**asked, stop=[cut]).choices[0]
    assert (reply.message.content, reply.finish_reason) == (text[: text.index(cut)], "stop")


def test_models(chat: Served, base: Served, client: openai.OpenAI, plain: openai.OpenAI) -> None:
    mine: Any = client.models.list().data[0]
    assert (mine.id, mine.chat_template, mine.max_model_len) == ("tiny", "plain", 256)
    other: Any = plain.models.retrieve("tiny")
    assert other.chat_template is None and other.plain_prompt["name"] == "zh-qa"
    assert "{question}" in other.plain_prompt["template"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


ERRORS: list[tuple[str, dict[str, Any], str]] = [
    ("no messages", {"messages": None}, "messages is missing"),
    ("empty messages", {"messages": []}, "one message or more"),
    ("role", {"messages": [{"role": "tool", "content": "x"}]}, "role must be one of"),
    ("last", {"messages": [{"role": "assistant", "content": "x"}]}, "last message must be the user's"),
    ("picture", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "text alone"),
    ("tools", {"tools": [{"type": "function"}]}, "tools is not supported"),
    ("bias", {"logit_bias": {"5": 1}}, "logit_bias is not supported"),
    ("temperature", {"temperature": 3}, "temperature is 3, but must be between 0 and 2"),
    ("kind", {"temperature": "hot"}, "temperature is a string"),
    ("unknown", {"temprature": 1}, "Did you mean temperature"),
    ("top", {"top_logprobs": 2}, "needs logprobs"),
    ("n", {"n": 100}, "makes 68 at a time"),
    ("long", {"messages": [{"role": "user", "content": "天" * 3000}]}, "leaves no room"),
    ("stop", {"stop": [""]}, "stop string"),
    ("options", {"stream_options": {"include_usage": True}}, "needs stream"),
    ("max_tokens", {"max_tokens": 0}, "between 1"),
]


def test_our_own_client_is_understood(chat: Served) -> None:
    """What selfinstruct and judge send, and how they read what comes back."""
    entry = Model(name="tiny", url=f"{chat.url}/v1", model="tiny", temperature=0.5, extra_body={"top_k": 20})
    turns = [{"role": "user", "content": "你好"}]
    asked = Request(messages=turns, max_tokens=6, top_p=0.9, seed=3, stop=["\n\n\n"], logprobs=True, top_logprobs=2)
    status, body = post(chat, "/v1/chat/completions", prepare(asked, entry).bytes)
    answer, usage = read_body(json.dumps(body).encode())
    assert status == 200 and isinstance(answer, Answer) and answer.text
    assert usage is not None and usage.completion_tokens == 6
    wrong = entry.model_copy(update={"model": "gpt-4"})
    status, body = post(chat, "/v1/chat/completions", prepare(asked, wrong).bytes)
    assert trouble_of_status(status, json.dumps(body).encode()).then == "stop"
    long = Request(messages=[{"role": "user", "content": "天" * 3000}])
    status, body = post(chat, "/v1/chat/completions", prepare(long, entry).bytes)
    assert trouble_of_status(status, json.dumps(body).encode()).then == "fail"


@pytest.mark.parametrize(("change", "said"), [error[1:] for error in ERRORS], ids=[error[0] for error in ERRORS])
def test_what_is_refused_says_why(chat: Served, change: dict[str, Any], said: str) -> None:
    status, body = post(chat, "/v1/chat/completions", {"model": "tiny", "messages": ASKED, "max_tokens": 2} | change)
    assert status == 400 and said in body["error"]["message"], body
    assert set(body["error"]) == {"message", "type", "param", "code"}


def test_errors_of_the_client(client: openai.OpenAI, plain: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no model gpt-4 here"):
        client.chat.completions.create(model="gpt-4", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="use /v1/completions"):
        plain.chat.completions.create(model="tiny", messages=ASKED)
    with pytest.raises(openai.BadRequestError) as caught:
        plain.completions.create(model="tiny", prompt=[5] * 256)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError, match="nothing at /v1/embeddings"):
        client.embeddings.create(model="tiny", input="x")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"a":', b"\xff\xfe", b"[" * 100_000, b'"\\ud800"', b"1e999"])
def test_bodies_that_are_no_request(chat: Served, data: bytes) -> None:
    status, body = post(chat, "/v1/chat/completions", data)
    assert status == 400 and body["error"]["type"] == "invalid_request_error"


def test_token(bpe: Tokenizer) -> None:
    access = Access(token=TOKEN, open_paths=frozenset({"/", "/health"}))
    with served(service(bpe), access) as running:
        url = f"{running.url}/v1"
        right = openai.OpenAI(base_url=url, api_key=TOKEN, max_retries=0, timeout=30)
        assert right.models.list().data[0].id == "tiny"
        for key in (TOKEN[:-1], TOKEN + "x", "ключ-ключ-ключ".encode().decode("latin-1")):
            status, body = post(running, "/v1/completions", {"prompt": "x"}, {"authorization": f"Bearer {key}"})
            assert status == 401 and key not in body["error"]["message"]
        assert post(running, "/v1/completions", {"prompt": "x"})[0] == 401


def test_a_full_queue_says_when_to_come_back(bpe: Tokenizer) -> None:
    running_service = service(bpe, slots=1, max_queue=0)
    with served(running_service) as running:
        asked = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=30)
        stream = asked.completions.create(model="tiny", prompt="你", max_tokens=250, stream=True)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            asked.completions.create(model="tiny", prompt="你", max_tokens=1)
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
        stream.close()
        _until(lambda: running_service.desk.taken == 0)
        assert asked.completions.create(model="tiny", prompt="你", max_tokens=1).choices


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_is_computed_for_no_longer(bpe: Tokenizer, stream: bool) -> None:
    slow = service(bpe, slots=2)
    steps = _held(slow)
    with served(slow) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        body = json.dumps({"prompt": "你", "max_tokens": 200, "stream": stream})
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        steps.release()
        _until(lambda: slow.desk.engine.active == 1)
        connection.close()
        for _ in range(3):
            steps.release()
        _until(lambda: slow.desk.taken == 0, steps)
        _until(lambda: slow.desk.engine.active == 0, steps)
        steps.release(10_000)


def test_eight_at_once_share_the_steps(chat: Served) -> None:
    """Answers made together are those made alone."""
    bodies = [{"prompt": f"第{number}次", "max_tokens": 12, "temperature": 0} for number in range(8)]
    alone = [post(chat, "/v1/completions", body)[1]["choices"][0]["text"] for body in bodies]
    together: list[str] = [""] * 8

    def ask(number: int) -> None:
        together[number] = post(chat, "/v1/completions", bodies[number])[1]["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert together == alone


def test_long_prompts_that_end_while_others_wait_to_be_read(bpe: Tokenizer) -> None:
    """More ids than are read in a step, and answers that are over with their first token."""
    model = random_model(bpe.size, seq_len=1024)
    prompts = [[5 + number] * (400 + number) for number in range(4)]
    with served(service(bpe, model=model)) as running:
        status, body = post(running, "/v1/completions", {"prompt": prompts, "max_tokens": 1, "temperature": 0})
        assert status == 200
        for prompt, choice in zip(prompts, body["choices"], strict=True):
            alone = post(running, "/v1/completions", {"prompt": prompt, "max_tokens": 1, "temperature": 0})[1]
            assert alone["choices"][0]["text"] == choice["text"]


def test_a_model_of_no_numbers_fails_its_answers_alone(bpe: Tokenizer) -> None:
    broken = service(bpe)
    with torch.no_grad():
        broken.model.model.norm.weight.fill_(math.nan)
    with served(service(bpe, model=broken.model)) as running:
        status, body = post(running, "/v1/completions", {"prompt": "你"})
        assert status == 503 and "no numbers" in body["error"]["message"]
        assert post(running, "/v1/completions", {"prompt": "你"})[0] == 503


def test_an_engine_that_ends_gives_answers_up(bpe: Tokenizer) -> None:
    slow = service(bpe)
    with served(slow, limits=Limits()) as running:
        stream = openai.OpenAI(base_url=f"{running.url}/v1", api_key="x", max_retries=0, timeout=30).completions.create(
            model="tiny", prompt="你", max_tokens=250, stream=True
        )
        next(iter(stream))
        slow.desk.stop()
        with pytest.raises(openai.APIError, match="given up"):
            for _ in stream:
                pass


def test_an_engine_that_breaks_leaves_nobody_waiting(bpe: Tokenizer) -> None:
    """A bug in the engine ends it; who waits is told, and who comes later, too."""
    poor = service(bpe)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(AssertionError), served(poor) as running:  # `served` has seen the bug
        poor.desk.engine._choose = broken  # type: ignore[method-assign]
        for _ in range(2):
            status, body = post(running, "/v1/completions", {"prompt": "你"})
            assert status == 503 and "engine broke" in body["error"]["message"]


def _other_engine(running: Served) -> Any:
    from train.generate import Engine

    return Engine(running.service.model, running.service.tokenizer, slots=1)


def _held(held: Any) -> threading.Semaphore:
    """Each step of the engine waits for a release."""
    steps = threading.Semaphore(0)
    step = held.desk.engine.step

    def wait_and_step() -> bool:
        found: bool = step()
        if found:
            steps.acquire(timeout=20)
        return found

    held.desk.engine.step = wait_and_step
    return steps


def _until(holds: Any, steps: threading.Semaphore | None = None) -> None:
    for _ in range(4000):
        if holds():
            return
        if steps is not None:
            steps.release()
        threading.Event().wait(0.005)
    raise AssertionError("it did not come to pass within 20 s")
