"""Checkpoints: a folder that transformers reads, with all that is needed to go on to the bit in `state/`.

In: a model, its optimizers, a `State`. Out: `checkpoints/step-00000010/` in the run. All files are written into a
folder of another name and fsynced, the manifest with their sha256 sums last, then the folder gets its name: a kill at
any moment leaves the checkpoint before. Nothing is ever unpickled. Price: 12 bytes a weight on the disk, each tensor
file once in memory while it is written, and a second for each GB that is verified when a run goes on.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from runkit.errors import InputError
from runkit.files import publish_folder, sha256_file, write_bytes
from train.distributed import World, parted, whole
from train.hf_config import config_json
from train.lora import ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, adapter_files, adapter_tensors, merged
from train.model import Model
from train.optim import Optimizers
from train.pieces import Special

FOLDER: Final = "checkpoints"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
WEIGHTS, OPTIMIZER, RANDOM, STATE = (
    "model.safetensors",
    "state/optimizer.safetensors",
    "state/random.safetensors",
    "state/state.json",
)
_TEMP: Final = ".saving"
_NAME: Final = re.compile(r"step-(\d{8,})")
_TIED: Final = "lm_head.weight"
_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is."""

    step: int  # steps that were made
    row: int  # of the data, that comes next
    tokens: int  # targets that were trained on
    data_sha256: str
    losses: list[float]  # of the last steps, to tell a spike
    scaler: dict[str, float | int]  # of the loss in fp16; else empty


