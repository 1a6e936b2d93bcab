"""`corpus tune --page`: a page with a slider for each bound, which counts again as they are moved.

In: a finished run and its rules. Out: one self-contained HTML file. It holds the signals of all documents that
thresholds decide about, or of a fair draw of `MOST_DOCUMENTS`, each in one byte: the place among at most 126 values
that a slider can take, the bounds of now among them, so that its counts are exact for what is drawn. Nothing on it is
loaded; the one script is named by its hash in the page's policy, and what was crawled reaches it as JSON and is shown
as text. Price: 1.4 bytes for each document and signal, 1.5 MB for 30,000 documents; half a second, as long for samples.
"""

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from corpus.finish import SCALES
from corpus.report_text import signal_text
from corpus.rules import Rule, single
from corpus.samples import Sample, read_rows
from corpus.tune import TuneCall, Tuning
from corpus.tune_signals import Change, Judged, Place, judged_groups, place_hashes
from runkit.console import say
from runkit.errors import UsageError
from runkit.files import write_text
from runkit.personal import mask_personal
from runkit.report import escape, visible
from runkit.report_style import STYLE

MOST_DOCUMENTS: Final = 30_000
MOST_EDGES: Final = 126  # two codes for each, one more above, and 255 for a missing signal
SAMPLES: Final = 6  # on each side of a rule's bounds
EXCERPT: Final = 160  # characters
TEMPLATE: Final = Path(__file__).parent / "tune_page.html"
WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Thresholds",
        "subtitle": "{run}: {documents:,} documents that thresholds decide about",
        "drawn": "; shown are {shown:,} of them, drawn by hash, and counts are scaled up",
        "note": "Move a bound and see what would be kept, rejected, and why. Above each axis stand the documents that "
        "all rules keep, below those that one rejects; heights go with the square root. Documents with another reason "
        "(address, extraction, language, copies) are not counted. Characters are visible ones.",
        "foot": "Made by corpus tune.",
        "before": "Kept now",
        "after": "Kept then",
        "won": "Won",
        "lost": "Lost",
        "characters": "characters",
        "breaks": "rejects",
        "alone": "alone",
        "off": "off",
        "reset": "As it was",
        "won_title": "Would be kept",
        "lost_title": "Would be rejected",
        "no_sample": "No sample flips this way.",
        "no_title": "(no title)",
    },
    "zh": {
        "title": "阈值调节",
        "subtitle": "{run}：{documents:,} 篇文档的去留由阈值决定",
        "drawn": "；这里按哈希抽取了 {shown:,} 篇，数字已按比例放大",
        "note": "拖动边界，看哪些文档会保留、哪些会被拒绝以及原因。横轴上方是所有规则都通过的文档，"
        "下方是至少违反一条的；高度取平方根。因其他原因（网址、提取、语言、重复）被拒的不计在内。字符指可见字符。",
        "foot": "由 corpus tune 生成。",
        "before": "现在保留",
        "after": "调整后保留",
        "won": "新增",
        "lost": "失去",
        "characters": "字符",
        "breaks": "拒绝",
        "alone": "仅因此",
        "off": "关",
        "reset": "恢复原样",
        "won_title": "将会保留",
        "lost_title": "将会拒绝",
        "no_sample": "没有这样的样本。",
        "no_title": "（无标题）",
    },
}


def write_page(call: TuneCall, tuning: Tuning) -> None:
    """Write the page of `call.page`, its sliders where the new bounds are. UsageError: other rules or languages."""
    assert call.page is not None
    old, new = ([(rule.signal, rule.language) for rule in config.rules] for config in (tuning.old, tuning.new))
    if old != new or tuning.old.languages != tuning.new.languages:
        raise UsageError("--page moves the bounds of the run's own rules; for other rules or languages leave it out.")
    change = Change((), tuning.old.rules, frozenset(tuning.old.languages), frozenset(tuning.old.languages))
    drawn = _Drawn(change)
    for state in ("documents", "rejected"):
        for group in judged_groups(call.run, state, change):
            drawn.take(group, state)
    write_text(call.page, _page(call, tuning, drawn))
    say(f"Page: {call.page}")


