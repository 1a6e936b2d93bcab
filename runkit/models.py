"""Which model is meant by a name, where it is reached, with which key, and what it costs.

In: what a user wrote behind --model, a models.yaml, a price table, the environment. Out: a `Model`; its key is read
only when a client is made and kept nowhere else. A key goes to the host it belongs to and to no other: `key_env`
stands beside the `url` it is for, and OPENAI_API_KEY goes to OPENAI_BASE_URL or api.openai.com alone. Price: an entry
per provider has to be written once, in models.yaml.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator

from runkit.config import Config, read_yaml
from runkit.errors import UsageError

OPENAI_URL: Final = "https://api.openai.com/v1"
PRICES: Final = Path(__file__).parent / "prices.yaml"
DEFAULT_FILE: Final = Path("models.yaml")
_KEY = re.compile(r"[!#-&(-\[\]-~]{8,4096}")  # printable, and the same inside JSON and in a shell's quotes

_NAME_AT_URL = re.compile(r"(.+)@(https?://.*)", re.DOTALL)  # a name may hold an @ of its own
_PRIVATE = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=\?)[^\s'`]+")  # user and password, and a query, in a URL


class Price(Config):
    """USD for a million tokens."""

    prompt: float = Field(ge=0)
    """USD for a million tokens of the request."""
    completion: float = Field(ge=0)
    """USD for a million tokens of the reply, those of its reasoning included."""

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Model(Config):
    """One entry of models.yaml; its name is the key it stands under."""

    name: str = ""
    """What the entry is called; filled in from the file."""
    url: str
    """Base URL of an OpenAI-compatible endpoint, as https://api.deepseek.com/v1."""
    model: str = Field(min_length=1)
    """The model's name there."""
    key_env: str | None = None
    """Environment variable with the key for this URL; null: none is sent."""
    key_file: Path | None = None
    """File whose first line is the key for this URL, instead of `key_env`."""
    price: Price | None = None
    """USD for a million tokens; null: looked up in the price table by host and model."""
    rpm: float | None = Field(default=None, gt=0)
    """Requests a minute that the provider allows; null: what its headers say."""
    tpm: float | None = Field(default=None, gt=0)
    """Tokens a minute that the provider allows; null: what its headers say."""
    rps: float | None = Field(default=None, gt=0)
    """Requests a second that the provider allows, where it says so."""
    concurrency: int | None = Field(default=None, ge=1, le=1024)
    """Calls at a time; null: found out while running."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature where a command sets none; null: the endpoint's own."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest reply in tokens where a command sets none."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint calls that limit; OpenAI's reasoning models take the second."""
    timeout_s: float = Field(default=600, gt=0)
    """Seconds for one call from the request to the last byte of the reply."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Put into every request as it is, as {enable_thinking: false}."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address that begins with http:// or https://")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address without user, password and query; a key comes by `key_env`")
        return url.rstrip("/").removesuffix("/chat/completions").rstrip("/")

    @property
    def host(self) -> str:
        """Host and, where it is named, port: what a key is bound to."""
        return host_of(self.url)

    def key(self, env: Mapping[str, str] = os.environ) -> str | None:
        """The key for `url`; UsageError when it is promised and missing. Never print or store it."""
        if self.key_file is not None:
            try:
                with self.key_file.open(encoding="utf-8") as file:
                    key = file.readline(10_000).strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not text"
                raise UsageError(f"Cannot read the key file {self.key_file} of {self.name}: {reason}.") from None
            source = f"the file {self.key_file}"
        elif self.key_env is not None:
            key, source = env.get(self.key_env, "").strip(), self.key_env
            if not key:
                raise UsageError(f"{self.name} at {self.host} needs a key; set the environment variable {source}.")
        else:
            return None
        if not _KEY.fullmatch(key):
            raise UsageError(f"The key in {source} is no key: 8 or more letters, digits and signs; correct it.")
        return key

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost; 0 where no price is known (a budget then is refused before any call)."""
        return 0.0 if self.price is None else self.price.cost_usd(prompt_tokens, completion_tokens)


