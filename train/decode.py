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

from train.matrix import Matrix
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


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of a block."""

    attention_norm: Tensor
    qkv: Matrix
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Matrix
    mlp_norm: Tensor
    gate_up: Matrix
    down: Matrix


def _layer(weights: Mapping[str, Tensor], number: int, pack: bool) -> _Layer:
    def all_of(*names: str) -> list[Tensor]:
        found = [weights.get(f"model.layers.{number}.{name}") for name in names]
        return [weight for weight in found if weight is not None]

    def norm(name: str) -> Tensor:
        return all_of(name)[0].detach()

    def matrix(*names: str, biases: Sequence[str] = ()) -> Matrix:
        return Matrix(all_of(*names), all_of(*biases), pack=pack)

    queries = [f"self_attn.{letter}_proj" for letter in "qkv"]
    normed = bool(all_of("self_attn.q_norm.weight"))
    return _Layer(
        attention_norm=norm("input_layernorm.weight"),
        qkv=matrix(*(name + ".weight" for name in queries), biases=[name + ".bias" for name in queries]),
        q_norm=norm("self_attn.q_norm.weight") if normed else None,
        k_norm=norm("self_attn.k_norm.weight") if normed else None,
        out=matrix("self_attn.o_proj.weight"),
        mlp_norm=norm("post_attention_layernorm.weight"),
        gate_up=matrix("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        down=matrix("mlp.down_proj.weight"),
    )


class Decoding:
    """The joined weights, and a cache for texts of at most `seq_len` positions that grows as it is used."""

    def __init__(self, model: Model, seq_len: int, pack: bool = True) -> None:
        config = model.config
        self.config, self.seq_len = config, seq_len
        self.heads, self.key_heads, self.width = config.heads, config.key_heads, config.head_width
        weights: dict[str, Tensor] = dict(model.named_parameters())
        assert not any("lora" in name for name in weights), "adapters must be merged into the weights"
        self.embedding = model.model.embed_tokens.weight.detach()
        self.norm = model.model.norm.weight.detach()
        self.layers = [_layer(weights, number, pack) for number in range(config.layers)]
        # Looking up ids in a transposed embedding would be slow, so a tied one is there twice.
        self.head = Matrix([model.lm_head.weight], share=not config.tied, pack=pack)
        self.device, self.dtype = self.embedding.device, self.embedding.dtype
        self.slopes = model.slopes if config.position == "alibi" else None
        self.frequencies = model.frequencies if config.position == "rope" else None
        self.cos = self.sin = self.embedding.new_empty(0, 1, self.width)
        # What queries are multiplied by; it rides on the rotation.
        self.scales = self.embedding.new_ones(self.heads + self.key_heads, 1)
        self.scales[: self.heads] = 1 / math.sqrt(self.width)
        self.held = self.room = 0  # rows and positions that the cache has place for
        self.clear()

    @property
    def cache_bytes(self) -> int:
        """Of keys and values, used or not."""
        return sum(cache.nbytes for cache in (*self.keys, *self.values))

    def reserve(self, rows: int, room: int) -> None:
        """Make place for `rows` texts of `room` positions; what is in the cache stays."""
        if rows <= self.held and room <= self.room:
            return
        had = self.room
        if room > had:
            room = min(self.seq_len, max(-(-room // BLOCK) * BLOCK, had * 5 // 4))
        self.held, self.room = max(rows, self.held), max(room, had)
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            more_keys, more_values = self._empty()
            more_keys[: len(keys), :, :had] = keys
            more_values[: len(values), :had] = values
            self.keys[layer], self.values[layer] = more_keys, more_values
        if self.frequencies is not None and self.room > len(self.cos):
            cos, sin = rotary_angles(self.frequencies, 0, self.room, self.dtype)  # (room, W/2)
            self.cos = torch.cat((cos, cos), -1)[:, None]  # (room, 1, W)
            self.sin = torch.cat((-sin, sin), -1)[:, None]

    def _empty(self) -> tuple[Tensor, Tensor]:
        """Keys (rows · K, W, room), which a query meets as they lie, and values (rows · K, room, W) of a layer.

        Zeros, for what stands behind a row's end is multiplied by 0, and 0 times what memory held may be no number.
        """
        count = self.held * self.key_heads
        new = self.embedding.new_zeros
        return new(count, self.width, self.room), new(count, self.room, self.width)

    def clear(self) -> None:
        """Give the memory of the cache back."""
        self.held = self.room = 0
        self.keys, self.values = map(list, zip(*(self._empty() for _ in self.layers), strict=True))

    def _row(self, layer: int, row: int, length: int) -> tuple[Tensor, Tensor]:
        here = slice(row * self.key_heads, (row + 1) * self.key_heads)
        return self.keys[layer][here, :, :length], self.values[layer][here, :length]

    @torch.inference_mode()
    def wipe(self, row: int) -> None:
        """Zeros in the place of what may be no numbers, which would spoil the row's next text."""
        for layer in range(len(self.layers)):
            for part in self._row(layer, row, self.room):
                part.zero_()

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row over another one."""
        for layer in range(len(self.layers)):
            for new, old in zip(self._row(layer, target, length), self._row(layer, source, length), strict=True):
                new.copy_(old)

    @torch.inference_mode()
    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` positions of two rows."""
        for layer in range(len(self.layers)):
            for first, second in zip(self._row(layer, one, length), self._row(layer, other, length), strict=True):
                kept = first.clone()
                first.copy_(second)
                second.copy_(kept)

    @torch.inference_mode()
    def step(self, singles: Sequence[Part], longer: Sequence[Part]) -> Tensor:
        """Logits (parts, V) behind the last id of each part, in fp32. Rows of `singles` are 0, 1, …, one id each."""
        parts = [*singles, *longer]
        self.reserve(max(part.row for part in parts) + 1, max(part.end for part in parts))
        place = _Places(self, singles, longer)
        x = functional.embedding(place.ids, self.embedding)  # (N, D)
        for number in range(len(self.layers)):
            x = self._block(x, number, place)
        if longer:
            x = x[place.last]  # (parts, D)
        return self.head(self._normed(x, self.norm)).float()

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm. On a CPU PyTorch makes seven passes of it, 37 µs for one row, and these two take 14."""
        if len(x) == 1 and x.device.type == "cpu" and x.dtype == torch.float32:
            mean = torch.dot(x[0], x[0]).item() / x.shape[1]
            return (x * weight).mul_((mean + self.config.norm_eps) ** -0.5)
        return functional.rms_norm(x, weight.shape, weight, self.config.norm_eps)

    def _block(self, x: Tensor, number: int, place: "_Places") -> Tensor:
        layer, width = self.layers[number], self.width
        qkv = layer.qkv(self._normed(x, layer.attention_norm)).view(len(x), -1, width)  # (N, H + 2K, W)
        turned, v = torch.split_with_sizes(
            qkv, (self.heads + self.key_heads, self.key_heads), 1
        )  # (N, H + K, W), (N, K, W)
        if layer.q_norm is not None and layer.k_norm is not None:
            q, k = torch.split_with_sizes(turned, (self.heads, self.key_heads), 1)
            eps = self.config.norm_eps
            q = functional.rms_norm(q, layer.q_norm.shape, layer.q_norm, eps)
            turned = torch.cat((q, functional.rms_norm(k, layer.k_norm.shape, layer.k_norm, eps)), 1)
        if self.frequencies is not None:
            halves = turned.reshape(len(x), -1, 2, width // 2).flip(2).view(turned.shape)
            turned = torch.addcmul(turned * place.cos, halves, place.sin)
        else:
            turned = turned * self.scales
        q, k = torch.split_with_sizes(turned, (self.heads, self.key_heads), 1)
        x = layer.out.added(x, self._attend(q, k, v, number, place))
        gate, up = layer.gate_up(self._normed(x, layer.mlp_norm)).chunk(2, -1)  # (N, hidden)
        return layer.down.added(x, functional.silu(gate, inplace=True).mul_(up))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, layer: int, place: "_Places") -> Tensor:
        """Put keys and values (N, K, W) into the cache; what each query (N, H, W) finds there, (N, H · W)."""
        count, found = len(place.singles), []
        if count:
            found.append(self._attend_singles(q[:count], k[:count], v[:count], layer, place))
        for part, first in zip(place.longer, place.firsts, strict=True):
            there = slice(first, first + len(part.ids))
            keys, values = self._row(layer, part.row, part.end)  # (K, W, end), (K, end, W)
            keys[:, :, part.start :] = k[there].permute(1, 2, 0)
            values[:, part.start :] = v[there].transpose(0, 1)
            keys = k[there].transpose(0, 1) if part.start == 0 else keys.transpose(1, 2).contiguous()
            found.append(self._attend_part(q[there], keys, values, part))
        return found[0] if len(found) == 1 else torch.cat(found)

    def _attend_singles(self, q: Tensor, k: Tensor, v: Tensor, layer: int, place: "_Places") -> Tensor:
        """One query a row: (n, H, W) to (n, H · W). Query heads of one key head share its product."""
        count = len(q) * self.key_heads
        keys, values = self.keys[layer], self.values[layer]
        keys.put_(place.key_places, k)
        values.put_(place.value_places, v)
        queries = q.reshape(count, -1, self.width)  # (n · K, G, W)
        keys, values = keys[:count, :, : place.length], values[:count, : place.length]
        bias = place.bias
        scores = torch.bmm(queries, keys) if bias is None else torch.baddbmm(bias, queries, keys)  # (n · K, G, L)
        return torch.bmm(scores.softmax(-1), values).view(len(q), -1)

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
        found = functional.scaled_dot_product_attention(
            q.transpose(0, 1)[None],
            keys[None],
            values[None],
            attn_mask=mask,
            is_causal=causal,
            scale=1.0,
            enable_gqa=self.heads != self.key_heads,
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
            self.cos = decoding.cos[positions] * decoding.scales  # (N, H + K, W)
            self.sin = decoding.sin[positions] * decoding.scales
        self.length = max((part.end for part in singles), default=0)
        self.bias: Tensor | None = None  # added to the scores, (n · K, 1 or G, L)
        if not count:
            return
        at = positions[:count, None]  # (n, 1)
        if count > 1 or decoding.slopes is not None:
            self.bias = self._bias(decoding, at)
        # Numbers of the cache's elements that the new keys and values (n, K, W) take.
        heads = torch.arange(count * decoding.key_heads, device=device).view(count, -1, 1)  # (n, K, 1)
        across = torch.arange(decoding.width, device=device)  # (W,)
        self.key_places = (heads * decoding.width + across) * decoding.room + at[..., None]
        self.value_places = (heads * decoding.room + at[..., None]) * decoding.width + across

    def _bias(self, decoding: Decoding, at: Tensor) -> Tensor:
        distance = torch.arange(self.length, device=at.device)[None] - at  # (n, L), above 0 where nothing is seen
        bias = torch.zeros((), dtype=decoding.dtype, device=at.device).expand(len(at), 1, self.length)
        if decoding.slopes is not None:
            bias = (decoding.slopes[:, None] * distance[:, None].to(decoding.slopes.dtype)).to(decoding.dtype)
        bias = bias.masked_fill(distance[:, None] > 0, -math.inf)  # (n, 1 or H, L)
        if decoding.slopes is not None:
            return bias.view(len(at) * decoding.key_heads, -1, self.length)
        return bias.expand(-1, decoding.key_heads, -1).reshape(-1, 1, self.length)
