"""`train eval mcq`: four-choice questions in C-Eval's layout.

In: a model and a folder with dev/, val/ and test/. Out: the accuracy by subject and category, each question's
probabilities, and for questions without answers a submission. The answer is the letter with the highest probability
right behind "答案：" or "Answer:", among the four; nothing is generated. With `out` each subject's answers are kept as
soon as they are there, and the same call asks only for the rest. Price: a model that would reason before it answers
gets no chance to; a stop loses the answers of the subject at hand.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import torch

from runkit.console import emit_json, progress, say
from runkit.errors import UsageError
from runkit.files import write_bytes, write_json
from runkit.rundir import RunDir
from train.mcq_prompts import WORDINGS, Prompt, Prompter, Wording, begin_id, find_letters
from train.mcq_questions import LETTERS, Question, Split, read_questions, subjects_in
from train.mcq_score import next_logprobs
from train.mcq_subjects import subject_of
from train.mcq_summary import Answered, submission, summarise, tell
from train.measuring import file_input, load_measured, model_inputs, model_place
from train.model import Model

COMMAND: Final = "train eval mcq"


@dataclass(frozen=True, slots=True, kw_only=True)
class McqCall:
    """The command line of `train eval mcq`, parsed."""

    run: Path
    folder: Path
    out: Path | None = None  # new, empty, or of the same call; None: nothing is written
    split: Split = "val"
    shots: int = 5  # worked examples from dev/
    wording: Wording = "zh"
    subjects: tuple[str, ...] = ()  # empty: all
    limit: int | None = None  # questions of each subject
    batch: int = 16  # questions at a time, at most
    bos: bool | None = None  # before each prompt; None: if it is not the token that ends a text too
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Exam:
    """What is asked about one subject."""

    name: str
    examples: list[Question]
    questions: list[Question]
    files: tuple[Path, ...]  # they come from


def eval_mcq(call: McqCall) -> None:
    """Ask the model in `call.run`: a run, a Hugging Face folder or a GGUF file. Raises what `measure_mcq` raises."""
    figures = measure_mcq(call)
    if call.as_json:
        emit_json(figures)
    if not (call.as_json and call.quiet):
        tell(figures)
        _tell_cuts(figures)


def measure_mcq(call: McqCall) -> dict[str, Any]:
    """What `--json` prints; the answers lie in `call.out`.

    UsageError: flags that do not fit each other or the folder. InputError: a file is not what it should be, or `out`
    was begun with another model, folder or setting.
    """
    _check(call)
    exams = read_exams(call)
    unknown = [exam for exam in exams if all(question.answer is None for question in exam.questions)]
    if unknown and call.out is None and not call.as_json:
        raise UsageError(f"{unknown[0].name} has no answers to compare with; give --out for the submission.")
    place = model_place(call.run)
    with _opened(call, exams, place) as run:
        model, tokenizer = load_measured(place)
        letters = find_letters(tokenizer, call.wording)
        begin = begin_id(tokenizer, call.bos)
        prompter = Prompter(tokenizer, call.wording, letters, begin, model.config.seq_len)
        total = sum(len(exam.questions) for exam in exams)
        with progress("Asking", total=total, unit="questions", quiet=call.quiet) as advance:
            answers = {exam.name: _kept(run, model, prompter, exam, call.batch, advance) for exam in exams}
        summary = {
            "run": str(call.run),
            "tokenizer_sha256": tokenizer.sha256,
            "split": call.split,
            "shots": call.shots,
            "wording": call.wording,
            "bos": begin,
            "seq_len": model.config.seq_len,
            "letters": asdict(letters),
            **summarise(answers, call.shots),
        }
        handed_in = submission(answers)
        if run is not None:
            _write(run, summary, answers, handed_in)
    return summary | ({"submission": handed_in} if handed_in else {})


def _opened(call: McqCall, exams: Sequence[Exam], place: Path) -> AbstractContextManager[RunDir | None]:
    """The run directory `call.out`, bound to all that an answer depends on; None where nothing is written."""
    if call.out is None:
        return nullcontext()
    settings = {
        "split": call.split,
        "shots": call.shots,
        "wording": call.wording,
        "subjects": call.subjects,
        "limit": call.limit,
        "batch": call.batch,  # moves the last bits of a probability
        "bos": call.bos,
    }
    questions = [file_input(f"{file.parent.name}/{file.name}", file) for exam in exams for file in exam.files]
    versions = {"torch": torch.__version__, "device": "cuda" if torch.cuda.is_available() else "cpu"}
    return RunDir.open(call.out, COMMAND, settings, [*model_inputs(place), *questions], versions)


def _kept(
    run: RunDir | None, model: Model, prompter: Prompter, exam: Exam, batch: int, advance: Callable[[int], None]
) -> list[Answered]:
    """The answers that lie in `run`; else the model's, which are put there."""
    if run is None:
        return answer(model, prompter, exam, batch, advance)
    file = f"answers/{exam.name}.jsonl"
    known = len(run.damaged)
    if run.done(exam.name) is not None:
        rows = [Answered(**orjson.loads(line)) for line in run.file(file).read_bytes().splitlines()]
        advance(len(rows))
        return rows
    for fault in run.damaged[known:]:
        say(f"Warning: {fault}; {exam.name} is asked again.")
    rows = answer(model, prompter, exam, batch, advance)
    data = _lines(rows)
    write_bytes(run.file(file), data)
    run.mark(exam.name, {file: hashlib.sha256(data).hexdigest()}, {"questions": len(rows)})
    return rows


