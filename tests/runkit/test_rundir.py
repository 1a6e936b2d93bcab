"""One holder, one config, the same bytes: with real processes, real kills and real damage."""

import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from runkit.errors import EnvironmentFault, InputError, UsageError
from runkit.files import sha256_file, write_bytes
from runkit.rundir import RunDir, note_usage, usage

CONFIG: dict[str, Any] = {"seed": 1, "rules": [{"signal": "top_2gram", "max": 0.2}], "sources": {"文": None}}
INPUTS = [
    {"name": "a.jsonl", "size": 3, "fingerprint": "f1"},
    {"name": "b.jsonl", "size": 4, "fingerprint": "f2"},
]


def start(path: Path, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "command": "corpus clean",
        "config": CONFIG,
        "inputs": INPUTS,
        "versions": {"x": "1"},
    }
    return RunDir.open(path, **{**asked, **changes})


def tree(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


HOLD = """
import sys
from runkit.errors import UserError
from runkit.rundir import RunDir
go = sys.stdin.readline()
try:
    with RunDir.open(sys.argv[1], "c", {}, []):
        print("held", flush=True)
        sys.stdin.readline()
except UserError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def racer(path: Path) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path)], **pipes)


def send(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_first_start_writes_manifest_and_resolved(tmp_path: Path) -> None:
    with start(tmp_path / "new" / "run") as run:
        assert not run.resumed and run.path == tmp_path / "new" / "run"
        assert yaml.safe_load((run.path / "resolved.yaml").read_text("utf-8")) == CONFIG
        manifest = json.loads((run.path / "manifest.json").read_bytes())
        assert f"process {os.getpid()} on " in (run.path / ".lock").read_text()
    assert manifest["command"] == "corpus clean" and manifest["config"] == CONFIG
    assert manifest["inputs"] == INPUTS and manifest["format"] == 1 and manifest["versions"] == {"x": "1"}


def test_two_runs_are_alike_to_the_byte(tmp_path: Path) -> None:
    for name in "ab":
        with start(tmp_path / name) as run:
            write_bytes(run.file("kept/1"), b"text")
            run.mark("1", {"kept/1": sha256_file(run.file("kept/1"))}, {"documents": 3})
    with start(tmp_path / "b") as run:
        assert run.resumed and run.done("1") is not None
    assert (tmp_path / "a" / ".lock").read_bytes() == b""  # no process number stays behind
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"config": {**CONFIG, "seed": 2}}, ["seed was 1, is now 2"]),
    ({"config": {**CONFIG, "seed": True}}, ["seed was 1, is now true"]),
    (
        {"config": {**CONFIG, "rules": [{"signal": "top_2gram", "max": 0.3}]}},
        ["rules.0.max was 0.2, is now 0.3"],
    ),
    ({"config": {**CONFIG, "rules": []}}, ["rules.0", "is now nothing"]),
    ({"config": {**CONFIG, "new": "y"}}, ['new was nothing, is now "y"']),
    ({"config": {"seed": 1}}, ["rules", "sources"]),
    ({"inputs": INPUTS[:1]}, ["b.jsonl is not among the inputs any more"]),
    ({"inputs": [*INPUTS, {"name": "c", "size": 0, "fingerprint": ""}]}, ["c was added"]),
    ({"inputs": [INPUTS[0], {**INPUTS[1], "size": 5}]}, ["b.jsonl has changed"]),
    ({"inputs": [INPUTS[0], {**INPUTS[1], "fingerprint": "z"}]}, ["b.jsonl has changed"]),
    ({"inputs": INPUTS[::-1]}, ["another order"]),
    ({"command": "corpus dedup"}, ["`corpus clean`", "`corpus dedup`"]),
    ({"versions": {"x": "2"}}, ['x was "1", is now "2"']),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=lambda value: str(value)[:40])
def test_a_changed_start_is_refused_and_writes_nothing(
    tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    with start(tmp_path):
        pass
    before = tree(tmp_path)
    with pytest.raises(InputError) as caught, start(tmp_path, **change):
        pass
    assert all(word in str(caught.value) for word in [*words, str(tmp_path)]), caught.value
    assert tree(tmp_path) == before


def test_same_config_in_another_order_of_keys_resumes(tmp_path: Path) -> None:
    with start(tmp_path):
        pass
    with start(tmp_path, config=dict(reversed(CONFIG.items()))) as run:
        assert run.resumed


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(InputError, match="not empty"), start(tmp_path):
        pass
    (tmp_path / ".lock").write_text("theirs")  # another program's lock proves nothing
    with pytest.raises(InputError, match="not empty"), start(tmp_path):
        pass
    assert tree(tmp_path) == {"thesis.doc": b"mine", ".lock": b"theirs"}


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    for path in (tmp_path / "f", tmp_path / "f" / "g", tmp_path / "a\0b"):
        with pytest.raises(UsageError), start(path):
            pass
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "f")
    with pytest.raises(EnvironmentFault), start(tmp_path / "run"):
        pass
    assert (tmp_path / "f").read_text() == "x"


def test_an_input_given_twice_and_a_config_beyond_json(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jsonl is given twice"), start(tmp_path, inputs=[INPUTS[0]] * 2):
        pass
    with pytest.raises(UsageError, match="JSON"), start(tmp_path, config={"seed": 2**70}):
        pass
    assert list(tmp_path.iterdir()) == []


DAMAGE: list[Callable[[bytes], bytes]] = [
    lambda raw: b"",
    lambda raw: raw[:-9],
    lambda raw: b"[]",
    lambda raw: b"\xff" + raw,
    lambda raw: raw.replace(b'"seed": 1', b'"seed": 2'),
    lambda raw: raw.replace(b"a.jsonl", b"z.jsonl"),
    lambda raw: raw.replace(b'"format": 1', b'"format": 9'),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_manifest_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with start(tmp_path):
        pass
    file = tmp_path / "manifest.json"
    file.write_bytes(damage(file.read_bytes()))
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"manifest\.json"), start(tmp_path):
        pass
    assert tree(tmp_path) == before


def test_an_edited_resolved_yaml_is_restored(tmp_path: Path) -> None:
    with start(tmp_path):
        pass
    before = tree(tmp_path)
    (tmp_path / "resolved.yaml").write_text("seed: 7")
    with start(tmp_path):
        pass
    assert tree(tmp_path) == before


def race(path: Path, starts: int) -> list[str]:
    """What `starts` processes say that are let go at once; the one that says "held" holds to the end."""
    go_read, go_write = os.pipe()
    end_read, end_write = os.pipe()
    pipes, children = [], []
    for _ in range(starts):
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(go_write)
            os.close(end_write)
            code = 1
            try:
                os.read(go_read, 1)  # returns when the parent closes its end
                with RunDir.open(path, "c", {}, []):
                    os.write(write, b"held")
                    os.close(write)
                    os.read(end_read, 1)
                code = 0
            except EnvironmentFault as error:
                os.write(write, str(error).encode())
                code = error.exit_code
            finally:
                os._exit(code)
        os.close(write)
        pipes.append(os.fdopen(read, "rb"))
        children.append(pid)
    os.close(go_write)
    said = [pipe.read().decode() for pipe in pipes]
    os.close(end_write)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    for pipe in pipes:
        pipe.close()
    os.close(go_read)
    os.close(end_read)
    holder = children[said.index("held")] if "held" in said else 0
    assert codes == [0 if text == "held" else 4 for text in said], (codes, said)
    assert all(f"process {holder} on" in text or "another process" in text for text in said if text != "held")
    return said


def test_twenty_racing_starts_one_runs(tmp_path: Path) -> None:
    for attempt in range(6):  # the same 20 again on a run that exists, and on new ones
        said = race(tmp_path / str(attempt // 2), 20)
        assert said.count("held") == 1


def test_a_late_start_is_told_the_holders_number(tmp_path: Path) -> None:
    holder, late = racer(tmp_path), racer(tmp_path)
    send(holder)
    assert heard(holder) == "held"
    send(late)
    assert f"process {holder.pid} on" in heard(late) and late.wait() == 4
    send(holder)
    assert holder.wait() == 0
    for process in (holder, late):
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def test_workers_that_end_a_moment_after_their_parent_are_waited_for(tmp_path: Path) -> None:
    """They share its lock; after Ctrl-C the same command may come before the last of them is gone."""
    read, write = os.pipe()  # nobody writes: a worker that lives for 0.3 s
    if (parent := os.fork()) == 0:
        with RunDir.open(tmp_path / "run", "c", {}, []):
            if os.fork() == 0:
                select.select([read], [], [], 0.3)
            os._exit(0)
    os.waitpid(parent, 0)
    with pytest.raises(BlockingIOError), (tmp_path / "run" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with RunDir.open(tmp_path / "run", "c", {}, []):
        pass
    os.close(read)
    os.close(write)


def test_a_dead_holders_lock_is_taken_over(tmp_path: Path) -> None:
    for _ in range(2):
        process = racer(tmp_path)
        send(process)
        assert heard(process) == "held"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        assert f"process {process.pid}" in (tmp_path / ".lock").read_text()
    (tmp_path / ".x.1.tmp").touch()  # what a killed writer leaves
    with RunDir.open(tmp_path, "c", {}, []) as run:
        assert run.resumed
    assert {file.name for file in tmp_path.iterdir()} == {".lock", "manifest.json", "resolved.yaml"}


def test_a_start_killed_before_its_manifest_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 1 on host\n")
    (tmp_path / ".manifest.json.7.tmp").write_text("{")
    with start(tmp_path) as run:
        assert not run.resumed
    assert not (tmp_path / ".manifest.json.7.tmp").exists()


def finished(run: RunDir) -> None:
    write_bytes(run.file("kept/1"), b"0123456789")
    write_bytes(run.file("rejected/1"), b"abc")
    sums = {name: sha256_file(run.file(name)) for name in ("kept/1", "rejected/1")}
    run.mark("clean/1", sums, {"documents": 3, "sources": {"文"}})


def test_a_mark_holds_while_its_outputs_do(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        assert run.done("clean/1") is None and run.damaged == []
        finished(run)
    with start(tmp_path) as run:
        mark = run.done("clean/1")
    assert mark is not None and mark.data == {"documents": 3, "sources": ["文"]}
    assert set(mark.outputs) == {"kept/1", "rejected/1"} and run.damaged == []


HARM: list[tuple[Callable[[Path], object], str]] = [
    (lambda run: (run / "kept/1").unlink(), "kept/1 is missing"),
    (lambda run: os.truncate(run / "kept/1", 4), "kept/1 was cut to 4 of 10 bytes"),
    (lambda run: (run / "kept/1").write_bytes(b"0123456780"), "kept/1 was edited"),
    (lambda run: (run / "kept/1").write_bytes(b"0123456789+"), "kept/1 was edited"),
    (lambda run: (run / "marks/clean/1.json").write_bytes(b""), "marks/clean/1.json was edited"),
    (
        lambda run: (run / "marks/clean/1.json").write_bytes(
            (run / "marks/clean/1.json").read_bytes().replace(b'"documents": 3', b'"documents": 4')
        ),
        "marks/clean/1.json was edited",
    ),
]


@pytest.mark.parametrize(("harm", "words"), HARM, ids=[words for _, words in HARM])
def test_damaged_work_is_redone(tmp_path: Path, harm: Callable[[Path], object], words: str) -> None:
    with start(tmp_path) as run:
        finished(run)
    before = tree(tmp_path)
    harm(tmp_path)
    assert tree(tmp_path) != before
    with start(tmp_path) as run:
        assert run.done("clean/1") is None
        assert len(run.damaged) == 1 and words in run.damaged[0]
        finished(run)
        assert run.done("clean/1") is not None
    assert tree(tmp_path) == before


def test_marks_stay_inside_and_need_their_outputs(tmp_path: Path) -> None:
    with start(tmp_path / "run") as run:
        with pytest.raises(FileNotFoundError):
            run.mark("1", {"kept/1": "0" * 64}, {})
        with pytest.raises(UsageError):
            run.mark("../../1", {}, {})
        with pytest.raises(UsageError):
            run.mark("1", {"../outside": "0" * 64}, {})
        assert run.done("1") is None
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_usage_of_all_starts_counts_each_once(tmp_path: Path) -> None:
    """A start that notes at its beginning and at its end is one start; one that was killed between counts too."""
    for start, times in ((1, [1.0, 4.0]), (2, [2.0]), (3, [1.0, 3.0])):
        with RunDir.open(tmp_path / "run", "test", {}, []) as run:
            for seconds in times:
                note_usage(run, {"seconds": seconds, "cpu_seconds": 2 * seconds, "peak_memory_bytes": 1})
        told = json.loads((tmp_path / "run" / "usage.json").read_text())["all_starts"]
        assert told["starts"] == start
    assert told == {"starts": 3, "seconds": 9.0, "cpu_seconds": 18.0}


def test_usage_counts_children_and_start_up() -> None:
    started = time.monotonic()
    burn = "t = __import__('time'); x = b'1' * 200_000_000\nwhile t.process_time() < 0.3: pass"
    before = resource.getrusage(resource.RUSAGE_SELF)
    subprocess.run([sys.executable, "-c", burn], check=True)
    told = usage(started)
    assert set(told) == {"seconds", "cpu_seconds", "peak_memory_bytes"}
    assert 0.25 < told["seconds"] < 30
    assert told["cpu_seconds"] >= before.ru_utime + before.ru_stime + 0.3 - 0.01
    assert told["peak_memory_bytes"] > 200_000_000
