"""A file of lines that is written again on every start and changes only where it differs.

In: lines, one after the other, the same as in the start before as far as that came. Out: the file. What stands there
already is compared, not rewritten, so a start that fails in the middle leaves all that was there. Price: one read.
"""

from pathlib import Path
from typing import Any

import orjson

from runkit.files import append_bytes, write_bytes


class Lines:
    """Give every line in order to `write`; `close` cuts what an earlier start had more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = path.read_bytes() if path.is_file() else b""
        self._at = 0  # bytes of `_old` that were given again
        self._appending = not self._old
        self.count = 0
        if not self._old:
            write_bytes(path, b"")

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; on the disk when `sync` or `close` returns."""
        line = orjson.dumps(record) + b"\n"
        self.count += 1
        if not self._appending:
            if self._old.startswith(line, self._at):
                self._at += len(line)
                return
            self._cut()
        append_bytes(self.path, line)

    def close(self) -> None:
        """All lines are there."""
        if not self._appending and self._at < len(self._old):
            self._cut()
        append_bytes(self.path, b"", sync=True)

    def _cut(self) -> None:
        if self._at < len(self._old):
            write_bytes(self.path, self._old[: self._at])
        self._appending = True
        self._old = b""
