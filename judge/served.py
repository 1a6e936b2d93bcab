"""A checkpoint behind `train serve` in a child process, for as long as its answers are wanted.

In: a checkpoint folder, a run of `train`, a GGUF file. Out: the address of a server on a free port of this machine, and
the named plain prompt if the model never learnt a dialogue. The child dies with this process, however that ends
(on Linux). Calls are kept under an address that depends on the weights alone, so the next start, whose port is another
one, finds them. Price: a model without a chat template is loaded twice.
"""

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import orjson

from runkit.console import printable
from runkit.errors import EnvironmentFault, InputError, UsageError, UserError
from runkit.files import sha256_file, write_text
from runkit.llm import Wire
from runkit.llm_client import Client
from runkit.models import Model, Price
from runkit.plain_prompts import PLAIN_PROMPTS, PlainPrompt

AT_ONCE: Final = 8  # answers that `train serve` makes at a time
_ALIAS: Final = "http://localhost/checkpoint/v1"  # nothing is sent there
_MANIFEST: Final = "manifest.json"
_SAID_BYTES: Final = 20_000
# Dies when its parent does: PR_SET_PDEATHSIG is 1, SIGKILL 9. In a session of its own, so that Ctrl-C reaches the
# parent alone, which still waits for the answers in flight.
_CHILD: Final = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
except (AttributeError, OSError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.executable, [sys.executable, "-m", "train", "serve", *sys.argv[2:]])
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers. `prompt`: None for a chat model."""

    url: str
    prompt: PlainPrompt | None


class ServedClient(Client):
    """A client whose calls are named by the checkpoint and sent to whatever port its server has."""

    def reach(self, url: str) -> None:
        """Send to this server from now on."""
        self._wire = Wire(self.model.model_copy(update={"url": url}), self.policy.stall_s)


def model_of(path: Path, name: str) -> Model:
    """The checkpoint as an entry of models.yaml would have it. InputError: it cannot be read."""
    id = f"checkpoint-{fingerprint(path)[:16]}"
    return Model(name=name, url=_ALIAS, model=id, price=Price(prompt=0, completion=0), concurrency=AT_ONCE)


def fingerprint(path: Path) -> str:
    """Hex sha256 over the files of a model; of a run over the manifests of its checkpoints, which name their sums."""
    try:
        if path.is_file():
            return sha256_file(path)
        files = sorted(path.glob(f"checkpoints/*/{_MANIFEST}")) or sorted(
            file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
        )
        parts = [f"{file.relative_to(path)}\0{sha256_file(file)}" for file in files]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; name a checkpoint folder or a run.") from error
    if not parts:
        raise InputError(f"{path} is empty; name a checkpoint folder, a run of `train` or a file of answers.")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def serving(path: Path, name: str, plain_prompt: str) -> Iterator[Serving]:
    """The server, until the block ends. UserError: what `train serve` says, with its exit code."""
    with _started(path, name) as url:
        if _has_template(url):
            yield Serving(url, None)
            return
    prompt = PLAIN_PROMPTS[plain_prompt]
    with tempfile.TemporaryDirectory(prefix="wenhai-") as folder:
        template = Path(folder) / "plain.jinja"
        write_text(template, as_template(prompt))
        with _started(path, name, "--template", str(template)) as url:
            yield Serving(url, prompt)


def as_template(prompt: PlainPrompt) -> str:
    """A plain prompt as a chat template that lays out the same text."""
    before, after = prompt.turn.split("{question}")
    head, before, after = (orjson.dumps(text).decode() for text in (prompt.head, before, after))
    return (
        "{{ bos_token + " + head + " }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token }}{% else %}{{ " + before + " + message['content'] }}"
        "{% if add_generation_prompt or not loop.last %}{{ " + after + " }}{% endif %}{% endif %}{% endfor %}"
    )


@contextmanager
def _started(path: Path, name: str, *more: str) -> Iterator[str]:
    words = [str(path), "--port", "0", "--json", "-q", "--name", name, *more]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(os.getpid()), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise _refusal(path, child.wait(), said, "does not start")
            try:
                yield f"{str(orjson.loads(line)['url']).rstrip('/')}/v1"
            except EnvironmentFault as error:  # it says that an address cannot be reached, which nobody knows
                if child.poll() is None:
                    raise
                raise _refusal(path, child.returncode, said, "has ended") from error
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            assert child.stdout is not None
            child.stdout.close()


def _refusal(path: Path, code: int, said: IO[bytes], what: str) -> UserError:
    """What the child said, as an error of ours."""
    said.seek(0)
    lines = printable(said.read()[-_SAID_BYTES:].decode("utf-8", "replace")).strip().splitlines()
    told = next((line for line in reversed(lines) if line.startswith("Error: ")), lines[-1] if lines else "")
    kind = {2: UsageError, 3: InputError}.get(code, EnvironmentFault)
    reason = told.removeprefix("Error: ") or f"it said nothing and its exit code is {code}; run again."
    return kind(f"`train serve {path}` {what}: {reason}")


def _has_template(url: str) -> bool:
    """Whether the model knows dialogues. EnvironmentFault: the server does not say."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("GET", f"{parts.path}/models")
        about: Any = orjson.loads(connection.getresponse().read())
        return about["data"][0]["chat_template"] is not None
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise EnvironmentFault(f"The server at {url} does not tell what it serves ({error}); run again.") from error
    finally:
        connection.close()
