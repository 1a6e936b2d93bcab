"""Configs from people's hands: every fault is one sentence that names the place, every good value arrives."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from runkit.config import MAX_CONFIG_BYTES, Config, Setting, describe, dump_yaml, plain, read_yaml
from runkit.errors import UsageError


class Rule(Config):
    signal: str
    """Column that is looked at."""
    min: float | None = None
    max: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> "Rule":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise self.conflict("min", "max", "min must not be above max")
        return self


class Model(Config):
    seq_len: int = Field(512, ge=1, le=4096)
    """Tokens in a row,
    padding included."""
    mode: Literal["cpu", "gpu"] = "cpu"


class Source(Config):
    name: str
    weight: float = 1.0


class Settings(Config):
    rules: list[Rule] = Field([Rule(signal="top_2gram", max=0.2), Rule(signal="lines", min=1)])
    """What a page must keep to."""
    model: Model = Model()
    sources: list[Source] | None = None
    sizes: dict[str, int] = Field({})
    tags: set[str] = Field(set())
    out: Path = Path("x")
    loss: int | list[str] = 3
    flag: bool = False
    title: str = ""


def load(*overrides: str, **defaults: Any) -> Settings:
    return Settings.load(None, overrides, defaults)


def sentence(*overrides: str, **defaults: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load(*overrides, **defaults)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


def file_sentence(path: Path, raw: bytes) -> str:
    path.write_bytes(raw)
    with pytest.raises(UsageError) as caught:
        Settings.load(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and str(path) in text
    return text


def test_defaults_then_file_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("model: {seq_len: 64}\nsizes: {b: 2}\ntitle: 文海\n", "utf-8-sig")
    config = Settings.load(file, ["sizes.c=3", "model.mode=gpu"], {"sizes": {"a": 1, "b": 1}, "flag": True})
    assert config.model == Model(seq_len=64, mode="gpu")
    assert config.sizes == {"a": 1, "b": 2, "c": 3} and config.flag and config.title == "文海"
    assert Settings.load() == Settings() == Settings.load(None, [])
    with pytest.raises(ValidationError):
        config.flag = False  # type: ignore[misc]


def test_an_item_of_a_list_is_addressed_by_signal_name_or_number() -> None:
    twice = [{"signal": "a"}, {"signal": "b"}, {"signal": "a", "min": 1}]
    assert [rule.max for rule in load("rules.a.max=5", rules=twice).rules] == [5, None, 5]
    assert [rule.max for rule in load("rules.1.max=5", rules=twice).rules] == [None, 5, None]
    assert load("rules.top_2gram.max=0.3").rules[0].max == 0.3  # in the class's own default
    assert Settings().rules[0].max == 0.2  # which is not changed by that
    assert load("sources.web.weight=2", sources=[{"name": "web"}]).sources == [Source(name="web", weight=2)]
    assert load("rules=[]").rules == []


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("title=no", "title", "no"),
        ("title=2024-01-01", "title", "2024-01-01"),
        ("title=1:30", "title", "1:30"),
        ("title='a: b'", "title", "a: b"),
        ("title=a=b", "title", "a=b"),
        ("flag=true", "flag", True),
        ("loss=1_000", "loss", 1000),
        ("loss=1e3", "loss", 1000),
        ("loss=0x10", "loss", 16),
        ("loss=010", "loss", 10),
        ("loss=[a, no]", "loss", ["a", "no"]),
        ("tags=[b, a]", "tags", {"a", "b"}),
        ("out=/tmp/文", "out", Path("/tmp/文")),
        ("sources=null", "sources", None),
        ("sources=", "sources", None),
    ],
)
def test_values_are_read_as_strict_yaml(override: str, name: str, value: object) -> None:
    assert getattr(load(override), name) == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("modle.seq_len=1", ["`modle.seq_len`", "`model.seq_len`?"]),
        ("model.seqlen=1", ["`model.seqlen`", "`model.seq_len`?"]),
        ("seq_len=1", ["`seq_len`", "`model.seq_len`?"]),
        ("rules.top2gram.max=1", ["`rules.top_2gram.max`?"]),
        ("rules.top_2gram.mxa=1", ["`rules.top_2gram.max`?"]),
        ("zzzz=1", ["`zzzz`", "known here", "`rules`", "`model`"]),
        ("rules.2.max=1", ["no item 2", "has 2"]),
        ("title.x=1", ["`title`", "no part `x`"]),
        ("model.seq_len=abc", ["`model.seq_len` = 'abc'", "valid integer"]),
        ("model.seq_len=5000", ["`model.seq_len` = 5000", "less than or equal to 4096"]),
        ("model.mode=tpu", ["`model.mode` = 'tpu'", "'cpu' or 'gpu'"]),
        ("rules.lines.max=0", ["rules.lines", "`min` = 1.0", "`max` = 0.0", "min must not be above max"]),
        ("rules.lines.max=.inf", ["`rules.lines.max` = inf", "finite"]),
        ("loss={a: 1}", ["`loss` = {'a': 1}", "integer or a valid list"]),
        ("rules=[{min: 1}]", ["`rules.0.signal` is missing"]),
        ("rules=[{signal: a, mx: 1}]", ["`rules.a.mx`", "`rules.<signal>.max`"]),
        ("model=3", ["`model` = 3"]),
        ("sizes=[]", ["`sizes` = []"]),
        ("title=*.html", ["-s title=*.html"]),
        ("title=[1", ["-s title=[1", "expected ',' or ']'"]),
        ("title=!!python/object:os.system x", ["tag"]),
        ("title=!!binary aGk=", ["tag"]),
        ('title="\\ud800"', ["half a character"]),
        ("loss=" + "9" * 5000, ["-s loss=999", "digits"]),
        ("loss=" + "[" * 3000, ["-s loss=[[[", "nested too deeply"]),
        ("loss=" + "{a: " * 3000, ["nested too deeply"]),
        ("title", ["'title'", "key=value"]),
        ("=1", ["key=value"]),
        ("a..b=1", ["key=value"]),
        ("title=" + "x" * (MAX_CONFIG_BYTES + 1), ["-s title", "larger than 256 KB"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_override_is_one_sentence(override: str, words: list[str]) -> None:
    text = sentence(override)
    assert all(word in text for word in words), text


def test_missing_and_several_faults_are_named() -> None:
    text = sentence("model.seq_len=x", rules=[{"min": 1}], flag="perhaps")
    assert "`rules.0.signal` is missing" in text
    assert "Also wrong: `model.seq_len`, `flag`." in text


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 9)) for name in range(ord("b"), ord("k"))
)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"title: a\nmodel:\n  seq_len: [1\n", ["line 4"]),
        (b"title: a\n\ttabs: 1\n", ["line 2"]),
        (b"title: a\nflag: true\ntitle: b\n", ["line 3", "`title` stands twice"]),
        (b"model:\n  mode: cpu\n  mode: gpu\n", ["line 3", "`mode` stands twice"]),
        (b"? [a, b]\n: c\n", ["line 1", "key must be text"]),
        (b"title: a\n---\ntitle: b\n", ["line 2"]),
        (BOMB, ["line 1", "&x and *x"]),
        (b"title: *x\n", ["line 1"]),
        (b"title: !!python/object/apply:os.system ['true']\n", ["tag"]),
        (PNG, ["not UTF-8"]),
        (b"title: \xc4\xe3\xba\xc3\n", ["not UTF-8"]),
        (b"title: a\nflag: \0\n", ["line 2", "control character"]),
        (b"- a\n- b\n", ["keys and values"]),
        (b"just words", ["keys and values"]),
        (b"false", ["keys and values"]),
        (b"#" * (MAX_CONFIG_BYTES + 1), ["larger than 256 KB"]),
        (b"[" * 3_000, ["nested too deeply"]),
        (b"model:\n  seq_length: 3\n", ["`model.seq_length`", "`model.seq_len`?"]),
        (b"model: {seq_len: 0}\n", ["`model.seq_len` = 0", "greater than or equal to 1"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, raw: bytes, words: list[str]) -> None:
    text = file_sentence(tmp_path / "c.yaml", raw)
    assert all(word in text for word in words), text


@pytest.mark.parametrize("name", ["absent.yaml", ".", "nul\0"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="Cannot read the config"):
        read_yaml(tmp_path / name)


def test_an_endless_file_is_cut_off() -> None:
    with pytest.raises(UsageError, match="larger than"):
        read_yaml(Path("/dev/zero"))


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# only a comment\n")
    assert Settings.load(tmp_path / "c.yaml") == Settings()


def test_help_lists_every_key_that_can_be_set() -> None:
    shown = describe(Settings)
    assert Setting("model.seq_len", "int ≥ 1 ≤ 4096", "512", "Tokens in a row, padding included.") in shown
    assert Setting("rules.<signal>.signal", "str", "required", "Column that is looked at.") in shown
    keys = [setting.key for setting in shown]
    assert keys.index("rules") < keys.index("model.mode") < keys.index("sizes")
    assert "sources.<name>.weight" in keys and "model" not in keys
    assert next(setting for setting in shown if setting.key == "model.mode").type == "cpu | gpu"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TRAPS = [
    "no",
    "on",
    "y",
    "null",
    "2024-01-01",
    "1:30",
    "0o7",
    "010",
    "1e5",
    "<<",
    "=",
    "*a",
    "&a",
    "- a",
    "a: b",
]
NUMBERLIKE = st.from_regex(r"[-+.0-9eExX_:~]{0,8}", fullmatch=True)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT | NUMBERLIKE | st.sampled_from(TRAPS)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "文", "no", "1", "~", ""]), VALUES, max_size=4))
def test_what_is_dumped_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    file = tmp_path_factory.getbasetemp() / "dumped.yaml"
    text = dump_yaml(value)
    file.write_bytes(text.encode())
    ours = read_yaml(file)
    assert ours == value and json.dumps(ours) == json.dumps(value)  # JSON tells 1 from 1.0
    assert json.dumps(yaml.safe_load(text)) == json.dumps(value)  # nor does a reader of YAML 1.1 see another


def test_resolved_yaml_loads_to_the_same_config(tmp_path: Path) -> None:
    config = load("rules.lines.min=1e-7", "tags=[c, a, b]", "title='no: 1'", "sizes={b: 1, a: 2}", "out=文/x")
    (tmp_path / "resolved.yaml").write_text(dump_yaml(config), "utf-8")
    assert Settings.load(tmp_path / "resolved.yaml") == config
    assert plain(config)["tags"] == ["a", "b", "c"] and math.isclose(plain(config)["rules"][1]["min"], 1e-7)


def test_dump_is_the_same_under_any_hash_seed() -> None:
    script = (
        "from runkit.config import Config, dump_yaml\n"
        "class C(Config):\n  tags: set[str] = {'b', 'a', '文', 'z'}\n  sizes: dict[str, int] = {'y': 1}\n"
        "print(dump_yaml(C()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
