"""Pages for people say what is there: commands, flags, settings and files exist, links lead somewhere, and both READMEs
hold the same code. What a command would do with them is tested elsewhere; here nothing is run.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
import typer

from corpus import config as corpus_config
from corpus.decontaminate_config import DecontaminateConfig
from corpus.dedup_config import DeepDedupConfig
from corpus.mix import MixPlan
from corpus.quality_config import PerplexityConfig, QualityConfig, ScoreConfig
from corpus.stats_config import StatsConfig
from judge.compare_config import AnswerConfig, CompareConfig
from runkit.errors import UserError
from selfinstruct.config import GenerateConfig
from train.config import DataConfig, ExtendConfig, FitConfig, TokensConfig
from train.pretrain_config import PretrainConfig
from train.sft_config import SftConfig

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("corpus", "selfinstruct", "train", "judge")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "examples" / "README.md"])
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
# Logs are about what was, not about what is.
TODAY = [page for page in PAGES if page.name not in ("LOG.md", "CHANGELOG.md")]

FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?(?:torchrun .*-m )?(corpus|selfinstruct|train|judge) ")
FILE = re.compile(r"(?:configs|docs|bench|tests|examples|runs|runkit|corpus|selfinstruct|train|judge)/[\w./-]+\.[a-z]+")
OUTPUTS = re.compile(r"runs/[\w-]+(/|\.html)|examples/dump/")  # what somebody's runs leave
FLAG = re.compile(r"--?[A-Za-z][\w-]*")

SETTINGS: dict[str, Any] = {
    "corpus clean": corpus_config.load,
    "corpus tune": corpus_config.load,
    "corpus mix": MixPlan.load,
    "corpus dedup": DeepDedupConfig.load,
    "corpus decontaminate": DecontaminateConfig.load,
    "corpus stats": StatsConfig.load,
    "corpus quality fit": QualityConfig.load,
    "corpus quality fit-perplexity": PerplexityConfig.load,
    "corpus quality score": ScoreConfig.load,
    "selfinstruct generate": GenerateConfig.load,
    "train tokenizer fit": FitConfig.load,
    "train tokenizer extend": ExtendConfig.load,
    "train tokens": TokensConfig.load,
    "train data": DataConfig.load,
    "train pretrain": PretrainConfig.load,
    "train plan": PretrainConfig.load,
    "train sft": SftConfig.load,
    "judge compare": CompareConfig.load,
    "judge selftest": CompareConfig.load,
    "judge answer": AnswerConfig.load,
}


class Line(NamedTuple):
    """A command as a page prints it."""

    place: str
    text: str
    whole: bool  # could be run as it stands


@cache
def tool(name: str) -> Any:
    return typer.main.get_command(import_module(f"{name}.cli").app)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        for name, sub in getattr(command, "commands", {}).items():
            yield from below(f"{words} {name}", sub)
        if not hasattr(command, "commands"):
            yield words, command

    for name in TOOLS:
        yield from below(name, tool(name))


def flags_of(command: Any) -> set[str]:
    found = {"--help", "-h", "-vv"}
    for sub in getattr(command, "commands", {}).values():
        found |= flags_of(sub)
    return found | {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}


def code_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, continued ones joined, without comments."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+# .*", "", line).rstrip()


def printed(page: Path) -> Iterator[Line]:
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    for line in code_lines(text):
        if COMMAND.match(line):
            yield Line(name, line, "…" not in line)
    for span in CODE.findall(FENCE.sub("", text)):
        if COMMAND.match(span) and not span.startswith("train tokenizer.model"):
            yield Line(name, span, False)


def examples() -> Iterator[Line]:
    for words, command in [*((name, tool(name)) for name in TOOLS), *commands()]:
        for line in (command.epilog or "").splitlines():
            if COMMAND.match(line.strip()):
                yield Line(f"{words} --help", line.strip(), True)


def split(line: Line) -> tuple[str, Any, list[str]]:
    """Its command's words and object, and what stands behind them."""
    found = COMMAND.match(line.text)
    assert found is not None
    words = shlex.split(line.text[found.start(1) :])
    command, name, rest = tool(words[0]), words[0], words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
    known = sorted(getattr(command, "commands", {}))
    ahead = bool(rest) and re.fullmatch(r"[a-z][a-z-]*", rest[0]) is not None
    assert not (known and ahead), f"{line.place}: `{line.text}`: {name} has no {rest[0]}, but {known}"
    return name, command, rest


LINES = [line for page in TODAY for line in printed(page)] + list(examples())


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.place}: {line.text}"[:110])
def test_commands_flags_and_settings_exist(line: Line) -> None:
    name, command, rest = split(line)
    known = flags_of(command)
    flags = [word.partition("=")[0] for word in rest if FLAG.match(word)]
    assert not [flag for flag in flags if flag not in known], f"{line.place}: {name} has no such flag"
    if line.whole and not hasattr(command, "commands"):
        missing = [param.opts[0] for param in command.params if param.required and param.opts[0].startswith("-")]
        assert not [flag for flag in missing if flag not in flags and flag != "-n"], f"{line.place}: {line.text}"
        assert ("-n" in missing) <= bool({"-n", "--n"} & set(flags))
    overrides = [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in ("-s", "--set")]
    overrides = [text for text in overrides if "…" not in text and "KEY" not in text]
    config = next((rest[at + 1] for at, word in enumerate(rest[:-1]) if word == "--config"), None)
    if name in SETTINGS and (overrides or config):
        shipped = ROOT / config if config and (ROOT / config).is_file() else None
        assert not config or shipped or not config.startswith("configs/"), f"{line.place}: no {config}"
        plan = ROOT / rest[0] if name == "corpus mix" else shipped
        try:
            SETTINGS[name](plan, overrides)
        except UserError as error:
            pytest.fail(f"{line.place}: `{line.text}`: {error}")


