"""What the benches claim: for each figure of docs/bench.md, which bench measures it and where it stands in its JSON.

A claim's `values` give ours and the peers' by name, in the order of the chart; names that begin with "ours" are ours.
Peers that were not there are not in the JSON and so not in the chart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A chart of docs/bench.md."""

    section: str
    key: str
    """Name of its picture."""
    title: str
    unit: str
    bench: str
    values: Callable[[Figures], dict[str, float]]
    less: bool = False
    """Less is better."""
    logarithmic: bool = False


def _rows(figures: Figures, field: str, *names: str) -> dict[str, float]:
    return {name: figures[name][field] for name in names if figures.get(name)}


def _column(group: str, field: str) -> Callable[[Figures], dict[str, float]]:
    return lambda figures: {name: row[field] for name, row in figures[group].items()}


def _clean(figures: Figures) -> dict[str, float]:
    names = ("ours, fast", "datatrove, fast", "datatrove, trafilatura")
    return _rows(figures["rows"], "documents_per_cpu_second", *names)


def _chain(figures: Figures) -> dict[str, float]:
    return _rows(figures["rows"], "ms_per_document", "chain, ours", "chain, datatrove")


def _workers(figures: Figures) -> dict[str, float]:
    low, middle, high = figures["quartiles"]
    return {"ours, lower quartile": low, "ours, median of the rounds": middle, "ours, upper quartile": high}


def _extract(language: str, field: str) -> Callable[[Figures], dict[str, float]]:
    return lambda figures: {name: groups[language][field] for name, groups in figures.items() if language in groups}


def _kept(figures: Figures) -> dict[str, float]:
    names = ("good, kept", "damage, rejected: all", "outside, rejected")
    return {f"ours, {name}": 100 * figures[name]["share"] for name in names}


def _recall(figures: Figures) -> dict[str, float]:
    shares = {f"ours, similarity {low} and 0.05 more": share for low, share in figures["recall_by_similarity"].items()}
    return {**shares, "ours, all of 0.8 and more": figures["recall"], "ours, precision": figures["precision"]}


def _growth(field: str, scale: float) -> Callable[[Figures], dict[str, float]]:
    return lambda figures: {f"ours, {row['documents']:,} documents": row[field] * scale for row in figures["rows"]}


def _dedup(figures: Figures) -> dict[str, float]:
    found = {"ours": figures["ours"]["cpu_seconds"], "datatrove": figures["datatrove"]["cpu_seconds"]}
    return {name: 1000 * value / figures["documents"] for name, value in found.items()}


def _substrings(figures: Figures) -> dict[str, float]:
    return {"ours, minutes": figures["seconds"] / 60, "ours, GB of memory": figures["peak_memory_mb"] / 1000}


def _tune(figures: Figures) -> dict[str, float]:
    return {f"ours, {name}": row["seconds"] for name, row in figures["rows"].items()}


def _train(figures: Figures) -> dict[str, float]:
    return dict(figures["tokens_per_cpu_second"])


def _sft(figures: Figures) -> dict[str, float]:
    end = ", positions a CPU s"
    names = {"packed": "ours, dialogues", "pretraining": "ours, pretraining"}
    names |= {"transformers, padded": "transformers, padded"}
    found = {name: figures[name + end]["median"] for name in names if name + end in figures}
    return {names[name]: value for name, value in found.items()}


def _novelty(figures: Figures) -> dict[str, float]:
    found = {"ours, the decisions": figures["english"]["cpu_seconds_library"]}
    found["ours, the whole command"] = figures["english"]["cpu_seconds"]
    return found | {name: row["all_cpu_seconds"] for name, row in figures["peers"].items()}


def _parse(figures: Figures) -> dict[str, float]:
    return {name: 100 * row["share"] for name, row in figures.items()}


def _calls(figures: Figures) -> dict[str, float]:
    return {"ours": figures["cpu"]["ours_ms"], "the bare openai client": figures["cpu"]["bare_ms"]}


def _rates(figures: Figures) -> dict[str, float]:
    return {
        f"ours, {row['rpm']} requests, {row['tpm']:,} tokens a minute {row['told']}": 100 * row["share_of_allowed"]
        for row in figures["limits"]
    }


def _bradley_terry(figures: Figures) -> dict[str, float]:
    return dict(figures["bradley_terry"]["seconds"])


def _coverage(figures: Figures) -> dict[str, float]:
    rows = [row for row in figures["coverage"] if "80" in row["world"]]
    return {
        f"{'' if row['interval'].startswith('(') else 'ours, '}{row['world']}, {row['interval']}": row[
            "coverage_percent"
        ]
        for row in rows
    }


