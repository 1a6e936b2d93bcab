"""`train chat`: a model in the terminal, or behind a pipe.

In: questions, typed, one a line of a pipe, or given with `--ask`. Out: answers on stdout as they are made, without
anything that a terminal obeys; all else goes to stderr. Lines that begin with `/` are commands. Ctrl-C stops an
answer, once more leaves. Price: the whole dialogue is read again for each answer; what no longer fits is left out, the
oldest first.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

from runkit.console import emit_json, printable, say
from runkit.errors import UsageError, UserError
from runkit.files import write_json
from train.generate import Piece, RequestError, Sampling
from train.serve import ModelCall, load_service
from train.serve_app import Service, prompt_ids

HELP: Final = """/system TEXT      what the model is told before everything else; without TEXT: nothing
/set NAME VALUE   temperature, top_p, top_k, repetition_penalty, max_tokens, seed; alone: show them
/reset            forget the dialogue
/save FILE        write the dialogue as JSON
/quit             leave; Ctrl-D and Ctrl-C do, too
A line that ends in \\ goes on in the next; a line of \"\"\" begins and ends a longer text."""
_NAMES: Final = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed")
_WHOLE: Final = frozenset({"top_k", "max_tokens", "seed"})
_MOST_LINE: Final = 1_000_000
_BLOCK: Final = '"""'


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """The command line of `train chat`, parsed."""

    model: ModelCall
    asked: tuple[str, ...] = ()
    system: str = ""
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int | None = None
    seed: int | None = None
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what came."""

    question: str
    answer: str
    finish: str
    tokens: int
    seconds: float


@dataclass(slots=True)
class Chat:
    """A dialogue with a model."""

    service: Service
    call: ChatCall
    write: Callable[[str], None]
    """Takes the text of answers, a part at a time."""
    turns: list[Answered] = field(default_factory=list)
    stop: bool = False
    """Set to give up the answer that is being made."""

    def ask(self, question: str) -> Answered:
        """One answer. UsageError: the question is empty or does not fit, or the settings are wrong."""
        if not question.strip():
            raise UsageError("The question is empty; ask something.")
        ids, stops, ends = self._prompt(question)
        engine, call = self.service.desk.engine, self.call
        try:
            sampling = Sampling(
                max_tokens=call.max_tokens or engine.seq_len,
                temperature=call.temperature,
                top_p=call.top_p,
                top_k=call.top_k,
                repetition_penalty=call.repetition_penalty,
                seed=call.seed,
                stop=stops,
                end_ids=ends,
            )
            began, pieces, self.stop = time.monotonic(), list[Piece](), False
            handle = engine.submit(ids, sampling, pieces.append)
        except RequestError as error:
            raise UsageError(str(error)) from None
        told = 0
        while handle.finish is None:
            if self.stop:
                engine.cancel(handle)
            engine.step()
            for piece in pieces[told:]:
                self.write(piece.text)
            told = len(pieces)
        if pieces[-1].error is not None:
            raise pieces[-1].error
        text = "".join(piece.text for piece in pieces)
        found = Answered(question, text, str(handle.finish), pieces[-1].count, time.monotonic() - began)
        self.turns.append(found)
        return found

    def _prompt(self, question: str) -> tuple[list[int], tuple[str, ...], frozenset[int]]:
        """Ids, stop strings and ids that end; as many of the turns before as there is room for."""
        limit = self.service.seq_len
        for dropped in range(len(self.turns) + 1):
            kept = [(turn.question, turn.answer) for turn in self.turns[dropped:]]
            ids, stops = self._laid_out(kept, question)
            if len(ids) < limit:
                if dropped:
                    say(f"The first {dropped} turns no longer fit into {limit:,} tokens and are left out.")
                    del self.turns[:dropped]
                return ids, stops, self.service.end_ids
        raise UsageError(f"The question has {len(ids):,} tokens; the model reads and writes {limit:,}. Shorten it.")

    def _laid_out(self, kept: list[tuple[str, str]], question: str) -> tuple[list[int], tuple[str, ...]]:
        template, system = self.service.template, self.call.system
        if template is None:
            plain = self.service.plain_prompt
            return prompt_ids(self.service, plain.dialogue(kept, question, system), True), plain.stop
        turns = [("system", system)] if system else []
        turns += [turn for one, answer in kept for turn in (("user", one), ("assistant", answer))]
        return template.question([*turns, ("user", question)]).tolist(), ()

    def command(self, line: str) -> bool:
        """Do what a line that begins with `/` says; False: leave. UserError: it cannot be done."""
        name, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        if name in ("quit", "exit", "q"):
            return False
        if name == "reset":
            self.turns.clear()
            say("The dialogue is forgotten.")
        elif name == "system":
            self.call = replace(self.call, system=rest)
            say("The system prompt is set." if rest else "There is no system prompt now.")
        elif name == "set":
            self._set(rest)
        elif name == "save":
            if not rest:
                raise UsageError("/save takes the name of a file.")
            if Path(rest).exists():
                raise UsageError(f"{rest} exists already; name another file.")
            write_json(Path(rest), self.record())
            say(f"Written: {rest}")
        elif name == "help":
            say(HELP)
        else:
            raise UsageError(f"/{name[:40]} is no command; /help lists them.")
        return True

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        if not name:
            say(", ".join(f"{one} {getattr(self.call, one)}" for one in _NAMES))
            return
        if name not in _NAMES:
            raise UsageError(f"/set knows {', '.join(_NAMES)}.")
        try:
            number = None if value in ("", "none") else int(value) if name in _WHOLE else float(value)
            if number is None and name not in ("max_tokens", "seed"):
                raise ValueError
            changed: dict[str, Any] = {name: number}
            Sampling(**({"max_tokens": 1} | ({} if number is None else changed)))
        except (ValueError, RequestError) as error:
            said = str(error) if isinstance(error, RequestError) else f"{value or 'nothing'} is no number for {name}."
            raise UsageError(said) from None
        self.call = replace(self.call, **changed)

    def record(self) -> dict[str, Any]:
        """The dialogue as it is saved and told."""
        system = [{"role": "system", "content": self.call.system}] if self.call.system else []
        messages = [
            {"role": role, "content": text}
            for turn in self.turns
            for role, text in (("user", turn.question), ("assistant", turn.answer))
        ]
        return {
            "model": self.service.name,
            "prompt": self.service.template_name or self.service.plain_prompt.name,
            "settings": {name: getattr(self.call, name) for name in _NAMES},
            "messages": [*system, *messages],
            "turns": [
                {"finish": turn.finish, "tokens": turn.tokens, "seconds": round(turn.seconds, 3)} for turn in self.turns
            ],
        }


def chat(call: ChatCall) -> None:
    """Talk until the questions end. UsageError: a question of `--ask` does not fit."""
    service = load_service(call.model)
    typed = not call.asked and sys.stdin.isatty()
    talk = Chat(service, call, (lambda text: None) if call.as_json else show_text)
    if typed and not call.quiet:
        how = "" if service.template else f", a base model asked with the plain prompt {service.plain_prompt.name}"
        say(f"{service.name}{how}. /help lists commands; Ctrl-C stops an answer, once more leaves.")
    for question in call.asked or (_typed() if typed else _lines()):
        try:
            if question.startswith("/") and not call.asked:
                if not talk.command(question):
                    break
                continue
            _one(talk, question, typed)
        except UserError as error:
            if call.asked:
                raise
            say(f"Error: {error}")
    if call.as_json:
        emit_json(talk.record())


def _one(talk: Chat, question: str, typed: bool) -> None:
    with _stoppable(talk):
        found = talk.ask(question)
    talk.write("" if found.answer.endswith("\n") else "\n")
    if typed and not talk.call.quiet:
        rate = found.tokens / found.seconds if found.seconds else 0.0
        ended = {"length": ", cut at the limit", "cancelled": ", stopped"}.get(found.finish, "")
        say(f"[{found.tokens} tokens, {rate:.1f}/s{ended}]")


def show_text(text: str) -> None:
    """A part of an answer to stdout, without anything that a terminal obeys."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(printable(text).encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


@contextmanager
def _stoppable(talk: Chat) -> Iterator[None]:
    """Ctrl-C stops the answer between two tokens; once more leaves."""

    def stop(number: int, frame: FrameType | None) -> None:
        if talk.stop:
            raise KeyboardInterrupt
        talk.stop = True

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lines() -> Iterator[str]:
    """Questions from a pipe, one a line."""
    while data := sys.stdin.buffer.readline(_MOST_LINE):
        if question := data.decode("utf-8", "replace").strip():
            yield question


def _typed() -> Iterator[str]:
    """Questions from a terminal, with its line editing."""
    with suppress(ImportError):
        import readline

        readline.set_history_length(1000)
    while True:
        try:
            question = _joined(input("› "), lambda: input("… "))
        except EOFError:
            say("")
            return
        if question.strip():
            yield question


def _joined(first: str, more: Callable[[], str]) -> str:
    """A question of one line or more."""
    if first.strip() == _BLOCK:
        lines: list[str] = []
        while (line := more()).strip() != _BLOCK:
            lines.append(line)
        return "\n".join(lines)
    lines = [first]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(more())
    return "\n".join(lines)
