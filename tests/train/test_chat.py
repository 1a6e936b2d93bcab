"""`train chat`: the same answers as the server's, commands, long dialogues, harmless output, pipes and terminals."""

import io
import json
import multiprocessing
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from runkit.errors import UsageError
from tests.train.serving import saved_model, service
from train.chat import Chat, ChatCall, _joined, chat, show_text
from train.pieces import Tokenizer
from train.serve import ModelCall

pytestmark = pytest.mark.timeout(60)
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(bpe: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("models") / "small", bpe)


def talk(tokenizer: Tokenizer, is_chat: bool = True, **more: Any) -> tuple[Chat, list[str]]:
    written: list[str] = []
    call = ChatCall(model=ModelCall(run=Path("none")), **{"temperature": 0.0, "max_tokens": 8, **more})
    return Chat(service(tokenizer, chat=is_chat), call, written.append), written


def test_answers_stream_and_are_remembered(bpe: Tokenizer) -> None:
    one, written = talk(bpe, system="简短")
    first = one.ask("你好")
    assert "".join(written) == first.answer and first.tokens == 8 and first.finish == "length"
    second = one.ask("再说一遍")
    assert [turn.question for turn in one.turns] == ["你好", "再说一遍"]
    template = one.service.template
    assert template is not None
    turns = [("system", "简短"), ("user", "你好"), ("assistant", first.answer), ("user", "再说一遍")]
    assert one._prompt("再说一遍")[0][:5] == template.question(turns).tolist()[:5]
    again, _ = talk(bpe, system="简短")
    assert [again.ask(text).answer for text in ("你好", "再说一遍")] == [first.answer, second.answer]


def test_a_base_model_is_asked_in_plain_words(spm: Tokenizer) -> None:
    one, _ = talk(spm, is_chat=False)
    ids, stops, _ = one._prompt("天空为什么是蓝色的？")
    assert stops == one.service.plain_prompt.stop
    assert spm.decode(ids).endswith("问题：天空为什么是蓝色的？\n回答：")
    one.ask("你好")
    assert "问题：你好\n回答：" in spm.decode(one._prompt("再见")[0])
    assert one.record()["prompt"] == "zh-qa"


def test_what_does_not_fit_is_left_out_and_told(bpe: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = talk(bpe)
    for _ in range(12):
        one.ask("天气" * 8)
    said = capsys.readouterr().err
    assert "no longer fit" in said and 0 < len(one.turns) < 12
    with pytest.raises(UsageError, match="Shorten it"):
        one.ask("天气" * 400)


COMMANDS = [
    ("/set temperature hot", "no number"),
    ("/set temperature", "no number"),
    ("/set temperature -1", "temperature"),
    ("/set max_tokens 0", "max_tokens"),
    ("/set mood good", "/set knows"),
    ("/save", "name of a file"),
    ("/dance", "no command"),
]


@pytest.mark.parametrize(("line", "said"), COMMANDS)
def test_commands_that_cannot_be_done(bpe: Tokenizer, line: str, said: str) -> None:
    one, _ = talk(bpe)
    with pytest.raises(UsageError, match=said):
        one.command(line)


def test_commands(bpe: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = talk(bpe)
    one.ask("你好")
    for line in ("/set temperature 0.3", "/set seed 5", "/set max_tokens none", "/system 只说中文", "/set", "/help"):
        assert one.command(line)
    assert (one.call.temperature, one.call.seed, one.call.max_tokens, one.call.system) == (0.3, 5, None, "只说中文")
    assert one.command(f"/save {tmp_path / 'talk.json'}")
    saved = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
    with pytest.raises(UsageError, match="exists already"):
        one.command(f"/save {tmp_path / 'talk.json'}")
    assert one.command("/reset") and not one.turns
    assert not one.command("/quit")
    assert "/save FILE" in capsys.readouterr().err


def test_an_answer_can_be_stopped(bpe: Tokenizer) -> None:
    one, written = talk(bpe, max_tokens=None)

    def stop_soon(text: str) -> None:
        written.append(text)
        one.stop = one.stop or len(written) == 3

    one.write = stop_soon
    found = one.ask("你好")
    assert found.finish == "cancelled" and found.tokens < 100 and one.service.desk.engine.active == 0


def test_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("\x1b[2J\x1b]0;title\x07清", "\x1b", "[31m", "\r\x08\x9b1m", "\u202e\u2066\ud800", "[red]行\n\t"):
        show_text(text)
    written = capsys.readouterr().out
    assert not [sign for sign in written if (ord(sign) < 32 and sign not in "\n\t") or 127 <= ord(sign) < 160]
    assert "\u202e" not in written and "[red]行\n\t" in written


def test_longer_texts_are_typed_in_blocks() -> None:
    more = iter(["b", '"""', "d"])
    assert _joined('"""', lambda: next(more)) == "b"
    assert _joined("c\\", lambda: next(more)) == "c\nd"


class _Pipe(io.StringIO):
    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buffer = io.BytesIO(data)


def test_a_pipe_has_a_question_a_line(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "你好\n\n/set mood 3\n/set temperature 0\n第二个问题\n".encode() + b"\xff\xfe bytes\n/quit\nnever\n"
    monkeypatch.setattr(sys, "stdin", _Pipe(lines))
    chat(ChatCall(model=ModelCall(run=run, slots=1), max_tokens=4, seed=1))
    out, err = capsys.readouterr()
    assert len(out.strip("\n").split("\n")) >= 3 and "Error: /set knows" in err and "tokens" not in out


def test_ask_and_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ChatCall(model=ModelCall(run=run, slots=1), asked=("你好", "/quit"), max_tokens=4, as_json=True)
    chat(call)
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "small" and found["prompt"] == "plain" and len(found["turns"]) == 2
    with pytest.raises(UsageError, match="Shorten"):
        chat(ChatCall(model=ModelCall(run=run, slots=1), asked=("天" * 2000,)))


def test_ctrl_c_at_a_terminal_stops_the_answer_and_then_leaves(bpe: Tokenizer, tmp_path: Path) -> None:
    """The real command at a terminal: type, interrupt the answer, leave."""
    long = saved_model(tmp_path / "long", bpe, seq_len=8192)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "train", "chat", str(long), "--threads", "1", "--seed", "3"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        try:
            _read(ours, "›")
            os.write(ours, "你好\n".encode())
            _read(ours, "\n")  # its echo
            _read(ours, "")  # something of the answer
            process.send_signal(signal.SIGINT)
            assert "stopped]" in _read(ours, "›")
            _wait_for_typing(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
            os.close(ours)
            os.close(theirs)


def _wait_for_typing(pid: int) -> None:
    """The prompt is shown a moment before Python reads; a signal in between waits for the next key."""
    never, place = multiprocessing.Pipe(duplex=False)[0], Path(f"/proc/{pid}/stat")
    for _ in range(1000):
        if place.read_text().rpartition(")")[2].split()[0] == "S":
            break
        never.poll(0.005)
    never.poll(0.05)


def _read(terminal: int, until: str) -> str:
    """What is shown up to `until`."""
    seen = b""
    while not seen or until.encode() not in seen:
        seen += os.read(terminal, 4096)
    return seen.decode("utf-8", "replace")
