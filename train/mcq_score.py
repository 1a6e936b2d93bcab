"""What a model says next after each of many prompts that begin alike.

In: prompts and a few ids. Out: the log-probabilities of these ids behind each prompt. The ids that all prompts begin
with are read once and their keys and values kept; what is left of the prompts is sorted by length and padded on the
right, where causal attention never looks. Price: the memory of the shared keys and values, once for each prompt of a
batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from train.measuring import no_numbers, padded
from train.model import Cache, Model
from train.pieces import Ids

# Positions at a time on a CPU. With SmolLM2-135M and prompts that share 350 ids a question takes 0.6 CPU seconds from
# 150 to 640, and 0.7 at 1,280, where the copies of the shared keys and values no longer stay in the caches.
CPU_POSITIONS: Final = 384


def common_prefix(prompts: Sequence[Ids]) -> int:
    """How many ids all prompts begin with; each keeps one of its own at least, whose logits are what is asked for."""
    length = min(map(len, prompts)) - 1
    first = prompts[0]
    for prompt in prompts[1:]:
        differ = np.flatnonzero(first[:length] != prompt[:length])
        length = int(differ[0]) if len(differ) else length
    return length


def parts(lengths: Sequence[int], most: int, device: torch.device) -> Iterator[slice]:
    """Rows of these lengths, the shortest first, cut into batches of at most `most` rows."""
    first = 0
    while first < len(lengths):
        end = min(first + most, len(lengths))
        while device.type == "cpu" and end - first > 1 and (end - first) * lengths[end - 1] > CPU_POSITIONS:
            end -= 1
        yield slice(first, end)
        first = end


@torch.no_grad()
def next_logprobs(
    model: Model,
    prompts: Sequence[Ids],
    ids: Sequence[int],
    batch: int,
    advance: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float64]:
    """ln p of each of `ids` behind each of `prompts`, (prompts, ids), among the whole vocabulary.

    At most `batch` prompts at a time; `advance` hears how many are done. InputError: the model gives no numbers.
    """
    found = np.zeros((len(prompts), len(ids)), np.float64)
    if not prompts:
        return found
    device = model.lm_head.weight.device
    start = common_prefix(prompts)
    shared = Cache([], [])
    if start:
        model.hidden(torch.from_numpy(prompts[0][:start].astype(np.int64))[None].to(device), cache=shared)
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    for part in parts([len(prompts[number]) - start for number in order], batch, device):
        chosen = order[part]
        rows = [prompts[number][start:] for number in chosen]
        hidden = model.hidden(padded(rows).to(device), cache=_repeated(shared, len(rows)))  # (B, T, D)
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        logits = model.logits(hidden[torch.arange(len(rows), device=device), last])  # (B, V)
        found[chosen] = logits.float().log_softmax(-1)[:, list(ids)].double().cpu().numpy()
        advance(len(rows))
    if not np.isfinite(found).all():
        raise no_numbers()
    return found


def _repeated(cache: Cache, rows: int) -> Cache | None:
    """The same keys and values for each row, not copied yet; the model puts its own behind them, into new tensors."""
    if not cache.length:
        return None
    return Cache(*([part.expand(rows, -1, -1, -1) for part in parts] for parts in (cache.keys, cache.values)))
