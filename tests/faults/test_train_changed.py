"""Row 2 for `train`: what changes after the end is noticed: made again to the same bytes, or refused by name."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runkit.errors import UserError
from tests.faults.checks import Harm, assert_one_sentence, cut, flip, remove
from tests.faults.kill import assert_same, tree
from tests.faults.launch import FULL, Ended
from tests.faults.train_runs import begin_extend, call, fit, tokens
from train.shards import open_shards

pytestmark = pytest.mark.timeout(600 if FULL else 120)


@dataclass
class Done:
    """A finished run of a copy of everything, and how to start it again."""

    documents: Path
    tokenizer: Path
    out: Path
    start: Callable[..., Ended]

    def again(self, *more: str) -> Ended:
        return self.start(*more)


@pytest.fixture
def place(documents: Path, tokenizer: Path, shards: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Copies: inputs are known by name and content, not by where they lie."""
    copies = ((documents, documents.name), (tokenizer, "tokenizer"), (shards, "shards"))
    found = [Path(shutil.copytree(source, tmp_path / name)) for source, name in copies]
    return found[0], found[1], found[2]


@pytest.fixture
def encoded(place: tuple[Path, Path, Path]) -> Done:
    documents, tokenizer, out = place
    return Done(documents, tokenizer, out, lambda *more: tokens(documents, tokenizer, out, *more))


@pytest.fixture
def fitted(place: tuple[Path, Path, Path]) -> Done:
    documents, out, _ = place
    return Done(documents, out, out, lambda *more: fit(documents, out, *more))


@pytest.fixture
def widened(place: tuple[Path, Path, Path], extended: Path) -> Done:
    documents, base, _ = place
    out = Path(shutil.copytree(extended, base.with_name("extended")))
    return Done(documents, base, out, lambda *more: begin_extend(base, documents, out, *more).result())


Harms = dict[str, tuple[Harm, str]]  # file: what is done to it, and what is said of it


def assert_made_again(done: Done, harms: Harms) -> None:
    before = tree(done.out)
    for name, (harm, _) in harms.items():
        harm(done.out / name)
    ended = done.again()
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert "Traceback" not in ended.err
    for name, (_, said) in harms.items():
        assert not said or f"Rebuilding: {name} {said}" in ended.err
    assert_same(done.out, before)


def assert_refused(done: Done, words: str, *more: str) -> None:
    before = tree(done.out)
    ended = done.again(*more)
    assert_one_sentence(ended.code, 3, ended.out, ended.err, words)
    assert tree(done.out) == before


SHARD_HARMS: list[Harms] = [
    {
        "shards/00003.bin": (remove, "is missing"),
        "shards/00004.bin": (cut, "was cut"),
        "shards/00005.bin": (flip, "was edited"),
        "quarantine/00008.jsonl": (flip, "was edited"),
        "tokenizer/tokenizer.model": (flip, "was edited"),
        "summary.json": (flip, ""),
        "resolved.yaml": (cut, ""),
    },
    {
        "shards/00001.index.npy": (flip, "was edited"),
        "shards/00004.ids.jsonl": (cut, "was cut"),
        "marks/shard-00002.json": (flip, "was edited"),
        "marks/shard-00003.json": (remove, ""),
        "tokenizer/tokenizer.model": (remove, "is missing"),
        "report.html": (cut, ""),
    },
    {"marks/tokenizer.json": (cut, "was edited"), "summary.json": (remove, ""), "report.html": (remove, "")},
]
TOKENIZER_HARMS: list[Harms] = [
    {"tokenizer.model": (flip, "was edited"), "summary.json": (flip, ""), "report.html": (remove, "")},
    {"tokenizer.model": (cut, "was cut"), "quarantine.jsonl": (remove, "is missing"), "resolved.yaml": (cut, "")},
    {"tokenizer.model": (remove, "is missing"), "quarantine.jsonl": (flip, "was edited")},
    {"marks/tokenizer.json": (flip, "was edited")},
    {"marks/tokenizer.json": (remove, "")},
]


@pytest.mark.parametrize("harms", SHARD_HARMS)
def test_changed_shards_are_made_again(encoded: Done, harms: Harms) -> None:
    assert_made_again(encoded, harms)


@pytest.mark.parametrize("harms", TOKENIZER_HARMS)
def test_a_changed_tokenizer_is_made_again(fitted: Done, harms: Harms) -> None:
    assert_made_again(fitted, harms)


@pytest.mark.parametrize("harms", [TOKENIZER_HARMS[0], TOKENIZER_HARMS[3], {"added.jsonl": (cut, "was cut")}])
def test_a_changed_extension_is_made_again(widened: Done, harms: Harms) -> None:
    assert_made_again(widened, harms)


def test_only_the_shard_that_was_changed_is_encoded_again(encoded: Done) -> None:
    before = {file: file.stat().st_ino for file in encoded.out.glob("shards/*.bin")}
    flip(encoded.out / "shards/00003.bin")
    assert encoded.again().code == 0
    assert {file.name for file, inode in before.items() if file.stat().st_ino != inode} == {"00003.bin"}


DOCUMENT_HARMS = [
    (lambda folder: flip(folder / "lines.jsonl"), "set/lines.jsonl has changed"),
    (lambda folder: flip(folder / "table.parquet"), "set/table.parquet has changed"),
    (lambda folder: remove(folder / "book.txt"), "set/book.txt is not among the inputs any more"),
    (lambda folder: (folder / "new.txt").write_text("新的一页。"), "set/new.txt was added"),
]


