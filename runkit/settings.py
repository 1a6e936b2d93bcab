"""Settings told to people: each key with its type, default and meaning, from the config classes themselves."""

from collections.abc import Iterable

from runkit.config import Setting


def print_settings(settings: Iterable[Setting]) -> None:
    """To stdout."""
    for setting in settings:
        print(f"{setting.key}  ({setting.type}; default {setting.default})\n    {setting.text}")
