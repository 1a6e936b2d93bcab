"""The spelling that `normalize` promises, checked against Unicode's own property tables."""

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.normalize import _ODD, _PLAIN, code_blocks, normalize

ZH_PAGES = Path(__file__).parents[3] / "shared" / "data" / "pages" / "zh.jsonl"
# Drawn often: hypothesis' plain text() seldom puts two of the special characters side by side.
TRICKY = st.sampled_from(
    "\r\n\t \v"
    "\f\x00\x85\u00a0\u00ad\u200b\u200c\u200d\u200e\u2028\u202e\u2066\u3000\ufeff\ufe0f\ufffd\ud800\udfff"
    "aＡ１，（。\u0301\u0308e漢\u2f08\uf900\u212b👩👨❤🏽\U000e0067\u1100\u1161\u3099か"
)
# Few enough that fences often meet a partner; some come about only when something invisible has gone.
FENCED = st.sampled_from(
    [
        "\n```\n",
        "\n~~~\n",
        "\n  ```py\n",
        "\n````\n",
        "```",
        "`\u200b``",
        "~~~",
        "\n",
        "  ",
        "\t",
        "\n\n",
        "字",
        "甲 乙",
    ]
)
TEXTS = st.one_of(
    st.lists(st.one_of(TRICKY, st.characters()), max_size=40).map("".join),
    st.lists(st.one_of(FENCED, FENCED, TRICKY), max_size=40).map("".join),
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("ＡＢｃ１２３", "ABc123"),
        ("他说：“好！”（真的？）《书》、；…", "他说：“好！”（真的？）《书》、；…"),
        ("％＋－＝＠", "％＋－＝＠"),
        ("\u3000\u3000段落一\n\u3000\u3000段落二\u3000", "段落一\n段落二"),
        ("a\u00a0b\u2009c\td  e", "a b c d e"),
        ("一\r\n二\r三\u2028四\u2029五\x85六\v七\f八", "一\n二\n三\n四\n五\n六\n七\n八"),
        ("一\n\n\n\n二\n \t \n三", "一\n\n二\n\n三"),
        ("\n\n  一  \n\n", "一"),
        ("\ufeff零\u200b宽\u00ad\u202e字\u2066\u200f", "零宽字"),
        ("a\x00b\x1fc\x7fd\x9fe", "abcde"),
        ("e\u0301 \u212b", "é Å"),
        ("e\u200b\u0301", "é"),  # removal brings the two together; only then NFC
        ("Ａ\u0301", "Á"),
        ("\u2f08\u2f06\u2e9f", "人二母"),
        ("\uf900", "豈"),  # a compatibility ideograph, as NFC maps it
        ("坏\ud800字\udfff\ufffd", "坏\ufffd字\ufffd\ufffd"),
        (
            "👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 👩🏽\u200d🚀",
            "👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 👩🏽\u200d🚀",
        ),
        ("中\u200d文 👩\u200d 👩\u200d\u200d👩 \u200d👩", "中文 👩 👩👩 👩"),
        ("①㈱㎏", "①㈱㎏"),
        ("", ""),
    ],
)
def test_examples(raw: str, expected: str) -> None:
    assert normalize(raw) == expected


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_idempotent_and_clean(text: str) -> None:
    out = normalize(text)
    assert normalize(out) == out
    assert unicodedata.is_normalized("NFC", out)
    assert out == out.strip()
    assert "\n\n\n" not in out
    lines = out.split("\n")
    assert all(line == line.rstrip(" ") for line in lines)
    code = {at for block in code_blocks(lines) for at in block[1:-1]}
    assert all(at in code or (line == line.strip(" ") and "  " not in line) for at, line in enumerate(lines))
    for character in out:
        category = unicodedata.category(character)
        assert character == "\n" or category not in {"Cc", "Cs"}
        assert character == " " or category != "Zs"
        assert not 0xFF21 <= ord(character) <= 0xFF3A and not 0xFF10 <= ord(character) <= 0xFF19
    out.encode()


def test_every_format_character_is_gone_or_visible() -> None:
    """Cf is listed by hand in the code; Unicode's own table says what a new version added."""
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    kept = {cp for cp in range(0x110000) if unicodedata.category(chr(cp)) == "Cf" and normalize(f"a{chr(cp)}b") != "ab"}
    controls_of_layout = {cp for cp in kept if cp in range(0x13430, 0x13456) or cp in range(0x1BCA0, 0x1BCA4)}
    assert kept - controls_of_layout == visible


