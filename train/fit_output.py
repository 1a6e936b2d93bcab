"""What `fit`, `extend` and `tokens` share: how a run is opened, what is measured and told, where faults are written.

In: a plan, what was read from it, and the tokenizer that came out. Out: summary.json, quarantine.jsonl, usage.json.
Tokens are counted on held-out documents only; a set without them is measured on nothing, and this is said.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runkit.config import Config
from runkit.console import say
from runkit.fields import Fault, fault_lines
from runkit.files import sha256_file, write_bytes
from runkit.inputs import Plan
from runkit.language import detect_language
from runkit.planned import manifest_inputs
from runkit.records import Document
from runkit.rundir import RunDir
from train.pieces import Tokenizer
from train.reading import Reading, Words

# Whatever changes the bytes that come out.
VERSIONED = ("wenhai", "sentencepiece", "tokenizers", "fasttext-predict")


def open_run(
    command: str,
    out: Path,
    config: Config,
    plan: Plan,
    reading: Reading,
    others: Sequence[tuple[str, Path]] = (),
) -> AbstractContextManager[RunDir]:
    """The locked run directory of a tokenizer; `others` are (name, file) of inputs that are no documents."""
    settings = config.model_dump(mode="json")
    settings |= {"sample": reading.sample, "limit": reading.limit, "seed": reading.seed}
    inputs = manifest_inputs(plan)
    inputs += [{"name": name, "size": path.stat().st_size, "fingerprint": sha256_file(path)} for name, path in others]
    return RunDir.open(out, command, settings, inputs, {name: version(name) for name in VERSIONED})


def measure(tokenizer: Tokenizer, documents: Sequence[Document]) -> dict[str, Any]:
    """Tokens for the documents: in all, by source and by language; `lossy` counts texts that do not come back."""
    total: Counter[str] = Counter()
    sources: dict[str, Counter[str]] = {}
    languages: dict[str, Counter[str]] = {}
    for document, ids in zip(documents, tokenizer.encode_batch([d.text for d in documents]), strict=True):
        numbers = ids.tolist()
        raw = document.text.encode()
        figures = Counter(
            documents=1,
            characters=len(document.text),
            bytes=len(raw),
            tokens=len(numbers),
            byte_tokens=sum(map(tokenizer.is_byte, numbers)),
            lossy=int(tokenizer.decode_bytes(numbers) != raw),
        )
        language = document.language or detect_language(document.text)[0]
        total.update(figures)
        sources.setdefault(document.source, Counter()).update(figures)
        languages.setdefault(language, Counter()).update(figures)
    return {
        **_figures(total),
        "by_source": {name: _figures(counts) for name, counts in sorted(sources.items())},
        "by_language": {name: _figures(counts) for name, counts in sorted(languages.items())},
    }


def _figures(counts: Mapping[str, int]) -> dict[str, Any]:
    """Ratios are null where there is nothing to divide by."""
    names = ("documents", "characters", "bytes", "tokens", "byte_tokens", "lossy")
    tokens, characters = counts.get("tokens", 0), counts.get("characters", 0)
    return {
        **{name: counts.get(name, 0) for name in names},
        "characters_per_token": round(characters / tokens, 4) if tokens else None,
        "tokens_per_character": round(tokens / characters, 4) if characters else None,
    }


def read_figures(words: Words) -> dict[str, Any]:
    """What was learnt from, for summary.json."""
    return {
        "documents": words.documents,
        "characters": words.characters,
        "bytes": words.size_bytes,
        "distinct_words": len(words.words),
        "share": round(words.share, 6),
    }


def fault_counts(faults: Iterable[Fault]) -> dict[str, int]:
    """By reason, sorted."""
    return dict(sorted(Counter(fault.reason for fault in faults).items()))


def write_faults(run: RunDir, name: str, faults: Sequence[Fault]) -> dict[str, str]:
    """The quarantine file `name`, a line for each record that could not be read; {name: sha256}, empty without any."""
    if not faults:
        return {}
    write_bytes(run.file(name), fault_lines(faults))
    return {name: sha256_file(run.file(name))}


def tell_held_out(figures: Mapping[str, Any]) -> None:
    """One sentence on stderr."""
    if figures["tokens"]:
        say(
            f"Held-out text: {figures['characters_per_token']:.3f} characters a token over {figures['documents']:,} "
            f"documents, {100 * figures['byte_tokens'] / figures['tokens']:.2f} % of the tokens are single bytes."
        )
    else:
        say("No document is held out, so characters for each token were not measured; see held_out.")
    if figures["lossy"]:
        say(f"{figures['lossy']:,} of these texts do not come back as they were.")
