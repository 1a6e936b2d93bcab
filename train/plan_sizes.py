"""How large a training is, by arithmetic: weights by part, bytes in memory and on disk, FLOPs.

In: a model's shape, rows, a type of number. Out: numbers of weights, bytes, FLOPs. No torch is needed. Activations are
counted tensor by tensor as autograd keeps them for train/model.py, not compiled and with a fused attention kernel; on
a CPU they agree with what is kept to the byte, but for a few numbers. Price: what is thrown away at once, and what an
allocator wastes, is only estimated; torch.compile keeps less.
"""

from dataclasses import dataclass
from typing import Final

from train.model_config import ModelConfig
from train.pretrain_config import LoopConfig

FP32: Final = 4  # bytes
# Of logits at a time: on a CPU what caches hold (0.9 of the time of 64 MB), on a GPU products that are large enough.
LOGITS_BYTES: Final = {"cpu": 16_000_000, "cuda": 256_000_000}


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of weights; those of the blocks are of all layers."""

    embedding: int
    output: int  # 0: it is the embedding
    attention: int
    feed_forward: int
    norms: int  # the last one too
    block: int  # of one layer
    total: int

    @property
    def outside(self) -> int:
        """Beside the blocks."""
        return self.embedding + self.output


def parameters(model: ModelConfig) -> Parameters:
    """By part; the total is `ModelConfig.parameters`."""
    dim, width = model.dim, model.head_width
    attention = dim * width * (2 * model.heads + 2 * model.key_heads)
    attention += width * (model.heads + 2 * model.key_heads) if model.qkv_bias else 0
    norms = 2 * dim + (2 * width if model.qk_norm else 0)
    feed_forward = 3 * dim * model.hidden_width
    return Parameters(
        embedding=model.vocab * dim,
        output=0 if model.tied else model.vocab * dim,
        attention=model.layers * attention,
        feed_forward=model.layers * feed_forward,
        norms=model.layers * norms + dim,
        block=attention + norms + feed_forward,
        total=model.parameters,
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """What is in memory at once, and how."""

    rows: int
    seq_len: int
    half: bool  # products in bf16 or fp16
    gpu: bool  # its RMSNorm is one kernel, which keeps one tensor less
    checkpointing: bool

    @property
    def positions(self) -> int:
        """Of all rows."""
        return self.rows * self.seq_len

    @property
    def number(self) -> int:
        """Bytes of what the products take and give."""
        return 2 if self.half else FP32


def block_activations(model: ModelConfig, rows: Rows) -> int:
    """Bytes that one block keeps for the backward pass when nothing is computed again."""
    number, dim = rows.number, model.dim
    queries, keys = model.heads * model.head_width, model.key_heads * model.head_width
    # Autocast makes the 16-bit copy of an input anew for each product that takes it; in fp32 they share one tensor.
    attention_inputs, forward_inputs = (3, 2) if rows.half else (1, 1)
    numbers = attention_inputs * dim + 2 * queries + 2 * keys  # the products' input, q, k, v, and what was seen
    if model.position == "rope" and not _by_blocks(model, rows):
        numbers += queries  # heads beside each other again, which is a copy where q was turned
    numbers += forward_inputs * dim + 4 * model.hidden_width  # gate, silu(gate), up, their product
    position = numbers * number
    if not _by_blocks(model, rows):
        position += FP32 * model.heads  # the sum under each softmax
    position += 2 * _norm(dim, 1, rows.gpu)  # the stream is fp32
    if model.qk_norm:
        fused = rows.gpu and not rows.half  # weights of another type than the input: several kernels
        position += _norm(queries, model.heads, fused) + _norm(keys, model.key_heads, fused)
    return rows.positions * position + _mask_of_block(model, rows)


def activations(model: ModelConfig, rows: Rows) -> int:
    """Bytes that are kept between the forward and the backward pass of packed rows, but for the loss."""
    ends = rows.positions * (8 + _norm(model.dim, 1, rows.gpu))  # ids as int64; the last norm
    if model.position == "rope":
        ends += FP32 * rows.seq_len * model.head_width  # cosine and sine of W / 2 angles
    elif rows.checkpointing or not rows.half:  # else the copies of the blocks are all that is kept
        ends += FP32 * model.heads * rows.rows * rows.seq_len**2
    if _by_blocks(model, rows):
        ends += 8 * rows.positions  # the first position that each one sees, as int64
    if not rows.checkpointing:
        casts = 2 * model.layers * _block_matrices(model) if rows.half else 0  # weights in 16 bits
        return ends + casts + model.layers * block_activations(model, rows)
    masked = model.position == "rope" and not _by_blocks(model, rows)
    seen = rows.rows * rows.seq_len**2 if masked else 0  # one byte for each pair
    return ends + seen + model.layers * rows.positions * FP32 * model.dim


def working(model: ModelConfig, rows: Rows) -> int:
    """Bytes that come and go beside them: of the loss, or of a block's backward pass, whichever is more."""
    matrix, stream = model.vocab * model.dim, rows.positions * FP32 * model.dim
    chunk = min(LOGITS_BYTES["cuda" if rows.gpu else "cpu"], FP32 * rows.positions * model.vocab)
    # The gradients of the hidden states and of the output matrix, a product that is added to it, the matrix in 16
    # bits; two chunks, because the logarithms make another.
    loss = 2 * stream + matrix * (FP32 + rows.number + (2 if rows.half else 0)) + 2 * chunk
    backward = 2 * stream + 3 * rows.positions * model.hidden_width * rows.number + matrix * FP32
    if rows.checkpointing:
        backward += block_activations(model, rows) + (2 * _block_matrices(model) if rows.half else 0)
    return max(loss, backward)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process while it trains."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    working: int
    shared: int  # more, because several processes train together

    @property
    def total(self) -> int:
        """The most that is in use at once."""
        return sum((self.weights, self.gradients, self.optimizer, self.activations, self.working, self.shared))


