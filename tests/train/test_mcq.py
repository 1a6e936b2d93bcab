"""Four-choice questions: the log-probabilities of transformers on the same prompts, and tables read strictly."""

import functools
import math
from pathlib import Path
from typing import Any

import orjson
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st

from runkit.errors import InputError, UsageError
from tests.train.question_files import question, question_folder, write
from tests.train.tiny import saved, tiny_llama
from train.mcq import Exam, McqCall, answer, eval_mcq
from train.mcq_prompts import Prompter, begin_id, find_letters
from train.mcq_questions import Question, read_questions, subjects_in
from train.mcq_score import CPU_POSITIONS, common_prefix, next_logprobs, parts
from train.mcq_subjects import CEVAL, subject_of
from train.mcq_summary import Answered, summarise, wilson
from train.model import Model
from train.pieces import Tokenizer
from train.tokenizer import load

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Has a piece for each letter with a space before it."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    library.train_from_iterator(["Answer: A", "Answer: B", "Answer: C", "Answer: D"] * 9, trainer)
    path = tmp_path_factory.mktemp("spaced") / "tokenizer.json"
    library.save(str(path))
    return load(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return question_folder(tmp_path / "mcq")


def ask(call: McqCall, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    eval_mcq(call)
    return dict(orjson.loads(capfd.readouterr().out))


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (out / "questions.jsonl").read_bytes().splitlines()]


def written_by_hand(row: list[str], answer: str, wording: str) -> str:
    word = {"zh": "答案：", "en": "Answer:"}[wording]
    return f"{row[1]}\nA. {row[2]}\nB. {row[3]}\nC. {row[4]}\nD. {row[5]}\n{word}{answer}"


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "wording", "shots", "space"),
    [
        ("spm", "zh", 2, ""),
        ("spm", "en", 5, ""),
        ("bpe", "zh", 0, ""),
        ("spaced", "en", 5, " "),
        ("spaced", "zh", 1, ""),
    ],
)
def test_log_probabilities_are_those_of_transformers(
    kind: str, wording: Any, shots: int, space: str, folder: Path, tmp_path: Path,
    request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    theirs, _ = tiny_llama(tokenizer.size)
    run = saved(tmp_path / "run", theirs, tokenizer)
    out = tmp_path / "out"
    call = McqCall(run=run, folder=folder, out=out, shots=shots, wording=wording, batch=4, as_json=True, quiet=True)
    found = ask(call, capfd)
    assert found["letters"]["space"] == space
    assert found["bos"] == (tokenizer.special.bos if kind == "spm" else None)
    head = {
        ("zh", "high_school_physics"): "下面是高中物理科目的单项选择题，每题只有一个正确答案。\n\n",
        ("zh", "journalism"): "下面是单项选择题，每题只有一个正确答案。\n\n",
        ("en", "high_school_physics"): "Multiple-choice questions about high school physics. "
        "Each has exactly one right answer.\n\n",
        ("en", "journalism"): "Multiple-choice questions about journalism. Each has exactly one right answer.\n\n",
    }
    examples = "".join(
        written_by_hand(question(50 + n, ""), space + "ABCDA"[n], wording) + "\n\n" for n in range(shots)
    )
    rows = rows_of(out)
    assert [(row["subject"], row["id"]) for row in rows] == [
        (subject, str(number)) for subject in ("high_school_physics", "journalism") for number in range(9)
    ]
    for row in rows:
        number = int(row["id"])
        asked = written_by_hand(question(number, "", 1 + number * 3 % 20), "", wording)
        ids = tokenizer.encode(head[wording, row["subject"]] + examples + asked).tolist()
        ids = [found["bos"], *ids] if found["bos"] is not None else ids
        logprobs = theirs(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        expected = {letter: logprobs[tokenizer.encode(f":{space}{letter}")[-1]].item() for letter in "ABCD"}
        assert row["logprobs"] == pytest.approx(expected, abs=1e-4)
        total = sum(math.exp(value) for value in expected.values())
        assert row["probabilities"] == pytest.approx(
            {letter: math.exp(value) / total for letter, value in expected.items()}, abs=1e-4
        )
        assert row["choice"] == max(expected, key=lambda letter: expected[letter])
        assert (row["shots"], row["tokens"], row["state"]) == (shots, len(ids), "answered")
        assert row["answer"] == "DCBA"[number % 4]
    correct = sum(row["choice"] == row["answer"] for row in rows)
    assert (found["all"]["n"], found["all"]["correct"]) == (18, correct)
    assert orjson.loads((out / "results.json").read_bytes()) == found
    assert not (out / "submission.json").exists()


def test_examples_that_do_not_fit_are_dropped_from_the_front(
    folder: Path, tmp_path: Path, spm: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    run = saved(tmp_path / "run", tiny_llama(spm.size)[0], spm)
    call = functools.partial(McqCall, run=run, folder=folder, subjects=("journalism",), as_json=True, quiet=True)
    free, short = tmp_path / "free", tmp_path / "short"
    ask(call(out=free), capfd)
    lengths = [row["tokens"] for row in rows_of(free)]
    ask(call(out=tmp_path / "two", shots=2), capfd)
    room = max(row["tokens"] for row in rows_of(tmp_path / "two"))
    assert room < min(lengths)
    theirs, _ = tiny_llama(spm.size, room)
    run = saved(tmp_path / "short-run", theirs, spm)
    found = ask(call(out=short, run=run), capfd)["subjects"]["journalism"]
    rows = rows_of(short)
    assert found["fewer_examples"] == found["asked"] == 9 and found["too_long"] == 0
    assert {row["shots"] for row in rows} >= {2, 3}
    head = "下面是单项选择题，每题只有一个正确答案。\n\n"
    for row in rows:
        number = int(row["id"])
        asked = written_by_hand(question(number, "", 1 + number * 3 % 20), "", "zh")
        prompts = []
        for first in range(6):  # the last examples stay
            shown = [written_by_hand(question(50 + n, ""), "ABCDA"[n], "zh") + "\n\n" for n in range(first, 5)]
            prompts.append([found_bos(spm), *spm.encode(head + "".join(shown) + asked).tolist()])
        ids = next(ids for ids in prompts if len(ids) <= room)
        assert (row["tokens"], row["shots"]) == (len(ids), 5 - prompts.index(ids))
        with torch.no_grad():
            logprobs = theirs(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        letters = find_letters(spm, "zh").ids
        assert list(row["logprobs"].values()) == pytest.approx(logprobs[list(letters)].tolist(), abs=1e-4)
    tiny = saved(tmp_path / "tiny-run", tiny_llama(spm.size, 110)[0], spm)
    # Where not even the question alone fits, it is told and counts as wrong.
    found = ask(call(out=tmp_path / "tiny", run=tiny), capfd)["subjects"]["journalism"]
    assert found["too_long"] > 0 and found["asked"] + found["too_long"] == found["n"] == 9


def found_bos(tokenizer: Tokenizer) -> int:
    assert tokenizer.special.bos is not None
    return tokenizer.special.bos


def test_a_split_without_answers_gives_a_submission(
    folder: Path, tmp_path: Path, spm: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    run = saved(tmp_path / "run", tiny_llama(spm.size)[0], spm)
    call = functools.partial(McqCall, run=run, folder=folder, split="test", quiet=True)
    with pytest.raises(UsageError, match="--out"):
        eval_mcq(call())
    eval_mcq(call(out=tmp_path / "out", limit=2))
    rows = rows_of(tmp_path / "out")
    assert orjson.loads((tmp_path / "out" / "submission.json").read_bytes()) == {
        "high_school_physics": {row["id"]: row["choice"] for row in rows}
    }
    assert len(rows) == 2 and {row["choice"] for row in rows} <= set("ABCD")
    assert orjson.loads((tmp_path / "out" / "results.json").read_bytes())["all"]["accuracy"] is None
    assert "high_school_physics *" in capfd.readouterr().err
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes").touch()
    with pytest.raises(InputError, match="no run directory"):
        eval_mcq(call(out=tmp_path / "used"))


def files_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_stopped_evaluation_goes_on_without_asking_again(
    folder: Path, tmp_path: Path, spm: Tokenizer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = saved(tmp_path / "run", tiny_llama(spm.size)[0], spm)
    call = functools.partial(McqCall, run=run, folder=folder, shots=1, quiet=True)
    eval_mcq(call(out=tmp_path / "whole"))
    asked: list[str] = []
    rest = ["journalism"]

    def stopped(model: Model, prompter: Prompter, exam: Exam, *more: Any) -> list[Answered]:
        asked.append(exam.name)
        if exam.name in rest:
            raise KeyboardInterrupt
        return answer(model, prompter, exam, *more)

    monkeypatch.setattr("train.mcq.answer", stopped)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        eval_mcq(call(out=out))
    assert asked == ["high_school_physics", "journalism"] and not (out / "results.json").exists()
    rest.clear()
    eval_mcq(call(out=out))
    assert asked[2:] == ["journalism"]
    assert files_of(out) == files_of(tmp_path / "whole")
    eval_mcq(call(out=out))  # nothing is left to ask
    assert len(asked) == 3
    answers = out / "answers" / "journalism.jsonl"
    answers.write_bytes(answers.read_bytes()[:-9])
    capfd.readouterr()
    eval_mcq(call(out=out))
    assert asked[3:] == ["journalism"] and files_of(out) == files_of(tmp_path / "whole")
    assert "was cut" in capfd.readouterr().err


def test_answers_of_another_model_folder_or_setting_are_not_gone_on_with(
    folder: Path, tmp_path: Path, spm: Tokenizer
) -> None:
    run = saved(tmp_path / "run", tiny_llama(spm.size)[0], spm)
    out = tmp_path / "out"
    call = functools.partial(McqCall, run=run, folder=folder, shots=1, limit=1, out=out, quiet=True)
    eval_mcq(call())
    before = files_of(out)
    with pytest.raises(InputError, match="shots was 1, is now 0"):
        eval_mcq(call(shots=0))
    file = run / "model.safetensors"
    weights = bytearray(file.read_bytes())
    weights[-1] ^= 1
    file.write_bytes(weights)
    with pytest.raises(InputError, match=r"model\.safetensors has changed"):
        eval_mcq(call())
    weights[-1] ^= 1
    file.write_bytes(weights)
    write(folder, "val", "journalism", [question(1, "A")])
    with pytest.raises(InputError, match=r"journalism_val\.csv has changed"):
        eval_mcq(call())
    assert files_of(out) == before


def test_tables_are_read_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "law_val.csv"
    path.write_bytes(
        "\ufeffid,question,A,B,C,D,answer,explanation\r\n"
        '7,"他说：""是""，\n下列,正确的是",甲,"乙,丙",丙,丁,b,\r\n'
        "\r\n8,问,1,2,3,4,,无\r\n".encode()
    )
    assert read_questions(path) == [
        Question("7", '他说："是"，\n下列,正确的是', ("甲", "乙,丙", "丙", "丁"), "B"),
        Question("8", "问", ("1", "2", "3", "4"), None),
    ]
    path.write_text(",Question,A,B,C,D,Answer\n0,问,1,2,3,4,C\n", "utf-8")  # as CMMLU names them
    assert read_questions(path) == [Question("0", "问", ("1", "2", "3", "4"), "C")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,question,A,B,C,answer\n", "no column D"),
        ("id,question,A,B,C,D,answer\n", "no questions"),
        ("id,question,A,B,C,D,answer\n0,问,1,2,3,4\n", "6 cells"),
        ("id,question,A,B,C,D,answer\n0,问,1,,3,4,A\n", "B is empty"),
        ("id,question,A,B,C,D,answer\n0,问,1,2,3,4,E\n", "none of A, B, C and D"),
        ("id,question,A,B,C,D,answer\n0,问,1,2,3,4,A\n0,又,1,2,3,4,A\n", "id 0 twice"),
        ('id,question,A,B,C,D,answer\n0,"问,1,2,3,4,A\n', "quotes"),
        ("", "no column"),
    ],
)
def test_a_bad_table_is_told(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "law.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=words):
        read_questions(path)


def test_a_folder_of_another_kind_is_told(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "gbk.csv").write_bytes("id,question,A,B,C,D,answer\n0,问,1,2,3,4,A\n".encode("gbk"))
    with pytest.raises(InputError, match="UTF-8"):
        read_questions(tmp_path / "gbk.csv")
    with pytest.raises(UsageError, match="no folder val"):
        subjects_in(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(UsageError, match="no CSV"):
        subjects_in(tmp_path, "val")
    call = functools.partial(McqCall, run=tmp_path, folder=folder, quiet=True)
    bad = (
        call(split="dev"),
        call(wording="fr"),
        call(split="all"),
        call(batch=0),
        call(subjects=("law",)),
        call(shots=6),
    )
    for one, words in zip(bad, ("answers", "fr", "all", "batch", "no subject law", "5 examples"), strict=True):
        with pytest.raises(UsageError, match=words):
            eval_mcq(one)
    with pytest.raises(UsageError, match="no examples"):
        (folder / "dev" / "journalism_dev.csv").unlink()
        eval_mcq(call())


def test_a_tokenizer_without_letters_or_bos_is_told(tmp_path: Path, bpe: Tokenizer) -> None:
    assert begin_id(bpe, None) is None
    with pytest.raises(UsageError, match="begins a text"):
        begin_id(bpe, True)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nD\n.\n1\n答\n案\n：\nA\nB\nC\n", "utf-8")
    assert find_letters(load(tmp_path), "zh").pieces == ("A", "B", "C", "D")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nD\n.\n1\n答\n案\n：\nA\nB\n", "utf-8")
    with pytest.raises(InputError, match="of its own"):
        find_letters(load(tmp_path), "zh")


def test_the_shared_prefix_leaves_each_prompt_an_id(spm: Tokenizer) -> None:
    same = spm.encode("同一个问题")
    assert common_prefix([same, same]) == len(same) - 1
    _, ours = tiny_llama(spm.size)
    twice = next_logprobs(ours, [same, same], [5, 6], 1)
    assert (twice[0] == twice[1]).all()
    with torch.no_grad():
        ours.lm_head.weight[5] = float("nan")
    with pytest.raises(InputError, match="no numbers"):
        next_logprobs(ours, [same], [5], 1)


@given(st.lists(st.integers(1, 900), max_size=40), st.integers(1, 20))
def test_batches_take_each_row_once_and_stay_small(lengths: list[int], most: int) -> None:
    lengths.sort()
    found = list(parts(lengths, most, torch.device("cpu")))
    assert [row for part in found for row in range(len(lengths))[part]] == list(range(len(lengths)))
    for part in found:
        rows = lengths[part]
        assert len(rows) == 1 or (len(rows) <= most and len(rows) * max(rows) <= CPU_POSITIONS)
    on_gpu = list(parts(lengths, most, torch.device("cuda")))
    assert [len(lengths[part]) for part in on_gpu[:-1]] == [most] * (len(on_gpu) - 1)


def test_intervals_and_averages() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # as tables of it say
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)

    def answers(subject: str, right: int, of: int) -> list[Answered]:
        return [
            Answered(subject, str(n), "A", "answered", "A" if n < right else "B", None, None, 5, 9) for n in range(of)
        ]

    sizes = {"college_physics": (1, 2), "operating_system": (3, 10), "law": (4, 4), "virology": (0, 4)}
    found = summarise({name: answers(name, *size) for name, size in sizes.items()}, 5)
    assert (found["all"]["accuracy"], found["all"]["macro"]) == (8 / 20, (0.5 + 0.3 + 1 + 0) / 4)
    assert set(found["categories"]) == {"STEM", "Humanities"}
    assert (found["categories"]["STEM"]["accuracy"], found["categories"]["STEM"]["macro"]) == (4 / 12, 0.4)
    assert (found["hard"]["subjects"], found["hard"]["n"], found["hard"]["accuracy"]) == (1, 2, 0.5)


def test_the_table_of_subjects_is_c_evals() -> None:
    counts = {category: sum(subject.category == category for subject in CEVAL.values())
              for category in ("STEM", "Social Science", "Humanities", "Other")}  # fmt: skip
    assert counts == {"STEM": 20, "Social Science": 10, "Humanities": 11, "Other": 11}  # the paper's table 1
    assert sum(subject.hard for subject in CEVAL.values()) == 8
    assert subject_of("virology").category is None and subject_of("virology").english == "virology"
