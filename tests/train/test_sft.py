"""`train sft`: answers alone are learnt, no dialogue sees another, nothing is lost in silence."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from runkit.console import run_app
from runkit.errors import InputError, UsageError
from runkit.instructions import find_items
from tests.train.making import TEXTS
from train.bpe import count_words, learn
from train.chat_template import FILE, ChatTemplate, usual_template
from train.checkpoint import newest
from train.cli import app
from train.convert import Loaded, load_model, write_model
from train.data import NO_TARGET, Rows, joined
from train.dialogues import Dialogues, read_dialogues
from train.fit import choose
from train.loop import METRICS, read_metrics
from train.loss import cross_entropy
from train.model import Model
from train.model_config import ModelConfig
from train.model_file import new_model
from train.packing import pack
from train.sft import LEFT_OUT, SftCall, sft
from train.sft_config import SftConfig
from train.tokenizer import files_in, load

SHAPE: dict[str, Any] = {"dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "seq_len": 128}
SETTINGS: dict[str, Any] = {
    "data": {"seq_len": 96, "held_out": 0.1, "epochs": 100},
    "optim": {"lr": 1e-2, "warmup": 2},
    **{"batch_rows": 8, "steps": 60, "checkpoint_every": 20, "eval_every": 30, "threads": 1, "prompt_tokens": 4},
}
DIGITS = "零一二三四五六七八九"


def records(count: int = 60) -> list[dict[str, Any]]:
    """Questions about the next digit; in three layouts."""
    found: list[dict[str, Any]] = []
    for n in range(count):
        asked, told = DIGITS[n % 10], DIGITS[(n + 1) % 10]
        if n % 3 == 0:
            found.append({"id": f"a{n}", "instruction": f"{asked}后面是几？", "input": "", "output": f"是{told}。"})
        elif n % 3 == 1:
            talk = [{"from": "human", "value": f"{asked}后面是几？"}, {"from": "gpt", "value": f"是{told}。"}]
            found.append({"id": f"s{n}", "conversations": talk * 2})
        else:
            said = [{"role": "user", "content": f"{asked}后面是几？"}, {"role": "assistant", "content": f"是{told}。"}]
            found.append({"id": f"m{n}", "messages": [{"role": "system", "content": "简短回答。"}, *said]})
    return found


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model in a folder, whose tokenizer has ChatML's tokens."""
    folder = tmp_path_factory.mktemp("base")
    texts = [*TEXTS, *(f"{row}" for row in records(10))]
    merges, characters = choose(learn(count_words(texts), 120), texts[-10:], 120)
    characters = [*dict.fromkeys([*characters, *DIGITS, *"是。后面几？"])]
    (folder / "tok").mkdir()
    (folder / "tok" / "tokenizer.model").write_bytes(new_model(("<|im_start|>", "<|im_end|>"), merges, characters))
    tokenizer = load(folder / "tok")
    config = ModelConfig(vocab=tokenizer.size, **SHAPE)
    model = Model(config)
    model.initialize(torch.Generator().manual_seed(0))
    write_model(folder / "model", Loaded(model, tokenizer, config, files_in(folder / "tok")), torch.float32)
    return folder / "model"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "digits.jsonl", records())


def call(base: Path, files: list[str] | Path, out: Path, **changes: Any) -> SftCall:
    more = {name: changes.pop(name) for name in ("template", "inspected", "as_json") if name in changes}
    given = [str(files)] if isinstance(files, Path) else files
    config = SftConfig.model_validate({**SETTINGS, **changes})
    call = {"as_json": False, "quiet": True, "started": time.monotonic(), **more}
    return SftCall(source=base, data=given, out=out, config=config, **call)


def loss_of(model: Model, dialogues: Dialogues, number: int) -> tuple[float, int]:
    """Summed loss of one dialogue by itself, and its targets."""
    ids = torch.from_numpy(dialogues.tokens(number).astype(np.int64))[None]
    targets = ids[0, 1:].where(torch.from_numpy(dialogues.learnt(number)[1:]), NO_TARGET)
    with torch.no_grad():
        logits = model.logits(model.hidden(ids[:, :-1]))[0]
        return float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum")), int((targets >= 0).sum())


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    sft(call(base, write(folder / "digits.jsonl", records()), folder / "run"))
    return folder / "run"


