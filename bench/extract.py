"""Main-text extraction against reference texts: ours beside its peers, in one run.

In: a folder with {zh,en}.jsonl (id, url, html, text, set) and the pages as zstandard files, and the folder that
`bench/fit_extract.py --folds` wrote: every page is extracted with weights that have not seen its site. Without it the
row says that the shipped weights were fitted on these very pages. Out: a table, or one JSON object with `--json`.
Score: both sides normalised alike, 4-grams (characters in Chinese, words in English) as multisets, precision and recall
per page, F1 of their macro means. A page without output counts 0 in recall and is left out of precision. About 100 s of
CPU for 543 pages; on a shared machine CPU milliseconds vary by a factor of 1.5 from run to run, so compare within one
run.
"""

import argparse
import gc
import json
import logging
import re
import statistics
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corpus.blocks_model import load_model
from corpus.extract import Mode, extract

Extractor = Callable[["Sample"], str]
N = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One page with its reference."""

    id: str
    language: str
    group: str
    html: str
    reference: Counter[str]


@dataclass(slots=True)
class Tally:
    """Per-page figures of one extractor on one group of pages."""

    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        precision = statistics.fmean(self.precisions) if self.precisions else 0.0
        recall = statistics.fmean(self.recalls)
        return {
            "pages": len(self.recalls),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            "median_ms": statistics.median(self.cpu_ms),
            "mean_ms": statistics.fmean(self.cpu_ms),
        }


def ngrams(text: str, language: str) -> Counter[str]:
    """4-grams as a multiset; a text shorter than that is one gram."""
    text = unicodedata.normalize("NFKC", text)
    units = list("".join(text.split())) if language == "zh" else re.findall(r"\w+", text.lower())
    if len(units) < N:
        return Counter([" ".join(units)]) if units else Counter()
    return Counter(" ".join(units[i : i + N]) for i in range(len(units) - N + 1))


def decode(data: bytes) -> str:
    """utf-8, else the charset the page names, else gb18030; enough for a benchmark."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        label = re.search(rb"charset=[\"']?([\w-]+)", data[:4096])
    name = label[1].decode("ascii", "replace").lower() if label else "gb18030"
    try:
        return data.decode("gb18030" if name in {"gb2312", "gbk"} else name)
    except (LookupError, UnicodeDecodeError):
        return data.decode("gb18030", "replace")


def load(folder: Path) -> list[Sample]:
    """All pages of the folder, decoded; their references as 4-grams."""
    samples = []
    for language in ("zh", "en"):
        for line in (folder / f"{language}.jsonl").read_text("utf-8").strip().split("\n"):
            row = json.loads(line)
            data = zstandard.ZstdDecompressor().decompressobj().decompress((folder / row["html"]).read_bytes())
            reference = ngrams(row["text"], language)
            samples.append(Sample(row["id"], language, row["set"], decode(data), reference))
    return samples


def ours(mode: Mode) -> Extractor:
    return lambda page: extract(page.html, mode).text


def ours_out_of_fold(folds: Path) -> Extractor:
    """Each page by the weights that have not seen its site."""
    fold_of = json.loads((folds / "folds.json").read_text())
    models = [load_model(folds / f"{fold}.npz") for fold in range(max(fold_of.values()) + 1)]
    return lambda page: extract(page.html, "best", model=models[fold_of[page.id]]).text


def resiliparse_main() -> Extractor:
    from resiliparse.extract.html2text import extract_plain_text

    return lambda page: extract_plain_text(page.html, main_content=True, preserve_formatting=True)


def readability() -> Extractor:
    from readability import Document
    from resiliparse.extract.html2text import extract_plain_text

    return lambda page: extract_plain_text(Document(page.html).summary(), preserve_formatting=True)


def trafilatura() -> Extractor:
    import trafilatura as library

    return lambda page: library.extract(page.html) or ""


def justext() -> Extractor:
    """It needs a list of stop words and has none for Chinese; the language-independent way is without one."""
    import justext as library

    english = library.get_stoplist("English")
    chinese = {"stoplist": frozenset(), "stopwords_low": 0, "stopwords_high": 0}

    def run(page: Sample) -> str:
        options = {"stoplist": english} if page.language == "en" else chinese
        paragraphs = library.justext(page.html, **options)
        return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)

    return run


def magic_html() -> Extractor:
    from lxml.html import fromstring
    from magic_html import GeneralExtractor

    extractor = GeneralExtractor()
    return lambda page: fromstring(extractor.extract(page.html, base_url="")["html"]).text_content()


PEERS: dict[str, Callable[[], Extractor]] = {
    "resiliparse": resiliparse_main,
    "readability": readability,
    "trafilatura": trafilatura,
    "justext": justext,
    "magic-html": magic_html,
}


def measure(samples: list[Sample], extractor: Extractor) -> dict[str, Tally]:
    """Tallies by language and by language/set. A peer's exception is a page without output."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    gc.freeze()  # nor is a walk over the benchmark's own references
    extractor(samples[0])  # imports and first-use tables are not a page's time
    for sample in samples:
        start = time.process_time()
        try:
            text = extractor(sample)
        except Exception:
            text = ""
        cpu_ms = 1000 * (time.process_time() - start)
        grams = ngrams(text, sample.language)
        shared = (grams & sample.reference).total()
        for group in (sample.language, f"{sample.language}/{sample.group}"):
            tally = tallies[group]
            tally.cpu_ms.append(cpu_ms)
            tally.recalls.append(shared / sample.reference.total() if sample.reference else 0.0)
            if grams:
                tally.precisions.append(shared / grams.total())
    return tallies


def run(samples: list[Sample], folds: Path | None, console: Console) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by extractor and group; an extractor that is not installed is named and left out."""
    best = "ours, best" if folds else "ours, best (fitted on these pages)"
    extractors = {
        "ours, fast": lambda: ours("fast"),
        best: lambda: ours_out_of_fold(folds) if folds else ours("best"),
        **PEERS,
    }
    results = {}
    for name, build in extractors.items():
        try:
            extractor = build()
        except ImportError:
            console.print(f"{name} is not installed, so it is left out.")
            continue
        tallies = measure(samples, extractor)
        results[name] = {group: tallies[group].row() for group in sorted(tallies)}
    return results


def show(results: dict[str, dict[str, dict[str, float]]], console: Console) -> None:
    table = Table(title="Main text, 4-grams against the references")
    for heading in ("pages of", "extractor", "pages", "precision", "recall", "F1", "median ms", "mean ms"):
        table.add_column(heading, justify="left" if heading in {"pages of", "extractor"} else "right")
    for group in next(iter(results.values())):
        for name, rows in results.items():
            row = rows[group]
            shares = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
            times = [f"{row[key]:.2f}" for key in ("median_ms", "mean_ms")]
            table.add_row(group, name, f"{row['pages']:.0f}", *shares, *times)
        table.add_section()
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure main-text extraction against reference texts.")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/pages"), help="folder with zh.jsonl, en.jsonl"
    )
    parser.add_argument("--folds", type=Path, help="folder that bench/fit_extract.py --folds wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    if not all((args.data / f"{language}.jsonl").is_file() for language in ("zh", "en")):
        print(f"No pages in {args.data}: name a folder with zh.jsonl and en.jsonl by --data.", file=sys.stderr)
        return 2
    logging.disable(logging.CRITICAL)  # the peers log every page they find hard
    results = run(load(args.data), args.folds, Console(stderr=True))
    if args.json:
        print(json.dumps(results))
    else:
        show(results, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
