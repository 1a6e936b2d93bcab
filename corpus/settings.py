"""`corpus settings`: every key that `-s` and `--config` of each command take, with its type, default and meaning.

The text comes from the config classes themselves, so it cannot differ from what is checked. The plan of `corpus mix` is
a file of its own and stands here too.
"""

from typing import Final

from corpus.config import CleanConfig, load
from corpus.decontaminate_config import DecontaminateConfig
from corpus.dedup_config import DeepDedupConfig
from corpus.mix import MixPlan
from corpus.quality_config import PerplexityConfig, QualityConfig, ScoreConfig
from corpus.stats_config import StatsConfig
from runkit.config import Config, describe
from runkit.console import emit_json
from runkit.settings import print_settings

COMMANDS: Final[dict[str, type[Config]]] = {
    "corpus clean": CleanConfig,
    "corpus stats": StatsConfig,
    "corpus dedup": DeepDedupConfig,
    "corpus decontaminate": DecontaminateConfig,
    "corpus quality fit": QualityConfig,
    "corpus quality fit-perplexity": PerplexityConfig,
    "corpus quality score": ScoreConfig,
    "corpus mix": MixPlan,
}


def show_settings(as_json: bool) -> None:
    """To stdout, for people or as one JSON object."""
    rules = load(None, []).rules
    if as_json:
        made = {name: [setting._asdict() for setting in describe(config)] for name, config in COMMANDS.items()}
        emit_json({**made, "rules": [rule.model_dump() for rule in rules]})
        return
    for name, config in COMMANDS.items():
        print(f"\n{name}\n")
        print_settings(describe(config))
        if config is CleanConfig:
            print("\nRules of the shipped configs, as `-s rules.SIGNAL.min=…` and `.max=…`, of `corpus tune` too:")
            for rule in rules:
                bounds = " ".join(
                    f"{bound} {value:g}" for bound, value in (("min", rule.min), ("max", rule.max)) if value is not None
                )
                print(f"  {rule.signal:<26} {rule.language or 'all':<3} {bounds:<22} {rule.source}")
