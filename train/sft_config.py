"""Settings of `train sft`; no torch is needed to read them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from runkit.config import Config
from train.config import Share
from train.optim_config import OptimConfig
from train.pretrain_config import Count, LoopConfig

RATE = 1e-4  # highest learning rate of all weights; what a base model knows is not to be forgotten


class DialogueConfig(Config):
    """Which dialogues are trained on, how often, and how they are laid into rows."""

    weights: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    """Share of each source in what is trained on; normalised. Empty: as large as the sources are."""
    epochs: Annotated[float, Field(gt=0, le=1000)] = 3.0
    """How often all is gone through; with weights, a source more often and another less."""
    seq_len: Annotated[int, Field(ge=8, le=1_048_576)] | None = None
    """Positions in a row, and of the longest dialogue; unset: what the model is made for, at most 2,048."""
    held_out: Share = 0.01
    """Share of dialogues, chosen by a hash of their id, that is never trained on, only measured on."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Order of dialogues and rows."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.weights and not any(self.weights.values()):
            raise ValueError("every weight is 0; give at least one source a weight")
        return self


class SftConfig(LoopConfig):
    """Settings of `train sft`."""

    data: DialogueConfig = DialogueConfig()
    """Which dialogues are trained on."""
    template: str | None = None
    """How a dialogue is laid out: chatml, plain, or a Jinja template; unset: the model's own, else chatml where the
    tokenizer has <|im_start|> and <|im_end|>, else plain."""
    optim: OptimConfig = OptimConfig(lr=RATE, warmup=10, weight_decay=0.01)
    """How weights are moved."""
    batch_rows: Count = 16
    """Rows a step; the loss is the mean over all tokens of answers in them."""
    checkpoint_every: Count = 200
    """Steps between checkpoints; one more is written at the end."""
    eval_every: Count = 100
    """Steps between measurements on held-out rows; one more is made at the end."""
    prompts: list[str] = Field(
        ["中国的首都是哪里？", "写一首关于春天的短诗。", "计算 12 × 8 + 5。", "用一句话解释什么是人工智能。"]
    )
    """Questions that the model answers at each measurement, to be read in the report."""
    prompt_tokens: Annotated[int, Field(ge=0, le=4096)] = 96
    """Tokens of the longest answer to them; 0: none."""