class _Drawn:
    """A fair draw of the documents that no other reason takes out."""

    def __init__(self, change: Change) -> None:
        self.signals = change.signals
        self.total = 0
        self.hashes = np.zeros(0, np.uint64)
        self.columns: dict[str, NDArray] = {name: np.zeros(0, np.float32) for name in self.signals}
        self.sizes = np.zeros(0, np.int64)
        self.languages: NDArray = np.zeros(0, "U16")
        self.places: list[tuple[str, Place]] = []

    def take(self, group: Judged, state: str) -> None:
        rows = np.flatnonzero(group.tunable)
        self.total += len(rows)
        places, hashes = place_hashes(group, rows)
        keep = np.argsort(hashes, kind="stable")[:MOST_DOCUMENTS]
        rows, hashes = rows[keep], hashes[keep]
        languages = np.array(group.names["language"], "U16")[group.codes["language"][rows]]
        self.places += [(state, places[i]) for i in keep]
        self.hashes = np.concatenate([self.hashes, hashes])
        self.sizes = np.concatenate([self.sizes, group.sizes[rows]])
        self.languages = np.concatenate([self.languages, languages])
        for name in self.signals:
            self.columns[name] = np.concatenate([self.columns[name], group.values[name][rows]])
        if len(self.hashes) > MOST_DOCUMENTS:
            self._cut(np.sort(np.argsort(self.hashes, kind="stable")[:MOST_DOCUMENTS]))

    def _cut(self, keep: NDArray[np.int64]) -> None:
        self.places = [self.places[i] for i in keep]
        self.hashes, self.sizes, self.languages = self.hashes[keep], self.sizes[keep], self.languages[keep]
        self.columns = {name: values[keep] for name, values in self.columns.items()}


def edges_of(values: NDArray[np.float32], bounds: Sequence[float]) -> NDArray[np.float32]:
    """The values that a slider can take: spread as the documents are, rounded, and all bounds of now."""
    known = values[~np.isnan(values)]
    spread = np.quantile(known, np.linspace(0, 1, 101)).tolist() if len(known) else []
    fixed = {single(bound) for bound in bounds}
    found = sorted(fixed | {single(float(f"{value:.3g}")) for value in spread})
    extra = [value for value in found if value not in fixed][: MOST_EDGES - len(fixed)]
    return np.array(sorted({*fixed, *extra}), np.float32)