def _decode(figures: Figures) -> dict[str, float]:
    rates = figures["one"]["tokens_per_second"]
    return {
        "ours, one request": rates["ours"],
        "transformers, one request": rates["theirs"],
        "ours, eight at once": figures["eight"]["tokens_per_second"],
    }


def _serve(figures: Figures) -> dict[str, float]:
    return {"ours, one request": figures["alone"], "ours, eight at once": figures["many"]}


CORPUS, TRAIN, INSTRUCT, JUDGE = "Corpora", "Tokenizers, training, serving", "Instructions", "Judging"
CLAIMS = (
    Claim(CORPUS, "clean", "WARC to clean documents, one worker", "documents a CPU second", "clean", _clean),
    Claim(CORPUS, "chain", "The Chinese chain after extraction", "ms a document", "clean", _chain, less=True),
    Claim(CORPUS, "workers", "Two workers beside one", "times as fast", "workers", _workers),
    Claim(CORPUS, "extract-zh", "Main text of Chinese pages", "F1 of 4-grams", "extract", _extract("zh", "f1")),
    Claim(CORPUS, "extract-en", "Main text of English pages", "F1 of 4-grams", "extract", _extract("en", "f1")),
    Claim(
        CORPUS, "extract-ms", "Time for a Chinese page", "ms a page", "extract", _extract("zh", "mean_ms"), less=True
    ),
    Claim(CORPUS, "rules", "Good texts kept, bad ones rejected", "percent", "rules", _kept),
    Claim(CORPUS, "dedup-recall", "Near-duplicates found", "share", "dedup-quality", _recall),
    Claim(
        CORPUS, "dedup-cpu", "Deduplication", "ms of CPU a document", "dedup-peer", _dedup, less=True, logarithmic=True
    ),
    Claim(
        CORPUS,
        "dedup-memory",
        "Memory of deduplication as documents grow",
        "GB",
        "dedup-growth",
        _growth("peak_memory_mb", 0.001),
        less=True,
    ),
    Claim(CORPUS, "substrings", "Exact substrings of 1 GB", "minutes and GB", "substrings", _substrings, less=True),
    Claim(CORPUS, "tune", "Other thresholds for a million documents", "seconds", "tune", _tune, less=True),
    Claim(
        CORPUS,
        "quality-ms",
        "Scores of a text of 2,000 characters",
        "ms",
        "classify",
        _column("models", "ms"),
        less=True,
    ),
    Claim(
        CORPUS,
        "quality-auc",
        "Good texts told from bad ones",
        "area under the ROC",
        "classify",
        _column("models", "auc"),
    ),
    Claim(
        TRAIN,
        "fit",
        "Characters a token on held-out text",
        "characters",
        "tokens",
        _column("fit", "characters_per_token"),
    ),
    Claim(TRAIN, "fit-cpu", "Fitting 16,000 pieces", "CPU seconds", "tokens", _column("fit", "cpu_seconds"), less=True),
    Claim(TRAIN, "encode", "Encoding", "MB a CPU second", "tokens", _column("encode", "mb_per_cpu_second")),
    Claim(TRAIN, "train", "Training step of a 26 M model on a CPU", "tokens a CPU second", "train", _train),
    Claim(TRAIN, "train-compiled", "The same compiled", "tokens a CPU second", "train-compiled", _train),
    Claim(TRAIN, "sft", "Tuning on dialogues", "positions a second", "sft", _sft),
    Claim(TRAIN, "decode", "Greedy answers on one thread", "tokens a second", "decode", _decode),
    Claim(TRAIN, "serve-64", "Over HTTP, prompts of 64 tokens", "tokens a second", "serve-64", _serve),
    Claim(TRAIN, "serve-256", "Over HTTP, prompts of 256 tokens", "tokens a second", "serve-256", _serve),
    Claim(
        INSTRUCT,
        "novelty",
        "Novelty of 52,002 instructions by ROUGE-L",
        "CPU seconds",
        "novelty",
        _novelty,
        less=True,
        logarithmic=True,
    ),
    Claim(INSTRUCT, "parse", "Items read out of recorded replies", "percent of whole items", "parse", _parse),
    Claim(INSTRUCT, "calls", "A call of a model", "ms of CPU", "generate", _calls, less=True),
    Claim(INSTRUCT, "rates", "Requests within limits", "percent of what is allowed", "generate", _rates),
    Claim(JUDGE, "bt", "Bradley–Terry, 50,000 verdicts", "seconds", "judge", _bradley_terry, less=True),
    Claim(JUDGE, "coverage", "95 % intervals that hold the truth", "percent", "judge", _coverage),
)
