"""One token more for many texts at once: a model's weights joined, and keys and values of all texts in one place.

In: a `Model`, and for each step the ids that are new in each row. Out: logits (B, V) behind the last of them. All new
ids of a step, those of texts that go on (one each) and those of prompts (many each), pass through the matrices together
as (N, D), and only attention knows rows. Queries, keys and values are one product, gate and up another; sums with the
stream are part of the products.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from train.model import Model, rotary_angles

BLOCK: Final = 256  # positions by which the cache grows at least


@dataclass(frozen=True, slots=True)
class Part:
    """The new ids of one row of the cache; they stand at positions start, start + 1, …"""

    row: int
    start: int
    ids: Sequence[int]

    @property
    def end(self) -> int:
        """One behind the last position."""
        return self.start + len(self.ids)


@dataclass(slots=True)
class _Layer:
    """The weights of a block, each (out, in)."""

    attention_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


def _layer(weights: Mapping[str, Tensor], number: int) -> _Layer:
    here = f"model.layers.{number}."

    def joined(*names: str) -> Tensor:
        return torch.cat([weights[here + name] for name in names])

    def one(name: str) -> Tensor | None:
        return weights.get(here + name)

    queries = [f"self_attn.{name}_proj" for name in "qkv"]
    biased = here + queries[0] + ".bias" in weights
    return _Layer(
        attention_norm=weights[here + "input_layernorm.weight"],
        qkv=joined(*(name + ".weight" for name in queries)),
        qkv_bias=joined(*(name + ".bias" for name in queries)) if biased else None,
        q_norm=one("self_attn.q_norm.weight"),
        k_norm=one("self_attn.k_norm.weight"),
        out=weights[here + "self_attn.o_proj.weight"],
        mlp_norm=weights[here + "post_attention_layernorm.weight"],
        gate_up=joined("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        down=weights[here + "mlp.down_proj.weight"],
    )


class Decoding:
    """The joined weights, and a cache of `rows` texts of at most `seq_len` positions that grows as it is used."""

    def __init__(self, model: Model, rows: int, seq_len: int) -> None:
        config = model.config
        self.config, self.rows, self.seq_len = config, rows, seq_len
        self.heads, self.key_heads, self.width = config.heads, config.key_heads, config.head_width
        self.scale = 1 / math.sqrt(self.width)
        self.embedding = model.model.embed_tokens.weight.detach()
        self.head = model.lm_head.weight.detach()
        self.norm = model.model.norm.weight.detach()
        weights = {name: weight.detach() for name, weight in model.named_parameters()}
        assert not any("lora" in name for name in weights), "adapters must be merged into the weights"
        self.layers = [_layer(weights, number) for number in range(config.layers)]
        self.device, self.dtype = self.embedding.device, self.embedding.dtype
        self.slopes = model.slopes if config.position == "alibi" else None
        self.frequencies = model.frequencies if config.position == "rope" else None
        self.cos = self.sin = self.embedding.new_empty(0, 1, self.width)
        self.caches = [self._empty(0, 0) for _ in self.layers]  # keys and values, (2, rows, K, positions, W)

    def _empty(self, rows: int, room: int) -> Tensor:
        # Zeros: what is not written yet is multiplied by a probability of 0, and memory as it was may hold NaN.
        return self.embedding.new_zeros(2, rows, self.key_heads, room, self.width)

    @property
    def cache_bytes(self) -> int:
        """Of keys and values, used or not."""
        return sum(cache.nbytes for cache in self.caches)

    def reserve(self, rows: int, room: int) -> None:
        """Make place for `rows` texts of `room` positions; what is in the cache stays."""
        had_rows, had_room = self.caches[0].shape[1], self.caches[0].shape[3]
        if rows <= had_rows and room <= had_room:
            return
        rows = max(rows, had_rows)
        more = min(self.seq_len, max(-(-room // BLOCK) * BLOCK, had_room * 5 // 4))
        room = more if room > had_room else had_room
        for layer, old in enumerate(self.caches):
            new = self._empty(rows, room)
            new[:, :had_rows, :, :had_room] = old
            self.caches[layer] = new
        if self.frequencies is not None and room > len(self.cos):
            cos, sin = rotary_angles(self.frequencies, 0, room, self.dtype)  # (room, W/2)
            self.cos = torch.cat((cos, cos), -1)[:, None]  # (room, 1, W)
            self.sin = torch.cat((-sin, sin), -1)[:, None]

    def clear(self) -> None:
        """Give the memory of the cache back."""
        self.caches = [self._empty(0, 0) for _ in self.layers]

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row over another one."""
        for cache in self.caches:
            cache[:, target, :, :length] = cache[:, source, :, :length]

    @torch.inference_mode()
    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` positions of two rows."""
        for cache in self.caches:
            kept = cache[:, one, :, :length].clone()
            cache[:, one, :, :length] = cache[:, other, :, :length]
            cache[:, other, :, :length] = kept

    @torch.inference_mode()
    def step(self, singles: Sequence[Part], longer: Sequence[Part]) -> Tensor:
        """Logits (parts, V) behind the last id of each part, in fp32. Rows of `singles` are 0, 1, …, one id each."""
        parts = [*singles, *longer]
        self.reserve(max(part.row for part in parts) + 1, max(part.end for part in parts))
        place = _Places(self, singles, longer)
        x = functional.embedding(place.ids, self.embedding)  # (N, D)
        for layer, cache in zip(self.layers, self.caches, strict=True):
            x = self._block(x, layer, cache, place)
        if longer:
            x = x[place.last]  # (parts, D)
        x = functional.rms_norm(x, self.norm.shape, self.norm, self.config.norm_eps)
        return functional.linear(x, self.head).float()

    def _block(self, x: Tensor, layer: _Layer, cache: Tensor, place: "_Places") -> Tensor:
        eps = self.config.norm_eps
        normed = functional.rms_norm(x, layer.attention_norm.shape, layer.attention_norm, eps)
        qkv = functional.linear(normed, layer.qkv, layer.qkv_bias).view(len(x), -1, self.width)  # (N, H + 2K, W)
        turned = qkv[:, : self.heads + self.key_heads]  # (N, H + K, W)
        if layer.q_norm is not None and layer.k_norm is not None:
            q = functional.rms_norm(qkv[:, : self.heads], layer.q_norm.shape, layer.q_norm, eps)
            k = functional.rms_norm(turned[:, self.heads :], layer.k_norm.shape, layer.k_norm, eps)
            turned = torch.cat((q, k), 1)
        if self.frequencies is not None:
            turned = torch.addcmul(turned * place.cos, turned.roll(self.width // 2, -1), place.sin)
        q, k, v = turned[:, : self.heads], turned[:, self.heads :], qkv[:, self.heads + self.key_heads :]
        found = self._attend(q, k, v, cache, place)  # (N, H · W)
        x = torch.addmm(x, found, layer.out.t())
        normed = functional.rms_norm(x, layer.mlp_norm.shape, layer.mlp_norm, eps)
        gate, up = functional.linear(normed, layer.gate_up).chunk(2, -1)  # (N, hidden)
        return torch.addmm(x, functional.silu(gate).mul_(up), layer.down.t())

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, cache: Tensor, place: "_Places") -> Tensor:
        """Put keys and values (N, K, W) into the cache; what each query (N, H, W) finds there, (N, H · W)."""
        count, found = len(place.singles), []
        if count == 1:
            at = place.singles[0].start
            cache[0, 0, :, at], cache[1, 0, :, at] = k[0], v[0]
        elif count:
            cache[0, :, :, :].index_put_((place.rows, place.every, place.at), k[:count])
            cache[1, :, :, :].index_put_((place.rows, place.every, place.at), v[:count])
        if count:
            found.append(self._attend_singles(q[:count], cache, place))
        for part, first in zip(place.longer, place.firsts, strict=True):
            there = slice(first, first + len(part.ids))
            keys, values = cache[:, part.row]  # (K, positions, W)
            keys[:, part.start : part.end] = k[there].transpose(0, 1)
            values[:, part.start : part.end] = v[there].transpose(0, 1)
            found.append(self._attend_part(q[there], keys[:, : part.end], values[:, : part.end], part))
        return found[0] if len(found) == 1 else torch.cat(found)

    def _attend_singles(self, q: Tensor, cache: Tensor, place: "_Places") -> Tensor:
        """One query a row: (n, H, W) to (n, H · W). Query heads of one key head share its product."""
        count, length = len(q), place.length
        both = cache[:, :count].view(2, count * self.key_heads, -1, self.width)[:, :, :length]  # (2, n · K, L, W)
        queries = q.reshape(count * self.key_heads, -1, self.width)  # (n · K, G, W)
        scores = torch.baddbmm(place.bias, queries, both[0].transpose(1, 2), alpha=self.scale)  # (n · K, G, L)
        return torch.bmm(scores.softmax(-1), both[1]).view(count, -1)

    def _attend_part(self, q: Tensor, keys: Tensor, values: Tensor, part: Part) -> Tensor:
        """Many queries of one row: (T, H, W) to (T, H · W); keys and values (K, end, W)."""
        mask = None
        causal = part.start == 0
        if self.slopes is not None or not causal:
            here = torch.arange(part.start, part.end, device=self.device)
            there = torch.arange(part.end, device=self.device)
            seen = here[:, None] >= there[None]  # (T, end)
            causal, mask = False, seen
            if self.slopes is not None:
                bias = self.slopes[:, None, None] * (there[None] - here[:, None]).to(self.slopes.dtype)
                mask = bias.masked_fill(~seen, -math.inf).to(self.dtype)[None]  # (1, H, T, end)
        grouped = self.heads != self.key_heads
        found = functional.scaled_dot_product_attention(
            q.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, is_causal=causal, enable_gqa=grouped
        )  # (1, H, T, W)
        return found[0].transpose(0, 1).reshape(len(q), -1)


class _Places:
    """Where the new ids of one step stand; made once for all layers."""

    def __init__(self, decoding: Decoding, singles: Sequence[Part], longer: Sequence[Part]) -> None:
        self.singles, self.longer = singles, longer
        device, count = decoding.device, len(singles)
        ids = [number for part in (*singles, *longer) for number in part.ids]
        places = [place for part in (*singles, *longer) for place in range(part.start, part.end)]
        self.ids, positions = torch.tensor([ids, places], device=device)  # each (N,)
        self.firsts = [count]  # where the ids of each longer part begin
        for part in longer:
            self.firsts.append(self.firsts[-1] + len(part.ids))
        self.last = torch.tensor([*range(count), *(first - 1 for first in self.firsts[1:])], device=device)
        self.firsts.pop()
        if decoding.frequencies is not None:
            self.cos, self.sin = decoding.cos[positions], decoding.sin[positions]  # (N, 1, W)
        if not count:
            return
        self.length = max(part.end for part in singles)
        self.rows = torch.arange(count, device=device)[:, None]  # (n, 1)
        self.every = torch.arange(decoding.key_heads, device=device)[None]  # (1, K)
        self.at = positions[:count, None]  # (n, 1)
        self.bias = self._bias(decoding, count)  # added to the scores, (n · K, 1 or G, L)

    def _bias(self, decoding: Decoding, count: int) -> Tensor:
        there = torch.arange(self.length, device=decoding.device)
        distance = there[None] - self.at  # (n, L), above 0 where nothing may be seen
        bias = torch.zeros((), dtype=decoding.dtype, device=decoding.device).expand(count, 1, self.length)
        if decoding.slopes is not None:
            bias = (decoding.slopes[:, None] * distance[:, None].to(decoding.slopes.dtype)).to(decoding.dtype)
        bias = bias.masked_fill(distance[:, None] > 0, -math.inf)  # (n, 1 or H, L)
        if decoding.slopes is not None:
            return bias.view(count * decoding.key_heads, -1, self.length)
        return bias.expand(count, decoding.key_heads, self.length).reshape(-1, 1, self.length)
