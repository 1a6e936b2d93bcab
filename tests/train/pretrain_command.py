"""`train pretrain` with its settings as JSON, for tests that start it in a process of its own."""

import sys
import time
from pathlib import Path

from runkit.console import app, run_app
from train.pretrain import PretrainCall, pretrain
from train.pretrain_config import PretrainConfig


def main() -> None:
    """Arguments: SHARDS, OUT, settings."""
    shards, out, settings = sys.argv[1:]
    call = PretrainCall(
        shards=[Path(shards)],
        out=Path(out),
        config=PretrainConfig.model_validate_json(settings),
        as_json=False,
        quiet=True,
        started=time.monotonic(),
    )
    command = app("train", "")
    command.command()(lambda: pretrain(call))
    sys.exit(run_app(command, []))
