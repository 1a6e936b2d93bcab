"""Which model a name means, where its key may go, and what it costs."""

from pathlib import Path

import pytest

from runkit.errors import UsageError
from runkit.models import PRICES, Model, Price, host_of, is_loopback, read_models, read_prices, resolve

ROOT = Path(__file__).parents[2]
CANARY = "sk-canary-0123456789"
MODELS = """
teacher:
  url: https://api.deepseek.com/v1/
  model: deepseek-chat
  key_env: DEEPSEEK_API_KEY
  rpm: 500
  extra_body: {enable_thinking: false}
mine: {url: "http://127.0.0.1:8000/v1/chat/completions", model: tiny, price: {prompt: 1, completion: 2}}
stolen: {url: "https://elsewhere.example/v1", model: x, key_env: OPENAI_API_KEY}
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(MODELS)
    return path


def test_an_entry_of_models_yaml(models: Path) -> None:
    model = resolve("teacher", models, env={"DEEPSEEK_API_KEY": CANARY})
    assert (model.name, model.url, model.model, model.rpm) == (
        "teacher",
        "https://api.deepseek.com/v1",
        "deepseek-chat",
        500,
    )
    assert model.extra_body == {"enable_thinking": False}
    assert model.key({"DEEPSEEK_API_KEY": CANARY}) == CANARY
    assert model.price is not None  # from the table that comes along
    assert resolve("mine", models, env={}).url == "http://127.0.0.1:8000/v1"


def test_a_name_at_an_address_gets_the_openai_key_only_where_it_belongs() -> None:
    env = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "https://own.example:8443/v1"}
    assert resolve("m@https://own.example:8443/other", env=env).key(env) == CANARY
    for url in ("https://own.example/v1", "https://api.openai.com/v1", "http://127.0.0.1:1/v1", "https://x.example"):
        assert resolve(f"m@{url}", env=env).key(env) is None
    assert (
        resolve("m@https://api.openai.com/v1", env={"OPENAI_API_KEY": CANARY}).key({"OPENAI_API_KEY": CANARY}) == CANARY
    )
    assert resolve("@cf/qwen@https://x.example/v1", env={}).model == "@cf/qwen"


def test_a_name_alone_is_asked_for_at_openai_base_url(models: Path) -> None:
    env = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    model = resolve("qwen-max", models, env=env)
    assert (model.url, model.model, model.key(env)) == ("http://127.0.0.1:9/v1", "qwen-max", CANARY)
    assert resolve("any", env={"OPENAI_BASE_URL": "http://localhost:9/v1"}).key({}) is None
    assert resolve("gpt-4o-mini", env={"OPENAI_API_KEY": CANARY}).url == "https://api.openai.com/v1"


def test_what_is_wrong_is_told(models: Path, tmp_path: Path) -> None:
    for text, file, env, words in (
        ("nobody", models, {}, "not known"),
        ("stolen", models, {"OPENAI_API_KEY": CANARY}, "belongs to api.openai.com"),
        ("m@https://user:secret@x.example/v1", None, {}, "without user"),
        ("m@https://x.example/v1?api-key=secret", None, {}, "without user"),
        ("m@http://:80", None, {}, "begins with http"),
    ):
        with pytest.raises(UsageError, match=words):
            resolve(text, file, env=env)
    with pytest.raises(UsageError, match="DEEPSEEK_API_KEY"):
        resolve("teacher", models, env={}).key({})
    with pytest.raises(UsageError, match="no key") as told:
        resolve("teacher", models, env={}).key({"DEEPSEEK_API_KEY": "two words\x1b[31m"})
    assert "two words" not in str(told.value)
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: {url: https://x.example, model: m, rpn: 5}")
    with pytest.raises(UsageError, match=r"bad\.yaml: unknown key `a\.rpn`; did you mean .*rpm"):
        read_models(bad)
    bad.write_text("a: just text")
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        read_models(bad)


def test_a_key_comes_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(CANARY + "\n")
    model = Model(name="m", url="https://x.example", model="m", key_file=file)
    assert model.key({}) == CANARY
    assert CANARY not in repr(model)
    with pytest.raises(UsageError, match="Cannot read the key file"):
        Model(name="m", url="https://x.example", model="m", key_file=tmp_path / "none").key({})


def test_prices(tmp_path: Path) -> None:
    assert Price(prompt=2, completion=8).cost_usd(1_000_000, 500_000) == 6
    assert Price(prompt=0.15, completion=0.6).cost_usd(1000, 100) == pytest.approx(0.00015 + 0.00006)
    table = tmp_path / "prices.yaml"
    table.write_text('as_of: "2030-01-01"\nprices: {"127.0.0.1:9": {m: {prompt: 3, completion: 4}}}')
    assert resolve("m@http://127.0.0.1:9/v1", None, table, {}).price == Price(prompt=3, completion=4)
    assert resolve("m@http://127.0.0.1:10/v1", None, table, {}).price is None
    table.write_text("m: 3")
    with pytest.raises(UsageError, match="as_of"):
        read_prices(table)
    assert all(price.completion >= price.prompt for host in read_prices(PRICES).values() for price in host.values())


def test_the_shipped_example_is_read() -> None:
    assert read_models(ROOT / "configs" / "models.yaml")


@pytest.mark.parametrize(
    ("url", "host", "loopback"),
    [
        ("https://API.example:443/v1", "api.example", False),
        ("http://api.example:443/v1", "api.example:443", False),
        ("http://127.0.0.2:80", "127.0.0.2", True),
        ("http://[::1]:8000/v1", "[::1]:8000", True),
        ("http://localhost/", "localhost", True),
        ("http://localhost.example/", "localhost.example", False),
        ("http://x:99999/", "", False),
    ],
)
def test_hosts(url: str, host: str, loopback: bool) -> None:
    assert (host_of(url), is_loopback(url)) == (host, loopback)
