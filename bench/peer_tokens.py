"""Other trainers and encoders over the same texts; run by bench/tokens.py in .venv-peers.

    python bench/peer_tokens.py fit {sentencepiece|sentencepiece-defaults|rustbpe|tokenizers} TEXTS.json VOCAB
    python bench/peer_tokens.py encode {sentencepiece|tokenizers|tiktoken} TEXTS.json TOKENIZER
TEXTS.json holds `learn` and `held_out`, two lists of texts. Prints one JSON line: CPU seconds of fitting (reading and
start-up left out) and characters a token on the held-out texts, or CPU seconds of encoding all texts. Texts are read
before the clock starts, and every encoder gets them as Python strings and gives ids as it likes best.
"""

import io
import json
import resource
import sys
from pathlib import Path


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def fit_sentencepiece(texts: list[str], vocab: int, defaults: bool):
    """Lines, as its command reads them; `defaults` but for BPE and bytes, or all that keeps the text as it is."""
    import sentencepiece

    options = {"model_type": "bpe", "vocab_size": vocab, "byte_fallback": True, "minloglevel": 2}
    if not defaults:
        options |= {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "split_digits": True}
    model = io.BytesIO()
    lines = (line for text in texts for line in text.split("\n") if line)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **options)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return processor.encode


def fit_rustbpe(texts: list[str], vocab: int):
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(texts), vocab)
    return lambda held_out: [tokenizer.encode(text) for text in held_out]


def fit_tokenizers(texts: list[str], vocab: int):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return lambda held_out: [encoding.ids for encoding in tokenizer.encode_batch(held_out)]


def fit(name: str, texts: dict, vocab: int) -> dict:
    trainers = {
        "sentencepiece": lambda learn: fit_sentencepiece(learn, vocab, defaults=False),
        "sentencepiece-defaults": lambda learn: fit_sentencepiece(learn, vocab, defaults=True),
        "rustbpe": lambda learn: fit_rustbpe(learn, vocab),
        "tokenizers": lambda learn: fit_tokenizers(learn, vocab),
    }
    before = cpu_seconds()
    encode = trainers[name](texts["learn"])
    spent = cpu_seconds() - before
    tokens = sum(map(len, encode(texts["held_out"])))
    characters = sum(map(len, texts["held_out"]))
    return {"cpu_seconds": spent, "characters_per_token": characters / tokens}


def encode(name: str, texts: list[str], tokenizer: str) -> dict:
    """`tokenizer`: a tokenizer.model, or for the byte-level encoders a JSON of rustbpe's ranks and pattern."""
    if name == "sentencepiece":
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=tokenizer)
        run = lambda: [processor.encode(text) for text in texts]  # noqa: E731
    elif name == "tiktoken":
        import rustbpe
        import tiktoken

        trained = rustbpe.Tokenizer()
        trained.train_from_iterator(iter(texts[::20]), 16_000)
        ranks = {bytes(piece): rank for piece, rank in trained.get_mergeable_ranks()}
        encoding = tiktoken.Encoding("peer", pat_str=trained.get_pattern(), mergeable_ranks=ranks, special_tokens={})
        run = lambda: [encoding.encode_ordinary(text) for text in texts]  # noqa: E731
    else:
        from tokenizers import Tokenizer

        library = Tokenizer.from_file(tokenizer)
        run = lambda: [entry.ids for entry in library.encode_batch_fast(texts)]  # noqa: E731
    before = cpu_seconds()
    tokens = sum(map(len, run()))
    return {"cpu_seconds": cpu_seconds() - before, "tokens": tokens}


def main() -> None:
    what, name, file, last = sys.argv[1:]
    texts = json.loads(Path(file).read_text(encoding="utf-8"))
    figures = fit(name, texts, int(last)) if what == "fit" else encode(name, texts["learn"] + texts["held_out"], last)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
