"""The layouts that trainers read instruction data in, and the way back.

In: our records (docs/formats.md). Out: a record in another layout, with everything that the layout has no place for
beside it under our own names; and from such a record ours again, equal to the byte of every text.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Record = Mapping[str, Any]
TEXTS: Final = ("instruction", "input", "output")


def said(record: Record) -> str:
    """What a user says: the instruction, and below it the input if there is one."""
    return f"{record['instruction']}\n{record['input']}" if record.get("input") else str(record["instruction"])


def flat(record: Record, system: str = "") -> dict[str, Any]:
    """Alpaca's and BELLE's: instruction, input, output."""
    head = {"system": system} if system else {}
    return {**{name: record.get(name) or "" for name in TEXTS}, **head, **_rest(record)}


def sharegpt(record: Record, system: str = "") -> dict[str, Any]:
    """ShareGPT's: conversations of human and gpt."""
    turns = [("system", system)] if system else []
    turns += [("human", said(record)), ("gpt", record["output"])]
    head = {"id": record["id"]} if "id" in record else {}
    return {**head, "conversations": [{"from": who, "value": text} for who, text in turns], **_beside(record)}


def messages(record: Record, system: str = "") -> dict[str, Any]:
    """OpenAI's: messages of user and assistant."""
    turns = [("system", system)] if system else []
    turns += [("user", said(record)), ("assistant", record["output"])]
    return {"messages": [{"role": who, "content": text} for who, text in turns], **_beside(record)}


LAYOUTS: Final[dict[str, Callable[[Record, str], dict[str, Any]]]] = {
    "alpaca": flat,
    "belle": flat,
    "sharegpt": sharegpt,
    "messages": messages,
}


def ours(record: Record) -> dict[str, Any] | None:
    """A record of one exchange in any of the layouts as ours; None: it is of another form or has several exchanges.

    `input` beside a conversation says where the instruction ends; without it all of what was said is the instruction.
    """
    turns = _turns(record)
    if turns is None:
        if not all(isinstance(record.get(name) or "", str) for name in TEXTS) or "instruction" not in record:
            return None
        return {**{name: record.get(name) or "" for name in TEXTS}, **_rest(record)}
    spoken = [turn for turn in turns if turn[0] not in ("system",)]
    if [who for who, _ in spoken] not in (["user", "assistant"], ["human", "gpt"]):
        return None
    whole, output = spoken[0][1], spoken[1][1]
    given = record.get("input")
    given = given if isinstance(given, str) and given and whole.endswith("\n" + given) else ""
    instruction = whole[: -len(given) - 1] if given else whole
    return {"instruction": instruction, "input": given, "output": output, **_rest(record)}


def _turns(record: Record) -> list[tuple[str, str]] | None:
    for key, who, text in (("conversations", "from", "value"), ("messages", "role", "content")):
        turns = record.get(key)
        if isinstance(turns, list):
            found = [(turn.get(who), turn.get(text)) if isinstance(turn, dict) else (None, None) for turn in turns]
            return [(str(one), str(other)) for one, other in found]
    return None


def _rest(record: Record) -> dict[str, Any]:
    """What is neither a text nor a conversation."""
    known = {*TEXTS, "conversations", "messages", "system"}
    return {key: value for key, value in record.items() if key not in known}


def _beside(record: Record) -> dict[str, Any]:
    return {"input": record.get("input") or "", **{k: v for k, v in _rest(record).items() if k != "id"}} | (
        {"id": record["id"]} if "id" in record else {}
    )
