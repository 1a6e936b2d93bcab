"""The config of `corpus clean`. Each docstring below a field is its help, which `corpus settings` prints."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from corpus.dedup_config import DedupConfig
from corpus.distributed_config import RayConfig, SlurmConfig
from corpus.rules import Rule
from runkit.config import Config, read_yaml
from runkit.language import CODES
from runkit.shipped import config_folder

_ZH: Final = frozenset({"cn", "chi", "zho", "cmn", "yue", "wuu", "zh-cn", "zh-tw", "zh-hans", "zh-hant", "chinese"})


class ReadConfig(Config):
    """How inputs are cut and read."""

    text_field: str = "text"
    """JSONL and parquet field with the text."""
    html_field: str | None = None
    """JSONL and parquet field with HTML to extract from, instead of the text field."""
    url_field: str = "url"
    """JSONL and parquet field with the URL."""
    max_record_mb: int = Field(32, ge=1, le=1024)
    """A record that unpacks to more is dropped with a reason, MiB."""
    shard_mb: float = Field(8, gt=0, le=4096)
    """Input bytes (as stored) of one unit of work, MB."""


class UrlConfig(Config):
    """What is known to be bad by its address."""

    blocklist: bool = True
    """The list of 4.5 million domains that the datatrove package carries."""
    domains: list[Path] = Field([])
    """Own lists of domains, one a line; a domain covers its subdomains."""
    urls: list[Path] = Field([])
    """Own lists of whole URLs."""
    words: list[Path] = Field([])
    """Own lists of words that no URL may contain."""


class ExtractConfig(Config):
    """Main text from HTML."""

    mode: Literal["fast", "best"] = "best"
    """best: a classifier of text blocks; fast: rules, for a little less time and clearly worse text."""
    markdown: bool = False
    """Keep headings, lists, tables and code blocks as Markdown (mode best); rules look at the text without marks."""

    @model_validator(mode="after")
    def _markdown_is_of_best(self) -> Self:
        if self.markdown and self.mode != "best":
            raise self.conflict("markdown", "mode", "only mode best writes Markdown")
        return self


class NormalizeConfig(Config):
    """What is done to every text."""

    t2s: bool = False
    """Traditional to simplified characters (OpenCC)."""
    drop_boilerplate: bool = True
    """Take out lines that only navigate, share, count or claim copyright."""


class PersonalConfig(Config):
    """Personal data."""

    mask: bool = True
    """Replace ID numbers, telephone numbers, bank cards, e-mail and IP addresses by typed placeholders."""


class QualityConfig(Config):
    """Models fitted on your own texts; their signals are bounded by rules like any other."""

    model: Path | None = None
    """Run of `corpus quality fit`, or its model: adds the signal quality, bounded by rules.quality.min."""
    perplexity: Path | None = None
    """Run of `corpus quality fit-perplexity`, or its model: adds the signal perplexity."""


class WorkerConfig(Config):
    """Limits of one worker process."""

    record_timeout_s: float = Field(30, gt=0)
    """A record that takes longer is quarantined."""
    memory_mb: int = Field(3072, ge=256)
    """A worker that grows beyond this is stopped and its record quarantined, MiB."""


def _language(code: str) -> str:
    """ValueError for a code that no text is ever given: with it every text would be rejected, without a word."""
    if code.lower() in _ZH:
        raise ValueError("`zh`, which is Chinese")
    if code not in CODES:
        raise ValueError("a language that can be told, such as zh, en, ja")
    return code


# Fields of `CleanConfig` that change nothing that comes out, and are not part of what a run is made from.
MEANS = frozenset({"worker", "slurm", "ray"})


class CleanConfig(Config):
    """Everything that shapes the output of `corpus clean`."""

    languages: list[Annotated[str, AfterValidator(_language)]] = Field(["zh", "en"], min_length=1)
    """Languages that are kept, ISO 639-1: [zh, en]."""
    read: ReadConfig = ReadConfig()
    url: UrlConfig = UrlConfig()
    extract: ExtractConfig = ExtractConfig()
    normalize: NormalizeConfig = NormalizeConfig()
    personal: PersonalConfig = PersonalConfig()
    quality: QualityConfig = QualityConfig()
    dedup: DedupConfig = DedupConfig()
    worker: WorkerConfig = WorkerConfig()
    slurm: SlurmConfig = SlurmConfig()
    ray: RayConfig = RayConfig()
    rules: list[Rule]
    """Bounds on signals, per language."""
    seed: int = 0
    """Seed of `--sample`."""


@cache
def defaults() -> dict[str, Any]:
    """Without `--config`: Chinese and English, each by its own shipped rules."""
    shipped = [read_yaml(config_folder() / f"clean-{language}.yaml") for language in ("zh", "en")]
    return {
        "languages": [language for part in shipped for language in part["languages"]],
        "rules": [rule for part in shipped for rule in part["rules"]],
    }


def load(path: Path | None, overrides: list[str]) -> CleanConfig:
    """Shipped defaults < the file < `-s key=value`."""
    return CleanConfig.load(path, overrides, defaults())
