"""A dialogue as a model reads it: a chat template lays turns out as ids and says which of them are answers.

In: turns of (role, text), a Jinja template as Hugging Face keeps it, a tokenizer. Out: ids, and for each whether a
model learns to write it: the answers with the token that ends them, nothing else. A template is laid out once for each
order of roles, with a stand-in for every text; so what a text says cannot become a special token, and a dialogue costs
as much as encoding it. An answer is encoded by itself, for that is how it is written: the ids of a question are those
that a server sends in. Trade-off: a template that changes a text beyond cutting off its spaces (one that takes out
thoughts, say) leaves it whole here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from numpy.typing import NDArray

from runkit.errors import InputError, UsageError
from train.pieces import Ids, Tokenizer

Turn = tuple[str, str]  # role and text
FILE: Final = "chat_template.jinja"
ROLES: Final = ("system", "user", "assistant")
CHATML: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# For tokenizers without the two tokens of ChatML: words for the roles, and the token that ends a text behind an answer.
PLAIN: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '助手：' + message['content'] + eos_token + '\\n' }}"
    "{% else %}{{ {'system': '说明：', 'user': '用户：'}[message['role']] + message['content'] + '\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '助手：' }}{% endif %}"
)
NAMED: Final = {"chatml": CHATML, "plain": PLAIN}
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # around the number of a text, where it will stand
_PLACE: Final = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Text:
    """Words of the template, or the text of a turn if `turn` is not None."""

    words: str
    turn: int | None


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of a dialogue that is encoded by itself."""

    parts: tuple[_Text | int, ...]  # an int is the id of a special token
    answer: bool


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Ids as a model reads them. `learnt`: the ids that it learns to write."""

    ids: Ids  # (T,)
    learnt: NDArray[np.bool_]  # (T,)


class ChatTemplate:
    """Made by `chat_template`; for one tokenizer."""

    def __init__(self, text: str, tokenizer: Tokenizer, name: str) -> None:
        """UsageError: the template cannot be used to train or to serve; `name` says where it comes from."""
        self.text, self.name, self.tokenizer = text, name, tokenizer
        special = tokenizer.special
        self._names = {
            "bos_token": "" if special.bos is None else tokenizer.piece(special.bos),
            "eos_token": "" if special.eos is None else tokenizer.piece(special.eos),
        }
        self._ids = {
            tokenizer.piece(number): number for number in range(tokenizer.size) if tokenizer.is_special(number)
        }
        self._ids.pop("", None)
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        try:
            self._template = _environment().from_string(text)
        except TemplateError as error:
            raise UsageError(f"{name} is no chat template: {error}; mend it.") from error
        self.strips = f" {_OPEN}0{_CLOSE} " not in self._rendered([("user", f" {_OPEN}0{_CLOSE} ")], False)
        self._shape = lru_cache(maxsize=512)(self._laid_out)
        self._asked = lru_cache(maxsize=512)(self._laid_out_question)
        answer = self._shape(("user", "assistant"))[1]
        ends = [part for part in answer.parts if isinstance(part, int)]
        if not ends:
            raise UsageError(
                f"{name} ends an answer with no special token of {tokenizer.path}, so no model could learn to stop; "
                "give another with --template."
            )
        self.end_ids: frozenset[int] = frozenset([ends[-1], *([special.eos] if special.eos is not None else [])])
        """Ids behind which an answer is over."""

    def question(self, turns: Sequence[Turn]) -> Ids:
        """Ids of turns whose last is a user's, up to where its answer begins. UsageError: the template refuses."""
        return self._encoded([self._asked(tuple(role for role, _ in turns))], [turns])[0].ids

    def dialogues(self, many: Sequence[Sequence[Turn]]) -> list[Dialogue]:
        """Each dialogue whole. UsageError: the template refuses its roles."""
        shapes = [self._shape(tuple(role for role, _ in turns)) for turns in many]
        return self._encoded(shapes, many)

    def accepts(self, roles: Sequence[str]) -> str | None:
        """Why a dialogue of these roles cannot be laid out; None: it can."""
        try:
            self._shape(tuple(roles))
        except UsageError as error:
            return str(error)
        return None

    def _laid_out(self, roles: tuple[str, ...]) -> tuple[_Span, ...]:
        turns = [(role, f"{_OPEN}{number}{_CLOSE}") for number, role in enumerate(roles)]
        whole = self._rendered(turns, False)
        spans: list[_Span] = []
        done = 0
        for number, role in enumerate(roles):
            if role != "assistant":
                continue
            before, after = self._rendered(turns[:number], True), self._rendered(turns[: number + 1], False)
            if not whole.startswith(before) or not whole.startswith(after) or len(before) < done:
                raise UsageError(
                    f"{self.name} lays out a dialogue otherwise when it goes on; give another with --template."
                )
            spans.append(_Span(self._parts(whole[done : len(before)]), False))
            answer, rest = self._to_end(self._parts(whole[len(before) : len(after)]))
            spans.append(_Span(answer, True))
            done = len(after)
            if rest:
                spans.append(_Span(rest, False))
        if done < len(whole):
            spans.append(_Span(self._parts(whole[done:]), False))
        return tuple(_joined(spans))

    def _laid_out_question(self, roles: tuple[str, ...]) -> tuple[_Span, ...]:
        """As the beginning of a dialogue, so that the ids are those of training."""
        turns = [(role, f"{_OPEN}{number}{_CLOSE}") for number, role in enumerate(roles)]
        asked = self._rendered(turns, True)
        try:
            spans = self._laid_out((*roles, "assistant"))
        except UsageError:
            return (_Span(self._parts(asked), False),)
        last = max(number for number, span in enumerate(spans) if span.answer)
        return spans[:last]

    def _rendered(self, turns: Sequence[Turn], ask: bool) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        try:
            return str(self._template.render(messages=messages, add_generation_prompt=ask, **self._names))
        except Exception as error:  # a template is somebody else's program and may raise anything
            raise UsageError(f"{self.name} refuses {', '.join(role for role, _ in turns)}: {error}.") from error

    def _parts(self, text: str) -> tuple[_Text | int, ...]:
        """Special tokens of the template as ids; everything else as words and places of turns."""
        found: list[_Text | int] = []
        for place, piece in enumerate(_PLACE.split(text)):
            if place % 2:
                found.append(_Text("", int(piece)))
                continue
            end = 0
            for match in self._special.finditer(piece):
                found += [_Text(piece[end : match.start()], None)] if match.start() > end else []
                found.append(self._ids[match.group()])
                end = match.end()
            found += [_Text(piece[end:], None)] if end < len(piece) else []
        return tuple(found)

    def _to_end(self, parts: tuple[_Text | int, ...]) -> tuple[tuple[_Text | int, ...], tuple[_Text | int, ...]]:
        """An answer up to the token that ends it, and what the template puts behind."""
        places = [place for place, part in enumerate(parts) if isinstance(part, _Text) and part.turn is not None]
        if not places:
            raise UsageError(f"{self.name} leaves out what an assistant says; give another with --template.")
        last = places[-1]
        end = next((place for place in range(last, len(parts)) if isinstance(parts[place], int)), len(parts) - 1)
        return parts[: end + 1], parts[end + 1 :]

    def _encoded(self, shapes: Sequence[Sequence[_Span]], many: Sequence[Sequence[Turn]]) -> list[Dialogue]:
        texts: list[str] = []
        plans: list[list[tuple[int | None, int, bool]]] = []  # id, or number of a text, and whether it is learnt
        first: list[int] = []  # texts at the very beginning of a dialogue
        for spans, turns in zip(shapes, many, strict=True):
            plan: list[tuple[int | None, int, bool]] = []
            for span in spans:
                for run in self._runs(span.parts, turns):
                    if isinstance(run, int):
                        plan.append((run, 0, span.answer))
                    else:
                        first += [len(texts)] if not plan else []
                        plan.append((None, len(texts), span.answer))
                        texts.append(run)
            plans.append(plan)
        encoded = encode_inner(self.tokenizer, texts, frozenset(first))
        return [self._dialogue(plan, encoded) for plan in plans]

    def _runs(self, parts: Sequence[_Text | int], turns: Sequence[Turn]) -> list[str | int]:
        """Texts between special tokens, joined."""
        runs: list[str | int] = []
        for part in parts:
            if isinstance(part, int):
                runs.append(part)
                continue
            text = part.words if part.turn is None else turns[part.turn][1]
            text = text.strip() if self.strips and part.turn is not None else text
            if runs and isinstance(runs[-1], str):
                runs[-1] += text
            elif text:
                runs.append(text)
        return runs

    def _dialogue(self, plan: Sequence[tuple[int | None, int, bool]], encoded: Sequence[Ids]) -> Dialogue:
        pieces = [encoded[text] if id is None else np.array([id], np.int32) for id, text, _ in plan]
        learnt = [np.full(len(ids), answer) for ids, (_, _, answer) in zip(pieces, plan, strict=True)]
        return Dialogue(np.concatenate(pieces), np.concatenate(learnt))


