"""Small tokenizers and texts, made for the tests by the libraries themselves."""

import random
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from tests.faults.texts import text
from train.bpe import count_words, learn
from train.fit import choose
from train.model_file import new_model

ENGLISH = "The tide came in at noon, and 27 boats left the harbour; for i in range(10):\n    print(i)\n"
TEXTS = [text(random.Random(seed), 12) + "\n\n" + ENGLISH * (seed % 3) for seed in range(60)]


def small_model(folder: Path, pieces: int = 400) -> Path:
    """A SentencePiece model as `fit` writes it, of exactly `pieces` pieces."""
    room = pieces - 3 - 256
    merges, characters = choose(learn(count_words(TEXTS), room), TEXTS[:10], room)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(new_model((), merges, characters))
    return folder / "tokenizer.model"


def byte_level(folder: Path, pieces: int = 600) -> Path:
    """A tokenizer.json as GPT-2's."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TEXTS, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    library.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def wordpiece(folder: Path) -> Path:
    """BERT's vocab.txt, of ten lines."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "你", "好", "，", "play", "##ing", "the"]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "vocab.txt"
