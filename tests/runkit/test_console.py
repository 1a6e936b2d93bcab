"""What people, pipes and terminals get: real processes, real signals, a real pseudo-terminal."""

import json
import os
import pty
import runpy
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runkit import console

APP = '''
import os, signal, sys
from typing import Annotated
import typer
from runkit import console as c, options as o
from runkit.errors import InputError, TooManyFailures
app = c.app("demo", "The demo.")

@app.command()
def clean(
    out: o.Out, set: o.Set = None, limit: o.Limit = None, sample: o.Sample = None, workers: o.Workers = 1,
    json: o.Json = False, quiet: o.Quiet = False, verbose: o.Verbose = 0, config: o.ConfigFile = None,
    seed: o.Seed = 0, dry_run: o.DryRun = False,
) -> None:
    """Clean it."""
    if json:
        given = {"set": set, "limit": limit, "sample": sample, "seed": seed, "verbose": verbose}
        c.emit_json({**given, "dry": dry_run, "key": os.environ.get("DEMO_API_KEY")})

@app.command()
def fail(how: str, verbose: o.Verbose = 0) -> None:
    """Fail in some way."""
    if how == "user": raise InputError("The file a.warc is cut; fetch it again.")
    if how == "failures": raise TooManyFailures("3 of 9 failed; raise --max-bad.")
    if how == "hostile": raise InputError("The file \\x1b[31m[red]a\\x07\\u202e\\x9b2J is bad.")
    if how == "bug": raise ValueError("boom " + os.environ.get("DEMO_API_KEY", "") + "\\x1b[2J")
    if how == "memory": raise MemoryError
    if how == "disk": raise OSError(28, "No space left on device", "some/file")
    if how == "absent": open("/nonexistent/file")
    if how == "worker": raise BrokenPipeError(32, "Broken pipe")
    if how == "exit": raise typer.Exit(5)
    if how in ("INT", "TERM"):
        try:
            print("ready", flush=True)
            signal.pause()
        finally:
            print("cleaned up", flush=True)

@app.command()
def count() -> None:
    """Print much."""
    for number in range(200_000): print(number)

@app.command()
def work(total: int = 3) -> None:
    """Make progress."""
    with c.progress("read[red]", total=total) as advance:
        for _ in range(total): advance()

if __name__ == "__main__":
    sys.exit(c.run_app(app))
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("app") / "app.py"
    file.write_text(APP, "utf-8")
    return str(file)


def run(script: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONIOENCODING": "utf-8", **options.pop("env", {})}  # noqa: PTH109
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, script, *arguments], env=env, check=False, text=True, encoding="utf-8", **pipes
    )


def fork(script: str, tmp_path: Path, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """Like `run`, in a forked process: a twentieth of the time, for nothing is imported again."""
    files = [tmp_path / "stdout", tmp_path / "stderr"]
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.environ.update(env or {})
            encoding = (env or {}).get("PYTHONIOENCODING", "utf-8")
            sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding=encoding) for n in (1, 2))
            code = console.run_app(runpy.run_path(script)["app"], arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return subprocess.CompletedProcess(arguments, code, *(file.read_text("utf-8") for file in files))


@pytest.mark.parametrize("arguments", [["--help"], ["clean", "-h"]])
def test_help_is_quick_and_loads_nothing_heavy(script: str, arguments: list[str]) -> None:
    before = os.times()
    done = run(script, *arguments)
    after = os.times()
    assert done.returncode == 0 and done.stderr == "" and "--help" in done.stdout
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert cpu_s < 0.5
    done = run(script, *arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded and not {"rich", "orjson", "polars", "yaml", "runkit.config"} & loaded


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["claen"], ["'claen'", "Did you mean", "clean", "--help"]),
        (["clean", "--limt", "3"], ["--limt", "Did you mean --limit?", "demo clean --help"]),
        (["clean", "--outt=x"], ["--outt", "Did you mean --out?"]),
        (["clean"], ["Missing option '--out'"]),
        (["clean", "--out", "x", "--limit", "many"], ["--limit", "integer"]),
        (["clean", "--out", "x", "--limit", "0"], ["--limit"]),
        (["clean", "--out", "x", "--sample", "3"], ["--sample", "at most 1"]),
        (["clean", "--out", "x", "--sample", "nan"], ["--sample"]),
        (["clean", "--out", "x", "more"], ["more"]),
        (["clean", "--\x1b[31mbad"], ["No such option"]),
    ],
)
def test_usage_errors_exit_2_in_one_line(script: str, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = fork(script, tmp_path, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1 and "\x1b" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_no_arguments_show_the_help(script: str, tmp_path: Path) -> None:
    done = fork(script, tmp_path)
    assert done.returncode == 2 and "Commands:" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("user", 3, "Error: The file a.warc is cut; fetch it again.\n"),
        ("failures", 6, "Error: 3 of 9 failed; raise --max-bad.\n"),
        ("hostile", 3, "Error: The file [red]a is bad.\n"),
        ("memory", 4, "out of memory"),
        ("disk", 4, "No space left on device: some/file"),
        ("exit", 5, ""),
    ],
)
def test_faults_have_their_exit_code_and_one_sentence(
    script: str, tmp_path: Path, how: str, code: int, words: str
) -> None:
    done = fork(script, tmp_path, "fail", how)
    assert done.returncode == code and words in done.stderr and done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr
    if how == "user":
        told = fork(script, tmp_path, "fail", how, "-vv")
        assert told.returncode == 3 and "Traceback" in told.stderr and words in told.stderr


@pytest.mark.parametrize("how", ["bug", "absent", "worker"])
def test_a_bug_shows_a_traceback_without_the_key(script: str, tmp_path: Path, how: str) -> None:
    for more in ([], ["-vv"]):
        done = fork(script, tmp_path, "fail", how, *more, env={"DEMO_API_KEY": "sk-canary-123456"})
        assert done.returncode == 1 and "bug in the program" in done.stderr and "Traceback" in done.stderr
        assert "canary" not in done.stderr + done.stdout and "\x1b" not in done.stderr


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143)])
def test_signals_clean_up_and_have_their_code(script: str, name: str, code: int) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    process = subprocess.Popen([sys.executable, script, "fail", name], env=env, **pipes)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate()
    assert process.returncode == code and out == "cleaned up\n"
    assert "Traceback" not in err and err.count("\n") == 1


def test_a_closed_pipe_is_quiet(script: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run(script, "count", stdout=write)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""


@pytest.mark.parametrize("arguments", [["count"], ["clean", "--out", "x", "--json"]])
def test_a_full_stdout_exits_4(script: str, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(script, *arguments, stdout=full)
    assert done.returncode == 4 and "standard output" in done.stderr and done.stderr.count("\n") == 1


def test_json_is_one_object_without_the_key(script: str, tmp_path: Path) -> None:
    arguments = [
        "-s",
        "a=文",
        "-s",
        "b=1",
        "--limit",
        "3",
        "--sample",
        "0.5",
        "--seed",
        "12345678",
        "-vv",
        "--dry-run",
    ]
    env = {"DEMO_API_KEY": "sk-canary-123456", "OTHER_KEY": "12345678", "PYTHONIOENCODING": "ascii"}
    done = fork(script, tmp_path, "clean", "--out", "x", "--json", *arguments, env=env)
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and done.stderr == ""
    assert json.loads(done.stdout) == {
        **{"set": ["a=文", "b=1"], "limit": 3, "sample": 0.5, "seed": 12345678, "verbose": 2, "dry": True},
        "key": "***",
    }


def test_progress_without_a_terminal_is_silent_or_plain(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(script, "work").stderr == ""  # over before ten seconds have passed
    now = [0.0]
    with console.progress("read \x1b[31m文", total=100, unit="pages", clock=lambda: now[0]) as advance:
        for _ in range(50):
            now[0] += 0.5
            advance()
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "read 文: 20 of 100 pages, 2.0/s, 0:00:40 left",
        "read 文: 40 of 100 pages, 2.0/s, 0:00:30 left",
    ]
    with console.progress("read", quiet=True, clock=lambda: now[0]) as advance:
        now[0] += 100
        advance(5)
    assert capfd.readouterr().err == ""


def test_progress_on_a_terminal_shows_markup_as_it_is(script: str) -> None:
    master, slave = pty.openpty()
    env = {**os.environ, "PYTHONPATH": os.getcwd(), "TERM": "xterm", "COLUMNS": "100"}  # noqa: PTH109
    process = subprocess.Popen([sys.executable, script, "work", "--total", "300000"], env=env, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux says EIO when the last writer is gone
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    assert process.wait() == 0
    assert b"read[red]" in seen and b" of 300,000 documents, " in seen and b" left" in seen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("文海\n\tok 😀 é", "文海\n\tok 😀 é"),
        ("[red]bold[/red] \\[x]", "[red]bold[/red] \\[x]"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ends, all text", "0;never ends, all text"),
        ("\x9b31mC1\x9d0;t\x9c\x85", "C1"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("a\rb\x08\x7f\x00\x0b\x0c", "ab"),
        ("user\u202etxt.exe\u2066\u2069\u200e\u061c", "usertxt.exe"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert console.printable(text) == shown


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=60) | st.text("\x1b[]0;m\x9b\x07\\P a文", max_size=30))
@example("\x1b\x1b[31m[0m")
def test_printable_leaves_no_control(text: str) -> None:
    shown = console.printable(text)
    controls = [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    reorder = [c for c in shown if unicodedata.bidirectional(c) in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI")]
    assert controls == [] and reorder == []
    assert console.printable(shown) == shown


def test_redact_knows_names_and_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().endswith(("KEY", "TOKEN", "SECRET"))]:
        monkeypatch.delenv(name)
    secrets = {"A_API_KEY": "longer-secret", "B_TOKEN": "longer-secret-still", "c_secret": "12345678"}
    for name, value in {**secrets, "SHORT_KEY": "short", "KEYRING": "not-a-secret"}.items():
        monkeypatch.setenv(name, value)
    text = "longer-secret-still longer-secret 12345678 short not-a-secret"
    assert console.redact(text) == "*** *** *** short not-a-secret"


def test_the_handler_of_the_caller_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert console.run_app(console.app("x", "y"), ["--help"]) in (0, 1)
    assert signal.getsignal(signal.SIGTERM) is before
    assert console.default_workers() >= 1


@pytest.mark.parametrize(("signal_error", "code"), [(KeyboardInterrupt, 130), (console.Terminated, 143)])
def test_a_signal_that_came_while_a_c_extension_called_back(
    capsys: pytest.CaptureFixture[str], signal_error: type[BaseException], code: int
) -> None:
    """Some of them answer with a SystemError, twice, whose cause is the signal."""
    command = console.app("tool", "")

    @command.command()
    def run() -> None:
        try:
            try:
                raise signal_error
            except BaseException as error:
                raise SystemError("returned a result with an exception set") from error
        except SystemError as error:
            raise SystemError("returned a result with an exception set") from error

    assert console.run_app(command, []) == code
    assert "Traceback" not in capsys.readouterr().err
