"""What all commands share at the terminal: the app factory, exit codes, progress, one JSON object.

In: a typer app and arguments. Out: an exit code of docs/formats.md and text that cannot command the terminal.
People's text goes to stderr; stdout holds one JSON object or nothing. rich is imported when first used, so
`--help` costs 0.13 CPU seconds, interpreter included. Price: progress moves only when its caller advances.
"""

import difflib
import errno
import functools
import gc
import os
import re
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from runkit.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# click's ClickException, wherever this typer keeps its click (newer ones carry a copy).
_CLICK_ERROR = typer.BadParameter.__mro__[2]
_ENVIRONMENT_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
}
PLAIN_LINE_EVERY_S = 10.0
REDRAW_EVERY_S = 0.1
# Python's default collects every 700 new objects: a tenth of a start went into walking over what it imports.
GC_THRESHOLD = (50_000, 50, 100)
_verbosity = 0

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erase
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS
    r"|\x1b[ -/]*[0-~]"
)
# Controls, half characters, and the marks that reorder the text around them (Unicode UAX 9).
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that `with` blocks and `finally` run; exit code 143."""


def note_verbosity(level: int) -> int:
    """How often -v was given: from 2 on, errors come with their traceback."""
    global _verbosity
    _verbosity = level
    return level


def default_workers() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def app(name: str, help: str, epilog: str | None = None) -> typer.Typer:
    """A command with sub-commands: plain text, `-h`, no pretty tracebacks (they print variables' values)."""
    return typer.Typer(
        name=name,
        cls=_Commands,
        help=help,
        epilog=epilog,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


class _Commands(typer.core.TyperGroup):
    """Commands in the order in which they were made, `settings` behind them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name == "settings")


def run_app(app: typer.Typer, argv: Sequence[str] | None = None) -> int:
    """Run `app` and return its exit code; whatever goes wrong is told on stderr here and nowhere else.

    Use as `def main() -> None: sys.exit(run_app(app))`.
    """
    note_verbosity(0)
    gc.set_threshold(*GC_THRESHOLD)
    previous = _on_sigterm(_raise_terminated)
    try:
        code = _invoke(app, list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:  # it is when the caller closed it: `corpus ... >&-`
            sys.stdout.flush()
        return code
    except BaseException as error:
        return _exit_code(error)
    finally:
        if previous is not None:
            _on_sigterm(previous)
        if argv is None:  # the process is about to leave; Ctrl-C in what Python tears down then prints a traceback
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def printable(text: str) -> str:
    """`text` without anything that a terminal obeys: of the control characters, newline and tab remain."""
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", _ESCAPE_SEQUENCE.sub("", text)))


def redact(text: str) -> str:
    """`text` with the values of all environment variables named *KEY, *TOKEN or *SECRET as `***`."""
    return _without(_secrets(), text)


@functools.cache
def err() -> "Console":
    """The rich console on stderr. Print `rich.text.Text` on it, never markup."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def say(text: str) -> None:
    """One piece of text for people, to stderr, made safe."""
    stream = sys.stderr
    safe = printable(redact(text))
    encoding = stream.encoding or "utf-8"
    stream.write(safe.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def out() -> "Console":
    """A rich console on what is stdout now, which tells whether it takes colours and how wide it is."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)


def show(text: "Text") -> None:
    """A result to stdout: coloured on a terminal, plain in a pipe, lines as long as they are.

    `text` was made safe by its maker. Not printed by rich, which answers a closed pipe with exit code 1.
    """
    console = out()
    with console.capture() as capture:
        console.print(text, end="")
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(capture.get().encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def emit_json(obj: object) -> None:
    """The one object that `--json` promises on stdout: one line of UTF-8, sorted, secrets as `***`."""
    import orjson

    line = orjson.dumps(_clean_json(obj, _secrets()), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.errno in _ENVIRONMENT_ERRNOS:
            _silence(sys.stdout.fileno())
            raise EnvironmentFault(
                f"Cannot write {len(line):,} bytes to standard output: {error.strerror}; redirect it."
            ) from error
        raise


@contextmanager
def progress(
    label: str,
    total: int | None = None,
    unit: str = "documents",
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[..., None]]:
    """Yield `advance(count=1, total=None)`; shows done, rate and time left on stderr.

    A terminal gets a bar, anything else one plain line at most every 10 s, `quiet` nothing. There is no
    drawing thread: a process that forks workers must not have one.
    """
    meter = _Meter(label, total, unit, clock)
    if quiet:
        yield meter.count
        return
    if not sys.stderr.isatty():
        yield meter.count_and_tell
        return
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    class Figures(TextColumn):
        def render(self, task: Any) -> Text:
            return Text(meter.figures())

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Figures(""))
    with Progress(*columns, console=err(), auto_refresh=False, transient=True) as bar:
        task = bar.add_task(printable(label), total=total)

        def advance(count: int = 1, total: int | None = None) -> None:
            meter.count(count, total)
            if meter.due(REDRAW_EVERY_S):
                bar.update(task, completed=meter.done, total=meter.total, refresh=True)

        yield advance


class _Meter:
    """Counts, and tells the rate and the time left."""

    def __init__(self, label: str, total: int | None, unit: str, clock: Callable[[], float]) -> None:
        self.label, self.total, self.unit, self.clock = label, total, unit, clock
        self.done = 0
        self.started = self.told = clock()

    def count(self, count: int = 1, total: int | None = None) -> None:
        self.done += count
        self.total = total if total is not None else self.total

    def count_and_tell(self, count: int = 1, total: int | None = None) -> None:
        self.count(count, total)
        if self.due(PLAIN_LINE_EVERY_S):
            say(f"{self.label}: {self.figures()}")

    def due(self, interval_s: float) -> bool:
        now = self.clock()
        if now - self.told < interval_s:
            return False
        self.told = now
        return True

    def figures(self) -> str:
        seconds = self.clock() - self.started
        rate = self.done / seconds if seconds > 0 else 0.0
        of_total = f" of {self.total:,}" if self.total is not None else ""
        text = f"{self.done:,}{of_total} {self.unit}, {rate:,.1f}/s"
        if self.total is not None and rate > 0:
            left_s = round(max(0, self.total - self.done) / rate)
            text += f", {left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02} left"
        return text


def _invoke(app: typer.Typer, argv: list[str]) -> int:
    command = typer.main.get_command(app)
    name = app.info.name or Path(sys.argv[0]).name
    # Not command.main(): it prints errors in its own way and hides broken pipes behind exit code 1. So what it does for
    # a shell that asks how a line may go on (_CORPUS_COMPLETE=complete_bash) is done here; that ends the program.
    command._main_shell_completion({}, name)
    with command.make_context(name, argv) as context:
        command.invoke(context)
    return 0


def _signal_behind(error: BaseException) -> BaseException:
    """The signal that a C extension turned into a SystemError while Python ran below it, or `error` itself."""
    cause: BaseException | None = error
    while isinstance(cause, SystemError):
        cause = cause.__cause__ or cause.__context__
    return cause if isinstance(cause, (KeyboardInterrupt, Terminated)) else error


def _exit_code(error: BaseException) -> int:
    error = _signal_behind(error)
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, (KeyboardInterrupt, typer.Abort, Terminated)):
        sys.unraisablehook = lambda unraisable: None  # what was half made when the signal came complains as it goes
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        say("Interrupted.")
        return 130
    if isinstance(error, Terminated):
        say("Terminated.")
        return 143
    if isinstance(error, BrokenPipeError) and _reader_gone():
        return 128 + signal.SIGPIPE
    if isinstance(error, UserError):
        say(f"Error: {error}")
        if _verbosity >= 2:
            _say_traceback(error)
        return error.exit_code
    if isinstance(error, _CLICK_ERROR):
        return _tell_usage(error)
    if isinstance(error, MemoryError):
        say("Error: out of memory; use fewer --workers or a larger machine.")
        return 4
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRNOS:
        return _tell_environment(error)
    say(f"Error: {type(error).__name__}: this is a bug in the program; report it with these lines:")
    _say_traceback(error)
    return 1


def _tell_environment(error: OSError) -> int:
    with suppress(OSError, ValueError):  # stdout may be what is full; then its buffer must not be tried again
        sys.stdout.flush()
        place = os.fsdecode(error.filename) if error.filename is not None else "standard output or an open file"
        files = error.errno in {errno.EMFILE, errno.ENFILE}
        advice = "allow more open files (`ulimit -n`)" if files else "free space or give permission"
        say(f"Error: {error.strerror}: {place}; {advice}, then run again.")
        return EnvironmentFault.exit_code
    _silence(sys.stdout.fileno())
    say(f"Error: {error.strerror}: standard output; redirect it elsewhere.")
    return EnvironmentFault.exit_code


def _tell_usage(error: Any) -> int:
    message = error.format_message().strip()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        say(message)
        return 2
    near: list[str] = []
    if context is not None:
        if (option := getattr(error, "option_name", None)) and type(error).__name__ == "NoSuchOption":
            message = f"No such option: {option}"
            near = _nearest_options(context.command, option)
        elif "Did you mean" not in message and (found := re.match(r"No such command '(.*)'", message)):
            near = difflib.get_close_matches(found[1], list(getattr(context.command, "commands", {})), 3, 0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    see = f" See {context.command_path} --help." if context is not None else ""
    say(f"Error: {message.rstrip('.')}.{hint}{see}".replace("?.", "?"))
    return 2


def _nearest_options(command: Any, option: str) -> list[str]:
    known = [flag for param in command.params for flag in (*param.opts, *param.secondary_opts) if flag[0] == "-"]
    long_options = [flag for flag in known if flag.startswith("--")]
    near = difflib.get_close_matches(option, long_options, 1, 0.6)
    return near or [flag for flag in long_options if flag[2:].startswith(option.lstrip("-")[:3])][:1]


def _say_traceback(error: BaseException) -> None:
    say("".join(traceback.format_exception(error)).rstrip())


def _reader_gone() -> bool:
    """Whether stdout or stderr broke: a dead worker's pipe raises the same error, and that is a bug."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            poller = select.poll()
            poller.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poller.poll(0)):
                _silence(stream.fileno())  # or the interpreter complains when it flushes at exit
                return True
    return False


def _silence(fd: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _on_sigterm(handler: Any) -> Any:
    """Set the handler and return the previous one; None outside the main thread, where that is forbidden."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, handler)


def _secrets() -> list[str]:
    """Longest first: one secret may hold another."""
    values = {v for k, v in os.environ.items() if k.upper().endswith(("KEY", "TOKEN", "SECRET")) and len(v) >= 8}
    return sorted(values, key=lambda value: (-len(value), value))


def _without(secrets: list[str], text: str) -> str:
    for value in secrets:
        text = text.replace(value, "***")
    return text


def _clean_json(obj: Any, secrets: list[str]) -> Any:
    """Text redacted inside the object, for a number must stay a number; half characters become U+FFFD."""
    if isinstance(obj, str):
        return _SURROGATE.sub("\ufffd", _without(secrets, obj))
    if isinstance(obj, dict):
        return {_clean_json(str(key), secrets): _clean_json(value, secrets) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_clean_json(item, secrets) for item in obj]
    return str(obj) if isinstance(obj, Path) else obj
