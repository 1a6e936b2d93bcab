"""A process that asks a model, to be killed and interrupted: its exit code is a command's."""

import os
import signal
import sys
from pathlib import Path

import typer

from runkit.chat import Failure, Reply, Request
from runkit.console import run_app
from runkit.ledger import Ledger
from runkit.llm_client import Client, Policy
from runkit.llm_order import run_in_order
from runkit.models import Model, Price

PRICE = Price(prompt=10, completion=20)


def question(number: int, seen: str) -> Request:
    """Depends on what was answered before, as generation does."""
    return Request(messages=[{"role": "user", "content": f"问题{number} {seen}"}], max_tokens=60)


def ask(url: str, folder: Path, calls: int, concurrency: int, window: int) -> list[str]:
    """The texts, in order."""
    model = Model(name="loop", url=url, model="loop", price=PRICE)
    texts: list[str] = []

    def build(number: int) -> Request | None:
        return question(number, texts[number - window] if number >= window else "") if number < calls else None

    def take(number: int, answer: Reply | Failure) -> None:
        texts.append(answer.text if isinstance(answer, Reply) else f"{answer.kind}: {answer.message}")

    with Ledger.open(folder / "ledger.sqlite") as ledger:
        client = Client(model, ledger, concurrency=concurrency, policy=Policy(backoff_s=0.002, backoff_most_s=0.02))
        run_in_order(client, build, take, window)
    return texts


def child(url: str, folder: str, calls: int, concurrency: int, window: int) -> None:
    """What the process runs; its stderr goes to FOLDER/err."""
    import openai  # noqa: F401  (2 s that are spent once, in the process that is forked)

    app = typer.Typer()
    err = os.open(f"{folder}/err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(err, 2)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)

    @app.command()
    def command() -> None:
        ask(url, Path(folder), calls, concurrency, window)

    code = run_app(app, [])
    sys.stderr.flush()
    os._exit(code)
