"""Subjects that requests are about, so that a model does not write the same ten things over and over.

In: a text file with a topic a line; ours lies beside this module. Out: the topics in the order of the file.
"""

from pathlib import Path
from typing import Final

from runkit.errors import InputError

OURS: Final = Path(__file__).parent / "topics.txt"


def read_topics(path: Path | None = None) -> tuple[str, ...]:
    """Each topic once; None: ours. InputError: there are none."""
    path = path or OURS
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; name a text file with a topic a line.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8; name a text file with a topic a line.") from error
    found = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise InputError(f"{path} has no topic; write one a line.")
    return found
