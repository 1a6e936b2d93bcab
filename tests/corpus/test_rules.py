"""Rules as data: what a config may say, and which reasons come out."""

from pathlib import Path

import pytest

from corpus.config import CleanConfig, load
from corpus.rules import Rule, Rules
from corpus.signals import ALL_SIGNALS
from runkit.errors import UsageError
from runkit.shipped import config_folder


def signals(**values: float) -> dict[str, float]:
    return {**dict.fromkeys(ALL_SIGNALS, 0.0), **{f"s_{name}": value for name, value in values.items()}}


def test_all_broken_rules_are_named_in_their_order_and_bounds_are_inclusive() -> None:
    rules = Rules(
        [
            Rule(signal="chars", min=100, source="test"),
            Rule(signal="top_2gram", max=0.2, language="zh", source="test"),
            Rule(signal="top_2gram", max=0.4, language="en", source="test"),
        ]
    )
    assert rules.broken(signals(chars=99, top_2gram=0.21), "zh") == ["rules.chars", "rules.top_2gram"]
    assert rules.broken(signals(chars=100, top_2gram=0.2), "zh") == []
    assert rules.broken(signals(chars=100, top_2gram=0.3), "en") == []
    assert rules.broken(signals(chars=100, top_2gram=0.9), "fr") == []


def test_overrides_reach_rules_by_signal() -> None:
    config = load(None, ["rules.top_2gram.max=0.31", "extract.mode=fast"])
    assert {rule.max for rule in config.rules if rule.signal == "top_2gram"} == {0.31}
    assert config.extract.mode == "fast"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("rules.top_2grams.max=0.3", ["top_2grams", "top_2gram"]),
        ("extract.mod=fast", ["extract.mod", "mode"]),
        ("extract.mode=fastest", ["fast", "best"]),
        ("dedup.jaccard=2", ["jaccard"]),
        ("rules.top_2gram.max=abc", ["max"]),
        ("rules.top_2gram.max=20", ["`max` = 20", "20 % are 0.2"]),
        ("rules.han_share.min=-0.1", ["`min` = -0.1", "from 0 to 1"]),
        ("languages=[zh,cn]", ["languages.1", "'cn'", "`zh`"]),
        ("languages=[zh-CN]", ["'zh-CN'", "`zh`"]),
        ("languages=[xx]", ["'xx'", "such as zh"]),
        ("languages=[]", ["`languages` = []: expected at least 1 item, not 0."]),
        ("slurm.time=soon", ["`slurm.time` = 'soon': expected pattern "]),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(override: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        load(None, [override])
    sentence = str(error.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize("path", sorted(config_folder().glob("clean*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_loads_and_each_threshold_has_a_source(path: Path) -> None:
    config = load(path, [])
    assert isinstance(config, CleanConfig)
    assert all(rule.source for rule in config.rules)
    assert {rule.language for rule in config.rules} == set(config.languages)


def test_without_a_config_both_languages_have_their_rules() -> None:
    assert {rule.language for rule in load(None, []).rules} == {"zh", "en"}


def test_markdown_is_of_mode_best() -> None:
    with pytest.raises(UsageError, match="`markdown` = True and `mode` = 'fast'"):
        load(None, ["extract.mode=fast", "extract.markdown=true"])