def memory(model: ModelConfig, config: LoopConfig, rows: Rows, processes: int) -> Memory:
    """Of one of `processes`."""
    sizes = parameters(model)
    all_weights = FP32 * sizes.total
    parts = processes if config.parallel == "fsdp" else 1
    shared = 0  # the buckets of ddp are the gradients themselves
    if parts > 1:
        # Whole for a while: this block and the next, and all that is in no block. Gradients stay whole, all of them,
        # until the last part of a step has added its own.
        whole = 2 * sizes.block + sizes.outside
        several = rows.rows * processes < config.batch_rows
        shared = FP32 * (whole + (sizes.total if several else whole))
    return Memory(
        weights=-(-all_weights // parts),
        gradients=-(-all_weights // parts),
        optimizer=-(-optimizer_bytes(model, config) // parts),
        activations=activations(model, rows),
        working=working(model, rows),
        shared=shared,
    )


def optimizer_bytes(model: ModelConfig, config: LoopConfig) -> int:
    """AdamW keeps two numbers for each weight, Muon one for each of a block's matrices."""
    both = 2 * FP32 * model.parameters
    return both - (FP32 * model.layers * _block_matrices(model) if config.optim.kind == "muon" else 0)


def checkpoint_bytes(model: ModelConfig, config: LoopConfig) -> int:
    """Of one checkpoint on the disk, but for its small files."""
    return FP32 * model.parameters + optimizer_bytes(model, config)


def recomputed_flops(model: ModelConfig, seq_len: int) -> float:
    """A position's, that checkpointing adds: the blocks forward once more, up to their last matrix."""
    matrices = _block_matrices(model) - model.dim * model.hidden_width
    return model.layers * 2.0 * (matrices + model.heads * model.head_width * seq_len)


def _block_matrices(model: ModelConfig) -> int:
    queries, keys = model.heads * model.head_width, model.key_heads * model.head_width
    return model.dim * (2 * queries + 2 * keys + 3 * model.hidden_width)


def _norm(width: int, groups: int, fused: bool) -> int:
    """A position's bytes: the input, its size for each group, and in several kernels the input divided by that."""
    return FP32 * ((1 if fused else 2) * width + groups)


def _by_blocks(model: ModelConfig, rows: Rows) -> bool:
    """Whether train/attention.py computes it."""
    return model.position == "rope" and not rows.gpu and not rows.half


def _mask_of_block(model: ModelConfig, rows: Rows) -> int:
    """Attention turns the mask into numbers, in each block anew unless it has the right ones already."""
    if _by_blocks(model, rows):
        return 0
    if model.position == "rope":
        return rows.number * rows.rows * rows.seq_len**2
    return rows.number * model.heads * rows.rows * rows.seq_len**2 if rows.half else 0
