"""The settings of `judge compare`, `answer` and `selftest`; every field's text is its help."""

from typing import Annotated, Literal

from pydantic import Field

from runkit.config import Config

Temperature = Annotated[float, Field(ge=0, le=2)]
Tokens = Annotated[int, Field(ge=1)]


class AnswerConfig(Config):
    """How the systems are asked."""

    max_tokens: Tokens = 2048
    """Longest answer; one that reaches it is `cut`."""
    temperature: Temperature | None = None
    """null: what the model's entry says, else 0."""
    system: str = ""
    """System message of every question."""
    plain_prompt: Literal["zh-qa", "en-qa", "bare"] = "zh-qa"
    """How a checkpoint without a chat template is asked."""


class JudgeConfig(Config):
    """How the judges are asked."""

    max_tokens: Tokens = 2000
    """Longest verdict with its reasons; a judge that thinks aloud needs more."""
    temperature: Temperature | None = None
    """null: what the model's entry says, else 0 for one sample and 0.7 for several."""


class PromptConfig(Config):
    """What the judges read."""

    language: Literal["auto", "zh", "en"] = "auto"
    """Of the prompt; auto: that of the question."""
    system: bool = True
    """Rules in a system message; false: in front of everything else, for endpoints that know none."""
    answer_characters: Annotated[int, Field(ge=100)] = 20_000
    """Longest part of an answer that a judge reads; the cut is told to it."""


class CompareConfig(Config):
    """Settings of `judge compare`."""

    grammar: Literal["scores", "three-way"] = "scores"
    """scores: 1 to 10 for each answer; three-way: A, B or tie, for judges that cannot score."""
    samples: Annotated[int, Field(ge=1, le=100)] = 1
    """Verdicts of each judge for each order."""
    pairs: Literal["all", "reference"] = "all"
    """all: every two systems; reference: each one with the reference alone."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Of the fences around what is judged, and of the resampling in the figures."""
    answer: AnswerConfig = AnswerConfig()
    """How the systems are asked."""
    judge: JudgeConfig = JudgeConfig()
    """How the judges are asked."""
    prompt: PromptConfig = PromptConfig()
    """What the judges read."""
