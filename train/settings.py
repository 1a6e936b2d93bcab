"""`train settings`: every key that `-s` and `--config` of each command take, with its type, default and meaning."""

from typing import Final

from runkit.config import Config, describe
from runkit.console import emit_json
from runkit.settings import print_settings
from train.config import DataConfig, ExtendConfig, FitConfig, TokensConfig
from train.pretrain_config import PretrainConfig
from train.sft_config import SftConfig

COMMANDS: Final[dict[str, type[Config]]] = {
    "train tokenizer fit": FitConfig,
    "train tokenizer extend": ExtendConfig,
    "train tokens": TokensConfig,
    "train data": DataConfig,
    "train pretrain": PretrainConfig,
    "train sft": SftConfig,
}


def show_settings(as_json: bool) -> None:
    """To stdout, for people or as one JSON object."""
    if as_json:
        emit_json({name: [setting._asdict() for setting in describe(config)] for name, config in COMMANDS.items()})
        return
    for name, config in COMMANDS.items():
        print(f"\n{name}\n")
        print_settings(describe(config))
