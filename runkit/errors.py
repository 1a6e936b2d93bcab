"""Errors that a user can mend: one sentence that states the fix, and its exit code (docs/formats.md).

Anything else that escapes a command is a bug of ours and exits 1 with a traceback.
"""


class UserError(Exception):
    """Something the user can mend; `str(error)` is the one sentence they read."""

    exit_code = 2


class UsageError(UserError):
    """A wrong flag, path, or configuration."""


class InputError(UserError):
    """Bad or changed input, or a run directory that is not what it claims to be."""

    exit_code = 3


class EnvironmentFault(UserError):
    """Disk, memory, permission, or a lock that another process holds."""

    exit_code = 4


class RefusedError(UserError):
    """A budget is spent, or an API refused for good."""

    exit_code = 5


class TooManyFailures(UserError):
    """The run finished, but more records failed than `--max-bad` allows."""

    exit_code = 6


def check_failures(bad: int, of: int, what: str, most: float, see: object) -> None:
    """TooManyFailures: more than `most` (a share, `--max-bad`) of so many `what` did; `see` names where they stand."""
    if bad > most * of:
        raise TooManyFailures(f"{bad:,} of {of:,} {what}, more than --max-bad {most:g}; see {see}.")
