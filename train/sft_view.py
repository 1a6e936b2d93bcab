"""`train sft --inspect`: dialogues as the model will read them, with what it learns to write marked.

In: encoded dialogues. Out: some of each source on stderr, answers green between ⟦ and ⟧, special tokens by name, and
counts; the same as one JSON object. Price: nothing to speak of.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from runkit.console import emit_json, err, printable, say
from train.chat_template import ChatTemplate
from train.dialogues import Dialogues


def inspect(dialogues: Dialogues, counts: Counter[str], template: ChatTemplate, shown: int, as_json: bool) -> None:
    """Show `shown` dialogues of each source, spread over it."""
    chosen = [
        int(number)
        for source in range(len(dialogues.sources))
        if len(own := np.flatnonzero(dialogues.source == source))
        for number in own[np.unique(np.linspace(0, len(own) - 1, min(shown, len(own)), dtype=np.int64))]
    ]
    tokens = int(dialogues.length.sum())
    figures: dict[str, Any] = {
        "template": template.name,
        "dialogues": dict(counts),
        "tokens": tokens,
        "answer_tokens": dialogues.answer_tokens,
        "longest": int(dialogues.length.max()),
    }
    if as_json:
        told = [
            {
                "id": dialogues.id(number),
                "source": dialogues.place(number),
                "spans": _spans(dialogues, number, template),
            }
            for number in chosen
        ]
        emit_json({**figures, "shown": told})
        return
    from rich.text import Text

    for number in chosen if shown else ():
        say(f"{dialogues.place(number)} {dialogues.id(number)}: {int(dialogues.length[number]):,} tokens")
        line = Text()
        for span in _spans(dialogues, number, template):
            text = printable(span["text"])
            line.append(f"⟦{text}⟧" if span["learnt"] else text, style="green" if span["learnt"] else "dim")
        err().print(line, soft_wrap=True)
        say("")
    say(
        f"Template: {template.name}. {len(dialogues):,} dialogues, {tokens:,} tokens, {dialogues.answer_tokens:,} of "
        "them learnt."
    )
    for name, count in counts.most_common():
        say(f"  {count:>10,}  {name}")


def _spans(dialogues: Dialogues, number: int, template: ChatTemplate) -> list[dict[str, Any]]:
    """Runs of ids that are all learnt or all not, as text."""
    ids, learnt = dialogues.tokens(number), dialogues.learnt(number)
    edges = [0, *(np.flatnonzero(np.diff(learnt.astype(np.int8))) + 1).tolist(), len(ids)]
    return [
        {"text": _text(template, ids[start:end].tolist()), "tokens": end - start, "learnt": bool(learnt[start])}
        for start, end in pairwise(edges)
    ]


def _text(template: ChatTemplate, ids: list[int]) -> str:
    tokenizer = template.tokenizer
    parts = [tokenizer.piece(id).encode() if tokenizer.is_special(id) else tokenizer.piece_bytes[id] for id in ids]
    return b"".join(parts).decode("utf-8", "replace")