def test_packed_and_alone_have_the_same_loss(base: Path, data: Path) -> None:
    """No position sees another dialogue, and only answers count: the same to 1e-5 as one dialogue a row."""
    loaded = load_model(base)
    assert loaded.tokenizer is not None
    dialogues, _ = read_dialogues({"d": find_items([str(data)])}, usual_template(loaded.tokenizer), 97)
    layout = pack(dialogues.length - 1, 96, 1.0)
    rows = Rows(dialogues, layout, 96)
    batch = joined([rows.batch(row, 1) for row in range(len(rows))])
    assert len(rows) < len(dialogues) and batch.documents.max() >= 1
    with torch.no_grad():
        hidden = loaded.model.hidden(torch.from_numpy(batch.inputs).long(), torch.from_numpy(batch.documents))
        targets = torch.from_numpy(batch.targets).long().flatten()
        packed = float(cross_entropy(hidden.flatten(0, 1), loaded.model.lm_head.weight, targets))
    alone = [loss_of(loaded.model, dialogues, number) for number in range(len(dialogues))]
    count = sum(targets for _, targets in alone)
    assert int((targets >= 0).sum()) == count == dialogues.answer_tokens
    assert packed / count == pytest.approx(sum(loss for loss, _ in alone) / count, abs=1e-5)


def test_a_dialogue_is_never_cut(base: Path, data: Path) -> None:
    loaded = load_model(base)
    assert loaded.tokenizer is not None
    dialogues, _ = read_dialogues({"d": find_items([str(data)])}, usual_template(loaded.tokenizer), 97)
    layout = pack(dialogues.length - 1, 96, 1.0)
    assert sorted(layout.document.tolist()) == list(range(len(dialogues))) and not layout.start.any()


def test_it_learns_to_answer_and_transformers_asks_it_the_same_way(tuned: Path) -> None:
    metrics = read_metrics(tuned / METRICS)
    assert metrics[-1]["loss"] < metrics[0]["loss"] / 3
    assert metrics[0]["positions"] > metrics[0]["tokens"]
    checkpoint, _ = newest(tuned)
    assert checkpoint is not None
    theirs = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    tokenizer = load(checkpoint)
    template = ChatTemplate((checkpoint / FILE).read_text(), tokenizer, "t")
    assert theirs.generation_config.eos_token_id == sorted(template.end_ids)
    for asked in "三七":
        ids = template.question([("user", f"{asked}后面是几？")]).tolist()
        answer = theirs.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids) :].tolist()
        assert answer[-1] in template.end_ids and len(answer) < 16
        assert re.fullmatch(f"是[{DIGITS}]。", tokenizer.decode(answer))
    summary = json.loads((tuned / "summary.json").read_text())
    assert summary["dialogues"] == {"read": 60, "used": 60, "shortened": 0} | dict.fromkeys(
        ("last_question_left_out", "first_answer_left_out"), 0
    )
    assert summary["template"] == "chatml"
    page = (tuned / "report.html").read_text()
    assert "left_out.jsonl" in page and "简" not in page.split("</style>")[0]


def test_what_the_base_model_loses_on_held_out_answers_is_told(base: Path, tuned: Path) -> None:
    loaded = load_model(base)
    assert loaded.tokenizer is not None
    digits = {"digits": find_items([str(tuned.parent / "digits.jsonl")])}
    dialogues, _ = read_dialogues(digits, usual_template(loaded.tokenizer), 97)
    losses = [loss_of(loaded.model, dialogues, number) for number in np.flatnonzero(dialogues.held_out(0.1))]
    before = sum(loss for loss, _ in losses) / sum(count for _, count in losses)
    summary = json.loads((tuned / "summary.json").read_text())
    assert summary["held_out_loss_before"] == pytest.approx(before, abs=1e-5)
    assert summary["held_out_loss"] < before / 3
    assert f"{before:.4f} before the first step" in (tuned / "report.html").read_text()