def _joined(spans: Sequence[_Span]) -> list[_Span]:
    """What is no answer in one span between two answers."""
    found: list[_Span] = []
    for span in spans:
        if found and not span.answer and not found[-1].answer:
            found[-1] = _Span(found[-1].parts + span.parts, False)
        elif span.parts:
            found.append(span)
    return found


def encode_inner(tokenizer: Tokenizer, texts: Sequence[str], first: frozenset[int] = frozenset()) -> list[Ids]:
    """Ids of texts that stand within another one: without the space that some tokenizers put before a text.

    `first`: those that do not, by number.
    """
    if not tokenizer.strips_space:
        return tokenizer.encode_batch(texts)
    # Behind a line end no space is put; its own ids are taken off again.
    lead = len(tokenizer.encode("\n"))
    encoded = tokenizer.encode_batch([text if number in first else f"\n{text}" for number, text in enumerate(texts)])
    return [ids if number in first else ids[lead:] for number, ids in enumerate(encoded)]


def chat_template(
    files: Mapping[str, bytes], tokenizer: Tokenizer, place: str, given: str | None = None
) -> ChatTemplate | None:
    """The template `given` (a name in `NAMED`, else Jinja), or that of a model's files; None: there is none.

    UsageError: it cannot be used. InputError: the file that should hold it cannot be read.
    """
    if given is not None:
        return ChatTemplate(NAMED.get(given, given), tokenizer, given if given in NAMED else "--template")
    if FILE in files:
        return ChatTemplate(_decoded(files[FILE], f"{place}/{FILE}"), tokenizer, f"{place}/{FILE}")
    config = "tokenizer_config.json"
    if config not in files:
        return None
    try:
        found = orjson.loads(files[config]).get("chat_template")
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise InputError(f"{place}/{config} is no JSON object: {error}; correct or remove it.") from error
    if isinstance(found, list):  # several by name
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    return ChatTemplate(found, tokenizer, f"chat_template of {place}") if isinstance(found, str) and found else None


