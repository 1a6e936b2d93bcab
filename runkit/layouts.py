"""The layouts that trainers read instruction data in, and the way back.

In: our records (docs/formats.md). Out: a record in another layout, with everything that the layout has no place for
beside it under our own names; and from such a record ours again, equal to the byte of every text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from runkit.jsonl import JsonLineError

Record = Mapping[str, Any]
TEXTS: Final = ("instruction", "input", "output")
_ANSWERS: Final = ("output", "answer", "std_answer", "reference")


def said(record: Record) -> str:
    """What a user says: the instruction, and below it the input if there is one."""
    return f"{record['instruction']}\n{record['input']}" if record.get("input") else str(record["instruction"])


def flat(record: Record, system: str = "") -> dict[str, Any]:
    """Alpaca's and BELLE's: instruction, input, output."""
    head = {"system": system} if system and not record.get("system") else {}
    return {**{name: record.get(name) or "" for name in TEXTS}, **_rest(record), **head}


def sharegpt(record: Record, system: str = "") -> dict[str, Any]:
    """ShareGPT's: conversations of human and gpt."""
    turns = [{"from": _SHAREGPT.get(role, role), "value": text} for role, text in _spoken(record, system)]
    return {"conversations": turns, **_beside(record)}


def messages(record: Record, system: str = "") -> dict[str, Any]:
    """OpenAI's: messages of user and assistant."""
    return {"messages": [{"role": role, "content": text} for role, text in _spoken(record, system)], **_beside(record)}


_SHAREGPT: Final = {"user": "human", "assistant": "gpt"}
_ROLES: Final = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
} | {
    "developer": "system",
}
_LABELS: Final = {"Human": "user", "Assistant": "assistant"}
_LABEL: Final = re.compile(r"(?:^|\n)(Human|Assistant)[:：]")
LAYOUTS: Final[dict[str, Callable[[Record, str], dict[str, Any]]]] = {
    "alpaca": flat,
    "belle": flat,
    "sharegpt": sharegpt,
    "messages": messages,
}


def is_ours(record: Record) -> bool:
    """Is it ours as it stands? Nearly every record is, and what `ours` does costs more than all else."""
    return (
        type(record.get("instruction")) is type(record.get("input")) is type(record.get("output")) is str
        and "instances" not in record
        and "more" not in record
    )


def ours(record: Record) -> dict[str, Any]:
    """A record in any of the layouts as ours. JsonLineError: it is of none of them.

    Of a conversation with several exchanges the first one stands in instruction and output, and all in `messages`.
    `input` beside a conversation says where the instruction ends; without it all of what was said is the instruction.
    What a system message says first is in `system`.
    """
    if "instruction" in record:
        return _told(record)
    if isinstance(record.get("question"), str):  # sets of questions with an answer to compare with
        output = next((record[name] for name in _ANSWERS if isinstance(record.get(name), str)), "")
        gone = {"question", *_ANSWERS}
        beside = {key: value for key, value in record.items() if key not in gone and value is not None}
        return {"instruction": record["question"], "input": "", "output": output, **beside}
    turns = _turns(record)
    head = {"system": turns[0][1]} if turns and turns[0][0] == "system" else {}
    spoken = turns[len(head) :]
    if [role for role, _ in spoken[:2]] != ["user", "assistant"]:
        raise JsonLineError("item.conversation", "it does not begin with a user and an answer")
    whole, output = spoken[0][1], spoken[1][1]
    given = record.get("input")
    given = given if isinstance(given, str) and given and whole.endswith("\n" + given) else ""
    instruction = whole[: -len(given) - 1] if given else whole
    found: dict[str, Any] = {"instruction": instruction, "input": given, "output": output, **_rest(record), **head}
    if len(spoken) > 2:
        found["messages"] = [{"role": role, "content": text} for role, text in spoken]
    return found


