"""`corpus settings`: every key that `-s` and `--config` take, with its type, default and meaning.

The text comes from the config classes themselves, so it cannot differ from what is checked.
"""

from corpus.config import CleanConfig, load
from runkit.config import describe
from runkit.console import emit_json
from runkit.settings import print_settings


def show_settings(as_json: bool) -> None:
    """To stdout, for people or as one JSON object."""
    settings = describe(CleanConfig)
    rules = load(None, []).rules
    if as_json:
        emit_json({"settings": [setting._asdict() for setting in settings], "rules": [r.model_dump() for r in rules]})
        return
    print_settings(settings)
    print("\nRules of the shipped configs, as `-s rules.SIGNAL.min=…` and `.max=…`:")
    for rule in rules:
        bounds = " ".join(
            f"{name} {value:g}" for name, value in (("min", rule.min), ("max", rule.max)) if value is not None
        )
        print(f"  {rule.signal:<26} {rule.language or 'all':<3} {bounds:<22} {rule.source}")
