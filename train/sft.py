"""`train sft`: a model learns to answer; from instruction data and a model to one with a chat template.

In: files in any layout of instruction data, a run, a Hugging Face folder or a GGUF file, a `SftConfig`. Out: a run
directory as of `train pretrain`; its checkpoints have `chat_template.jinja`, and tokens of answers alone were learnt.
Dialogues are laid whole into rows, and none sees another. Price: 0.15 ms a dialogue at each start to encode it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.console import say
from runkit.errors import InputError, UsageError
from runkit.fields import fault_lines
from runkit.inputs import split_label, stem
from runkit.instructions import Items, find_items
from runkit.planned import keep_apart
from train.chat_template import FILE, ChatTemplate, chat_template, given_template, usual_template
from train.config import DataConfig
from train.convert import Loaded, load_model
from train.data import held_out_by_source
from train.dialogues import Dialogues, Found, read_dialogues
from train.distributed import World
from train.measuring import whence
from train.model import Model
from train.running import Prepared, RunCall, carry_out, check, rows_for, steps_of
from train.samples import continue_texts
from train.sft_config import SftConfig
from train.sft_view import inspect
from train.start import check_length, tuned_model

COMMAND: Final = "train sft"
LEFT_OUT: Final = "left_out.jsonl"
QUARANTINE: Final = "quarantine.jsonl"
GENERATION: Final = "generation_config.json"
USUAL_LENGTH: Final = 2048  # positions of a row, of a model made for more


@dataclass(frozen=True, slots=True, kw_only=True)
class SftCall(RunCall):
    """The command line, parsed."""

    source: Path
    data: list[str]  # each optionally NAME=FILE
    config: SftConfig
    template: str | None = None  # --template: a name of `NAMED`, or a file
    inspected: int | None = None  # dialogues to show; nothing is trained then


@dataclass(frozen=True, slots=True)
class _Material:
    loaded: Loaded
    template: ChatTemplate
    seq_len: int
    sets: Mapping[str, Items]
    dialogues: Dialogues
    found: Found


def sft(call: SftCall) -> None:
    """Train to the end, or go on. Raises what `find_items`, `load_model`, `read_dialogues` and `train` raise."""
    if (template := given_template(call.template)) is not None:  # a file is bound to the run by what it says
        call = replace(call, config=call.config.model_copy(update={"template": template}))
    if call.inspected is not None:
        material = _read(call)
        inspect(material.dialogues, material.found.counts, material.template, call.inspected, call.as_json)
        return
    carry_out(call, lambda here: _prepared(call, here))


def _prepared(call: SftCall, here: World) -> Prepared:
    config = call.config
    keep_apart(call.out, [str(call.source), *(split_label(path)[1] for path in call.data)])
    check(config, here)
    material = _read(call)
    dialogues, template, loaded = material.dialogues, material.template, material.loaded
    data = _data_config(material, config)
    rows, warnings = rows_for(dialogues, data, config)
    steps, more = steps_of(rows, config, "dialogues")
    tokenizer, counts = template.tokenizer, material.found.counts
    start = tuned_model(config, loaded, call.source, _files(material), material.seq_len)

    def sample(model: Model) -> list[dict[str, Any]]:
        return continue_texts(
            model,
            tokenizer,
            config.prompts,
            config.prompt_tokens,
            config.seed,
            lambda prompt: template.question([("user", prompt)]).tolist(),
            template.end_ids,
        )

    told = {"template": template.name, "dialogues": dict(counts), "answer_tokens": dialogues.answer_tokens}
    return Prepared(
        command=COMMAND,
        config=config,
        rows=rows,
        held_out=held_out_by_source(dialogues, data) if config.eval_rows else {},
        steps=steps,
        start=start,
        inputs=[*_inputs(material.sets), *start.inputs],
        data={"documents": len(dialogues), "sources": dialogues.sources, "ids": tokenizer.size, **told},
        sample=sample,
        warnings=[*_left_out(material.found), *warnings, *more],
        files={LEFT_OUT: _left_lines(material.found), QUARANTINE: fault_lines(material.found.faults)}
        | whence(call.source),
        summary=told,
    )


def _inputs(sets: Mapping[str, Items]) -> list[dict[str, Any]]:
    return [{**entry, "name": f"{name}/{entry['name']}"} for name, items in sets.items() for entry in items.inputs()]


def _read(call: SftCall) -> _Material:
    loaded = load_model(call.source)
    if loaded.tokenizer is None:
        raise UsageError(f"{call.source} has no tokenizer; put the one it was trained with beside it.")
    given = call.config.template
    template = chat_template(loaded.files, loaded.tokenizer, str(call.source), given)
    if template is None:
        template = usual_template(loaded.tokenizer)
        say(f"{call.source} has no chat template; the template {template.name} is taken.")
    seq_len = call.config.data.seq_len or min(loaded.config.seq_len, USUAL_LENGTH)
    check_length(loaded.model, seq_len, call.source)
    sets: dict[str, Items] = {}
    for argument in call.data:
        name, path = split_label(argument)
        name = name or stem(path)
        if name in sets:
            raise UsageError(f"Two files of --data have the name {name}; give one another: NAME={path}.")
        sets[name] = find_items([path])
    # A position for each id but the last, which is only a target.
    dialogues, found = read_dialogues(sets, template, seq_len + 1)
    return _Material(loaded, template, seq_len, sets, dialogues, found)


def _data_config(material: _Material, config: SftConfig) -> DataConfig:
    data, dialogues = config.data, material.dialogues
    trained = int(dialogues.length[~dialogues.held_out(data.held_out)].sum())
    tokens = round(data.epochs * trained)
    if 0 < tokens < material.seq_len and config.steps is None:
        raise InputError(
            f"All dialogues have {trained:,} tokens, less than one row of {material.seq_len:,}; lower data.seq_len, "
            "raise data.epochs or give more dialogues."
        )
    return DataConfig(
        weights=data.weights,
        tokens=None if config.steps is not None else max(1, tokens),
        seq_len=material.seq_len,
        held_out=data.held_out,
        waste=1.0,  # a dialogue is never cut to fill a gap
        seed=data.seed,
    )


def _files(material: _Material) -> dict[str, bytes]:
    """Files of the model's tokenizer, with the template and what ends an answer, as transformers and vLLM read them."""
    files = dict(material.loaded.files)
    stated = orjson.loads(files.get(GENERATION, b"{}"))
    special = material.template.tokenizer.special
    begins = {} if special.bos is None else {"bos_token_id": special.bos}
    stated = {**stated, **begins, "eos_token_id": sorted(material.template.end_ids)}
    files[FILE] = material.template.text.encode()
    files[GENERATION] = orjson.dumps(stated, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return files


def _left_out(found: Found) -> list[str]:
    """A sentence when dialogues were left out or shortened."""
    counts = found.counts
    plain = ("read", "used", "shortened", "last_question_left_out", "first_answer_left_out")
    reasons = ", ".join(f"{name} {count:,}" for name, count in counts.most_common() if name not in plain and count)
    told = (
        [f"{counts['read'] - counts['used']:,} of {counts['read']:,} dialogues are left out: {reasons}."]
        if reasons
        else []
    )
    if counts["shortened"]:
        told.append(f"{counts['shortened']:,} dialogues are longer than a row and lose their last exchanges.")
    return told


def _left_lines(found: Found) -> bytes:
    return b"".join(
        orjson.dumps(
            {"source": one.source, "id": one.id, "reason": one.reason, "detail": one.detail},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for one in found.left
    )
