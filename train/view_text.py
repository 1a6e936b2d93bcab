"""What `train tokenizer view` shows: a text cut into boxes, its figures, and what the vocabulary holds.

In: a tokenizer and a text. Out: `Token` for each id, and `Box` for what is seen as one: usually a token, but all
tokens together whose bytes make a character. Nothing here is made safe for a terminal or a page; `signs` only makes
visible what is not. Price: 5 µs a token; where text can be lost, the text is encoded a second time for the places.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from runkit.text import han_count, units
from train.pieces import Tokenizer

TokenKind = Literal["normal", "byte", "unknown", "special", "added"]
BoxKind = TokenKind | Literal["dropped"]
EMBEDDING_WIDTH: Final = 2048  # of a model of 1 to 2 B parameters, to say what a vocabulary costs
_EXCERPT: Final = 12  # characters shown where a text does not come back
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_PLAIN: Final = re.compile(r"[!-~\u4e00-\u9fff]*")
_BY_ID: Final = re.compile(r"#(\d{1,9})", re.ASCII)


def signs(text: str, newline: str = "⏎") -> str:
    """`text` with a sign for all that is not seen: ␣ ⏎ ⇥, ␛ for escape, ⟨U+200B⟩; no line end but in `newline`."""
    if _PLAIN.fullmatch(text):
        return text
    return newline.join("".join(map(_sign, line)) for line in text.split("\n"))


def _sign(character: str) -> str:
    code = ord(character)
    if character in " \t":
        return "␣" if character == " " else "⇥"
    if code < 0x20 or code == 0x7F:
        return chr(0x2400 + code) if code < 0x20 else "␡"
    return f"⟨U+{code:04X}⟩" if unicodedata.category(character) in _UNSEEN else character


def hexadecimal(data: bytes) -> str:
    """`E4 BD A0`."""
    return data.hex(" ").upper()


@dataclass(frozen=True, slots=True)
class Token:
    """One id in its place. `byte`: a byte, or bytes that alone make no whole characters."""

    id: int
    piece: str  # as the file writes it
    data: bytes  # that it stands for; none for unknown and special tokens
    kind: TokenKind
    lost: str | None = None  # of an unknown token: the text it stands in for, None where that cannot be known

    @property
    def text(self) -> str | None:
        """What it stands for; None where that is no text by itself."""
        if self.kind in ("unknown", "special"):
            return None
        return _decoded(self.data)


@dataclass(frozen=True, slots=True)
class Box:
    """What is shown as one: a token, the tokens whose bytes make a character, or text that no token holds."""

    kind: BoxKind
    tokens: tuple[Token, ...] = ()
    lost: str | None = None

    @property
    def data(self) -> bytes:
        return b"".join(token.data for token in self.tokens)

    @property
    def text(self) -> str | None:
        """None for unknown and special tokens, for dropped text, and for bytes that make no character."""
        return _decoded(self.data) if self.kind in ("normal", "added", "byte") else None

    def shown(self, newline: str = "⏎") -> str:
        """With signs for what is not seen; text that was lost stands in brackets."""
        lost = f"({signs(self.lost, newline)})" if self.lost else ""
        if self.kind == "dropped":
            return lost
        if self.kind in ("unknown", "special"):
            return signs(self.tokens[0].piece) + lost
        text = self.text
        return signs(text, newline) if text is not None else f"⟨{hexadecimal(self.data)}⟩"

    @property
    def ends_line(self) -> bool:
        """Does the text go on on another line?"""
        return "\n" in (self.lost or self.text or "")


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def kind_of(tokenizer: Tokenizer, number: int) -> TokenKind:
    """What sort of token an id is."""
    if number == tokenizer.special.unk:
        return "unknown"
    if tokenizer.is_special(number):
        return "special"
    if tokenizer.is_added(number):
        return "added"
    partial = tokenizer.is_byte(number) or _decoded(tokenizer.piece_bytes[number]) is None
    return "byte" if partial else "normal"


def tokens_of(tokenizer: Tokenizer, ids: Sequence[int], lost: Sequence[str | None] | None = None) -> list[Token]:
    """The tokens of `ids`; `lost` has one entry for each, the text behind it, which is kept for unknown ones."""
    known: dict[int, Token] = {}
    found = []
    for index, number in enumerate(map(int, ids)):
        token = known.get(number)
        if token is None:
            token = Token(number, tokenizer.piece(number), tokenizer.piece_bytes[number], kind_of(tokenizer, number))
            known[number] = token
        if token.kind == "unknown" and lost is not None:
            token = Token(number, token.piece, token.data, token.kind, lost[index])
        found.append(token)
    return found


def boxes_of(tokens: Sequence[Token], dropped: Sequence[str] | None = None) -> list[Box]:
    """The tokens as boxes. `dropped`: the text before each token, and after the last, that no token holds."""
    boxes: list[Box] = []
    held: list[Token] = []  # bytes that wait for the rest of their character
    decoder = codecs.getincrementaldecoder("utf-8")()

    def close() -> None:
        if held:
            boxes.append(Box("byte", tuple(held)))
            held.clear()
            decoder.reset()

    for index, token in enumerate(tokens):
        if dropped is not None and dropped[index]:
            close()
            boxes.append(Box("dropped", lost=dropped[index]))
        if token.kind != "byte":
            close()
            boxes.append(Box(token.kind, (token,), token.lost))
            continue
        if held and not _fits(decoder, token.data):
            close()
        if not held and not _fits(decoder, token.data):  # begins with the end of a character whose start is not there
            decoder.reset()
            boxes.append(Box("byte", (token,)))
            continue
        held.append(token)
        if not decoder.getstate()[0]:
            close()
    close()
    if dropped is not None and dropped[-1]:
        boxes.append(Box("dropped", lost=dropped[-1]))
    return boxes


def _fits(decoder: codecs.IncrementalDecoder, data: bytes) -> bool:
    """Do the bytes go on with the character that has begun, or begin one?"""
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where a text does not come back: characters before it, and what follows on both sides."""

    after: int
    original: str
    decoded: str


