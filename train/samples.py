"""What a model in training writes: it goes on from a few prompts, to be read in the report.

In: a model, its tokenizer, prompts. Out: a text for each. The numbers come from a generator of their own, so a run that
writes samples comes to the same bits as one that does not. Price: one pass for each token, 6 ms with 26 M parameters on
a core.
"""

import codecs
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import torch

from runkit.errors import UsageError
from train.mcq_prompts import begin_id
from train.measuring import check_vocab, no_numbers
from train.model import Cache, Model
from train.pieces import Tokenizer

TEMPERATURE: Final = 0.8  # without chance, small models repeat themselves
TOP_K: Final = 50


@torch.no_grad()
def continue_texts(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    tokens: int,
    seed: int,
    begin: Callable[[str], list[int]] | None = None,
    ends: frozenset[int] = frozenset(),
) -> list[dict[str, str]]:
    """`{"prompt": …, "text": what comes behind it}` of each; at most `tokens` tokens (0: nothing is returned), and with
    its prompt no longer than the model is made for. `begin` gives the ids of a prompt, else those of a document that
    begins so; a text ends at a token of `ends` too.

    The same prompt and seed give the same text, whatever the other prompts are. The model is left in the mode in which
    it was. UsageError: an empty prompt, and no token that begins or ends a text. InputError: the model has fewer rows
    than the tokenizer ids, or gives no numbers.
    """
    if tokens == 0:
        return []
    check_vocab(model, tokenizer)
    training = model.training
    model.eval()
    try:
        begins = {prompt: begin(prompt) if begin is not None else _start(tokenizer, prompt) for prompt in prompts}
        # By prompt: with the same chances a model that knows little would write the same behind all of them.
        chances = {prompt: seed ^ zlib.crc32(prompt.encode()) for prompt in prompts}
        return [
            {"prompt": prompt, "text": _behind(model, tokenizer, begins[prompt], tokens, chances[prompt], ends)}
            for prompt in prompts
        ]
    finally:
        model.train(training)


def _behind(model: Model, tokenizer: Tokenizer, begin: list[int], tokens: int, seed: int, ends: frozenset[int]) -> str:
    given = begin[: model.config.seq_len]
    room = min(tokens, model.config.seq_len - len(given))
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    cache, ids, fresh = Cache([], []), list(given), given
    while len(ids) < len(given) + room:
        hidden = model.hidden(torch.tensor([fresh], device=device), cache=cache)  # (1, T, D)
        logits = model.logits(hidden[0, -1]).float().cpu()[: tokenizer.size]  # (V,), without rows that have no piece
        chosen = _choose(logits, generator)
        if chosen == tokenizer.special.eos or chosen in ends:
            break
        ids.append(chosen)
        fresh = [chosen]
    data = tokenizer.decode_bytes(ids)[len(tokenizer.decode_bytes(given)) :]
    # Not final: the bytes of a character that was cut off are left out.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data)


def _start(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Ids of the prompt as a document begins in training."""
    ids: list[int] = tokenizer.encode(prompt).tolist()
    begin = begin_id(tokenizer, None)
    if begin is None and not ids:
        begin = tokenizer.special.eos  # behind the end of a text another one begins
        if begin is None:
            raise UsageError(f"A prompt is empty, and {tokenizer.path} has no token that begins a text; remove it.")
    return ids if begin is None else [begin, *ids]


def _choose(logits: torch.Tensor, generator: torch.Generator) -> int:
    """One of the `TOP_K` likeliest ids of logits (V,)."""
    highest, ids = logits.topk(min(TOP_K, len(logits)))
    probabilities = (highest / TEMPERATURE).softmax(0)
    if not bool(probabilities.isfinite().all()):
        raise no_numbers()
    return int(ids[torch.multinomial(probabilities, 1, generator=generator)])
