"""The shape of a model: what a config file says, what Hugging Face's `config.json` calls it, how large it is.

In: numbers. Out: a checked `ModelConfig`. No torch is needed to read one, so `train plan` answers at once.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runkit.config import Config

Size = Annotated[int, Field(ge=1, le=1_000_000)]


class RopeScaling(Config):
    """How rotary angles are stretched beyond the length that a model was trained with."""

    kind: Literal["linear", "llama3"]
    """linear: all angles divided by `factor`; llama3: only the slow ones, as Llama 3.1 does."""
    factor: Annotated[float, Field(ge=1)]
    """How many times longer texts become."""
    original_seq_len: Size = 8192
    """Length before stretching (llama3)."""
    low_frequency: Annotated[float, Field(gt=0)] = 1.0
    """Turns within `original_seq_len` below which an angle is stretched in full (llama3)."""
    high_frequency: Annotated[float, Field(gt=0)] = 4.0
    """Turns above which it is left alone (llama3)."""


class ModelConfig(Config):
    """A decoder: RMSNorm, SwiGLU, rotary positions or ALiBi, grouped queries."""

    vocab: Size
    """Rows of the embedding; at least as many as the tokenizer has ids."""
    dim: Size = 512
    """Width of the residual stream."""
    layers: Annotated[int, Field(ge=1, le=1000)] = 8
    """Blocks of attention and feed-forward."""
    heads: Size = 8
    """Query heads."""
    kv_heads: Size | None = None
    """Key and value heads; unset: as many as `heads`; 1: multi-query attention."""
    head_dim: Size | None = None
    """Width of a head; unset: dim / heads."""
    hidden: Size | None = None
    """Width of the feed-forward; unset: 8/3 of `dim`, rounded up to a multiple of 64."""
    seq_len: Annotated[int, Field(ge=8, le=16_777_216)] = 2048
    """Longest text that the model is made for."""
    position: Literal["rope", "alibi"] = "rope"
    """alibi: biases by distance (BLOOM); no class of transformers has it, so it stays in our own format."""
    rope_theta: Annotated[float, Field(gt=0)] = 10_000.0
    """Base of the rotary angles."""
    rope_scaling: RopeScaling | None = None
    """Stretching of the rotary angles."""
    norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    """Added to the mean square in RMSNorm."""
    qk_norm: bool = False
    """RMSNorm on queries and keys, a head at a time (Qwen3)."""
    qkv_bias: bool = False
    """Biases on queries, keys and values (Qwen2)."""
    tied: bool = True
    """The output matrix is the embedding."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.head_dim is None and self.dim % self.heads:
            raise self.conflict("dim", "heads", "dim must be a multiple of heads, or give head_dim")
        if self.heads % self.key_heads:
            raise self.conflict("heads", "kv_heads", "heads must be a multiple of kv_heads")
        if self.position == "rope" and self.head_width % 2:
            raise ValueError(f"a head is {self.head_width} wide: rotary positions need an even width")
        if self.position == "alibi" and self.rope_scaling is not None:
            raise self.conflict("position", "rope_scaling", "ALiBi has no angles to stretch")
        return self

    @property
    def key_heads(self) -> int:
        """Key and value heads."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.head_dim or self.dim // self.heads

    @property
    def hidden_width(self) -> int:
        """Width of the feed-forward."""
        return self.hidden or -(-self.dim * 8 // (3 * 64)) * 64

    @property
    def parameters(self) -> int:
        """All weights, a tied embedding once."""
        width = self.head_width
        attention = self.dim * width * (2 * self.heads + 2 * self.key_heads)
        attention += width * (self.heads + 2 * self.key_heads) if self.qkv_bias else 0
        attention += 2 * width if self.qk_norm else 0
        block = attention + 3 * self.dim * self.hidden_width + 2 * self.dim
        return self.vocab * self.dim * (1 if self.tied else 2) + self.layers * block + self.dim

    def flops_per_token(self, seq_len: int) -> float:
        """Of forward and backward, with causal attention over `seq_len` (PaLM, arXiv:2204.02311, appendix B).

        The lookup in the embedding costs none, the output matrix does.
        """
        matrices = self.parameters - (0 if self.tied else self.vocab * self.dim)
        attention = self.layers * self.heads * self.head_width * seq_len  # half of the square is masked
        return 6.0 * matrices + 6.0 * attention