def encode(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    """2 i between the edges i − 1 and i, 2 i + 1 on edge i, 255 for no value."""
    left, right = np.searchsorted(edges, values, "left"), np.searchsorted(edges, values, "right")
    return np.where(np.isnan(values), 255, left + right).astype(np.uint8)


def _page(call: TuneCall, tuning: Tuning, drawn: _Drawn) -> str:
    words = WORDS[call.lang]
    shown = len(drawn.hashes)
    subtitle = words["subtitle"].format(run=_name(call.run), documents=drawn.total)
    if shown < drawn.total:
        subtitle += words["drawn"].format(shown=shown)
    text = TEMPLATE.read_text("utf-8")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = orjson.dumps(_data(call, tuning, drawn)).decode()
    values = {
        "LANG": "zh-CN" if call.lang == "zh" else "en",
        "POLICY": policy,
        "STYLE": STYLE,
        "TITLE": escape(words["title"]),
        "SUBTITLE": escape(subtitle),
        "NOTE": escape(words["note"]),
        "FOOT": escape(words["foot"]),
        # Within a script element nothing but `<` could end it or open a comment.
        "DATA": data.replace("<", "\\u003c"),
    }
    return re.sub(r"\$([A-Z]+)\b", lambda found: values[found[1]], text)


def _name(run: Path) -> str:
    return visible(run.resolve().name).encode("utf-8", "replace").decode()


def _data(call: TuneCall, tuning: Tuning, drawn: _Drawn) -> dict[str, Any]:
    rules = tuning.old.rules
    languages = sorted({*drawn.languages.tolist(), *(rule.language for rule in rules if rule.language)})[:255]
    signals: dict[str, Any] = {}
    edges: dict[str, list[float]] = {}
    for column in drawn.signals:
        name = column.removeprefix("s_")
        both = [rule for rule in (*rules, *tuning.new.rules) if rule.signal == name]
        bounds = [bound for rule in both for bound in (rule.min, rule.max) if bound is not None]
        found = edges_of(drawn.columns[column], bounds)
        edges[name] = [single(value) for value in found.tolist()]
        low, high, logarithmic = SCALES.get(column, (0.0, 1.0, False))
        if not logarithmic:
            low, high = min(low, edges[name][0]), edges[name][-1]
        coded = encode(drawn.columns[column], found).tobytes()
        signals[name] = {
            **{"edges": [float(str(value)) for value in found], "logarithmic": logarithmic},
            **{"low": low, "high": max(high, low + 1e-6), "codes": base64.b64encode(coded).decode()},
        }
    told: list[dict[str, Any]] = []
    for place, (rule, new) in enumerate(zip(rules, tuning.new.rules, strict=True)):
        own = edges[rule.signal]
        told.append(
            {
                **{"place": place, "signal": rule.signal, "text": signal_text(f"s_{rule.signal}", call.lang)},
                "language": languages.index(rule.language) if rule.language else -1,
                "has_min": rule.min is not None or new.min is not None,
                "has_max": rule.max is not None or new.max is not None,
                **_places("start", rule, own),
                **_places("now", new, own),
            }
        )
    codes = np.array([languages.index(name) for name in drawn.languages.tolist()], np.uint8)
    sizes = np.minimum(drawn.sizes, 2**32 - 1).astype("<u4")
    return {
        "path": visible(shlex.quote(str(call.run))).encode("utf-8", "replace").decode(),
        "words": WORDS[call.lang],
        "documents": len(codes),
        "weight": drawn.total / len(codes) if len(codes) else 1,
        "languages": languages,
        "language": base64.b64encode(codes.tobytes()).decode(),
        "sizes": base64.b64encode(sizes.tobytes()).decode(),
        "signals": signals,
        "rules": told,
        "samples": list(_samples(call, tuning, drawn)),
    }


def _places(name: str, rule: Rule, edges: Sequence[float]) -> dict[str, int]:
    """Where the bounds of a rule stand among the edges; -1 and their number are none."""
    return {
        f"{name}_min": edges.index(single(rule.min)) if rule.min is not None else -1,
        f"{name}_max": edges.index(single(rule.max)) if rule.max is not None else len(edges),
    }


def _samples(call: TuneCall, tuning: Tuning, drawn: _Drawn) -> Iterator[dict[str, Any]]:
    """Documents near the bounds: those that one rule alone rejects, and kept ones, the nearest of each rule first."""
    chosen = dict.fromkeys([*_near(tuning.old.rules, drawn), *_near(tuning.new.rules, drawn)])
    by_part: dict[tuple[str, Path], dict[int, int]] = {}
    for index in chosen:
        state, place = drawn.places[index]
        by_part.setdefault((state, place.file), {})[place.row] = index
    rules = tuning.run.rules
    found: dict[int, Sample] = {}
    for (state, file), rows_ in by_part.items():
        for row, sample in read_rows(file, state, set(rows_), rules):
            found[rows_[row]] = sample
    for index in chosen:
        sample = found[index]
        title, text = sample.title, sample.text
        if tuning.old.personal.mask:
            title, text = mask_personal(title)[0], mask_personal(text)[0]
        shown = text if len(text) <= EXCERPT else text[:EXCERPT] + " …"
        safe = [visible(part).encode("utf-8", "replace").decode() for part in (title[:EXCERPT], sample.url, shown)]
        yield {"place": index, **dict(zip(("title", "url", "text"), safe, strict=True))}


def _near(rules: Sequence[Rule], drawn: _Drawn) -> Iterator[int]:
    """The documents nearest to each bound: rejected by that rule alone, and kept."""
    outside, inside = _distances(rules, drawn)
    broken = np.sum([mask for _, mask in outside], axis=0) if outside else np.zeros(len(drawn.hashes))
    for (beyond, mask), near in zip(outside, inside, strict=True):
        for able, distance in ((mask & (broken == 1), beyond), (broken == 0, near)):
            rows = np.flatnonzero(able & np.isfinite(distance))
            order = np.argsort(distance[rows], kind="stable")[:SAMPLES]
            yield from rows[order].tolist()


def _distances(rules: Sequence[Rule], drawn: _Drawn) -> tuple[list[tuple[NDArray, NDArray[np.bool_]]], list[NDArray]]:
    """For each rule: how many documents lie between a document and the bound, outside (with a mask) and inside."""
    outside, inside = [], []
    for rule in rules:
        values = drawn.columns[f"s_{rule.signal}"]
        mine = np.ones(len(values), np.bool_) if rule.language is None else drawn.languages == rule.language
        rank = np.full(len(values), np.nan)
        held = np.sort(values[mine & ~np.isnan(values)])
        rank[mine] = np.searchsorted(held, values[mine])
        excess = np.full(len(values), -np.inf)
        for bound, sign in ((rule.min, -1), (rule.max, 1)):
            if bound is not None:
                edge = np.searchsorted(held, np.float32(single(bound)), "left" if sign < 0 else "right")
                excess = np.fmax(excess, sign * (rank - edge) + (0.5 if sign > 0 else 0))
        mask = np.nan_to_num(excess, nan=-1.0) > 0
        outside.append((np.where(mask, excess, np.inf), mask))
        inside.append(np.where(mask | ~mine, np.inf, -excess))
    return outside, inside
