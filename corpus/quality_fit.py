"""`corpus quality fit`: a classifier from good and bad texts, what it is worth on texts it has not seen, and a report.

In: two sets. Out: a run directory with `quality.model`, `summary.json` and `report.html`. Of each set a share is held
out and judged once, at the end. Scores are calibrated on the others, each by a model that has not seen it (five folds,
by site as well). Logistic regression by scikit-learn's L-BFGS, on one thread, so that the same sets give the same
bytes. Price: 60 s and 1.5 GB for 20 M characters of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.quality import Quality, Shape, calibrated, load, save
from corpus.quality_config import QualityConfig
from corpus.quality_measures import auc, calibration, platt, thresholds
from corpus.quality_model import NAME
from corpus.quality_ngrams import batches, codes_of, features_of, strongest
from corpus.quality_report import write_fit_report
from corpus.quality_sets import Text, TextSet, inputs_of, languages_of, parted, plan_set, read_set, tell_set
from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.files import sha256_file, write_json
from runkit.personal import mask_personal
from runkit.planned import keep_apart, tell_rebuilt, tell_skipped
from runkit.records import held_out_hash
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "corpus quality fit"
VERSIONED: Final = ("wenhai", "scikit-learn", "scipy", "numpy", "numba")
DONE: Final = "fit"
FOLDS: Final = 5
MANY_TEXTS: Final = 10_000
SHOWN: Final = 8  # texts of each kind in the report
EXCERPT: Final = 400
HISTOGRAM: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCall:
    """The command line of `corpus quality fit`, parsed; `started` is a `time.monotonic()`."""

    good: list[str]
    bad: list[str]
    out: Path
    config: QualityConfig
    as_json: bool
    lang: str
    started: float


def fit(call: FitCall) -> None:
    """Fit, measure and write; a finished run is told again."""
    keep_apart(call.out, [*call.good, *call.bad])
    plans = {"good": plan_set(call.good, False), "bad": plan_set(call.bad, True)}
    for plan in plans.values():
        tell_skipped(plan)
    inputs = [entry for name, plan in plans.items() for entry in inputs_of(plan, name)]
    versions = {name: version(name) for name in VERSIONED if name != "scikit-learn"} | {"scikit-learn": _sklearn()}
    with RunDir.open(call.out, COMMAND, call.config.model_dump(mode="json"), inputs, versions) as run:
        done = run.done(DONE)
        if done is None:
            tell_rebuilt(run)
            good = read_set("good", plans["good"], call.config, call.config.languages)
            languages = languages_of(good, call.config)
            good.texts = [text for text in good.texts if text.language in languages]
            bad = read_set("bad", plans["bad"], call.config, languages, bad=True)
            tell_set(good)
            tell_set(bad)
            summary = _Fit(call.config, good, bad, languages).carry_out(run.file(NAME))
            done = run.mark(DONE, {NAME: sha256_file(run.file(NAME))}, {"summary": summary})
        summary = done.data["summary"]
        write_json(run.file("summary.json"), summary)
        write_fit_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    measured, kept = summary["held_out"], summary["thresholds"][1]
    say(
        f"Held out: {measured['good']:,} good and {measured['bad']:,} bad texts, AUC {measured['auc']:.4f} "
        f"(by length alone {measured['auc_of_length']:.4f}), calibration error {measured['calibration_error']:.3f}."
    )
    say(f"A score of {kept['min']:g} keeps {kept['good']:.1%} of the good and {kept['bad']:.1%} of the bad texts.")
    say(f"Model: {call.out / NAME}; use it as `corpus clean -s quality.model={call.out}`.")
    say(f"Report: {call.out / 'report.html'}")


def _sklearn() -> str:
    try:
        return version("scikit-learn")
    except ModuleNotFoundError as error:
        raise UsageError("Fitting needs scikit-learn: `pip install scikit-learn`, then run again.") from error


class _Fit:
    """One fit. Texts are learnt from, calibrated on, or held out."""

    def __init__(self, config: QualityConfig, good: TextSet, bad: TextSet, languages: tuple[str, ...]) -> None:
        self.config, self.sets, self.languages = config, (good, bad), languages
        self.shape = Shape(config.shortest, config.longest, config.bits, config.most_chars)
        parts = [parted(one, config.held_out) for one in self.sets]
        self.learn, self.held_out = [learn for learn, _ in parts], [measure for _, measure in parts]

    def carry_out(self, path: Path) -> dict[str, Any]:
        raw = self._raw(self.learn)
        slope, offset = platt(*self._unseen_margins())
        weights = raw.weights
        model = replace(raw, slope=slope, offset=offset)
        good, bad = (calibrated(self._margins(model, texts), slope, offset) for texts in self.held_out)
        scores = (good, bad)
        bins, error = calibration(good, bad)
        lengths = [np.array([len(text.text) for text in texts], np.float64) for texts in self.held_out]
        measured = {
            **{"good": len(scores[0]), "bad": len(scores[1]), "auc": round(auc(good, bad), 5)},
            # Length tells much where the bad texts are fragments: what the words add is what lies above it.
            "auc_of_length": round(max(auc(*lengths), 1 - auc(*lengths)), 5),
            "accuracy": round(float(((scores[0] >= 0.5).mean() + (scores[1] < 0.5).mean()) / 2), 5),
            "calibration_error": round(error, 5),
        }
        sets = {one.name: self._about(one, k) for k, one in enumerate(self.sets)}
        summary: dict[str, Any] = {
            "held_out": measured,
            "thresholds": thresholds(good, bad),
            "calibration": [[round(b.mean, 4), round(b.share, 4), b.good, b.bad] for b in bins],
            "histogram": [np.histogram(part, HISTOGRAM, (0, 1))[0].tolist() for part in scores],
            "languages": list(self.languages),
            "sets": sets,
            "ngrams": strongest(weights, self.learn, self.shape),
            "texts": self._shown(scores),
        }
        about = {"held_out": measured, "sets": {name: part["learnt"] for name, part in sets.items()}}
        save(path, model, about)
        load(path)  # what was written is what will be read
        return summary

    def _about(self, one: TextSet, k: int) -> dict[str, Any]:
        return {
            **{"read": one.read[0], "drawn": len(one.texts), "learnt": len(self.learn[k])},
            **{"characters": sum(len(text.text) for text in one.texts), "by_site": one.by_host},
            "left_out": dict(sorted(one.left_out.items())),
        }

    def _unseen_margins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Margins of the texts that are learnt from, each by a model of the others: what calibration needs.

        Of many texts, those of one fold are enough.
        """
        found: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
        folds = FOLDS if sum(map(len, self.learn)) <= MANY_TEXTS else 1
        for fold in range(folds):
            inside = [[text for text in part if self._fold(k, text) == fold] for k, part in enumerate(self.learn)]
            others = [[text for text in part if self._fold(k, text) != fold] for k, part in enumerate(self.learn)]
            if all(inside) and all(others):
                raw = self._raw(others)
                for k, texts in enumerate(inside):
                    found[k].append(self._margins(raw, texts))
        if not found[0]:  # a handful of texts: better too sure than not at all
            raw = self._raw(self.learn)
            return self._margins(raw, self.learn[0]), self._margins(raw, self.learn[1])
        return np.concatenate(found[0]), np.concatenate(found[1])

    def _fold(self, k: int, text: Text) -> int:
        return held_out_hash(f"{self.config.seed} fold {self.sets[k].key(text)}") % FOLDS

    def _raw(self, sets: Sequence[Sequence[Text]]) -> Quality:
        """A model of these good and bad texts, not calibrated."""
        import scipy.sparse
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        texts = [*sets[0], *sets[1]]
        places, ends = features_of(texts, self.shape)
        counts = np.diff(ends)
        values = np.repeat((1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32), counts)
        matrix = scipy.sparse.csr_matrix((values, places, ends), shape=(len(texts), 1 << self.shape.bits))
        target = np.arange(len(texts)) < len(sets[0])
        with threadpool_limits(1):  # sums in another order give other last bits
            model = LogisticRegression(C=self.config.c, class_weight="balanced", max_iter=1_000, tol=1e-5)
            model.fit(matrix, target)
        weights, bias = model.coef_[0].astype(np.float32), float(model.intercept_[0])
        return Quality(self.shape, weights, bias, 1.0, 0.0, self.languages)

    def _margins(self, model: Quality, texts: Sequence[Text]) -> NDArray[np.float64]:
        return np.concatenate([model.margins(*codes_of(batch, self.shape)) for batch in batches(texts)])

    def _shown(self, scores: Sequence[NDArray[np.float64]]) -> dict[str, list[dict[str, Any]]]:
        """Held-out texts to look at: nearest to one half, bad ones that look good, good ones that look bad."""
        border = sorted(
            ((abs(score - 0.5), k, place) for k, part in enumerate(scores) for place, score in enumerate(part.tolist()))
        )
        bad_high = np.argsort(-scores[1], kind="stable")[:SHOWN].tolist()
        good_low = np.argsort(scores[0], kind="stable")[:SHOWN].tolist()
        return {
            "border": [self._text(k, place, scores) for _, k, place in border[:SHOWN]],
            "bad_high": [self._text(1, place, scores) for place in bad_high],
            "good_low": [self._text(0, place, scores) for place in good_low],
        }

    def _text(self, k: int, place: int, scores: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
        text = self.held_out[k][place]
        title, begin = (mask_personal(part)[0] for part in (text.title, text.text[: 2 * EXCERPT]))
        return {
            **{"set": self.sets[k].name, "score": round(float(scores[k][place]), 4), "title": title, "url": text.url},
            **{"text": begin[:EXCERPT], "characters": len(text.text), "source": text.source, "id": text.id},
        }
