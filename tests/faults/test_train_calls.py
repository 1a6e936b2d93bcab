"""Wrong calls of `train`: one sentence on stderr that names the culprit, an exit code, nothing on stdout or disk."""

import shutil
from pathlib import Path

import pytest

from tests.faults.checks import PNG, assert_one_sentence
from tests.faults.kill import tree
from tests.faults.launch import FULL
from tests.faults.texts import member, warc_record
from tests.faults.train_runs import call, fit, tokens

pytestmark = pytest.mark.timeout(300 if FULL else 120)


@pytest.fixture(scope="module")
def place(documents: Path, tokenizer: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    shutil.copytree(documents, folder / "set")
    shutil.copytree(tokenizer, folder / "tok")
    shutil.copytree(shards, folder / "shards")
    (folder / "few.jsonl").write_text('{"text": "一行"}\n', "utf-8")
    (folder / "gbk.txt").write_bytes("中文".encode("gbk"))
    for name in ("picture.png", "picture.model", "picture.json"):
        (folder / name).write_bytes(PNG)
    for name in ("empty.jsonl", "empty.model", "empty.json", "file"):
        (folder / name).write_bytes(b"")
    for name in ("nothing", "foreign", "unfinished"):
        (folder / name).mkdir()
    (folder / "crawl.warc.gz").write_bytes(member(warc_record("http://a.example/", b"<p>a")))
    (folder / "foreign" / "letter.txt").write_text("dear", "utf-8")
    (folder / "unfinished" / "documents").mkdir()
    (folder / "unfinished" / "manifest.json").write_text('{"command": "corpus clean"}', "utf-8")
    (folder / "bad.yaml").write_text("weights: [\n", "utf-8")
    return folder


FIT, TOKENS = "tokenizer fit @set --out OUT", "tokens @set --tokenizer @tok --out OUT"
EXTEND = "tokenizer extend @tok --with @set --out OUT"
VIEW, DATA = "tokenizer view @tok", "data @shards"
CALLS = [
    ("command", "tokenise x", 2, "Did you mean 'tokens', 'tokenizer'"),
    ("sub-command", "tokenizer fitt x", 2, "Did you mean 'fit'"),
    ("fit: flag", f"{FIT} --vocabb 400", 2, "Did you mean --vocab"),
    ("tokens: flag", f"{TOKENS} --tokeniser x", 2, "Did you mean --tokenizer"),
    ("extend: flag", f"{EXTEND} --ad 100", 2, "Did you mean --add"),
    ("view: flag", f"{VIEW} --serch 中", 2, "Did you mean --search"),
    ("data: flag", f"{DATA} --seqlen 64", 2, "Did you mean --seq-len"),
    ("fit: no --out", "tokenizer fit @set", 2, "--out"),
    ("extend: no --out", "tokenizer extend @tok --with @set", 2, "--out"),
    ("extend: no --with", "tokenizer extend @tok --out OUT", 2, "--with"),
    ("tokens: no --out", "tokens @set --tokenizer @tok", 2, "--out"),
    ("tokens: no --tokenizer", "tokens @set --out OUT", 2, "--tokenizer"),
    ("tokens: no documents", "tokens --tokenizer @tok --out OUT", 2, "DOCS"),
    ("tokenizer: picture", "tokens @set --tokenizer @picture.png --out OUT", 3, "picture.png"),
    ("tokenizer: picture.model", "tokens @set --tokenizer @picture.model --out OUT", 3, "picture.model"),
    ("tokenizer: picture.json", "tokens @set --tokenizer @picture.json --out OUT", 3, "picture.json"),
    ("tokenizer: empty.model", "tokens @set --tokenizer @empty.model --out OUT", 3, "empty.model"),
    ("tokenizer: empty.json", "tokens @set --tokenizer @empty.json --out OUT", 3, "empty.json"),
    ("tokenizer: folder", "tokens @set --tokenizer @foreign --out OUT", 2, "holds no tokenizer"),
    ("tokenizer: missing", "tokens @set --tokenizer @nowhere --out OUT", 2, "nowhere does not exist"),
    ("fit: picture", "tokenizer fit @picture.png --out OUT", 3, "a picture"),
    ("fit: empty folder", "tokenizer fit @nothing --out OUT", 3, "nothing to read"),
    ("fit: empty file", "tokenizer fit @empty.jsonl --out OUT", 3, "empty file"),
    ("fit: WARC", "tokenizer fit @crawl.warc.gz --out OUT", 3, "run `corpus clean` on it first"),
    ("fit: missing", "tokenizer fit @nowhere.jsonl --out OUT", 2, "nowhere.jsonl does not exist"),
    ("fit: unfinished run", "tokenizer fit @unfinished --out OUT", 3, "unfinished is not finished"),
    ("fit: not UTF-8", "tokenizer fit @gbk.txt --out OUT", 3, "gbk.txt"),
    ("tokens: picture", "tokens @picture.png --tokenizer @tok --out OUT", 3, "a picture"),
    ("tokens: empty folder", "tokens @nothing --tokenizer @tok --out OUT", 3, "nothing to read"),
    ("tokens: empty file", "tokens @empty.jsonl --tokenizer @tok --out OUT", 3, "empty file"),
    ("tokens: WARC", "tokens @crawl.warc.gz --tokenizer @tok --out OUT", 3, "run `corpus clean` on it first"),
    ("tokens: missing", "tokens @nowhere.jsonl --tokenizer @tok --out OUT", 2, "nowhere.jsonl does not exist"),
    ("tokens: unfinished run", "tokens @unfinished --tokenizer @tok --out OUT", 3, "unfinished is not finished"),
    ("fit: vocabulary of 0", f"{FIT} --vocab 0", 2, "vocab"),
    ("fit: no room", f"{FIT} --vocab 300 -s special=[{','.join(f't{n}' for n in range(60))}]", 2, "leaves no room"),
    ("fit: special twice", f"{FIT} -s special=[a,a]", 2, "special"),
    ("fit: all held out", "tokenizer fit @few.jsonl --out OUT -s held_out=0.999999", 3, "held out"),
    ("fit: key", f"{FIT} -s vocabulary=400", 2, "vocab"),
    ("fit: value", f"{FIT} -s longest=1", 2, "longest"),
    ("extend: picture as base", "tokenizer extend @picture.png --with @set --out OUT", 3, "picture.png"),
    ("extend: no base", "tokenizer extend @nothing --with @set --out OUT", 2, "holds no tokenizer"),
    ("extend: WARC", "tokenizer extend @tok --with @crawl.warc.gz --out OUT", 3, "run `corpus clean` on it first"),
    ("extend: no list", f"{EXTEND} --add-list @none.txt", 2, "none.txt"),
    ("extend: list is a picture", f"{EXTEND} --add-list @picture.png", 3, "picture.png"),
    ("extend: list not UTF-8", f"{EXTEND} --add-list @gbk.txt", 3, "gbk.txt"),
    ("extend: below 0", f"{EXTEND} --add -1", 2, "add"),
    ("extend: key", f"{EXTEND} -s vocab=400", 2, "vocab"),
    ("tokens: key", f"{TOKENS} -s shardmb=1", 2, "shard_mb"),
    ("tokens: value", f"{TOKENS} -s shard_mb=0", 2, "shard_mb"),
    ("tokens: share", f"{TOKENS} --max-bad 3", 2, "--max-bad 3"),
    ("tokens: workers", f"{TOKENS} --workers 0", 2, "--workers"),
    ("tokens: yaml", f"{TOKENS} --config @bad.yaml", 2, "bad.yaml"),
    ("data: key", f"{DATA} -s weight.lines=1", 2, "weights"),
    ("data: no shards", "data @set", 3, "holds no token shards"),
    ("data: a tokenizer", "data @tok", 3, "holds no token shards"),
    ("data: missing", "data @nowhere", 2, "nowhere"),
    ("data: a file", "data @file", 2, "is no folder"),
    ("data: twice", "data @shards @shards", 2, "given twice"),
    ("data: unknown source", f"{DATA} -s weights.news=1", 2, "news"),
    ("data: weight of 0", f"{DATA} -s weights.lines=0", 2, "weight"),
    ("data: weight below 0", f"{DATA} -s weights.lines=-1", 2, "weights.lines"),
    ("data: all held out", f"{DATA} -s held_out=0.99999999", 3, "held out"),
    ("data: --seq-len", f"{DATA} --seq-len 4", 2, "--seq-len"),
    ("data: --tokens", f"{DATA} --tokens nan", 2, "--tokens"),
    ("view: nothing", VIEW, 2, "nothing to show"),
    ("view: text and file", f"{VIEW} 中文 --file @gbk.txt", 2, "give one of them"),
    ("view: not UTF-8", f"{VIEW} --file @gbk.txt", 3, "is not UTF-8"),
    ("view: no file", f"{VIEW} --file @none.txt", 2, "none.txt"),
    ("view: empty file", f"{VIEW} --file @empty.jsonl", 2, "is empty"),
    ("view: picture", "tokenizer view @picture.png 中文", 3, "picture.png"),
    ("view: no tokenizer", "tokenizer view @nothing 中文", 2, "holds no tokenizer"),
    ("view: beside", f"{VIEW} 中文 --beside @nowhere", 2, "nowhere does not exist"),
    ("view: page is a folder", f"{VIEW} 中文 --page @nothing", 2, "it is a folder"),
    ("view: language", f"{VIEW} 中文 --lang fr", 2, "--lang fr"),
]


@pytest.mark.parametrize(("words", "code", "said"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, said: str
) -> None:
    before = tree(place)
    out = tmp_path / "run"
    arguments = [word.replace("@", f"{place}/").replace("OUT", str(out)) for word in words.split()]
    ended = call(arguments, capsys)
    assert_one_sentence(ended.code, code, ended.out, ended.err, said)
    assert not [*out.glob("[!.]*")]
    assert tree(place) == before


@pytest.mark.parametrize("command", ["fit", "tokens"])
@pytest.mark.parametrize(
    ("out", "code", "words"),
    [
        ("set/run", 2, "lies inside the input"),
        ("file", 2, "is not a folder"),
        ("foreign", 3, "is not empty and no run directory"),
        ("shards", 3, "was made by `train tokens`"),
    ],
)
def test_a_wrong_place(place: Path, command: str, out: str, code: int, words: str) -> None:
    if (command, out) == ("tokens", "shards"):
        out, words = "tok", "was made by `train tokenizer fit`"
    before = tree(place)
    documents, target = place / "set", place / out
    ended = fit(documents, target) if command == "fit" else tokens(documents, place / "tok", target)
    assert_one_sentence(ended.code, code, ended.out, ended.err, words)
    shutil.rmtree((place / out).parent / "streams")
    assert tree(place) == before


def test_the_mended_call_may_use_the_same_folder(place: Path, tmp_path: Path) -> None:
    """That the text does not give so many pieces is known only after it was read."""
    ended = fit(place / "set", tmp_path / "run", "--vocab", "90000")
    *_, last = ended.err.splitlines(keepends=True)
    assert_one_sentence(ended.code, 3, ended.out, last, "ask for fewer with --vocab")
    assert not [*(tmp_path / "run").glob("[!.]*")]
    assert fit(place / "set", tmp_path / "run", "--vocab", "500").code == 0


def test_a_search_without_hits_is_no_fault(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = call(["tokenizer", "view", place / "tok", "--search", "龘靐齉"], capsys)
    assert (ended.code, ended.err) == (0, "")
    assert "龘靐齉" in ended.out