def turns_of(record: Record) -> list[tuple[str, str]]:
    """(role, text) of each turn of a record in any of the layouts, a system message first if there is one.

    Roles that are known under another name get OpenAI's. JsonLineError: the record is of none of the layouts.
    """
    names = ("messages", "conversations")
    talk = next((name for name in names if isinstance(record.get(name), list) and record[name]), None)
    system = record.get("system")
    head = [("system", system)] if isinstance(system, str) and system.strip() else []
    if talk is not None:
        turns = _turns({talk: record[talk]})
        return turns if turns and turns[0][0] == "system" else head + turns
    one = ours(record)
    asked = _labelled(one["instruction"]) or [*_before(record), ("user", said(one))]
    return [*head, *asked, ("assistant", one["output"])]


def _before(record: Record) -> list[tuple[str, str]]:
    """Exchanges that stand as pairs in `history`. JsonLineError: they are none."""
    history = record.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in history
    ):
        raise JsonLineError("item.conversation", "'history' holds no pairs of texts")
    return [turn for asked, told in history for turn in (("user", asked), ("assistant", told))]


def _labelled(instruction: str) -> list[tuple[str, str]] | None:
    """BELLE's dialogues, written into the instruction as Human: … Assistant: …, open at the end; None: it is none."""
    if not _LABEL.match(instruction):
        return None
    parts = _LABEL.split(instruction)[1:]
    turns = [(_LABELS[name], text.strip()) for name, text in zip(parts[::2], parts[1::2], strict=True)]
    whole = len(turns) > 1 and turns[-1] == ("assistant", "")
    return turns[:-1] if whole else None


def _told(record: Record) -> dict[str, Any]:
    """Alpaca's, BELLE's older one with `target`, self-instruct's with `instances` (its first one), and our own."""
    instances = record.get("instances")
    answer = instances[0] if isinstance(instances, list) and instances and isinstance(instances[0], dict) else record
    output = "target" if "output" not in answer and "target" in answer else "output"
    texts = {
        "instruction": record["instruction"],
        **{
            name: "" if (text := answer.get(key)) is None else text
            for name, key in (("input", "input"), ("output", output))
        },
    }
    for name, text in texts.items():
        if not isinstance(text, str):
            raise JsonLineError("field.not_text", f"{name!r} holds {type(text).__name__}")
    gone = {"instances", "target"}
    beside = {*TEXTS, *gone}
    return texts | {key: value for key, value in record.items() if key not in beside and value is not None}


def _turns(record: Record) -> list[tuple[str, str]]:
    for key, who, what in (("conversations", "from", "value"), ("messages", "role", "content")):
        turns = record.get(key)
        if isinstance(turns, list):
            found = []
            for turn in turns:
                role, text = (turn.get(who), _text(turn.get(what))) if isinstance(turn, dict) else (None, None)
                if isinstance(turn, dict) and turn.get("tool_calls"):
                    raise JsonLineError("tool.call", f"a turn of {key!r} calls a tool")
                if not isinstance(role, str) or not isinstance(text, str):
                    raise JsonLineError("item.conversation", f"a turn of {key!r} has no {who!r} and {what!r} with text")
                found.append((_ROLES.get(role, role), text))
            return found
    raise JsonLineError("field.missing", "neither 'instruction' nor 'conversations' nor 'messages'")


def _text(content: Any) -> Any:
    """OpenAI's parts of a content as one text, if all of them are texts."""
    if not isinstance(content, list) or not all(isinstance(one, dict) and one.get("type") == "text" for one in content):
        return content
    return "".join(str(one.get("text", "")) for one in content)


def _spoken(record: Record, system: str) -> list[tuple[str, str]]:
    told = record.get("system")
    system = told if isinstance(told, str) and told else system
    turns = [("system", system)] if system else []
    if record.get("messages"):
        return turns + [(turn["role"], turn["content"]) for turn in record["messages"]]
    return [*turns, ("user", said(record)), ("assistant", record.get("output") or "")]


def _rest(record: Record) -> dict[str, Any]:
    """What is neither a text nor a conversation."""
    known = {*TEXTS} | ({"messages", "conversations"} if "instruction" not in record else set())
    return {key: value for key, value in record.items() if key not in known}


def _beside(record: Record) -> dict[str, Any]:
    """What stands beside a conversation: all but the texts that are in it."""
    given = {} if record.get("messages") else {"input": record.get("input") or ""}
    told = {"messages"} | ({"system"} if isinstance(record.get("system"), str) and record["system"] else set())
    return given | {key: value for key, value in _rest(record).items() if key not in told}
