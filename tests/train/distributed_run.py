"""What one of several processes does for test_distributed.py: run after run in one start, each told in a file.

Arguments: FOLDER. Out: FOLDER/RUN for each run and FOLDER/outcomes-RANK.json.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from runkit.console import app, run_app
from runkit.errors import InputError
from runkit.files import write_json
from tests.train.model_runs import part, rows, tiny, training
from train.data import Batch
from train.distributed import World, world
from train.loop import Training, train
from train.lora import Adapter, add_lora
from train.model import Model
from train.objective import placed
from train.pretrain_config import LoraConfig

ROWS = 4
LORA: dict[str, Any] = {"lora": {"rank": 4, "embeddings": True}, "steps": 6, "checkpoint_every": 4}
Row = dict[str, Any]


def parts(here: World, step: int) -> list[Batch]:
    """This process' rows of a step, one at a time."""
    first, count = here.share(0, ROWS)
    return [part(rows(step), row, row + 1) for row in range(first, first + count)]


def task(run: Path, here: World, model: Model | None = None, **settings: Any) -> Training:
    """As `training`, in `here`; `checkpointing` is that of the model; with `lora` there are adapters."""
    model = model or tiny()
    adapter = None
    if "lora" in settings:
        adapter = Adapter(LoraConfig(**settings["lora"]), "base")
        add_lora(model, adapter.config, seed=0)
    model.checkpointing = settings.pop("checkpointing", False)
    settings.setdefault("checkpoint_every", 100)
    steps, on_step = settings.pop("steps", 8), settings.pop("on_step", lambda row: None)
    plain = training(run, **settings)
    model = placed(model, plain.config, here)
    made = training(run, steps, on_step, model, lambda step: parts(here, step), **settings)
    made.checkpoints.adapter = adapter
    return replace(made, world=here, sample=lambda: continued(model))


def embeddings_only() -> Model:
    model = tiny()
    for name, weight in model.named_parameters():
        weight.requires_grad_("embed" in name)
    return model


@torch.no_grad()
def continued(model: Model) -> list[Row]:
    """Ids that the model finds likeliest, one by one."""
    ids = torch.tensor([[1, 4, 7]])
    for _ in range(3):
        ids = torch.cat((ids, model.logits(model.hidden(ids))[:, -1:].argmax(-1)), 1)
    return [{"ids": ids[0].tolist()}]


def poisoned(here: World, run: Path) -> Training:
    """A loss that is no number, in the second process only."""
    made = task(run, here)

    def batches(step: int) -> list[Batch]:
        if step == 3 and here.rank == 1:
            next(iter(made.model.parameters())).data.fill_(1e38)
        return parts(here, step)

    return replace(made, batches=batches)


def signalled(here: World, run: Path) -> Training:
    """The second process is asked to end while it reads the fifth step."""

    def batches(step: int) -> list[Batch]:
        if step == 4 and here.rank == 1 and not (run / "checkpoints").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return parts(here, step)

    return replace(task(run, here), batches=batches)


def refusing(here: World, run: Path, rank: int) -> Training:
    """One process cannot read the rows of a step."""

    def batches(step: int) -> list[Batch]:
        if step == 2 and here.rank == rank:
            raise InputError(f"No rows in process {rank}.")
        return parts(here, step)

    return replace(task(run, here), batches=batches)


def cut_off(here: World, run: Path) -> Training:
    """The fifth step cannot be told; the fourth is saved."""

    def tell(row: Row) -> None:
        if row["step"] == 5:
            raise InputError("Not to be told.")

    return task(run, here, on_step=tell, checkpoint_every=4, parallel="fsdp")


def in_the_way(here: World, run: Path) -> Training:
    """A file stands where a checkpoint would be written."""
    if here.main:
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints/.saving").write_text("in the way")
    return task(run, here)


def refuse() -> None:
    raise InputError("Only the main process knows.")


def scenarios(here: World) -> dict[str, Callable[[Path], Any]]:
    muon = {"kind": "muon"}
    return {
        "ddp": lambda run: train(task(run, here)),
        "ddp_muon": lambda run: train(task(run, here, optim=muon, steps=3, checkpointing=True)),
        "ddp_fp16": lambda run: train(task(run, here, dtype="fp16", steps=3)),
        "ddp_embeddings": lambda run: train(task(run, here, embeddings_only(), steps=3)),
        "fsdp": lambda run: train(task(run, here, checkpointing=True, parallel="fsdp")),
        "fsdp_untied": lambda run: train(task(run, here, tiny(tied=False), steps=3, parallel="fsdp")),
        "fsdp_muon": lambda run: train(task(run, here, optim=muon, steps=3, parallel="fsdp")),
        "fsdp_embeddings": lambda run: train(task(run, here, embeddings_only(), steps=3, parallel="fsdp")),
        "from_one_ddp": lambda run: train(task(run, here, tiny(seed=9))),
        "from_one_fsdp": lambda run: train(task(run, here, tiny(seed=9), parallel="fsdp")),
        "lora": lambda run: train(task(run, here, parallel="fsdp", **LORA)),
        "to_one": lambda run: train(signalled(here, run)),
        "to_one_fsdp": lambda run: train(cut_off(here, run)),
        "poisoned": lambda run: train(poisoned(here, run)),
        "refused_0": lambda run: train(refusing(here, run, 0)),
        "refused_1": lambda run: train(refusing(here, run, 1)),
        "in_the_way": lambda run: train(in_the_way(here, run)),
        "refused_alone": lambda run: here.on_main(refuse),
        "uneven": lambda run: here.share(0, 5),
        "fsdp_fp16": lambda run: task(run, here, dtype="fp16", parallel="fsdp"),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    outcomes = {}
    with world() as here:
        assert here.size == 2 and here.on_main(lambda: [here.rank, folder]) == [0, folder]
        for name, scenario in scenarios(here).items():
            try:
                scenario(folder / name)
                outcomes[name] = "done"
            except BaseException as error:
                outcomes[name] = f"{type(error).__name__}: {error}"
        write_json(folder / f"outcomes-{here.rank}.json", outcomes)
        if here.rank == 1:
            os._exit(9)  # as if it were killed
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends the other one too
        here.agree([])


if __name__ == "__main__":
    command = app("train", "")
    command.command()(main)
    sys.exit(run_app(command, []))
