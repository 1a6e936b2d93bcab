"""Start `corpus` or `train` in a session of its own, so that its whole group can be killed.

Two ways, the same from outside: the installed script (`Setup(real=True)`), or a fork of a prepared process
that has only imported the programs (2 CPU seconds saved each time) and calls the script's own entry point. The
second makes the small counts of the suite affordable; with WENHAI_FULL=1 every start is a real one.
"""

import importlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.faults.texts import ROOT

FULL = os.environ.get("WENHAI_FULL") == "1"
SCRIPTS = {f"{name}.cli": Path(sys.executable).parent / name for name in ("corpus", "train")}
DEADLINE_S = 600.0 if FULL else 100.0
# `fast` spares ten times the CPU, and nothing here depends on how good the text is. Small shards make many.
FAST = ("-s", "extract.mode=fast", "-q")
SHARDS = ("-s", "read.shard_mb=0.05")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.faults.warm"])


@dataclass(frozen=True)
class Ended:
    """How a command ended; a negative code is the signal that killed it."""

    code: int
    out: str
    err: str


class Command:
    """A running command."""

    def __init__(self, process: Any, pid: int, streams: Path) -> None:
        self._process = process
        self.pid = pid
        self._streams = streams

    def ended(self, timeout_s: float = DEADLINE_S) -> bool:
        """Wait for its end at most so long."""
        if isinstance(self._process, subprocess.Popen):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
            return self._process.returncode is not None
        wait([self._process.sentinel], timeout_s)
        return self._process.exitcode is not None

    def send(self, number: int) -> None:
        """A signal to the command and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill_parent(self) -> None:
        """kill -9 for the command alone."""
        os.kill(self.pid, signal.SIGKILL)

    def result(self, timeout_s: float = DEADLINE_S) -> Ended:
        """Wait for its end; one that hangs is killed and fails the test."""
        if not self.ended(timeout_s):
            self.send(signal.SIGKILL)
            raise AssertionError(f"still running after {timeout_s} s:\n{self.said()}")
        forked = not isinstance(self._process, subprocess.Popen)
        code = self._process.exitcode if forked else self._process.returncode
        out = self._streams.with_suffix(".out").read_text("utf-8")
        return Ended(code, out, self.said())

    def said(self) -> str:
        """Its stderr so far."""
        return self._streams.with_suffix(".err").read_text("utf-8", "replace")

    def workers(self) -> list[int]:
        """Process numbers of its children."""
        with suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []


@dataclass(frozen=True)
class Setup:
    """Around a start: limits and environment; `real` asks for the script in the small counts too."""

    real: bool = False
    file_bytes: int | None = None  # RLIMIT_FSIZE
    env: tuple[tuple[str, str], ...] = ()
    cwd: Path = ROOT
    module: str = "corpus.cli"  # `train.cli`, or another module with a `main`, for pipelines with a step more


TRAIN = Setup(module="train.cli")
_started = 0


def start(arguments: Sequence[str | Path], streams: Path, setup: Setup | None = None) -> Command:
    """Start the program with these arguments; stdout and stderr go to files in the folder `streams`."""
    global _started
    _started += 1
    setup = setup or Setup()
    streams.mkdir(parents=True, exist_ok=True)
    base = streams / f"{_started:05}"
    words = [str(argument) for argument in arguments]
    if setup.real or setup.env or FULL:
        script = SCRIPTS.get(setup.module)
        program = [str(script)] if script else [sys.executable, "-m", setup.module]
        with base.with_suffix(".out").open("wb") as out, base.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(
                [*program, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                cwd=setup.cwd,
                env={**os.environ, **dict(setup.env)},
                preexec_fn=lambda: _limit(setup.file_bytes),
            )
        return Command(process, process.pid, base)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    forked = _server.Process(target=_call, args=(words, str(base), setup, theirs))
    forked.start()
    theirs.close()
    if not ours.poll(DEADLINE_S):
        raise AssertionError("the prepared process did not start the command")
    assert forked.pid is not None and ours.recv() == "own session"
    return Command(forked, forked.pid, base)


def run(arguments: Sequence[str | Path], streams: Path, setup: Setup | None = None) -> Ended:
    """Start and wait."""
    return start(arguments, streams, setup).result()


def clean(arguments: Sequence[str | Path], out: Path, *more: str | Path, setup: Setup | None = None) -> Ended:
    """`corpus clean` in fast mode to its end; it must succeed."""
    ended = run(["clean", *arguments, "--out", out, *FAST, *more], out.parent / "streams", setup)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended


def until(holds: Any, what: str, timeout_s: float = DEADLINE_S) -> None:
    """Look every 2 ms until `holds()`; for what the system offers no event to wait on."""
    end = time.monotonic() + timeout_s
    never = multiprocessing.Pipe(duplex=False)[0]
    while not holds():
        assert time.monotonic() < end, f"waited {timeout_s} s for: {what}"
        never.poll(0.002)


def _limit(file_bytes: int | None) -> None:
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _call(words: list[str], streams: str, setup: Setup, ready: Connection) -> None:
    """In the forked process: become what a shell would have started, then call the entry point."""
    os.setsid()
    ready.send("own session")
    ready.close()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(streams + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  (as long as the process lives)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(setup.cwd)
    _limit(setup.file_bytes)
    sys.argv = [setup.module.partition(".")[0], *words]
    importlib.import_module(setup.module).main()