@pytest.mark.parametrize("command", ["encoded", "fitted"])
@pytest.mark.parametrize(("harm", "words"), DOCUMENT_HARMS)
def test_changed_documents_are_refused(request: pytest.FixtureRequest, command: str, harm: Harm, words: str) -> None:
    done: Done = request.getfixturevalue(command)
    harm(done.documents)
    assert_refused(done, words)


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        ("encoded", ("-s", "eos=false"), "eos was true, is now false"),
        ("encoded", ("-s", "shard_mb=0.1"), "shard_mb was 0.02, is now 0.1"),
        ("encoded", ("--seed", "5"), "seed was 0, is now 5"),
        ("encoded", ("--limit", "7"), "limit was null, is now 7"),
        ("encoded", ("--sample", "0.5"), "sample was null, is now 0.5"),
        ("fitted", ("-s", "special=[]"), "special.0"),
        ("fitted", ("-s", "longest=4"), "longest was 16, is now 4"),
        ("fitted", ("--seed", "5"), "seed was 0, is now 5"),
        ("widened", ("--add", "90"), "add was 100, is now 90"),
    ],
)
def test_a_changed_config_is_refused(
    request: pytest.FixtureRequest, command: str, more: tuple[str, ...], words: str
) -> None:
    assert_refused(request.getfixturevalue(command), words, *more)


@pytest.mark.parametrize(
    ("command", "words"),
    [("encoded", "--tokenizer tokenizer.model has changed"), ("widened", "base: tokenizer.model has changed")],
)
def test_another_tokenizer_is_refused(request: pytest.FixtureRequest, extended: Path, command: str, words: str) -> None:
    done: Done = request.getfixturevalue(command)
    shutil.copy(extended / "tokenizer.model", done.tokenizer / "tokenizer.model")
    assert_refused(done, words)


@pytest.mark.parametrize("command", ["encoded", "fitted"])
def test_an_edited_manifest_is_refused(request: pytest.FixtureRequest, command: str) -> None:
    done: Done = request.getfixturevalue(command)
    flip(done.out / "manifest.json")
    assert_refused(done, str(done.out / "manifest.json"))


def edit_summary(out: Path, change: Callable[[dict], object]) -> None:
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    change(summary)
    (out / "summary.json").write_text(json.dumps(summary), "utf-8")


def swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


MIXED_UP = [
    ("no .bin", lambda out: remove(out / "shards/00002.bin"), "00002.bin is missing"),
    ("cut .bin", lambda out: cut(out / "shards/00002.bin"), "shards/00002.bin has"),
    ("swapped .bin", lambda out: swap(out / "shards/00002.bin", out / "shards/00003.bin"), "shards/00002.bin"),
    ("no index", lambda out: remove(out / "shards/00002.index.npy"), "00002.index.npy is missing"),
    ("index", lambda out: flip(out / "shards/00002.index.npy"), "shards/00002.index.npy"),
    ("ids", lambda out: cut(out / "shards/00000.ids.jsonl"), "shards/00000.ids.jsonl"),
    ("tokenizer", lambda out: flip(out / "tokenizer/tokenizer.model"), "tokenizer/tokenizer.model"),
    ("no tokenizer", lambda out: remove(out / "tokenizer/tokenizer.model"), "tokenizer/tokenizer.model is missing"),
    ("no summary", lambda out: remove(out / "summary.json"), "is not finished"),
    ("cut summary", lambda out: cut(out / "summary.json"), "summary.json cannot be read"),
    ("no manifest", lambda out: remove(out / "manifest.json"), "holds no token shards"),
    ("cut manifest", lambda out: cut(out / "manifest.json"), "manifest.json cannot be read"),
    ("a shard more", lambda out: shutil.copy(out / "shards/00002.bin", out / "shards/00077.bin"), "00077.bin"),
    ("a shard less", lambda out: edit_summary(out, lambda s: s["shards"].pop()), "00009.bin"),
    ("format", lambda out: edit_summary(out, lambda s: s.update(format=9)), "format 9"),
    ("type", lambda out: edit_summary(out, lambda s: s.update(dtype="uint32")), "uint32"),
    ("sources", lambda out: edit_summary(out, lambda s: s["shards"][0]["sources"].clear()), "summary.json was edited"),
    ("a list", lambda out: (out / "summary.json").write_text("[]"), "format None"),
]


@pytest.mark.parametrize(("harm", "words"), [case[1:] for case in MIXED_UP], ids=[case[0] for case in MIXED_UP])
def test_training_refuses_what_does_not_belong_together(
    encoded: Done, capsys: pytest.CaptureFixture[str], harm: Harm, words: str
) -> None:
    harm(encoded.out)
    before = tree(encoded.out)
    # As JSON, to see that nothing of it is given before the sentence.
    ended = call(["data", encoded.out, "--seq-len", "64", "--show", "300", "--json", "-q"], capsys)
    assert_one_sentence(ended.code, 3, ended.out, ended.err, words)
    assert tree(encoded.out) == before


def test_a_shard_of_another_run_stays_out(encoded: Done) -> None:
    shutil.copy(encoded.out / "shards/00002.bin", encoded.out / "shards/00077.bin")
    assert_refused(encoded, "shards/00077.bin is of another run: summary.json does not name it; remove it.")


def test_shards_of_two_tokenizers_are_refused(
    encoded: Done, extended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = encoded.out.with_name("other")
    assert tokens(encoded.documents, extended, other).code == 0
    ended = call(["data", encoded.out, other], capsys)
    assert_one_sentence(ended.code, 3, ended.out, ended.err, "were made with different tokenizers")


def test_any_byte_of_the_summary_may_change(encoded: Done) -> None:
    """Whatever it says then: the shards open, or one sentence refuses them."""
    file = encoded.out / "summary.json"
    data = file.read_bytes()
    refused = 0
    for place in range(0, len(data), 1 if FULL else 23):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 7)
        file.write_bytes(changed)
        try:
            open_shards(encoded.out)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > len(data) // (2 if FULL else 46)