def test_fast_check_agrees_with_the_table() -> None:
    skipped = set("\u3000\u00a0")
    for cp in range(0x110000):
        if _PLAIN.fullmatch(chr(cp)):
            assert not _ODD.match(chr(cp)) and chr(cp) not in skipped


def test_traditional_to_simplified() -> None:
    assert normalize("臺灣的軟體與網路，乾隆年間　ＡＢ", t2s=True) == "台湾的软体与网路，乾隆年间 AB"
    assert normalize("漢字") == "漢字"
    once = normalize("後來，皇后說：「里程碑在裡面。」", t2s=True)
    assert normalize(once, t2s=True) == once


@pytest.mark.skipif(not ZH_PAGES.exists(), reason=f"real pages not present: {ZH_PAGES}")
def test_real_pages_idempotent_and_fast() -> None:
    texts = [json.loads(line)["text"] for line in ZH_PAGES.read_text("utf-8").strip().split("\n")]
    clean = [normalize(text) for text in texts]
    assert [normalize(text) for text in clean] == clean
    # Han characters survive: only spelling changes.
    for raw, out in zip(texts, clean, strict=True):
        assert [c for c in raw if "\u4e00" <= c <= "\u9fff"] == [c for c in out if "\u4e00" <= c <= "\u9fff"]
    blob = "\n".join(texts)
    pieces = [blob[i : i + 2000] for i in range(0, 200_000, 2000)]
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for piece in pieces:
            normalize(piece)
        rounds.append((time.process_time() - start) / len(pieces))
    assert min(rounds) < 200e-6  # measured 20-40 µs; the slack is for a loaded machine


def test_text_set_with_a_space_between_all_characters_is_closed_up() -> None:
    spaced = "天 文 台 預 測 ， 明 日 氣 溫 介 乎 12 至 16 度 。\n市 民 宜 添 衣 。"
    assert normalize(spaced) == "天文台預測，明日氣溫介乎 12 至 16 度。\n市民宜添衣。"
    keywords = "手机 电脑 平板 耳机 充电器 数据线"
    assert normalize(keywords) == keywords
    headline = "春节将至 各地年货市场渐旺 交通部门加开列车"
    assert normalize(headline) == headline


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            "　　例：\r\n```py\r\ndef f():\r\n\treturn  1 \r\n```\r\n　　完",
            "例：\n```py\ndef f():\n    return  1\n```\n完",
        ),
        ("~~~\n  a\n```\n  b\n~~~\n  c", "~~~\n  a\n```\n  b\n~~~\nc"),  # only the same kind closes
        ("````\n  a\n```\n  b\n````", "````\n  a\n```\n  b\n````"),  # and only one at least as long
        ("```\n  a\n\n  b", "```\na\n\nb"),  # never closed
        ("  ```\n  a ```\n  b", "```\na ```\nb"),
        ("```a``` 和\n  b\n```c```", "```a``` 和\nb\n```c```"),  # code within a sentence
        ("1. 项\n   ```\n   if a:\n       b\n  c\n   ```", "1. 项\n```\nif a:\n    b\nc\n```"),  # in a list item
        ("```\nＡ\u200b\x00\n\n\n\u3000b\n```", "```\nA\n\n b\n```"),
        ("`\u200b``\n  a\n```", "```\n  a\n```"),
    ],
)
def test_code_between_fences_keeps_its_spaces(raw: str, expected: str) -> None:
    assert normalize(raw) == expected
    assert normalize(expected) == expected


def test_spaced_out_prose_is_closed_up_around_code_alone() -> None:
    code = "```\nx = '甲 乙 丙'\n```"
    assert normalize(f"天 文 台 預 測\n{code}\n明 日") == f"天文台預測\n{code}\n明日"
    deep = "```\n" + " " * 400 + "a\n```"
    assert normalize(f"甲乙丙丁 戊己庚辛\n{deep}") == f"甲乙丙丁 戊己庚辛\n{deep}"


def test_many_fences_cost_no_square() -> None:
    text = "```a\n" * 50_000 + "~~~\n" * 50_000
    start = time.process_time()
    assert len(code_blocks(text.split("\n"))) == 25_000
    assert time.process_time() - start < 5  # measured 0.1 s; a square of it is minutes