def test_the_same_again_to_the_bit_and_after_a_stop(base: Path, tuned: Path, tmp_path: Path, data: Path) -> None:
    first = newest(tuned)[0]
    sft(call(base, data, tmp_path / "run", steps=60))
    second = newest(tmp_path / "run")[0]
    assert first is not None and second is not None
    for name in ("model.safetensors", "state/optimizer.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    with pytest.raises(InputError, match=r"digits"):
        sft(call(base, write(data, records(61)), tmp_path / "run"))


def test_adapters_are_merged_and_lie_beside(base: Path, data: Path, tmp_path: Path) -> None:
    sft(call(base, data, tmp_path / "run", lora={"rank": 4}, steps=4))
    checkpoint, _ = newest(tmp_path / "run")
    assert checkpoint is not None and (checkpoint / "adapter" / "adapter_config.json").is_file()
    tuned, before = load_model(checkpoint).model.state_dict(), load_model(base).model.state_dict()
    moved = {name for name in tuned if not torch.equal(tuned[name], before[name])}
    assert moved and all(".layers." in name for name in moved)


def test_what_is_left_out_is_counted_by_reason(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = [{"role": role, "content": "一" * 10} for _ in range(4) for role in ("user", "assistant")]
    talk = [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]
    odd: list[dict[str, Any]] = [
        {"instruction": "没有回答", "input": "", "output": " "},
        {"conversations": [*talk, {"from": "tool", "value": "x"}]},
        {"conversations": talk[::-1]},
        {"conversations": [{"from": "system", "value": "简短"}, talk[1], *talk]},
        {"conversations": [*talk, talk[0]]},
        {"messages": long},
        {"instruction": "长", "output": "一" * 200},
        {"conversations": [{"from": "human", "value": "问"}]},
        {"instruction": " ", "output": "答"},
        {"messages": [*({"role": "user" if one["from"] == "human" else "assistant", "content": "x"} for one in talk),
                      {"role": "system", "content": "晚"}, {"role": "user", "content": "y"},
                      {"role": "assistant", "content": "z"}]},
    ]  # fmt: skip
    path = write(tmp_path / "odd.jsonl", odd)
    path.write_bytes(path.read_bytes() + b"{broken\n[1]\n" + write(tmp_path / "x", records(12)).read_bytes())
    sft(call(base, path, tmp_path / "run", steps=1, batch_rows=1, eval_rows=0))
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())["dialogues"]
    assert counts == {
        **{"read": 24, "used": 15, "shortened": 1, "last_question_left_out": 1, "first_answer_left_out": 1},
        **{"question.empty": 1},
        **{"answer.empty": 1, "role.unknown": 1, "role.order": 2, "length.too_long": 1, "answer.missing": 1},
        **{"json.syntax": 1, "json.not_an_object": 1},
    }
    left = [json.loads(line) for line in (tmp_path / "run" / LEFT_OUT).read_text().splitlines()]
    assert len(left) == 7 and {row["source"] for row in left} == {"odd"}
    assert [row["line"] for row in map(json.loads, (tmp_path / "run" / "quarantine.jsonl").open())] == [11, 12]
    assert "9 of 24 dialogues are left out: " in capsys.readouterr().err


def test_weights_say_how_often_a_source_is_seen(base: Path, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.jsonl", records(30)), write(tmp_path / "b.jsonl", records(30)[::-1])
    weights = {"weights": {"one": 3.0, "b": 1.0}, "seq_len": 96, "epochs": 2}
    sft(call(base, [f"one={a}", str(b)], tmp_path / "run", data=weights, steps=None, batch_rows=1, eval_rows=0))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] > 4
    with pytest.raises(UsageError, match="Two files of --data have the name a"):
        sft(call(base, [str(a), str(a)], tmp_path / "other"))


def test_gaps_do_not_cost_steps(base: Path, tmp_path: Path) -> None:
    """Dialogues of which one fills most of a row and two do not fit: a third of every position stays empty."""
    rows = [{"instruction": DIGITS[n % 10] * 20, "output": DIGITS[n % 7] * 24} for n in range(40)]
    path = write(tmp_path / "wide.jsonl", rows)
    sft(call(base, path, tmp_path / "run", steps=9, batch_rows=4, eval_rows=0))
    metrics = read_metrics(tmp_path / "run" / METRICS)
    assert len(metrics) == 9 and all(row["positions"] < 0.8 * 4 * 96 for row in metrics)


def test_inspect_shows_what_is_learnt_and_writes_nothing(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sft(call(base, data, tmp_path / "run", inspected=60))
    said = capsys.readouterr().err
    assert "<|im_start|>system\n简短回答。<|im_end|>" in said  # of a layout with roles
    assert "⟦是一。<|im_end|>⟧" in said and "<|im_start|>user\n零后面是几？<|im_end|>" in said
    sft(call(base, data, tmp_path / "run", inspected=1, as_json=True))
    shown = json.loads(capsys.readouterr().out)["shown"]
    assert [span["text"] for span in shown[0]["spans"] if span["learnt"]] == ["是一。<|im_end|>"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--data", "{data}"], 2, "--from"),
        (["--from", "{base}"], 2, "Name the DATA"),
        (["--from", "{base}", "--data", "nowhere.jsonl"], 2, "nowhere.jsonl does not exist"),
        (["--from", "nowhere", "--data", "{data}"], 2, "nowhere does not exist"),
        (["--from", "{base}", "--data", "{data}", "--template", "chatlm"], 2, "--template chatlm is a file that"),
        (["--from", "{base}", "--data", "{data}", "-s", "data.seq_len=999"], 2, "made for 128 positions"),
        (["--from", "{base}", "--data", "{data}", "-s", "data.seq_len=8"], 3, "length.too_long"),
        (["--from", "{base}", "--data", "{empty}"], 3, "empty.jsonl"),
        (["--from", "{base}", "--data", "{picture}"], 3, "picture.png"),
        (["--from", "{base}", "--data", "{data}", "-s", "epochs=3"], 2, "did you mean"),
    ],
)  # fmt: skip
def test_wrong_calls(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    places = {"data": data, "base": base, "empty": tmp_path / "empty.jsonl", "picture": tmp_path / "picture.png"}
    given = [word.format(**places) for word in words]
    assert run_app(app, ["sft", "--out", str(tmp_path / "run"), "-q", *given]) == code
    streams = capsys.readouterr()
    assert said in streams.err and "Traceback" not in streams.err and not streams.out
    assert not (tmp_path / "run").exists()
