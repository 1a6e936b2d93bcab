"""`corpus quality fit-perplexity`: a character n-gram model of clean text, and where head, middle and tail part.

In: a set of clean texts, and with `--terciles` a set like those to be judged. Out: a run directory with
`quality.model`, `summary.json` and `report.html`. The thirds are those of the second set, as CCNet takes them of the
crawl; without one, of clean texts that were held out, which is stricter. Price: see corpus/perplexity.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import tables
from corpus.measure import to_codes
from corpus.perplexity import NgramModel, fit_ngrams, load, save
from corpus.perplexity_kernels import plain_text
from corpus.quality_config import PerplexityConfig
from corpus.quality_model import NAME
from corpus.quality_report import perplexity_edges, write_perplexity_report
from corpus.quality_sets import Text, TextSet, inputs_of, languages_of, parted, plan_set, read_set, tell_set
from runkit.console import emit_json, say
from runkit.errors import InputError
from runkit.files import sha256_file, write_json
from runkit.personal import mask_personal
from runkit.planned import keep_apart, tell_rebuilt, tell_skipped
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "corpus quality fit-perplexity"
VERSIONED: Final = ("wenhai", "numpy", "numba")
DONE: Final = "fit"
SHOWN: Final = 6
EXCERPT: Final = 300
BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCall:
    """The command line of `corpus quality fit-perplexity`, parsed; `started` is a `time.monotonic()`."""

    good: list[str]
    terciles: list[str]
    out: Path
    config: PerplexityConfig
    as_json: bool
    lang: str
    started: float


def fit(call: FitCall) -> None:
    """Fit, measure and write; a finished run is told again."""
    keep_apart(call.out, [*call.good, *call.terciles])
    plans = {"good": plan_set(call.good, False)}
    if call.terciles:
        plans["terciles"] = plan_set(call.terciles, False)
    for plan in plans.values():
        tell_skipped(plan)
    inputs = [entry for name, plan in plans.items() for entry in inputs_of(plan, name)]
    versions = {name: version(name) for name in VERSIONED}
    with RunDir.open(call.out, COMMAND, call.config.model_dump(mode="json"), inputs, versions) as run:
        done = run.done(DONE)
        if done is None:
            tell_rebuilt(run)
            good = read_set("good", plans["good"], call.config, call.config.languages)
            languages = languages_of(good, call.config)
            good.texts = [text for text in good.texts if text.language in languages]
            other = read_set("terciles", plans["terciles"], call.config, languages) if call.terciles else None
            for one in filter(None, (good, other)):
                tell_set(one)
            summary = _fit(call.config, good, other, languages, run.file(NAME))
            done = run.mark(DONE, {NAME: sha256_file(run.file(NAME))}, {"summary": summary})
        summary = done.data["summary"]
        write_json(run.file("summary.json"), summary)
        write_perplexity_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    head, middle = summary["terciles"]
    say(
        f"{sum(summary['ngrams']):,} n-grams; median perplexity {summary['median']:g} of {summary['measured']:,} good "
        f"texts held out; head up to {head:g}, middle up to {middle:g}."
    )
    say(f"Model: {call.out / NAME}; use it as `corpus clean -s quality.perplexity={call.out}`.")
    say(f"Report: {call.out / 'report.html'}")


def _fit(
    config: PerplexityConfig, good: TextSet, other: TextSet | None, languages: tuple[str, ...], path: Path
) -> dict[str, Any]:
    learn, measure = parted(good, config.held_out)
    t = tables()
    codes, offsets = to_codes([text.text for text in learn])
    found = fit_ngrams(plain_text(codes, offsets, t.classes, t.fold), config.order, config.most_ngrams)
    model = NgramModel(config.order, config.most_chars, found.checks, found.values, found.unseen, languages)
    own = perplexities(model, measure)
    judged = measure if other is None else other.texts
    values = own if other is None else perplexities(model, judged)
    known = values[~np.isnan(values)]
    if len(known) < 3:
        raise InputError("Fewer than three texts are there to find the thirds of perplexity; give more.")
    thirds = np.quantile(known.astype(np.float64), [1 / 3, 2 / 3], method="lower")
    terciles = (round(float(thirds[0]), 4), round(float(thirds[1]), 4))
    model = replace(model, terciles=terciles)
    sets = {one.name: _about(one, len(learn) if one is good else 0) for one in (good, other) if one is not None}
    median = round(float(np.nanmedian(own)), 3)
    save(path, model, {"median": median, "texts": len(learn), "characters": sets["good"]["characters"]})
    load(path)  # what was written is what will be read
    edges = perplexity_edges()
    clipped = [np.clip(part[~np.isnan(part)], edges[0], edges[-1]) for part in (own, values)]
    below = np.histogram(clipped[1], edges)[0].tolist() if other is not None else [0] * (len(edges) - 1)
    return {
        **{"order": config.order, "languages": list(languages), "ngrams": found.kept, "fewest": found.fewest},
        **{"bytes": path.stat().st_size, "median": median, "measured": len(measure), "terciles": list(terciles)},
        "histogram": [np.histogram(clipped[0], edges)[0].tolist(), below],
        "sets": sets,
        "texts": _shown(judged, values),
    }


def perplexities(model: NgramModel, texts: Sequence[Text]) -> NDArray[np.float32]:
    """Of each text, (len(texts),)."""
    parts = [
        model.perplexities([text.text for text in texts[start : start + BATCH]])
        for start in range(0, len(texts), BATCH)
    ]
    return np.concatenate(parts)


def _about(one: TextSet, learnt: int) -> dict[str, Any]:
    return {
        **{"read": one.read[0], "drawn": len(one.texts), "learnt": learnt, "by_site": one.by_host},
        **{"characters": sum(len(text.text) for text in one.texts), "left_out": dict(sorted(one.left_out.items()))},
    }


def _shown(texts: Sequence[Text], values: NDArray[np.float32]) -> dict[str, list[dict[str, Any]]]:
    order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
    order = order[: int((~np.isnan(values)).sum())]
    middle = max(0, len(order) // 2 - SHOWN // 2)
    chosen = {"lowest": order[:SHOWN], "median": order[middle : middle + SHOWN], "highest": order[-SHOWN:][::-1]}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, places in chosen.items():
        found[name] = []
        for place in places.tolist():
            text = texts[place]
            title, begin = (mask_personal(part)[0] for part in (text.title, text.text[: 2 * EXCERPT]))
            found[name].append(
                {
                    **{"perplexity": round(float(values[place]), 3), "title": title, "url": text.url},
                    **{"text": begin[:EXCERPT], "characters": len(text.text), "source": text.source, "id": text.id},
                }
            )
    return found