@dataclass(frozen=True, slots=True)
class Figures:
    """A tokenizer's figures for one text. Ratios are None where there is nothing to divide by."""

    kind: str
    size: int
    tokens: int
    characters: int
    size_bytes: int
    words: int  # units: Han characters, and runs of other letters and digits
    unknown: int  # tokens
    byte_tokens: int
    han: int  # characters
    han_whole: int  # of these, one token or part of a longer one
    difference: Difference | None  # None: the text comes back

    @property
    def characters_per_token(self) -> float | None:
        return self.characters / self.tokens if self.tokens else None

    @property
    def bytes_per_token(self) -> float | None:
        return self.size_bytes / self.tokens if self.tokens else None

    @property
    def fertility(self) -> float | None:
        return self.tokens / self.words if self.words else None

    @property
    def embedding_parameters(self) -> int:
        return self.size * EMBEDDING_WIDTH


@dataclass(frozen=True, slots=True)
class View:
    """A text as one tokenizer sees it."""

    tokens: list[Token]
    boxes: list[Box]
    figures: Figures


def look(tokenizer: Tokenizer, text: str) -> View:
    """Encode `text`, and say what became of it."""
    tokens, boxes = cut(tokenizer, text)
    return View(tokens, boxes, _measured(tokenizer, text, tokens))


def cut(tokenizer: Tokenizer, text: str) -> tuple[list[Token], list[Box]]:
    """The tokens of `text`, and the boxes they are shown in."""
    ids = tokenizer.encode(text).tolist()
    # The other kinds keep spaces in their pieces; their libraries leave them out of the places.
    drops = tokenizer.kind == "wordpiece"
    if not drops and tokenizer.special.unk not in ids:
        tokens = tokens_of(tokenizer, ids)
        return tokens, boxes_of(tokens)
    places = tokenizer.places(text)
    tokens = tokens_of(tokenizer, ids, [text[start:end] or None for start, end in places])
    return tokens, boxes_of(tokens, list(_between(text, places)) if drops else None)


def _between(text: str, places: Sequence[tuple[int, int]]) -> Iterator[str]:
    done = 0
    for start, end in places:
        yield text[done:start]
        done = max(done, end)
    yield text[done:]


def _measured(tokenizer: Tokenizer, text: str, tokens: Sequence[Token]) -> Figures:
    data = text.encode()
    decoded = tokenizer.decode_bytes(token.id for token in tokens)
    kinds = [token.kind for token in tokens]
    han = han_count(text)
    whole = sum(han_count(token.data.decode("utf-8", "ignore")) for token in tokens)
    return Figures(
        kind=tokenizer.kind,
        size=tokenizer.size,
        tokens=len(tokens),
        characters=len(text),
        size_bytes=len(data),
        words=len(units(text)),
        unknown=kinds.count("unknown"),
        byte_tokens=kinds.count("byte"),
        han=han,
        han_whole=min(han, whole),  # a normaliser can make more of them: ㈱ becomes (株)
        difference=None if decoded == data else _difference(text, decoded.decode("utf-8", "replace")),
    )


def _difference(text: str, decoded: str) -> Difference:
    shorter = min(len(text), len(decoded))
    after = next((place for place in range(shorter) if text[place] != decoded[place]), shorter)
    return Difference(after, text[after : after + _EXCERPT], decoded[after : after + _EXCERPT])


@dataclass(frozen=True, slots=True)
class Found:
    """What the vocabulary holds of a text that was searched for."""

    total: int
    tokens: list[Token]  # the first of them
    exact: list[int]  # ids whose piece is just this text, perhaps with the space that encoding puts before it
    boxes: list[Box] | None  # how the text is cut; None when an id was looked up


def search(tokenizer: Tokenizer, wanted: str, limit: int) -> Found:
    """Pieces that stand for a text with `wanted` in it, or the one of `#id`; exact ones first, then shorter, then id.

    Special tokens stand for no text and are found by their names.
    """
    if by_id := _BY_ID.fullmatch(wanted):
        number = int(by_id[1])
        return Found(*((1, tokens_of(tokenizer, [number])) if number < tokenizer.size else (0, [])), [], None)
    needle = wanted.encode()
    exact_forms = {needle, b" " + needle} if tokenizer.strips_space else {needle}
    ranked, exact = [], []
    for number, data in enumerate(tokenizer.piece_bytes):
        if not data and tokenizer.is_special(number):
            data = tokenizer.piece(number).encode()
        if needle in data:
            ranked.append((data != needle, len(data.decode("utf-8", "replace")), number))
            if data in exact_forms:
                exact.append(number)
    ranked.sort()
    tokens = tokens_of(tokenizer, [number for _, _, number in ranked[:limit]])
    return Found(len(ranked), tokens, exact, cut(tokenizer, wanted)[1])


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is shown of one tokenizer; `label` is how the user named it."""

    label: str
    view: View | None  # None: no text was given
    found: Found | None  # None: nothing was searched for
