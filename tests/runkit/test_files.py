"""Whole file or old file: checked with real full disks, real size limits and real kills."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runkit.errors import EnvironmentFault, UsageError
from runkit.files import (
    append_bytes,
    atomic_write,
    is_temp,
    publish_folder,
    remove_stray_temps,
    safe_join,
    sha256_file,
    write_bytes,
    write_json,
    write_text,
)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process, for limits that cannot be taken back; its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except EnvironmentFault as error:
            os.write(2, f"{error}\n".encode())
            os._exit(4)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_file_appears_whole_and_nothing_else_does(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "文.bin"
    with atomic_write(target) as file:
        file.write(b"x" * 100_000)
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"x" * 100_000
    assert [path.name for path in target.parent.iterdir()] == ["文.bin"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), OSError(2, "x", "in")])
def test_an_exception_keeps_the_old_file_and_passes_through(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "t"
    target.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, atomic_write(target) as file:
        file.write(b"new")
        raise error
    assert caught.value is error
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["t"]  # noqa: PTH208


def test_a_writer_that_closes_the_file_is_no_harm(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "t") as file:
        file.write(b"abc")
        file.close()
    assert (tmp_path / "t").read_bytes() == b"abc"


def test_names_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    name = "文" * 85
    write_bytes(tmp_path / name, b"1")
    assert (tmp_path / name).read_bytes() == b"1"


def test_umask_decides_the_mode(tmp_path: Path) -> None:
    write_bytes(tmp_path / "t", b"")
    (tmp_path / "plain").touch()
    assert (tmp_path / "t").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("buffered", [True, False])
def test_size_limit_names_path_and_bytes(tmp_path: Path, capfd: pytest.CaptureFixture[str], buffered: bool) -> None:
    target = tmp_path / "t"
    target.write_bytes(b"old")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        if buffered:
            write_bytes(target, b"x" * 20_000)
        with atomic_write(target) as file:
            for _ in range(10):
                file.write(b"y" * 2_000)

    assert in_child(work) == 4
    message = capfd.readouterr().err
    assert str(target) in message and "bytes to write" in message
    assert "20,000" in message or not buffered
    assert message.count("\n") == 1
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_keeps_the_old_file_then_the_same_bytes_after_freeing(small_disk: Path) -> None:
    target = small_disk / "shard"
    write_bytes(target, b"old" * 1000)
    (small_disk / "ballast").write_bytes(b"b" * 900_000)
    data = bytes(range(256)) * 2000  # 512,000 bytes
    with pytest.raises(EnvironmentFault, match="512,000 bytes to write") as caught:
        write_bytes(target, data)
    assert caught.value.exit_code == 4
    assert str(target) in str(caught.value) and "bytes free" in str(caught.value)
    assert target.read_bytes() == b"old" * 1000
    assert {path.name for path in small_disk.iterdir()} == {"shard", "ballast"}
    (small_disk / "ballast").unlink()
    write_bytes(target, data)
    assert hashlib.sha256(data).hexdigest() == sha256_file(target)


def test_full_disk_is_understood_when_a_foreign_library_writes(small_disk: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [os.urandom(1000) for _ in range(3000)]})
    with (
        pytest.raises(EnvironmentFault, match="no space left"),
        atomic_write(small_disk / "t.parquet") as file,
    ):
        frame.write_parquet(file)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("kind", ["device", "folder", "pipe"])
def test_special_files_are_never_replaced(tmp_path: Path, kind: str) -> None:
    target = {"device": Path("/dev/full"), "folder": tmp_path / "d", "pipe": tmp_path / "p"}[kind]
    if kind == "folder":
        target.mkdir()
    if kind == "pipe":
        os.mkfifo(target)
    mode = target.stat().st_mode
    with pytest.raises(UsageError, match="name a file"):
        write_bytes(target, b"x")
    assert target.stat().st_mode == mode


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(UsageError, match="name a folder"):
        write_bytes(tmp_path / "f" / "g" / "h", b"x")


def test_forbidden_folder_exits_4(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and parent.name.startswith("pytest"):
            parent.chmod(0o755)

    def work() -> None:
        if os.getuid() == 0:
            os.setuid(65534)  # root may write anywhere
        else:
            tmp_path.chmod(0o500)
        write_bytes(tmp_path / "t", b"x")

    assert in_child(work) == 4
    assert str(tmp_path / "t") in capfd.readouterr().err


def test_kill_at_any_moment_leaves_old_or_new(tmp_path: Path) -> None:
    """20 kills, each at another moment of a loop that replaces one file."""
    target = tmp_path / "t"
    versions = [bytes([letter]) * 300_000 for letter in b"ab"]
    write_bytes(target, versions[0])
    script = (
        "import sys\nfrom runkit.files import write_bytes\n"
        "print('go', flush=True)\n"
        "while True:\n  for x in b'ab': write_bytes(sys.argv[1], bytes([x]) * 300_000)\n"
    )
    command = [sys.executable, "-c", script, str(target)]
    stray = 0
    for kill in range(20):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"go\n"
        seen = target.stat().st_ino
        for _ in range(kill * 40):  # spins instead of sleeping; ends early when a replacement was seen twice
            if target.stat().st_ino != seen:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert target.read_bytes() in versions
        stray += len(remove_stray_temps(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["t"]
    assert stray > 0  # else the kills missed the writing and the test shows nothing


def test_what_is_appended_comes_behind_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log"
    for line in (b"1\n", b"", b"2\n"):
        append_bytes(log, line, sync=True)
    assert log.read_bytes() == b"1\n2\n"
    with pytest.raises(UsageError, match="it is a folder"):
        append_bytes(tmp_path, b"3")


def test_appending_to_a_full_file_system_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        append_bytes(tmp_path / "log", bytes(2000))

    assert in_child(work) == 4
    assert "log: file too large (2,000 bytes to write" in capfd.readouterr().err


def test_a_folder_appears_under_its_name_and_never_replaces_another(tmp_path: Path) -> None:
    temp, final = tmp_path / ".making", tmp_path / "final"
    write_text(temp / "deep/file", "x")
    publish_folder(temp, final)
    assert not temp.exists() and (final / "deep/file").read_text() == "x"
    write_text(temp / "file", "y")
    with pytest.raises(EnvironmentFault, match="Cannot make"):
        publish_folder(temp, final)
    assert (final / "deep/file").read_text() == "x"


def test_stray_temps_are_found_deep_and_others_spared(tmp_path: Path) -> None:
    keep = ["a", ".a.tmp", ".b.12.tmp.gz", "x.12.tmp", ".12.tmp"]
    stray = [tmp_path / ".manifest.json.12.tmp", tmp_path / "s" / "t" / ".文.99.tmp"]
    (tmp_path / "s" / "t").mkdir(parents=True)
    for path in [*stray, *(tmp_path / "s" / name for name in keep)]:
        path.touch()
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / ".x.1.tmp").touch()
    (tmp_path / "link").symlink_to(outside)
    assert remove_stray_temps(tmp_path) == sorted(stray)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {*keep, "t"}
    assert (outside / ".x.1.tmp").exists()
    assert is_temp(f".{'文' * 60}.{os.getpid()}.tmp")


def test_json_bytes_depend_on_values_only(tmp_path: Path) -> None:
    write_json(tmp_path / "1", {"b": [1, 2.5, None], "a": {"文": "海\n", "y": True}})
    write_json(tmp_path / "2", {"a": {"y": True, "文": "海\n"}, "b": [1, 2.5, None]})
    raw = (tmp_path / "1").read_bytes()
    assert raw == (tmp_path / "2").read_bytes()
    assert raw.endswith(b"}\n") and list(json.loads(raw)) == ["a", "b"] and "文".encode() in raw
    write_text(tmp_path / "3", "a\r\n海")
    assert (tmp_path / "3").read_bytes() == "a\r\n海".encode()


HOSTILE = [
    *(
        "..",
        ".",
        "",
        "/",
        "../x",
        "a/../../x",
        "a/..",
        "./a",
        "a//b",
        "/etc/passwd",
        "//x",
        "a/",
        "\\x",
        "..\\x",
    ),
    *(
        "C:\\x",
        "C:x",
        "C:/x",
        "\\\\host\\share",
        "a\0b",
        "\0",
        "a\nb",
        "a\x1b[2J",
        "a\x85",
        "a:stream",
        "CON",
    ),
    *(
        "nul.txt",
        "com1",
        "LPT9.json",
        "a/aux/b",
        "COM¹",
        "trailing.",
        "trailing ",
        "a?",
        "*",
        "<x>",
        "a|b",
        '"q"',
    ),
    *("x" * 300, "文" * 100, "a/" * 2500 + "b", "~/x/../..", "\ud800", "link/x", "linkdir", "loop/x", "up/x"),
]


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    (root / "inside").mkdir(parents=True)
    (root / "link").symlink_to("/etc")
    (root / "linkdir").symlink_to(tmp_path)
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "fine").symlink_to("inside")
    return root


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:30])
def test_hostile_names_are_refused_in_one_line(jail: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        safe_join(jail, name)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name", ["a", "a/b/c.parquet", "文海.json", "..a", "a..b", "...a", "inside/x", "fine/x", "a b"]
)
def test_plain_names_are_joined(jail: Path, name: str) -> None:
    assert safe_join(jail, name) == jail / name


PIECES = st.sampled_from([*"/\\.~: ab文\0\n", "..", "../", "link", "up/", "loop", "fine/", "CON", "/etc", "\ud800"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join)))
@example("fine/../../x")
def test_nothing_leads_outside(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "jail" / "run"
    if not root.exists():
        (root / "inside").mkdir(parents=True)
        for link, to in {"link": "/etc", "up": "..", "loop": "loop", "fine": "inside"}.items():
            (root / link).symlink_to(to)
    try:
        joined = safe_join(root, name)
    except UsageError:
        return
    real = os.path.realpath(joined)  # independent of pathlib's resolve
    assert os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)
    assert real != os.path.realpath(root)
    assert "\0" not in name and ".." not in name.split("/")
