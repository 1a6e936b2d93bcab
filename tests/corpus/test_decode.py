"""The bytes decide what a page says, whatever its labels claim. Truth: Python's codecs wrote the bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.decode import BAD_BYTES, GUESSED, MISLABELLED, canonical, decode, markup_label

SIMPLIFIED = [
    "昨天下午，我和同事去了城南的旧书市场。那里有许多摊位，卖的多是上世纪的小说和画册。老板说，现在来买书的年轻人不多了，"
    "不过每到周末还是很热闹。我挑了两本讲植物的书，又买了一张老地图，打算挂在书房里。回家的路上下起了小雨，街边的店铺都亮起了灯。",
    "本文介绍如何在家里种番茄。首先准备一个深一点的花盆，底部要有排水孔。土壤最好混合一些腐叶，这样既透气又有营养。种子泡水一晚，"
    "第二天埋进土里大约一厘米深，保持湿润，一周左右就会发芽。等苗长到十厘米，可以移到阳光充足的阳台上，每隔三天浇一次水。",
    "市政府今天宣布，新的地铁线路将于明年春天开工，全长二十三公里，设十八个车站。工程负责人表示，施工期间会尽量减少对交通的影响，"
    "并请市民提前安排出行路线。沿线居民对此看法不一，有人期待房价上涨，也有人担心噪音和灰尘会持续好几年。",
]
TRADITIONAL = [
    "昨天下午，我和同事去了城南的舊書市場。那裡有許多攤位，賣的多是上世紀的小說和畫冊。老闆說，現在來買書的年輕人不多了，"
    "不過每到週末還是很熱鬧。我挑了兩本講植物的書，又買了一張老地圖，打算掛在書房裡。回家的路上下起了小雨，街邊的店鋪都亮起了燈。",
    "本文介紹如何在家裡種番茄。首先準備一個深一點的花盆，底部要有排水孔。土壤最好混合一些腐葉，這樣既透氣又有營養。種子泡水一晚，"
    "第二天埋進土裡大約一公分深，保持濕潤，一週左右就會發芽。等苗長到十公分，可以移到陽光充足的陽臺上，每隔三天澆一次水。",
    "市政府今天宣布，新的捷運路線將於明年春天開工，全長二十三公里，設十八個車站。工程負責人表示，施工期間會儘量減少對交通的影響，"
    "並請市民提前安排出行路線。沿線居民對此看法不一，有人期待房價上漲，也有人擔心噪音和灰塵會持續好幾年。",
]
# label as a page would write it -> (codec that writes it, name that decode gives)
ENCODINGS = {
    "gbk": ("gbk", "gb18030"),
    "gb18030": ("gb18030", "gb18030"),
    "big5": ("big5", "big5"),
    "utf-8": ("utf-8", "utf-8"),
}


def page(text: str, label: str | None) -> str:
    meta = f'<meta charset="{label}">' if label else ""
    return f"<html><head>{meta}</head><body><p>{text}</p></body></html>"


def texts(codec: str) -> list[str]:
    return TRADITIONAL if codec == "big5" else [*SIMPLIFIED, *(TRADITIONAL if codec != "gbk" else [])]


@pytest.mark.parametrize("claimed", ENCODINGS)
@pytest.mark.parametrize("real", ENCODINGS)
def test_pages_labelled_as_each_other(real: str, claimed: str) -> None:
    """Row 16: 4 × 4 labels, three lengths, in the header, the markup, or both."""
    codec, name = ENCODINGS[real]
    right = total = 0
    for text in texts(codec):
        for size in (100, 300, 3_000):  # characters; 100 are 200 bytes in GBK and Big5
            body = (text * (size // len(text) + 1))[:size]
            for header, meta in ((claimed, None), (None, claimed), (claimed, claimed), (claimed, real)):
                source = page(body, meta)
                got = decode(source.encode(codec), header, html=True)
                total += 1
                right += got.text == source and got.encoding == name
                agrees = ENCODINGS[(header or meta or real)][1] == name
                assert (MISLABELLED in got.flags) == (not agrees), (got.flags, header, meta)
    assert right == total, f"{right} of {total}"


def test_gb18030_with_four_byte_characters() -> None:
    source = page(SIMPLIFIED[0] + "𠮷野家，㐂寿", "gb2312")
    assert decode(source.encode("gb18030"), "gb2312", html=True).text == source


@pytest.mark.parametrize("codec", ["utf-8", "gbk", "big5"])
@pytest.mark.parametrize("foreign", [b"\xff", b"\x80", b"\xe4", b"\xb5"])
def test_one_bad_byte_costs_one_place(codec: str, foreign: bytes) -> None:
    """A byte too many anywhere in the text: U+FFFD and a flag, and nearly all characters kept."""
    body = (TRADITIONAL if codec == "big5" else SIMPLIFIED)[0] * 3
    for label in (codec, None):
        for at in (50, 211):
            before, after = page(body[:at], label).split("</p>")[0], body[at:] + "</p>"
            data = before.encode(codec) + foreign + after.encode(codec)
            got = decode(data, None, html=True)
            assert got.encoding == {"gbk": "gb18030"}.get(codec, codec)
            assert got.text.startswith(before)
            if foreign == b"\xff" or codec == "utf-8":
                assert BAD_BYTES in got.flags and "\ufffd" in got.text
                assert got.text.endswith(after[-100:])


def test_an_overwritten_byte_does_not_shift_the_rest() -> None:
    source = page(SIMPLIFIED[1], "gbk")
    data = bytearray(source.encode("gbk"))
    at = len(source[:80].encode("gbk"))
    for place in (at, at + 1):  # the first and the second byte of a pair
        broken = bytes(data[:place] + b"\xff" + data[place + 1 :])
        got = decode(broken, "gbk", html=True)
        assert got.flags == (BAD_BYTES,) and got.text[:80] == source[:80]
        assert got.text.endswith(source[84:])


def test_a_utf8_page_with_a_gbk_fragment_is_kept() -> None:
    data = page(SIMPLIFIED[0] * 2, "utf-8").encode() + SIMPLIFIED[1][:60].encode("gbk") + SIMPLIFIED[2].encode()
    got = decode(data, "utf-8", html=True)
    assert got.encoding == "utf-8" and got.flags == (BAD_BYTES,) and got.text.endswith(SIMPLIFIED[2])


OTHERS = [
    (
        "windows-1252",
        "cp1252",
        "Le café était déjà fermé, naïve “illusion” d’un été — où aller ? Ça coûte 5 €.",
    ),
    ("iso-8859-1", "latin-1", "Über die Straße läuft ein Mädchen, größer als früher; ähnlich schön."),
    (
        "shift_jis",
        "cp932",
        "昨日は雨だったので、家で本を読んでいました。今日は晴れて、とても気持ちがいいです。",
    ),
    (
        "euc-jp",
        "euc_jp",
        "昨日は雨だったので、家で本を読んでいました。今日は晴れて、とても気持ちがいいです。",
    ),
    (
        "euc-kr",
        "cp949",
        "어제는 비가 와서 집에서 책을 읽었습니다. 오늘은 날씨가 맑아서 기분이 아주 좋습니다.",
    ),
    (
        "windows-1251",
        "cp1251",
        "Вчера шёл дождь, поэтому мы читали дома. Сегодня ясно, и настроение хорошее.",
    ),
    ("koi8-r", "koi8_r", "Вчера шёл дождь, поэтому мы читали дома. Сегодня ясно, и настроение хорошее."),
    ("iso-8859-2", "iso8859_2", "Žluťoučký kůň úpěl ďábelské ódy, a přece příšerně žil."),
    ("windows-1253", "cp1253", "Χθες έβρεχε και διαβάζαμε στο σπίτι. Σήμερα ο καιρός είναι καλός."),
]


@pytest.mark.parametrize(("label", "codec", "text"), OTHERS)
@pytest.mark.parametrize("times", [1, 20])
def test_other_languages_are_read_by_their_label(label: str, codec: str, text: str, times: int) -> None:
    source = page(text * times, label)
    for header in (label, None, label.upper()):
        got = decode(source.encode(codec), header, html=True)
        assert got.text == source and got.flags == ()


@pytest.mark.parametrize("claimed", ["windows-1251", "euc-kr", "shift_jis", "iso-8859-1", "euc-jp", "koi8-r"])
@pytest.mark.parametrize("codec", ["gbk", "big5", "utf-8"])
def test_chinese_under_a_foreign_label(claimed: str, codec: str) -> None:
    for text in texts(codec):
        source = page(text, claimed)
        got = decode(source.encode(codec), claimed, html=True)
        assert got.text == source and MISLABELLED in got.flags


def test_no_label_at_all() -> None:
    for codec in ("gbk", "big5", "cp932", "cp1251"):
        text = {
            "gbk": SIMPLIFIED[0],
            "big5": TRADITIONAL[0],
            "cp932": OTHERS[2][2] * 5,
            "cp1251": OTHERS[5][2] * 5,
        }[codec]
        got = decode(page(text, None).encode(codec), None, html=True)
        assert got.text == page(text, None) and got.flags == (GUESSED,)


def test_marks_and_wide_encodings() -> None:
    source = page(SIMPLIFIED[0], "utf-16")
    for codec, mark in (("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        got = decode(mark + source.encode(codec), "gbk", html=True)
        assert got.text == source and got.encoding == codec.replace("-le", "le").replace("-be", "be")
    assert decode(source.encode("utf-16-le"), None, html=True).text == source
    assert decode(page("plain", None).encode("utf-16-be"), "utf-16be", html=True).text == page("plain", None)
    japanese = "日本語のページです"
    assert decode(japanese.encode("iso2022_jp"), "iso-2022-jp", html=False).text == japanese


def test_labels() -> None:
    labels = (" GB2312 ", '"gbk"', "Big5-HKSCS", "latin1", "x-sjis", "none", None, "")
    assert [canonical(label) for label in labels] == [
        "gb18030", "gb18030", "big5", "windows-1252", "shift_jis", None, None, None,
    ]  # fmt: skip
    assert markup_label(b'<meta http-equiv="Content-Type" content="text/html; charset=gb2312">') == "gb18030"
    assert markup_label(b"<META content='text/html; charset = big5' http-equiv=x>") == "big5"
    assert markup_label(b'<?xml version="1.0" encoding="euc-kr"?>') == "euc-kr"
    assert markup_label(b'<meta charset="utf-16">') == "utf-8"
    assert markup_label(b"<p>charset=gbk</p>") is None


def test_short_text_follows_its_label() -> None:
    assert decode("联通".encode("gbk") + "版".encode("gbk"), "gbk", html=False).text == "联通版"
    assert decode("首页".encode("gbk"), "gb2312", html=False).text == "首页"
    assert decode(b"a \xff b", "utf-8", html=False) == decode(b"a \xff b", "utf-8", html=True)
    assert decode(b"a \xff b \xe4\xb8\xad", "utf-8", html=False).text == "a \ufffd b 中"
    assert decode(b"", None, html=True).text == ""


@given(
    st.binary(max_size=400),
    st.sampled_from([None, "gbk", "utf-8", "big5", "utf-16", "euc-jp", "koi8-r", "x", "utf-7"]),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_some_text(data: bytes, label: str | None) -> None:
    got = decode(data, label, html=True)
    got.text.encode("utf-8")  # no lone surrogates
    assert not data or got.text or data in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def test_a_normal_utf8_page_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other encoding is tried where the bytes are UTF-8: what takes time is never reached."""
    rng = random.Random(3)
    body = "".join(f"<div class=x{rng.random()}>{rng.choice(SIMPLIFIED)}</div>" for _ in range(200))
    text = page(body, "utf-8")
    monkeypatch.setattr("corpus.decode._read", lambda *given: pytest.fail("another encoding was tried"))
    for label in ("utf-8", None, "gbk"):
        assert decode(text.encode(), label, html=True).text == text
