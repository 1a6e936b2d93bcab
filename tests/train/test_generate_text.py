"""The text of an answer in pieces: whole characters, no stop string, and together what decoding it all gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.byte_tokenizer import MORE, ByteTokenizer
from train.answer_text import AnswerText
from train.pieces import Tokenizer

BYTES = ByteTokenizer()
STRIPPING = ByteTokenizer(strips_space=True)


def pieces(tokenizer: Tokenizer, prompt: list[int], ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    text = AnswerText(tokenizer, prompt, stop)
    found = []
    for number in ids:
        found.append(text.push(number))
        if text.stopped:
            break
    return [*found, text.end()]


def whole(data: bytes) -> str:
    """Decoded, without a character that is cut off at the end."""
    for cut in range(min(4, len(data) + 1)):
        end = data[len(data) - cut :]
        try:
            end.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and error.start == 0 and cut:
                return data[: len(data) - cut].decode("utf-8", "replace")
    return data.decode("utf-8", "replace")


def stopped(text: str, stop: tuple[str, ...]) -> str:
    """One character after the other, until the text ends in a stop string."""
    for end in range(len(text) + 1):
        found = [word for word in stop if text[:end].endswith(word)]
        if found:
            return text[: end - max(map(len, found))]
    return text


def ids_of(draw_from: int) -> st.SearchStrategy[list[int]]:
    likely = st.sampled_from([*"中文好".encode(), *range(256, 256 + len(MORE)), *b"ab c"])
    return st.lists(st.one_of(likely, st.integers(0, draw_from - 1)), max_size=24)


@given(ids_of(300))
@settings(deadline=None)
def test_pieces_are_whole_characters(ids: list[int]) -> None:
    found = pieces(BYTES, [65], ids)
    data = b"".join(map(BYTES.bytes_of, ids))
    assert "".join(found) == whole(data)
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    assert not any("\ufffd" in piece for piece in found) or "\ufffd" in data.decode()


@given(st.data())
@settings(deadline=None)
def test_real_tokenizers_too(spm: Tokenizer, bpe: Tokenizer, data: st.DataObject) -> None:
    for tokenizer in (spm, bpe):
        prompt = data.draw(st.lists(st.integers(0, tokenizer.size - 1), max_size=6))
        ids = data.draw(st.lists(st.integers(0, tokenizer.size - 1), max_size=16))
        before = tokenizer.decode_bytes(prompt)
        try:
            before.decode()
        except UnicodeDecodeError:
            continue
        behind = tokenizer.decode_bytes([*prompt, *ids])[len(before) :]
        assert "".join(pieces(tokenizer, prompt, ids)) == whole(behind)


@given(
    st.text("ab 中c", max_size=30),
    st.lists(st.text("ab 中c", min_size=1, max_size=4), min_size=1, max_size=3),
    st.randoms(),
)
@settings(deadline=None, max_examples=150)
def test_stop_strings_wherever_tokens_end(text: str, stop: list[str], chance: object) -> None:
    """Any way of cutting the text into tokens gives the text before the first stop string."""
    longer = {b"ab": 259, b"abc": 260, b"bc": 261}
    data, ids = text.encode(), []
    while data:
        size = chance.choice([1, 2, 3])  # type: ignore[attr-defined]
        number = longer.get(data[:size])
        size = size if number is not None else 1
        ids.append(data[0] if number is None else number)
        data = data[size:]
    found = pieces(BYTES, [], ids, tuple(stop))
    assert "".join(found) == stopped(text, tuple(stop))


def test_nothing_that_could_begin_a_stop_string_is_handed_on() -> None:
    ids = list(b"a sto stop the end")
    assert pieces(BYTES, [], ids, ("stop the",)) == ["a", " ", *[""] * 3, "sto ", *[""] * 9]
    assert pieces(BYTES, [], [*b"so ", 263, 257], ("op",)) == ["s", "", "o ", " st", ""]  # in the middle of a token
    assert pieces(BYTES, [], [*b"x ", 265], ("xyz", "p t")) == ["", "x ", "o", ""]
    assert pieces(BYTES, list(b"END"), list(b" END END"), ("END END",))[-1] == ""
    assert "".join(pieces(BYTES, list(b"END "), list(b"END"), ("END END",))) == "END"  # the prompt does not count
    assert "".join(pieces(BYTES, [], list(b"xab"), ("xabc", "b"))) == "xa"


def test_what_is_held_comes_at_the_end() -> None:
    assert pieces(BYTES, [], list(b"1 sto"), ("stop",)) == ["1", " ", "", "", "", "sto"]
    assert pieces(BYTES, [], list("好".encode()[:2])) == ["", "", ""]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ([], "the cat"),  # the beginning of a text
        ([256], "the cat"),  # behind a special token alone
        ([*b"A", 262], " the cat"),  # behind a line end
        ([32], " the cat"),  # decoding takes away the prompt's own space
    ],
)
def test_spaces_behind_a_prompt(prompt: list[int], text: str) -> None:
    ids = [257, *b" cat"]
    assert "".join(pieces(STRIPPING, prompt, ids)) == text
    joined = STRIPPING.decode([*prompt, *ids])
    assert joined == STRIPPING.decode(prompt) + text


def test_a_character_that_the_prompt_began() -> None:
    sky = list("天".encode())
    assert "".join(pieces(BYTES, [*b"A", *sky[:2]], [sky[2], *b"B"])) == "天B"
