"""What the loopback server says when it is asked to answer, or to judge two answers.

In: the body of a request of `judge compare`. Out: the text of a reply. An answer depends on the question and the
model's name, one question in ten gets the same from everybody. A verdict depends on each answer's own text, so it leans
to neither place; one in fifteen cannot be read. The same bytes get the same reply, whenever they come.
"""

import hashlib
import json
import random
import re
from typing import Any

from tests.faults.texts import sentence, text

FORM = re.compile(r"<<([0-9a-f]{16})>> (?:A=\? B=\?|\?)\Z")
UNREADABLE = (
    "两份回答都不错，很难打分。",
    "抱歉，我无法评价这两份回答。",
    "<<{nonce}>> A=11 B=3",
    "<<{nonce}>> A=八 B=七",
    "A=8 B=7",
    "<think>先看回答 A",
)
UNREADABLE_SHARE, SAME_SHARE = 1 / 15, 0.1


def said(body: dict[str, Any]) -> str:
    """All that the request says."""
    return "\n".join(str(message["content"]) for message in body["messages"])


def nonce_of(body: dict[str, Any]) -> str | None:
    """That of a request for a verdict; None: it asks for an answer."""
    found = FORM.search(said(body))
    return found[1] if found else None


def fenced(body: dict[str, Any]) -> dict[str, str]:
    """The material of a request for a verdict by its title."""
    mark = f"===== {nonce_of(body)}"
    fence = re.compile(rf"{mark} (.+?) (?:开始|begins) =====\n(.*?)\n{mark} \1 (?:结束|ends) =====", re.DOTALL)
    return dict(fence.findall(said(body)))


def score(answer: str) -> float:
    """From 2 to 9.5, by the text alone."""
    return 2 + int(hashlib.sha256(answer.encode()).hexdigest()[:4], 16) % 16 / 2


def court(body: dict[str, Any]) -> str:
    """Give it to `serving(answer=...)`."""
    nonce = nonce_of(body)
    rng = random.Random(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
    if nonce is None:
        asked = str(body["messages"][-1]["content"])
        same = random.Random(asked)
        if same.random() < SAME_SHARE:
            return text(same, 2)
        return text(random.Random(f"{body['model']}\n{asked}"), 1 + len(asked) % 4)
    if rng.random() < UNREADABLE_SHARE:
        return rng.choice(UNREADABLE).replace("{nonce}", nonce)
    material = fenced(body)
    answers = [inner for title, inner in material.items() if title.split()[0] in ("回答", "answer")]
    a, b = map(score, answers)
    reasons = f"回答 A {sentence(rng)}\n回答 B {sentence(rng)}\n"
    if said(body).endswith(">> ?"):
        return f"{reasons}<<{nonce}>> {'A' if a > b else 'B' if b > a else 'TIE'}"
    return f"{reasons}<<{nonce}>> A={a:g} B={b:g}"
