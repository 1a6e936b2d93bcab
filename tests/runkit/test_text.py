"""Units and Han characters, against Unicode's own names."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.text import han_count, is_han, units


def test_is_han_agrees_with_unicode_names() -> None:
    """Every assigned ideograph is Han and nothing else is; 〇 is a number in Unicode and Han in use."""
    for cp in range(0x2E00, 0x32400):
        name = unicodedata.name(chr(cp), "")
        if name.startswith(("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")):
            assert is_han(cp), hex(cp)
        elif name and cp != 0x3007:
            assert not is_han(cp), (hex(cp), name)


def test_units() -> None:
    assert units("我用 iPhone15，跑了3.5公里！") == ["我", "用", "iPhone15", "跑", "了", "3", "5", "公", "里"]
    assert units("𠮷野家 café_x") == ["𠮷", "野", "家", "café", "x"]
    assert units("こんにちは漢字") == ["こんにちは", "漢", "字"]
    assert units(" \n。") == units("") == []


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("中文字a1 _，〇𠮷"))))
def test_units_keep_every_letter(text: str) -> None:
    joined = "".join(units(text))
    assert joined == "".join(c for c in text if c != "_" and (c.isalnum() or is_han(ord(c))))
    assert han_count(text) == sum(is_han(ord(c)) for c in text) == sum(is_han(ord(u[0])) for u in units(text))
