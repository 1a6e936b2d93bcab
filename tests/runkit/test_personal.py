"""Personal data: every number here is made up, with checksums worked out apart from the code under test."""

import ipaddress
import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.personal import find_personal, mask_personal


def id_number(first17: str) -> str:
    """Append the check by the definition of ISO 7064 MOD 11-2: Σ digit · 2^(position from the right) ≡ 1."""
    for check in "0123456789X":
        values = [int(digit) for digit in first17] + [10 if check == "X" else int(check)]
        if sum(value * 2 ** (17 - place) for place, value in enumerate(values)) % 11 == 1:
            return first17 + check
    raise AssertionError(first17)


def card_number(prefix: str, length: int, seed: int = 0) -> str:
    """Append the Luhn check, by the table of doubled digits."""
    rng = random.Random(seed)
    body = prefix + "".join(rng.choice("0123456789") for _ in range(length - 1 - len(prefix)))
    doubled = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    total = sum(doubled[int(d)] if place % 2 == 0 else int(d) for place, d in enumerate(reversed(body)))
    return body + str(-total % 10)


def kinds(text: str) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in find_personal(text)]


# The example of the standard itself (GB 11643-1999).
STANDARD_ID = "11010519491231002X"


def test_id_numbers() -> None:
    assert id_number("11010519491231002") == STANDARD_ID
    rng = random.Random(3)
    for _ in range(300):
        region, day = rng.choice(["110101", "440305", "650102", "820000"]), f"{rng.randrange(1, 29):02}"
        number = id_number(f"{region}{rng.randrange(1900, 2020)}{rng.randrange(1, 13):02}{day}{rng.randrange(1000):03}")
        assert kinds(f"身份证号{number}，男") == [("ID_NUMBER", number)]
        for wrong in "0123456789X":
            if wrong != number[-1]:
                assert ("ID_NUMBER", number[:-1] + wrong) not in kinds(f"身份证号{number[:-1]}{wrong}，")
    assert kinds(f"（{STANDARD_ID.lower()}）") == [("ID_NUMBER", STANDARD_ID.lower())]
    assert kinds("110105 19491231 002X") == [("ID_NUMBER", "110105 19491231 002X")]


@pytest.mark.parametrize(
    "text",
    [
        id_number("99010519491231002"),  # no such province
        id_number("11010519490230002"),  # 30 February
        id_number("11010517491231002"),  # 1749
        f"7{STANDARD_ID}",
        f"{STANDARD_ID}7",
        f"a{STANDARD_ID}",
        f"0.{STANDARD_ID[:17]}0",
    ],
)
def test_no_id_numbers(text: str) -> None:
    assert not [kind for kind, _ in kinds(text) if kind == "ID_NUMBER"]


@pytest.mark.parametrize(
    "number",
    [
        "13812340987", "138-1234-0987", "138 1234 0987", "+8613812340987", "+86 138 1234 0987",
        "0086-13812340987",
        "19912340987", "16612340987", "010-62345678", "(010)62345678", "（010）62345678", "0571-8765432",
        "0755-23456789", "021 6234 5678", "+86 10 62345678", "+86-755-23456789", "010-62345678-801",
        "86-13812340987",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "around",
    ["电话：{}。", "请拨打{}联系", "{}", "Tel. {}, 王先生", "[{}](tel)", "phone\n{}\nend", "手机号:{}\n"],
)
def test_phones(number: str, around: str) -> None:
    assert kinds(around.format(number)) == [("PHONE", number)]


def test_phone_lists() -> None:
    assert mask_personal("13812340987/13912340987、15012340987,18812340987") == (
        "<PHONE>/<PHONE>、<PHONE>,<PHONE>",
        {"PHONE": 4},
    )


@pytest.mark.parametrize(
    "text",
    [
        "12012340987", "10812340987", "23812340987",  # no such prefix
        "1381234098", "138123409871", "0138123409871", "abc13812340987", "13812340987abc",
        "13812340987.5", "3.13812340987", "13812340987元", "￥13812340987", "13812340987%", "13812340987万",
        "订单号：13812340987", "order id: 13812340987", "QQ群13812340987", "ISBN 13812340987",
        '"id": 13812340987',
        "https://a.cn/p/13812340987", "https://a.cn/?id=13812340987", "10.1000/13812340987", "a_13812340987",
        "13-812340987", "1.3812340987", "138,1234,0987", "2020-12-31 10:30", "2020-2021", "20201231",
        "0.0101234567",
        "400-810-1234", "800-810-1234", "62345678", "95588", "110", "1607000000000", "1607000000",
        "978-7-302-12345-6", "9787302123456", "7-302-12345-X", "550e8400-e29b-41d4-a716-446655440000",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709", "13812340987-1-2", "3.14159265358979323846",
        "13333333333",
        "1,381,234,098,700", "000-12345678", "10-62345678", "020-12345678901",
    ],
)  # fmt: skip
def test_near_misses(text: str) -> None:
    for around in ("{}", "在 {} 中", "（{}）"):
        assert kinds(around.format(text)) == []


def test_bank_cards() -> None:
    for prefix, length in (("62", 16), ("62", 19), ("4", 16), ("53", 16), ("2221", 16)):
        number = card_number(prefix, length, seed=length)
        grouped = " ".join(number[start : start + 4] for start in range(0, length, 4))
        assert kinds(f"卡号{number}。") == [("BANK_CARD", number)]
        assert kinds(f"卡号：{grouped}\n") == [("BANK_CARD", grouped)]
        assert kinds(grouped.replace(" ", "-")) == [("BANK_CARD", grouped.replace(" ", "-"))]
        wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
        assert kinds(f"卡号{wrong}") == []
        for text in (
            f"订单编号：{number}",
            f"https://a.cn/p/{number}",
            f"{number}9999",
            f"x{number}",
            f"0.{number}",
        ):
            assert kinds(text) == []
    assert kinds("4444444444444448") == []
    assert kinds(card_number("9", 16)) == []  # no such issuer


@pytest.mark.parametrize(
    "address", ["wang.xiao_ming@mail.cn", "a@b.com.cn", "x+y-z@sub.host-1.org", "13812340987@139.com"]
)
def test_emails(address: str) -> None:
    for around in ("邮箱：{}。", "<{}>", "mailto:{}", "{}，", "联系{}或来电"):
        assert kinds(around.format(address)) == [("EMAIL", address)]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png", "@user", "foo@bar", "a@b.c", "git@host.cn:team/repo.git", "me@host.cn:/var/log",
        "me@example.com",
        "https://user@host.cn/x", "npm i pkg@1.2.3", "@org.junit.Test", "a@@b.cn", "x@y.test", "@",
        "this@Outer.field", "route\n@app.route",
        "名字@主机.中国",
    ],
)  # fmt: skip
def test_no_emails(text: str) -> None:
    assert kinds(text) == []


