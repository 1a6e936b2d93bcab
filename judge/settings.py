"""`judge settings`: every key that `-s` and `--config` take, with its type, default and meaning."""

from typing import Final

from judge.compare_config import AnswerConfig, CompareConfig
from runkit.config import Config, describe
from runkit.console import emit_json
from runkit.settings import print_settings

COMMANDS: Final[dict[str, type[Config]]] = {
    "judge compare, judge selftest": CompareConfig,
    "judge answer": AnswerConfig,
}


def show_settings(as_json: bool) -> None:
    """To stdout, for people or as one JSON object."""
    if as_json:
        emit_json({name: [setting._asdict() for setting in describe(config)] for name, config in COMMANDS.items()})
        return
    for name, config in COMMANDS.items():
        print(f"\n{name}\n")
        print_settings(describe(config))
