"""Prompts with a name for models that never learnt a dialogue: a text that an answer is the likeliest way to go on.

In: a question, or turns. Out: the text to go on from, and the strings at which the answer is over. A server tells which
one its model gets, and who asks may record the name. Price: a base model often goes on with a question of its own,
hence the stop strings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_PLACE: Final = "{question}"


@dataclass(frozen=True, slots=True)
class PlainPrompt:
    """`head`, then for each question `turn` and its answer. Nothing but {question} is replaced."""

    name: str
    head: str
    turn: str
    stop: tuple[str, ...]
    about: str  # what a system prompt becomes, before the head

    @property
    def template(self) -> str:
        """For one question."""
        return self.head + self.turn

    def fill(self, question: str) -> str:
        """The text whose going on is the answer."""
        return self.template.replace(_PLACE, question)

    def dialogue(self, asked: Sequence[tuple[str, str]], question: str, system: str = "") -> str:
        """The same behind questions that were answered; a model forgets what does not fit into its context."""
        before = "".join(f"{self.turn.replace(_PLACE, one)}{answer.strip()}\n\n" for one, answer in asked)
        about = self.about.replace("{system}", system) if system else ""
        return about + self.head + before + self.turn.replace(_PLACE, question)

    def record(self) -> dict[str, Any]:
        """As `/v1/models` tells it."""
        return {
            "name": self.name,
            "template": self.template,
            "head": self.head,
            "turn": self.turn,
            "about": self.about,
            "stop": list(self.stop),
        }


PLAIN_PROMPTS: Final = {
    prompt.name: prompt
    for prompt in (
        PlainPrompt(
            "zh-qa",
            "下面是一些问题，每个问题后面都有准确、完整的回答。\n\n",
            "问题：{question}\n回答：",
            ("\n问题：", "\n\n\n"),
            "{system}\n\n",
        ),
        PlainPrompt(
            "en-qa",
            "Here are some questions, each followed by a correct and complete answer.\n\n",
            "Question: {question}\nAnswer:",
            ("\nQuestion:", "\n\n\n"),
            "{system}\n\n",
        ),
        PlainPrompt("bare", "", "{question}", (), ""),
    )
}
DEFAULT: Final = "zh-qa"