def given_template(given: str | None) -> str | None:
    """What --template says: None, a name in `NAMED`, or what stands in a file. UsageError: it cannot be read."""
    if given is None or given in NAMED:
        return given
    try:
        with Path(given).open(encoding="utf-8") as file:
            return file.read(_MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(
            f"--template {given} is a file that cannot be read: {reason}; give {', '.join(NAMED)} or a file."
        ) from error


def usual_template(tokenizer: Tokenizer) -> ChatTemplate:
    """For a model without one: ChatML where the tokenizer has its tokens. UsageError: no token could end an answer."""
    tokens = [tokenizer.find(piece) for piece in ("<|im_start|>", "<|im_end|>")]
    name = "chatml" if all(id is not None and tokenizer.is_special(id) for id in tokens) else "plain"
    return ChatTemplate(NAMED[name], tokenizer, name)


def _decoded(data: bytes, place: str) -> str:
    if len(data) > _MOST_BYTES:
        raise InputError(f"{place} is no chat template: it is larger than 1 MB.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8; give another with --template.") from error


def _environment() -> ImmutableSandboxedEnvironment:
    """As transformers makes it, so that templates of models do the same here; they are other people's code."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )

    def refuse(message: str) -> str:
        raise TemplateError(message)

    def tojson(value: Any, indent: int | None = None) -> str:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: ""  # a date would make ids that no training saw
    return environment