class _Models(Config):
    models: dict[str, Model]


class _Prices(Config):
    as_of: str
    """The day on which the prices were looked up."""
    prices: dict[str, dict[str, Price]]
    """Host -> model -> price."""


def resolve(
    text: str,
    models_file: Path | None = None,
    prices_file: Path | None = None,
    env: Mapping[str, str] = os.environ,
) -> Model:
    """The model meant by `text`: `name@url`, else a name in models.yaml, else a name at OPENAI_BASE_URL.

    `models_file` None: models.yaml in the current folder, if there is one. `prices_file` replaces the table that comes
    with the program. UsageError: nothing fits, or a file is wrong.
    """
    if not text.strip():
        raise UsageError("No model is named; give --model name@https://host/v1, or a name as in models.yaml.")
    entries = read_models(models_file)
    if placed := _NAME_AT_URL.fullmatch(text):
        name, url = placed.groups()
        model = _checked({text: {"url": url, "model": name}}, "--model")[text]
        if _owns_openai_key(model.host, env) and env.get("OPENAI_API_KEY", "").strip():
            model = model.model_copy(update={"key_env": "OPENAI_API_KEY"})
    elif text in entries:
        model = entries[text]
        if model.key_env == "OPENAI_API_KEY" and not _owns_openai_key(model.host, env):
            raise UsageError(
                f"{text}: OPENAI_API_KEY belongs to {_openai_host(env)}, not to {model.host}; "
                "put that host's key into a variable of its own and name it in `key_env`."
            )
    elif env.get("OPENAI_BASE_URL", "").strip() or env.get("OPENAI_API_KEY", "").strip():
        model = _checked({text: {"url": _openai_url(env), "model": text}}, "OPENAI_BASE_URL")[text]
        if env.get("OPENAI_API_KEY", "").strip() or not is_loopback(model.url):
            model = model.model_copy(update={"key_env": "OPENAI_API_KEY"})
    else:
        known = f"it has {', '.join(entries)}" if entries else "there is none here"
        raise UsageError(
            f"The model {text} is not known: write name@https://host/v1, or add it to models.yaml ({known}), "
            "or set OPENAI_BASE_URL and OPENAI_API_KEY."
        )
    if model.price is None:
        price = read_prices(prices_file).get(model.host, {}).get(model.model)
        model = model.model_copy(update={"price": price})
    return model


def read_models(path: Path | None) -> dict[str, Model]:
    """The entries of a models.yaml: name -> `Model`."""
    if path is None:
        if not DEFAULT_FILE.is_file():
            return {}
        path = DEFAULT_FILE
    return _checked(read_yaml(path), str(path))


def read_prices(path: Path | None = None) -> dict[str, dict[str, Price]]:
    """Host -> model -> price, from `path` or from the table that comes with the program."""
    try:
        return _Prices.load(path or PRICES).prices
    except UsageError as error:
        raise UsageError(f"{error} A price table holds as_of, and host: model: {{prompt, completion}}.") from error


def host_of(url: str) -> str:
    """Host and port of a URL, lower case, without the port that its scheme has anyway."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this very machine."""
    parts = _split(url)
    name = (parts.hostname or "") if parts is not None else ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _checked(data: dict[str, Any], where: str) -> dict[str, Model]:
    entries = {
        str(name): {"name": str(name), **entry} if isinstance(entry, dict) else entry for name, entry in data.items()
    }
    try:
        return _Models.load(None, (), {"models": entries}).models
    except UsageError as error:
        told = _PRIVATE.sub("***", str(error).replace("`models.", "`"))
        raise UsageError(f"{where}: {told}") from None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    return parts


def _openai_url(env: Mapping[str, str]) -> str:
    return env.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL


def _openai_host(env: Mapping[str, str]) -> str:
    return host_of(_openai_url(env))


def _owns_openai_key(host: str, env: Mapping[str, str]) -> bool:
    return host == _openai_host(env)
