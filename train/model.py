"""The model: a decoder with RMSNorm, SwiGLU, rotary positions or ALiBi, and grouped queries, in one file.

In: ids (B, T). Out: hidden states (B, T, D) and from them logits (B, T, V) or a loss. B rows, T positions, D = dim,
H query heads, K key and value heads, W = head width, V = vocabulary. Weights are named and laid out as Hugging Face's
Llama names them, so a checkpoint is its folder without a conversion. Price: queries, keys and values are three
products instead of one.

Rows are packed: `documents` (B, T) says to which text a position belongs, and none sees another text. Rotary angles
count from the row's start, for attention only knows the distance.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from train.attention import first_seen, packed_attention
from train.model_config import ModelConfig, RopeScaling

WHOLE = 1024  # longest rows of one text whose attention is computed by blocks on a CPU; longer ones PyTorch does faster


class Seen(NamedTuple):
    """Which positions a position sees; all that come before where both are None."""

    first: Tensor | None  # (B, T) the first of them; the last is itself
    mask: Tensor | None  # (B or 1, 1 or H, T, start + T), for what `first` cannot say or is not made for


@dataclass(slots=True)
class Cache:
    """Keys and values of a text that is being continued; grows with each call."""

    keys: list[Tensor]  # each (B, K, T, W)
    values: list[Tensor]

    @property
    def length(self) -> int:
        """Positions so far."""
        return self.keys[0].shape[2] if self.keys else 0


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight (arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention of H query heads over K key and value heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.key_heads, self.width = config.heads, config.key_heads, config.head_width
        bias = config.qkv_bias
        self.q_proj = nn.Linear(config.dim, self.heads * self.width, bias=bias)
        self.k_proj = nn.Linear(config.dim, self.key_heads * self.width, bias=bias)
        self.v_proj = nn.Linear(config.dim, self.key_heads * self.width, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.width, config.dim, bias=False)
        self.q_norm = RMSNorm(self.width, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.width, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor] | None, seen: Seen, cache: Cache | None, layer: int
    ) -> Tensor:
        rows, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(rows, length, self.heads, self.width)).transpose(1, 2)  # (B, H, T, W)
        k = self.k_norm(self.k_proj(x).view(rows, length, self.key_heads, self.width)).transpose(1, 2)  # (B, K, T, W)
        v = self.v_proj(x).view(rows, length, self.key_heads, self.width).transpose(1, 2)  # (B, K, T, W)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        if cache is not None:
            if layer < len(cache.keys):
                k, v = torch.cat((cache.keys[layer], k), 2), torch.cat((cache.values[layer], v), 2)
                cache.keys[layer], cache.values[layer] = k, v
            else:
                cache.keys.append(k)
                cache.values.append(v)
        if seen.first is not None:
            found = packed_attention(q, k, v, seen.first)  # (B, T, H, W)
        else:
            found = _sdpa(q, k, v, seen.mask).transpose(1, 2)  # (B, T, H, W)
        return self.o_proj(found.reshape(rows, length, self.heads * self.width))


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) · up(x)) (arXiv:2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.hidden_width, bias=False)
        self.up_proj = nn.Linear(config.dim, config.hidden_width, bias=False)
        self.down_proj = nn.Linear(config.hidden_width, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention, then feed-forward, each added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor] | None, seen: Seen, cache: Cache | None, layer: int
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), angles, seen, cache, layer)  # (B, T, D)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks, last norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # `initialize` draws the weights; the class's own draw imports torch._dynamo on the meta device, 1.5 s.
        self.embed_tokens = nn.Embedding(config.vocab, config.dim, _weight=torch.empty(config.vocab, config.dim))
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)


class Model(nn.Module):
    """The whole model. `hidden` and `logits` are apart, because a loss needs no (B, T, V) at once."""

    frequencies: Tensor  # of the rotary angles
    slopes: Tensor  # of ALiBi

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.dim, config.vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        self.checkpointing = False  # recompute blocks in the backward pass: a third more time, a tenth of the memory
        if config.position == "rope":
            self.register_buffer("frequencies", rotary_frequencies(config), persistent=False)
        else:
            self.register_buffer("slopes", alibi_slopes(config.heads), persistent=False)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Normal(0, 0.02); what is added to the stream is divided by √(2·layers), so that its size stays (GPT-2)."""
        for name, weight in self.named_parameters():
            if weight.ndim < 2:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            added = name.endswith(("o_proj.weight", "down_proj.weight"))
            std = 0.02 / math.sqrt(2 * self.config.layers) if added else 0.02
            weight.normal_(0.0, std, generator=generator)

    def hidden(self, ids: Tensor, documents: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Hidden states (B, T, D) of ids (B, T).

        `documents` (B, T): the text that each position belongs to, −1 for none; None: one text a row. With a `cache`
        the ids go on behind what is in it; then `documents` must be None.
        """
        start = cache.length if cache is not None else 0
        length = ids.shape[1]
        seen = self._seen(documents, start, length, ids)
        angles = None
        if self.config.position == "rope":
            angles = rotary_angles(self.frequencies, start, length, self.model.embed_tokens.weight.dtype)
        x = self.model.embed_tokens(ids)  # (B, T, D)
        for layer, block in enumerate(self.model.layers):
            if self.checkpointing and self.training:
                x = checkpoint(block, x, angles, seen, None, layer, use_reentrant=False)
            else:
                x = block(x, angles, seen, cache, layer)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, D) to (…, V)."""
        return self.lm_head(hidden)

    def _seen(self, documents: Tensor | None, start: int, length: int, ids: Tensor) -> Seen:
        """Which positions see which: all that come before, those of their own text, or nearer ones more (ALiBi)."""
        alibi = self.config.position == "alibi"
        first = None if documents is None else first_seen(documents)  # (B, T)
        weight = self.model.embed_tokens.weight
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if plain and not alibi and start == 0 and (first is not None or 1 < length <= WHOLE):
            return Seen(first=torch.zeros_like(ids) if first is None else first, mask=None)
        if first is None and not alibi and (start == 0 or length == 1):
            return Seen(first=None, mask=None)
        here = torch.arange(start, start + length, device=ids.device)
        there = torch.arange(start + length, device=ids.device)
        seen = (here[:, None] >= there[None, :])[None, None]  # (1, 1, T, start + T)
        if first is not None:
            seen = seen & (there >= first[:, None, :, None])  # (B, 1, T, T)
        if not alibi:
            return Seen(first=None, mask=seen)
        distance = (there[None, :] - here[:, None]).to(self.slopes.dtype)  # ≤ 0 where seen
        bias = (self.slopes[:, None, None] * distance)[None]  # (1, H, T, start + T)
        return Seen(None, bias.masked_fill(~seen, float("-inf")).to(weight.dtype))


def _sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """PyTorch's attention, (B, H, T, W); q (B, H, T, W), k and v (B, K, start + T, W)."""
    grouped = q.shape[1] != k.shape[1]
    if grouped and mask is not None and q.device.type == "cuda":
        # With a mask, the kernels that know shared heads leave only the one that keeps (B, H, T, T).
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (k, v))
        grouped = False
    causal = mask is None and q.shape[2] > 1
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + W/2}) of (B, heads, T, W) by their angles (T, W/2) (arXiv:2104.09864)."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def rotary_frequencies(config: ModelConfig) -> Tensor:
    """Radians a position for each pair, (W/2,), fp32: in half precision far positions would share their angles."""
    # On the CPU whatever the default device is, for the same reason as the embedding's rows.
    steps = torch.arange(0, config.head_width, 2, dtype=torch.float32, device="cpu") / config.head_width
    frequencies = 1.0 / config.rope_theta**steps
    return frequencies if config.rope_scaling is None else _stretched(frequencies, config.rope_scaling)


def _stretched(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    turns = scaling.original_seq_len * frequencies / (2 * math.pi)
    whole = (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)
    share = whole.clamp(0, 1)  # of the angle that is left alone
    return frequencies * share + frequencies / scaling.factor * (1 - share)


def rotary_angles(frequencies: Tensor, start: int, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles at `length` positions from `start` on, each (T, W/2)."""
    positions = torch.arange(start, start + length, dtype=torch.float32, device=frequencies.device)
    angles = positions[:, None] * frequencies[None, :]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def alibi_slopes(heads: int) -> Tensor:
    """2^(−8/n), 2^(−16/n), … for n heads (arXiv:2108.12409); else every second of 2n fills up."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8.0 * (head + 1) / power) for head in range(power)]
    more = [2.0 ** (-4.0 * (head + 1) / power) for head in range(0, 2 * (heads - power), 2)]
    return torch.tensor(slopes + more, device="cpu")
