"""The way of a page through `corpus clean`, as a literal list of datatrove steps. Read this first.

A run has two passes. The workers push every shard through the list below, one shard at a time; each page comes out
with its text, its signals and all reasons against it. Then, with all fingerprints at hand, `corpus/dedup.py` finds the
copies and `corpus/finish.py` parts kept documents from rejected ones. `corpus/clean.py` drives both.
"""

from datatrove.pipeline.base import PipelineStep

from corpus.config import CleanConfig
from corpus.quality_step import ScoreQuality
from corpus.reading import ReadShard
from corpus.save import Save
from corpus.steps import ApplyRules, CheckUrl, Decode, DetectLanguage, ExtractText, MaskPersonal, Measure, Normalize
from runkit.rundir import RunDir


def build(reader: ReadShard, config: CleanConfig, run: RunDir) -> list[PipelineStep]:
    """The steps, in order. A page that breaks a rule goes on, so that it is known which others it breaks."""
    return [
        reader,
        CheckUrl(config.url),
        Decode(),
        ExtractText(config.extract),
        Normalize(config.normalize),
        DetectLanguage(config.languages),
        Measure(),
        *([ScoreQuality(config.quality)] if config.quality.model or config.quality.perplexity else []),
        ApplyRules(config.rules),
        MaskPersonal(config.personal),
        Save(run, reader, with_shingles=config.dedup.enabled),
    ]
