"""`train tokenizer extend`: more Chinese pieces for a BPE tokenizer that knows little Chinese.

In: a base tokenizer, a set of documents, maybe a list of words. Out: TOK with the tokenizer's file, `added.jsonl` (the
new ids, and how the base wrote each text: a new embedding row starts as the mean of these rows), its figures and a
report. All ids of the base stay, and no text without Han characters is encoded differently, unless the list says so.

The usual way is to train a second model and to merge it with its own scores; of what is added so, 2 % can never be
emitted and English changes. Here every added piece is emitted for its own text, or another takes its place. Price: the
probe is encoded once with all candidates, and all pieces are encoded again: 3 s for 20,000.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from runkit.console import emit_json, say
from runkit.documents import plan_documents
from runkit.errors import InputError, UsageError
from runkit.files import sha256_file, write_bytes, write_json, write_text
from runkit.planned import keep_apart, tell_plan, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from train.added import ADDED
from train.config import ExtendConfig
from train.expansion import Base, Candidate, Candidates, all_pieces, choose
from train.extend_bpe import ByteLevelBase
from train.extend_report import extend_report
from train.extend_spm import SentencePieceBase
from train.fit_output import fault_counts, measure, open_run, read_figures, tell_held_out, write_faults
from train.pieces import Tokenizer
from train.reading import Reading, Words, read_words
from train.tokenizer import load
from train.word_list import WordList, read_word_list

COPIED: Final = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    base: Path
    documents: list[str]
    add_list: Path | None
    out: Path
    config: ExtendConfig
    reading: Reading
    dry_run: bool
    as_json: bool
    lang: str
    started: float


@dataclass(frozen=True, slots=True)
class Extended:
    """What was added, in the order of the ids."""

    data: bytes
    listed: list[str]
    chosen: list[Candidate]
    of: Mapping[str, Candidate]


def extend(call: ExtendCall) -> None:
    """Run to the end, or find it done already."""
    keep_apart(call.out, call.documents)
    tokenizer = load(call.base)
    base: Base = SentencePieceBase(tokenizer) if tokenizer.kind == "sentencepiece" else ByteLevelBase(tokenizer)
    listed = read_word_list(call.add_list) if call.add_list else WordList()
    plan = plan_documents(call.documents)
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    copied = [file for name in COPIED if (file := tokenizer.path.with_name(name)).is_file()]
    others = [(f"base: {file.name}", file) for file in (tokenizer.path, *copied)]
    if call.add_list:
        others.append((f"list: {call.add_list.name}", call.add_list))
    with open_run("train tokenizer extend", call.out, call.config, plan, call.reading, others) as run:
        mark = run.done("tokenizer")
        for damage in run.damaged:
            say(f"Rebuilding: {damage}.")
        if mark is None:
            words = read_words(plan, call.config, call.reading)
            mark = _extend(run, tokenizer, base, words, listed, call.config, copied)
        summary = mark.data
        write_json(run.file("summary.json"), summary)
        write_text(run.file("report.html"), extend_report(_read_added(run), summary, call.lang))
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call, summary, spent)


def _extend(
    run: RunDir,
    tokenizer: Tokenizer,
    base: Base,
    words: Words,
    word_list: WordList,
    config: ExtendConfig,
    copied: Sequence[Path],
) -> Mark:
    say(f"Learning {config.add:,} pieces from {words.size_bytes / 1e6:,.1f} MB of text.")
    listed = [word for word in word_list.words if len(base.ids_of(word)) > 1]
    extended = expand(tokenizer, base, words, listed, config)
    write_bytes(run.file(base.file_name), extended.data)
    for file in copied:
        write_bytes(run.file(file.name), file.read_bytes())
    made = load(run.path)
    assert made.size == tokenizer.size + config.add, (made.size, tokenizer.size)
    write_bytes(run.file(ADDED), _added_lines(tokenizer.size, made, base, extended))
    outputs = {name: sha256_file(run.file(name)) for name in (base.file_name, ADDED, *(file.name for file in copied))}
    outputs |= write_faults(run, "quarantine.jsonl", words.faults)
    kinds = [candidate.kind for candidate in extended.chosen]
    data = {
        "base": _about(tokenizer),
        "tokenizer": _about(made),
        "added": {
            "list": len(listed),
            "characters": kinds.count("character"),
            "steps": kinds.count("step"),
            "merges": kinds.count("merge"),
        },
        "list": {
            "words": len(word_list.words),
            "duplicates": word_list.duplicates,
            "one_token_already": len(word_list.words) - len(listed),
        },
        "learnt_from": read_figures(words),
        "before": measure(tokenizer, words.held_out),
        "after": measure(made, words.held_out),
        "faults": fault_counts(words.faults),
    }
    return run.mark("tokenizer", outputs, data)


def _about(tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "sha256": tokenizer.sha256,
        "size": tokenizer.size,
        "kind": tokenizer.kind,
        "file": tokenizer.path.name,
    }


def expand(tokenizer: Tokenizer, base: Base, words: Words, listed: Sequence[str], config: ExtendConfig) -> Extended:
    """The base's file with exactly `config.add` pieces more, each of which its own text is written with.

    UsageError: more words are listed than may be added. InputError: the text does not give so many pieces.
    """
    room = config.add - len(listed)
    if room < 0:
        raise UsageError(f"--add {config.add:,} is less than the {len(listed):,} words of --add-list; raise it.")
    candidates = base.find_candidates(words.words, listed, room, config.longest) if room else Candidates()
    uses = _uses(tokenizer.size, base, candidates, listed, words.probe)
    banned: set[str] = set()
    while True:
        names = choose(candidates, uses, room, banned)
        if len(names) < room:
            most = len(listed) + len(names)
            raise InputError(f"The text gives {most:,} pieces at most; ask for fewer with --add, or give more text.")
        chosen = [candidates.of[name] for name in names]
        data = base.build(listed, chosen)
        silent = _silent(tokenizer.size, base, data, listed, chosen)
        if not silent:
            return Extended(data, list(listed), chosen, candidates.of)
        banned |= silent


def _uses(size: int, base: Base, candidates: Candidates, listed: Sequence[str], probe: Sequence[str]) -> dict[str, int]:
    """How often the probe is written with each candidate, when all of them are there."""
    names = all_pieces(candidates)
    first = size + len(listed)
    counts = np.zeros(first + len(names), np.int64)
    data = base.build(listed, [candidates.of[name] for name in names])
    for ids in base.encode(data, probe):
        counts += np.bincount(ids, minlength=len(counts))
    return dict(zip(names, counts[first:].tolist(), strict=True))


def _silent(size: int, base: Base, data: bytes, listed: Sequence[str], chosen: Sequence[Candidate]) -> set[str]:
    """Pieces to do without: those that no text is written with, and for such a step the last piece that needs it.

    InputError: it is a word of the list.
    """
    for number, (word, ids) in enumerate(zip(listed, base.encode(data, listed), strict=True), start=size):
        if number not in ids:
            raise InputError(f"The word {word!r} of the list cannot be one token of this base; remove it.")
    texts = [base.witnesses(candidate) for candidate in chosen]
    rows = base.encode(data, [text for some in texts for text in some])
    found: set[str] = set()
    for number, (candidate, some) in enumerate(zip(chosen, texts, strict=True), start=size + len(listed)):
        heard = [bool((next(rows) == number).any()) for _ in some]
        if not any(heard):
            after = [other.piece for other in chosen if candidate.piece in (other.parts or ())]
            found.add(after[-1] if candidate.kind == "step" and after else candidate.piece)
    return found


def _added_lines(first: int, made: Tokenizer, base: Base, extended: Extended) -> bytes:
    lines: list[dict[str, Any]] = [
        {"text": word, "kind": "list", "base_ids": base.ids_of(word)} for word in extended.listed
    ]
    lines += [
        {
            "text": candidate.text or None,  # a step is no text
            "kind": candidate.kind,
            "base_ids": base.base_ids(candidate, extended.of),
        }
        for candidate in extended.chosen
    ]
    return b"".join(
        orjson.dumps({"id": number, "piece": made.piece(number), **line}, option=orjson.OPT_APPEND_NEWLINE)
        for number, line in enumerate(lines, start=first)
    )


def _read_added(run: RunDir) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in run.file(ADDED).read_bytes().splitlines()]


def _tell(call: ExtendCall, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    added, listed = summary["added"], summary["list"]
    say(
        f"{summary['base']['size']:,} + {sum(added.values()):,} = {summary['tokenizer']['size']:,} pieces: "
        f"{added['merges']:,} merges, {added['characters']:,} characters, {added['steps']:,} steps to them, "
        f"{added['list']:,} words of the list; {spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s."
    )
    if listed["duplicates"] or listed["one_token_already"]:
        say(
            f"Of the list, {listed['duplicates']:,} lines were duplicates and {listed['one_token_already']:,} words "
            "one token already."
        )
    say("Before:")
    tell_held_out(summary["before"])
    say("After:")
    tell_held_out(summary["after"])
    if summary["faults"]:
        say(f"{sum(summary['faults'].values()):,} records could not be read: {call.out / 'quarantine.jsonl'}")
    say(f"Tokenizer: {call.out / summary['tokenizer']['file']}; report: {call.out / 'report.html'}")
