"""`train pretrain`: from token shards to a model, from nothing or from one that is there; the same command goes on.

In: folders of token shards, a `PretrainConfig`, maybe a model to begin with. Out: a run directory whose newest
checkpoint transformers reads as it is; train/running.py says what else is in it. Price of a start: laying out the
data, 1 s for a million documents.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runkit.planned import keep_apart
from train.data import Documents, held_out_by_source
from train.distributed import World
from train.measuring import whence
from train.model import Model
from train.pretrain_config import PretrainConfig
from train.running import Prepared, RunCall, carry_out, check, rows_for, steps_of
from train.samples import continue_texts
from train.shards import open_shards
from train.start import Start, first_model
from train.tokenizer import load

COMMAND: Final = "train pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainCall(RunCall):
    """The command line, parsed."""

    shards: list[Path]
    config: PretrainConfig
    source: Path | None = None  # a model to go on from
    added: Path | None = None  # pieces that its tokenizer was extended by; unset: those beside the shards' tokenizer


def pretrain(call: PretrainCall) -> None:
    """Train to the end, or go on. Raises what `open_shards`, `training_data`, `first_model` and `train` raise."""
    carry_out(call, lambda here: _prepared(call, here))


def _prepared(call: PretrainCall, here: World) -> Prepared:
    config = call.config
    keep_apart(call.out, [str(path) for path in (*call.shards, *([call.source] if call.source else []))])
    check(config, here)
    documents = Documents([open_shards(path) for path in call.shards])
    tokenizer = load(documents.folders[0].tokenizer)
    start = first_model(config, call.source, call.added, tokenizer, call.shards[0])
    rows, warnings = rows_for(documents, config.data, config)
    steps, more = steps_of(rows, config, "documents")

    def sample(model: Model) -> list[dict[str, Any]]:
        return continue_texts(model, tokenizer, config.prompts, config.prompt_tokens, config.seed)

    return Prepared(
        command=COMMAND,
        config=config,
        rows=rows,
        held_out=held_out_by_source(documents, config.data) if config.eval_rows else {},
        steps=steps,
        start=start,
        inputs=_inputs(documents, start),
        data={"documents": len(documents), "sources": list(documents.sources), "ids": tokenizer.size},
        sample=sample,
        warnings=warnings + more,
        files=whence(call.source),
    )


def _inputs(documents: Documents, start: Start) -> list[dict[str, Any]]:
    """What the run is bound to: the shards, and the model that it goes on from."""
    found: list[dict[str, Any]] = [
        {"name": f"shards {number}", "size": len(folder), "fingerprint": Documents([folder]).sha256}
        for number, folder in enumerate(documents.folders)
    ]
    return [*found, *start.inputs]