def folders(run: Path) -> list[Path]:
    """The checkpoints of a run, the newest first, whole or not."""
    found = [path for path in (run / FOLDER).glob("step-*") if path.is_dir() and _NAME.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint's name says."""
    return int(checkpoint.name.removeprefix("step-"))


def fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint's files, None when they are those that were written."""
    try:
        raw = (checkpoint / MANIFEST).read_bytes()
        body = orjson.loads(raw)
        stated = body.pop("sha256")
        if stated != _digest(body) or raw != _manifest(body):
            return f"{MANIFEST} was cut or edited"
        if body["format"] != FORMAT:
            return f"its format is {body['format']}, this program reads {FORMAT}"
        for name, sha256 in body["files"].items():
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
            if sha256_file(checkpoint / name) != sha256:
                return f"{name} was cut or edited"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, orjson.JSONDecodeError, AttributeError, LookupError, TypeError):
        return f"{MANIFEST} cannot be read"
    return None


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence for each newer one that is not.

    None: there is none yet. InputError: there are some, and all are damaged.
    """
    faults: list[str] = []
    for checkpoint in folders(run):
        wrong = fault(checkpoint)
        if wrong is None:
            return checkpoint, [f"{text}; that of step {step_of(checkpoint)} is used." for text in faults]
        faults.append(f"The checkpoint {checkpoint} is damaged: {wrong}")
    if faults:
        raise InputError(f"{faults[0]}, and no other is whole; remove {run / FOLDER} to begin anew.")
    return None, []


class Checkpoints:
    """Saves and loads the checkpoints of one run, whose lock the caller holds."""

    def __init__(
        self, run: Path, keep: int, special: Special, files: Mapping[str, bytes], adapter: Adapter | None = None
    ) -> None:
        """`files` by name, those of the tokenizer, are written beside the weights.

        With an `adapter` the weights that are written have it merged in, and it lies in a folder by itself; only that
        is loaded, into a model that has its base already.
        """
        self.run, self.keep, self.special, self.files, self.adapter = run, keep, special, files, adapter

    def save(self, state: State, model: Model, optimizers: Optimizers, world: World) -> None:
        """Write a checkpoint, then remove the oldest; all processes come here. EnvironmentFault: the disk is full."""
        temp = self.run / FOLDER / _TEMP
        if world.main:
            shutil.rmtree(temp, ignore_errors=True)
        sums: dict[str, str] = {}
        try:
            for name, data in self._contents(state, model, optimizers, world.main):
                sums[name] = world.together(partial(_write, temp / name, data) if world.main else str)
            world.together(lambda: self._publish(temp, state.step, sums) if world.main else None)
        except BaseException:
            if world.main:
                shutil.rmtree(temp, ignore_errors=True)
            raise

    def restore(self, checkpoint: Path, model: Model, optimizers: Optimizers) -> State:
        """Load a checkpoint that is whole. InputError: it is of another model."""
        if self.adapter is not None:
            tensors = adapter_tensors(model, load_file(checkpoint / ADAPTER / ADAPTER_WEIGHTS))
        else:
            tensors = load_file(checkpoint / WEIGHTS)
            if model.config.tied:
                tensors[_TIED] = tensors["model.embed_tokens.weight"]
        own = model.state_dict()
        tensors = {name: parted(value, own[name]) if name in own else value for name, value in tensors.items()}
        try:
            model.load_state_dict(tensors, strict=self.adapter is None)
        except RuntimeError as error:
            raise InputError(f"{checkpoint / WEIGHTS} does not fit the model of the config; use its own.") from error
        optimizers.restore(load_file(checkpoint / OPTIMIZER))
        random = load_file(checkpoint / RANDOM)
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
        return State(**orjson.loads((checkpoint / STATE).read_bytes()))

    def _contents(self, state: State, model: Model, optimizers: Optimizers, keep: bool) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each file but the manifest; what is large is collected when its turn comes."""
        config = config_json(model.config, self.special.bos, self.special.eos)
        yield from {**self.files, "config.json": _json(config), STATE: _json(asdict(state))}.items()
        yield RANDOM, to_bytes(_random_states())
        tensors = weights(model, keep)
        if self.adapter is not None:
            lora, names = self.adapter.config, (ADAPTER_WEIGHTS, ADAPTER_CONFIG)
            written = adapter_files(tensors, lora, self.adapter.base_name) if keep else {}
            yield from ((f"{ADAPTER}/{name}", written.get(name, b"")) for name in names)
            tensors = merged(tensors, lora)
        yield WEIGHTS, to_bytes(tensors, {"format": "pt"})
        yield OPTIMIZER, to_bytes(_on_cpu(optimizers.tensors(), keep))

    def _publish(self, temp: Path, step: int, sums: Mapping[str, str]) -> None:
        _write(temp / MANIFEST, _manifest({"format": FORMAT, "step": step, "files": sums}))
        final = self.run / FOLDER / f"step-{step:08}"
        if final.exists():  # damaged, or this step would not have been made again
            shutil.rmtree(final)
        publish_folder(temp, final)
        self._remove_old(step)

    def _remove_old(self, step: int) -> None:
        """Newer ones than the one just written were damaged, or the run would have gone on from there."""
        older = [path for path in folders(self.run) if step_of(path) <= step]
        for path in [*older[self.keep :], *(path for path in folders(self.run) if step_of(path) > step)]:
            shutil.rmtree(path)


def weights(model: Model, keep: bool = True) -> dict[str, Tensor]:
    """The weights under Hugging Face's names, on the CPU; a tied matrix once.

    Under fsdp all processes come here; those that do not `keep` only give their parts.
    """
    tensors: Mapping[str, Tensor] = model.state_dict()
    return _on_cpu({name: value for name, value in tensors.items() if name != _TIED or not model.config.tied}, keep)


def _on_cpu(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    found = {}
    for name, value in tensors.items():  # one at a time, so that no GPU holds them all
        full = whole(value.detach())
        if keep:
            found[name] = full.cpu().contiguous()
    return found


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _write(path: Path, data: bytes) -> str:
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=_OPTIONS)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(body)).hexdigest()


def _manifest(body: Mapping[str, Any]) -> bytes:
    return _json({**body, "sha256": _digest(body)})
