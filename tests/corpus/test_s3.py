"""S3 in and out, against moto's server: the same bytes, nothing half read, and one sentence for what goes wrong.

`make test-s3` installs what these need; without it they are skipped.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runkit.documents import plan_documents, read_documents
from runkit.errors import InputError
from tests.corpus.many_machines import QUICK, SIZE
from tests.faults.kill import assert_same, tree
from tests.faults.launch import Ended, Setup, clean, run, start, until
from tests.faults.texts import mixed_dump

MISSING = [name for name in ("s3fs", "moto", "flask") if find_spec(name) is None]
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (`make test-s3` does)"),
]
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "canary-of-s3", "AWS_DEFAULT_REGION": "us-east-1"}


class Store:
    """A bucket `crawl`, with the dump under `in/`."""

    def __init__(self, url: str, folder: Path) -> None:
        import s3fs

        self.env = {**KEYS, "AWS_ENDPOINT_URL": url}
        self.fs = s3fs.S3FileSystem(endpoint_url=url, key="key", secret="canary-of-s3", skip_instance_cache=True)
        self.folder = folder
        self.dump = mixed_dump(folder / "mixed", 7, SIZE)
        clean([self.dump], folder / "local", *QUICK[len(QUICK) - 4 :])
        self.expected = tree(folder / "local")
        self.fs.mkdir("crawl")
        self.fs.put(str(self.dump), "crawl/in/mixed", recursive=True)

    def run(self, *words: str | Path, **env: str) -> Ended:
        setup = Setup(env=tuple({**self.env, **env}.items()), module="corpus.__main__")
        return run(["clean", *words, *QUICK], self.folder / "streams", setup)

    def fetch(self, prefix: str, into: Path) -> Path:
        self.fs.invalidate_cache()
        self.fs.get(prefix, str(into), recursive=True)
        return into


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, "moto's server did not start"
        yield Store(url, tmp_path_factory.mktemp("s3"))
    finally:
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def found_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store by the environment, for calls in this process."""
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)


def of_documents(files: dict[str, str]) -> dict[str, str]:
    """What does not tell where inputs lie, or the line of a fault: a store's file is not read for its lines' sake."""
    return {name: digest for name, digest in files.items() if name.endswith(".parquet")}


def test_in_and_out(store: Store, tmp_path: Path) -> None:
    """From the store to the store: as from the disk to the disk; in the store lies what lies on the disk."""
    out = tmp_path / "run"
    ended = store.run("s3://crawl/in/mixed", "--out", out, "--upload", "s3://crawl/out", "--workers", "2")
    assert ended.code == 0, ended.err
    assert of_documents(tree(out)) == of_documents(store.expected)
    assert tree(store.fetch("crawl/out", tmp_path / "copy")) == tree(out)
    summary, local = (json.loads((place / "summary.json").read_text()) for place in (out, store.folder / "local"))
    assert {**summary, "inputs": 0} == {**local, "inputs": 0}


def test_a_local_run_in_the_store(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ended = store.run(store.dump, "--out", out, "--upload", "s3://crawl/second/")
    assert ended.code == 0, ended.err
    assert_same(out, store.expected)
    assert tree(store.fetch("crawl/second", tmp_path / "copy")) == store.expected


def test_what_is_there_is_not_sent_again_and_what_is_gone_is(store: Store, tmp_path: Path, found_here: None) -> None:
    out = tmp_path / "run"
    assert store.run(store.dump, "--out", out, "--upload", "s3://crawl/again").code == 0

    def times() -> dict[str, Any]:
        store.fs.invalidate_cache()
        return {name: info["LastModified"] for name, info in store.fs.find("crawl/again", detail=True).items()}

    before = times()
    lost = next(name for name in sorted(before) if "/documents/" in name)
    cut = [name for name in sorted(before) if "/rejected/" in name][3]
    store.fs.rm_file(lost)
    store.fs.pipe_file(cut, b"cut")
    assert store.run(store.dump, "--out", out, "--upload", "s3://crawl/again").code == 0
    assert tree(store.fetch("crawl/again", tmp_path / "copy")) == store.expected
    after = times()
    changed = {name.removeprefix("crawl/again/") for name in after if after[name] != before.get(name)}
    shards = {name[-9:-8] for name in changed if name.startswith(("documents/", "rejected/"))}
    assert len([name for name in changed if name.startswith("documents/")]) <= 2 and len(shards) <= 2, changed


def test_half_a_copy_is_not_read(store: Store, tmp_path: Path, found_here: None) -> None:
    """Without `summary.json` a copy is not finished; with it, its documents are read and no rejected ones."""
    out = tmp_path / "run"
    command = start(
        ["clean", store.dump, "--out", out, "--upload", "s3://crawl/half", *QUICK],
        store.folder / "streams",
        Setup(env=tuple(store.env.items()), module="corpus.__main__"),
    )
    until(lambda: any(out.glob("marks/done-*.json")), "a finished shard")
    command.send(9)
    assert command.result().code == -9
    store.fs.invalidate_cache()
    if not store.fs.exists("crawl/half/summary.json"):
        with pytest.raises(InputError, match=r"not finished|nothing to read"):
            plan_documents(["s3://crawl/half"])
    assert store.run(store.dump, "--out", out, "--upload", "s3://crawl/half").code == 0
    assert tree(store.fetch("crawl/half", tmp_path / "copy")) == store.expected
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    planned = plan_documents(["s3://crawl/half"])
    kept = json.loads((out / "summary.json").read_text())["documents"]["kept"]
    assert sum(1 for shard in planned.shards for _ in read_documents(shard)) == kept


def test_a_folder_of_something_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.fs.pipe_file("crawl/theirs/notes.txt", b"notes")
    ended = store.run(store.dump, "--out", tmp_path / "run", "--upload", "s3://crawl/theirs")
    assert (ended.code, "is not empty and no run directory" in ended.err) == (3, True), ended.err
    assert store.run(store.dump, "--out", tmp_path / "one", "--upload", "s3://crawl/bound").code == 0
    ended = store.run(store.dump, "--out", tmp_path / "two", "--upload", "s3://crawl/bound", "-s", "seed=1")
    assert (ended.code, "holds another run" in ended.err) == (3, True), ended.err


@pytest.mark.parametrize(
    ("words", "env", "code", "said"),
    [
        (["s3://crawl/none", "--out", "OUT"], {}, 2, "does not exist"),
        (["s3://none/in", "--out", "OUT"], {}, 2, "does not exist"),
        (["s3://crawl/in", "--out", "OUT"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 3, "Could not connect"),
        (["s3://crawl/in", "--out", "OUT"], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, "credentials"),
        (["DUMP", "--out", "OUT", "--upload", "s3://none/run"], {}, 4, "bucket does not exist"),
        (["DUMP", "--out", "OUT", "--upload", "nowhere"], {}, 2, "is no URL"),
        (["DUMP", "--out", "s3://crawl/run"], {}, 2, "add --upload"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    store: Store, tmp_path: Path, words: list[str], env: dict[str, str], code: int, said: str
) -> None:
    places = {"OUT": str(tmp_path / "run"), "DUMP": str(store.dump)}
    ended = store.run(*(places.get(word, word) for word in words), AWS_EC2_METADATA_DISABLED="true", **env)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert "Traceback" not in ended.err and "canary-of-s3" not in ended.err
    assert not os.path.lexists("s3:")
