"""The text of an answer while it is being made: whole characters, and nothing that a stop string could begin with.

In: ids one after the other. Out: text that will not change any more. It is what decoding prompt and answer together
puts behind the prompt, so a space between the two is there and a space before a whole text is not. Price: text is held
back by at most the longest stop string.
"""

import codecs
from collections.abc import Sequence

from train.pieces import Tokenizer


class AnswerText:
    """Takes the ids of an answer and hands on its text."""

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stop: Sequence[str] = ()) -> None:
        self.table = tokenizer.piece_bytes
        self.stop = tuple(stop)
        self.stopped = False
        self.held = ""  # characters that may become a stop string
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        end = _tail(tokenizer, prompt)
        self.decoder.decode(end)  # what a prompt begins, an answer may go on with
        self.strips = tokenizer.strips_space and not end

    def push(self, number: int) -> str:
        """One more id: what can be handed on now. Nothing more comes once `stopped` is true."""
        data = self.table[number] if number < len(self.table) else b""
        if self.strips and data:
            self.strips = False
            data = data.removeprefix(b" ")
        return self._beyond_stops(self.decoder.decode(data))

    def end(self) -> str:
        """What was held back. The bytes of a character that was cut off are left out."""
        held, self.held = self.held, ""
        return "" if self.stopped else held

    def _beyond_stops(self, text: str) -> str:
        if not self.stop:
            return text
        text = self.held + text
        found = [(place + len(stop), place) for stop in self.stop if (place := text.find(stop)) >= 0]
        if found:
            # The one that ends first, as if characters came one at a time: tokens do not decide.
            self.stopped, self.held = True, ""
            return text[: min(found)[1]]
        longest = max(map(len, self.stop)) - 1
        for place in range(max(0, len(text) - longest), len(text)):
            if any(stop.startswith(text[place:]) for stop in self.stop):
                self.held = text[place:]
                return text[:place]
        self.held = ""
        return text


def _tail(tokenizer: Tokenizer, prompt: Sequence[int]) -> bytes:
    """The last bytes of a prompt, four at least if it has them."""
    found = b""
    for number in reversed(prompt):
        if len(found) >= 4:
            break
        found = tokenizer.piece_bytes[number] + found if number < tokenizer.size else found
    return found
