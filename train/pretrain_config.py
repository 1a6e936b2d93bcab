"""Settings of training loops and of `train pretrain`; no torch is needed to read them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runkit.config import Config
from train.config import DataConfig
from train.model_config import ModelConfig
from train.optim_config import OptimConfig

Count = Annotated[int, Field(ge=1)]


class LoraConfig(Config):
    """Low-rank adapters beside matrices that stay as they are (arXiv:2106.09685)."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 16
    """Width of the adapters."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Their product is scaled by alpha / rank."""
    targets: list[Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], min_length=1
    )
    """Which matrices of the blocks have them."""
    embeddings: bool = False
    """Train the embedding and the output matrix too, as is needed for new pieces."""


class LoopConfig(Config):
    """What every training loop needs, whatever its data are."""

    optim: OptimConfig = OptimConfig()
    """How weights are moved."""
    batch_rows: Count = 32
    """Rows a step; the loss is the mean over all their targets."""
    micro_rows: Count | None = None
    """Rows that are in memory at once; unset: all rows of a step. The result is the same but for rounding."""
    steps: Count | None = None
    """Steps in all; unset: as many as the data give."""
    checkpoint_every: Count = 500
    """Steps between checkpoints; one more is written at the end."""
    keep: Count = 2
    """Checkpoints that stay on the disk."""
    eval_every: Count = 500
    """Steps between measurements on held-out rows; one more is made at the end."""
    eval_rows: Annotated[int, Field(ge=0)] = 64
    """Held-out rows that are measured on, spread over all; 0: none."""
    spike: Annotated[float, Field(gt=0)] = 3.0
    """Nats above the median loss of the last 50 steps at which training stops before the weights are moved."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """First weights; the order of the data has its own, data.seed."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the matrix products; weights and optimizer stay fp32. auto: on a GPU bf16 where it is fast, else fp16; on a
    CPU what was faster when a long run tried both, in a short one bf16 with AMX, else fp32."""
    threads: Count | None = None
    """Of the CPU; unset: one for each core, or fewer where a long run found them faster. Another number gives other
    roundings."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; auto: on a GPU always, on a CPU where a run is so long that trying it pays, and it was faster."""
    train_only: Literal["all", "embeddings"] = "all"
    """embeddings: the embedding and the output matrix, all else stays; the first stage for new pieces."""
    lora: LoraConfig | None = None
    """Train adapters instead of the weights; a checkpoint has them merged in, and beside by themselves."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes (torchrun): ddp: each has the whole model; fsdp: each has a part of every weight."""
    prompts: list[str] = Field(["中国的首都是", "今天天气", "人工智能是", "从前有一座山，"])
    """Beginnings that the model goes on from at each measurement, to be read in the report."""
    prompt_tokens: Annotated[int, Field(ge=0, le=4096)] = 48
    """Tokens for each of them; 0: none."""
    tensorboard: bool = False
    """Write RUN/tensorboard too; needs `pip install 'wenhai[tensorboard]'`."""
    checkpointing: bool = False
    """Compute the blocks again in the backward pass: a third more time for a fraction of the memory."""

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.micro_rows is not None and self.micro_rows > self.batch_rows:
            raise self.conflict("micro_rows", "batch_rows", "a part cannot have more rows than the step")
        if self.lora is not None and self.train_only != "all":
            raise self.conflict("train_only", "lora", "lora.embeddings trains adapters and embeddings together")
        return self


class PretrainConfig(LoopConfig):
    """Settings of `train pretrain`."""

    model: ModelConfig | None = None
    """Shape of the model; unset: that of --from."""
    data: DataConfig = DataConfig()
    """Which tokens are trained on."""

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        if self.model is not None and self.data.seq_len > self.model.seq_len:
            raise ValueError(
                f"`data.seq_len` = {self.data.seq_len} and `model.seq_len` = {self.model.seq_len}: rows cannot be "
                "longer than what the model is made for"
            )
        if self.steps is not None and self.data.tokens is not None:
            raise ValueError(
                f"`steps` = {self.steps} and `data.tokens` = {self.data.tokens}: both say how long to train; give one"
            )
        return self