def test_ip_addresses_against_the_standard_library() -> None:
    rng = random.Random(11)
    for _ in range(3000):
        address = ipaddress.ip_address(rng.getrandbits(32))
        expected = address.is_global and not address.is_multicast and max(address.packed) >= 32
        assert kinds(f"来自 {address} 的访问") == ([("IP", str(address))] if expected else [])
    for _ in range(300):
        six = ipaddress.IPv6Address((0x2000 << 112) + rng.getrandbits(125))
        expected = six.is_global and not six.is_multicast
        for text in {str(six), six.compressed}:
            assert kinds(f"来自{text}，") == ([("IP", text)] if expected else [])


@pytest.mark.parametrize(
    "text",
    [
        "v113.45.67.89", "版本 113.45.67.89", "Chrome/113.45.67.89", "version: 113.45.67.89",
        "lib-113.45.67.89",
        "113.45.67.89版本", "113.45.67.289", "113.45.67", "113.45.67.89.1", "1.113.45.67.89", "10.1.2.3",
        "127.0.0.1",
        "192.168.100.200", "169.254.77.88", "203.0.113.9", "239.255.255.250", "第 4.1.2.3 节", "8.8.8.8",
        "1.1.1.1",
        "2001:db8::1", "fe80::1", "::1", "12:34:56", "std::vector", "2020:10:11", "2a:3b:4c:5d:6e:7f",
    ],
)  # fmt: skip
def test_no_ip_addresses(text: str) -> None:
    assert kinds(text) == []


ALPHABET = st.sampled_from(
    [*"0123456789" * 3, *"- .@:/()+Xxa中，（）", "138", "86", "010", "@b.cn", "11010519491231002X"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ALPHABET, max_size=40).map("".join))
def test_masking_is_idempotent_and_spans_are_sound(text: str) -> None:
    found = find_personal(text)
    for one, two in itertools.pairwise(found):
        assert one.end <= two.start
    assert all(0 <= finding.start < finding.end <= len(text) for finding in found)
    masked, counts = mask_personal(text)
    assert sum(counts.values()) == len(found)
    assert (masked == text) == (not found)
    again, _ = mask_personal(masked)
    assert mask_personal(again)[0] == again


def test_hostile_text_takes_linear_time() -> None:
    for unit in ("1", "a@", "1.", "13 ", "2001:", "0-", "a.", "4111 ", "(010)", "86 "):
        text = unit * (200_000 // len(unit))
        start = time.process_time()
        find_personal(text)
        assert time.process_time() - start < 3


def test_text_without_digits_is_fast() -> None:
    text = "今天下午，图书馆门前的广场上来了许多读者。" * 96
    start = time.process_time()
    for _ in range(200):
        find_personal(text)
    assert (time.process_time() - start) / 200 < 200e-6  # measured 20 µs
