"""The `judge` command: the files that register its commands, and its entry point. Each parses first, then imports."""

import sys
from importlib import import_module

from judge.cli_app import app
from runkit import console

# In the order in which `judge --help` lists their commands.
for _name in ("cli_compare", "cli_figures", "cli_review"):
    import_module(f"judge.{_name}")


@app.callback()
def _judge() -> None:
    pass


def main() -> None:
    """Entry point of the `judge` script."""
    sys.exit(console.run_app(app))