def read_exams(call: McqCall) -> list[Exam]:
    """Questions and worked examples of each subject that is asked for, in the order of their names."""
    files = subjects_in(call.folder, call.split)
    for name in call.subjects:
        if name not in files:
            raise UsageError(f"{call.folder / call.split} has no subject {name}; it has {', '.join(files)}.")
    shown = subjects_in(call.folder, "dev") if call.shots else {}
    exams = []
    for name in call.subjects or files:
        examples: list[Question] = []
        sources = [files[name]]
        if call.shots:
            if name not in shown:
                raise UsageError(f"{call.folder / 'dev'} has no examples for {name}; ask with --shots 0.")
            examples = read_questions(shown[name])[: call.shots]
            if len(examples) < call.shots:
                raise UsageError(f"{shown[name]} holds {len(examples)} examples; ask with --shots {len(examples)}.")
            sources.append(shown[name])
        exams.append(Exam(name, examples, read_questions(files[name])[: call.limit], tuple(sources)))
    return exams


def answer(
    model: Model, prompter: Prompter, exam: Exam, batch: int, advance: Callable[[int], None] = lambda count: None
) -> list[Answered]:
    """The model's answers, in the order of the questions."""
    prompts = prompter.prompts(subject_of(exam.name), exam.examples, exam.questions)
    found: list[Answered | None] = [None] * len(prompts)
    # Prompts with the same examples begin alike; their keys and values are computed once.
    for shots in sorted({prompt.shots for prompt in prompts if prompt is not None}, reverse=True):
        group = [(number, prompt) for number, prompt in enumerate(prompts) if prompt and prompt.shots == shots]
        logprobs = next_logprobs(model, [prompt.ids for _, prompt in group], prompter.letters.ids, batch, advance)
        for (number, prompt), row in zip(group, logprobs.tolist(), strict=True):
            found[number] = _answered(exam.name, exam.questions[number], prompt, row)
    too_long = [number for number, row in enumerate(found) if row is None]
    advance(len(too_long))
    for number in too_long:
        question = exam.questions[number]
        found[number] = Answered(exam.name, question.id, question.answer, "too_long", None, None, None, None, None)
    return [row for row in found if row is not None]


def _answered(subject: str, question: Question, prompt: Prompt, logprobs: Sequence[float]) -> Answered:
    odds = np.exp(np.array(logprobs) - max(logprobs))
    return Answered(
        subject=subject,
        id=question.id,
        answer=question.answer,
        state="answered",
        choice=LETTERS[int(odds.argmax())],
        probabilities=dict(zip(LETTERS, (odds / odds.sum()).tolist(), strict=True)),
        logprobs=dict(zip(LETTERS, logprobs, strict=True)),
        shots=prompt.shots,
        tokens=len(prompt.ids),
    )


def _check(call: McqCall) -> None:
    if call.wording not in WORDINGS:
        raise UsageError(f"--prompt {call.wording} is not known; choose one of {', '.join(WORDINGS)}.")
    if call.split not in ("dev", "val", "test"):
        raise UsageError(f"--split {call.split} is not known; choose one of dev, val, test.")
    if call.shots < 0 or call.batch < 1:
        raise UsageError(f"--shots {call.shots} and --batch {call.batch}: give 0 or more, and 1 or more.")
    if call.split == "dev" and call.shots:
        raise UsageError("The examples are those of dev/, so a model would see the answers; ask with --shots 0.")


def _write(
    run: RunDir, summary: dict[str, Any], answers: dict[str, list[Answered]], handed_in: dict[str, dict[str, str]]
) -> None:
    write_bytes(run.file("questions.jsonl"), b"".join(map(_lines, answers.values())))
    if handed_in:
        write_json(run.file("submission.json"), handed_in)
    write_json(run.file("results.json"), summary)


def _lines(rows: Sequence[Answered]) -> bytes:
    return b"".join(orjson.dumps(asdict(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _tell_cuts(summary: dict[str, Any]) -> None:
    fewer = sum(row["fewer_examples"] for row in summary["subjects"].values())
    too_long = sum(row["too_long"] for row in summary["subjects"].values())
    if fewer:
        say(f"{fewer:,} questions were asked with fewer than {summary['shots']} examples, to fit the model's length.")
    if too_long:
        say(f"Warning: {too_long:,} questions are too long for the model even without examples; they count as wrong.")