@pytest.mark.parametrize("page", TODAY, ids=lambda page: page.name)
def test_flags_in_running_text_exist(page: Path) -> None:
    """A flag alone in backticks belongs to one of the commands, or its sentence names another program."""
    known = set().union(*(flags_of(tool(name)) for name in TOOLS))
    foreign = {"--export", "--max-model-len", "--jinja", "--minimind", "--nanochat", "--compiled", "--check"}
    text = FENCE.sub("", page.read_text("utf-8"))
    found = {span.split()[0] for span in CODE.findall(text) if re.match(r"--[a-z]", span)}
    assert not {flag.partition("=")[0] for flag in found} - known - foreign


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link.partition("#")[0] for link in LINK.findall(FENCE.sub("", text)) if "://" not in link]
    gone = [link for link in links if link and not (page.parent / unquote(link)).exists()]
    if page in TODAY:
        named = {name for name in FILE.findall(text) if not OUTPUTS.match(name)}
        gone += [name for name in sorted(named) if not (ROOT / name).exists() and not (page.parent / name).exists()]
    assert not gone, f"{page.name} names what is not there: {gone}"


def test_both_readmes_hold_the_same_code() -> None:
    """Comments are translated, and so is the drawing; commands and code are the same, line by line."""
    english, chinese = (
        [line for line in code_lines(readme.read_text("utf-8")) if line and "──" not in line and "▶" not in line]
        for readme in READMES
    )
    drawing = [line for line in english if line.startswith((" WARC", " parquet", "  "))]
    assert [line for line in english if line not in drawing or "print(" in line] == chinese


def test_both_readmes_have_the_same_sections_and_rows() -> None:
    def shape(readme: Path) -> list[str]:
        text = FENCE.sub("", readme.read_text("utf-8"))
        return [
            line.split()[0] if line[0] != "|" else "|"
            for line in text.splitlines()
            if line.startswith(("#", "|", "- "))
        ]

    assert shape(READMES[0]) == shape(READMES[1])


def figures(text: str) -> set[str]:
    return set(re.findall(r"\d[\d,.]*\d|\d", text.partition("\n## Measured")[2] or text.partition("\n## 实测")[2]))


def test_both_readmes_state_the_same_figures_and_all_are_in_measured() -> None:
    english, chinese = (figures(readme.read_text("utf-8").rpartition("\n## ")[0]) for readme in READMES)
    assert english == chinese
    everything = set(re.findall(r"\d[\d,.]*\d|\d", (ROOT / "docs" / "measured.md").read_text("utf-8")))
    assert english <= everything


def test_the_help_of_a_group_cuts_no_sentence() -> None:
    def below(words: str, command: Any) -> Iterator[str]:
        subs: Mapping[str, Any] = getattr(command, "commands", {})
        room = 78 - 6 - max(map(len, subs), default=0)
        for name, sub in subs.items():
            if sub.get_short_help_str(room).endswith("...") or not sub.get_short_help_str(room):
                yield f"{words} {name}: {sub.get_short_help_str(200)}"
            yield from below(f"{words} {name}", sub)

    assert not [fault for name in TOOLS for fault in below(name, tool(name))]


def test_every_command_has_the_same_common_options() -> None:
    """Spelt and explained alike wherever they stand; help says what an option is for."""
    meanings: dict[str, dict[str, list[str]]] = {}
    faults = []
    for words, command in commands():
        options = {param.opts[-1]: param for param in command.params if param.opts[0].startswith("-")}
        faults += [f"{words} {flag}: no help" for flag, param in options.items() if not param.help]
        if not words.endswith(" settings"):
            faults += [f"{words} has no {flag}" for flag in ("--json", "--quiet", "--verbose") if flag not in options]
            faults += [f"{words} has no example" for _ in range(not command.epilog)]
        for flag, param in options.items():
            meanings.setdefault(flag, {}).setdefault(param.help or "", []).append(words)
    for flag in ("--json", "--quiet", "--verbose", "--config", "--set", "--workers", "--sample", "--dry-run"):
        assert len(meanings[flag]) == 1, meanings[flag]
    for flag in ("--max-bad", "--budget", "--concurrency", "--models", "--prices", "--retry-failed", "--template"):
        assert len(meanings[flag]) == 1, meanings[flag]
    assert not faults


def test_every_dependency_is_listed_with_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = {
        name.strip().lower(): cells
        for line in page.splitlines()
        if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) >= 4
        for name in cells[0].replace("`", "").split(",")
    }
    names = {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in wanted}
    assert not sorted(names - rows.keys())
    assert not [name for name in names if not all(rows[name][:4])]
