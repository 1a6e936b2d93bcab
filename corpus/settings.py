"""`corpus settings`: every key that `-s` and `--config` take, with its type, default and meaning.

The text comes from the config classes themselves, so it cannot differ from what is checked.
"""

from corpus.config import CleanConfig, load
from corpus.decontaminate_config import DecontaminateConfig
from corpus.dedup_config import DeepDedupConfig
from corpus.quality_config import PerplexityConfig, QualityConfig
from corpus.stats_config import StatsConfig
from runkit.config import describe
from runkit.console import emit_json
from runkit.settings import print_settings


def show_settings(as_json: bool) -> None:
    """To stdout, for people or as one JSON object."""
    settings = describe(CleanConfig)
    rules = load(None, []).rules
    others = {
        "dedup": describe(DeepDedupConfig),
        "decontaminate": describe(DecontaminateConfig),
        "stats": describe(StatsConfig),
        "quality fit": describe(QualityConfig),
        "quality fit-perplexity": describe(PerplexityConfig),
    }
    if as_json:
        listed = {"settings": settings, **others}
        made = {name: [setting._asdict() for setting in of_command] for name, of_command in listed.items()}
        emit_json({**made, "rules": [rule.model_dump() for rule in rules]})
        return
    print_settings(settings)
    print("\nRules of the shipped configs, as `-s rules.SIGNAL.min=…` and `.max=…`:")
    for rule in rules:
        bounds = " ".join(
            f"{name} {value:g}" for name, value in (("min", rule.min), ("max", rule.max)) if value is not None
        )
        print(f"  {rule.signal:<26} {rule.language or 'all':<3} {bounds:<22} {rule.source}")
    for command, of_command in others.items():
        print(f"\nSettings of `corpus {command}`:")
        print_settings(of_command)
