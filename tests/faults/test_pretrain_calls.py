"""Wrong calls of `train pretrain`, `plan`, `eval`, `import`, `export`: one sentence, an exit code, nothing written."""

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.checks import PNG, assert_one_sentence
from tests.faults.launch import FULL
from tests.faults.pretrain_runs import SETTINGS, sums
from tests.faults.train_runs import call
from tests.train.question_files import question_folder
from train.checkpoint import newest

pytestmark = pytest.mark.timeout(300 if FULL else 120)


@pytest.fixture(scope="module")
def place(shards: Path, trained: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    for name, source in (("shards", shards), ("run", trained), ("model", model), ("unfinished", trained)):
        shutil.copytree(source, folder / name)
    shutil.rmtree(folder / "unfinished" / "checkpoints")
    (folder / "unfinished" / "checkpoints").mkdir()
    (folder / "text.jsonl").write_text('{"text": "春眠不觉晓，处处闻啼鸟。"}\n', "utf-8")
    for name in ("picture.png", "picture.gguf"):
        (folder / name).write_bytes(PNG)
    (folder / "file").write_bytes(b"")
    (folder / "nothing").mkdir()
    for name in ("cut", "pickle", "bare", "odd"):
        shutil.copytree(model, folder / name)
    (folder / "cut" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-9])
    (folder / "pickle" / "model.safetensors").rename(folder / "pickle" / "pytorch_model.bin")
    (folder / "odd" / "config.json").write_text('{"model_type": "mamba"}')
    for file in (folder / "bare").glob("*token*"):
        file.unlink()
    shutil.copytree(newest(trained)[0] or trained, folder / "damaged")  # a checkpoint by itself
    weights = bytearray((folder / "damaged" / "model.safetensors").read_bytes())
    weights[-100] ^= 1
    (folder / "damaged" / "model.safetensors").write_bytes(weights)
    for name, file, text in (("rope", "config.json", None), ("tokconf", "tokenizer_config.json", "{")):
        shutil.copytree(model, folder / name)
        stated = json.loads((folder / name / "config.json").read_text()) | {"rope_scaling": [1]}
        (folder / name / file).write_text(text or json.dumps(stated), "utf-8")
    (folder / "bad.yaml").write_text("model: [\n", "utf-8")
    question_folder(folder / "questions")
    return folder


SHAPE = " ".join(f"-s {name}={value}" for name, value in SETTINGS.items() if name.startswith("model."))
NEW = f"pretrain @shards --out OUT {SHAPE} -s data.seq_len=64"
FROM = "pretrain @shards --out OUT -s data.seq_len=64 --from"
PLAN = f"plan @shards --no-measure {SHAPE} -s data.seq_len=64"
PPL, MCQ = "eval ppl @run @text.jsonl", "eval mcq @run @questions --limit 1"
CALLS = [
    ("pretrain: flag", f"{NEW} --form x", 2, "Did you mean --from"),
    ("pretrain: no --out", "pretrain @shards", 2, "--out"),
    ("pretrain: no shards", "pretrain --out OUT", 2, "SHARDS"),
    ("pretrain: key", f"{NEW} -s optim.lrr=1", 2, "did you mean `optim.lr`"),
    ("pretrain: value", f"{NEW} -s optim.lr=fast", 2, "optim.lr"),
    ("pretrain: yaml", f"{NEW} --config @bad.yaml", 2, "bad.yaml"),
    ("pretrain: no model", "pretrain @shards --out OUT", 2, "Nothing says what model to train"),
    ("pretrain: seq_len", f"{NEW} -s data.seq_len=128", 2, "data.seq_len"),
    ("pretrain: seq_len of --from", f"{FROM} @model -s data.seq_len=128", 2, "lower data.seq_len"),
    ("pretrain: vocab", f"{NEW} -s model.vocab=699", 2, "raise model.vocab"),
    ("pretrain: heads", f"{NEW} -s model.heads=5", 2, "heads"),
    ("pretrain: micro_rows", f"{NEW} -s micro_rows=64", 2, "micro_rows"),
    ("pretrain: steps and tokens", f"{NEW} -s steps=5 -s data.tokens=100", 2, "data.tokens"),
    ("pretrain: lora and train_only", f"{FROM} @model -s lora.rank=4 -s train_only=embeddings", 2, "train_only"),
    ("pretrain: too few rows", f"{NEW} -s batch_rows=1000000", 3, "lower batch_rows"),
    ("pretrain: unknown source", f"{NEW} -s data.weights.news=1", 2, "news"),
    ("pretrain: steps are not to blame", f"{NEW} -s data.weights.news=1 -s steps=8", 2, "Error: There is no source"),
    ("pretrain: --from a damaged checkpoint", f"{FROM} @damaged", 3, "model.safetensors was cut or edited"),
    ("pretrain: missing shards", "pretrain @nowhere --out OUT", 2, "nowhere"),
    ("pretrain: picture as shards", "pretrain @picture.png --out OUT", 2, "picture.png"),
    ("pretrain: empty folder as shards", "pretrain @nothing --out OUT", 3, "holds no token shards"),
    ("pretrain: a run as shards", "pretrain @run --out OUT", 3, "holds no token shards"),
    ("pretrain: --out in the shards", "pretrain @shards --out @shards/run", 2, "lies inside the input"),
    ("pretrain: --out is a file", f"{NEW} --out @file", 2, "is not a folder"),
    ("pretrain: --out is foreign", f"{NEW} --out @nothing/..", 3, "is not empty and no run directory"),
    ("pretrain: --out is other", f"{NEW} --out @model", 3, "is not empty and no run directory"),
    ("pretrain: --from missing", f"{FROM} @nowhere", 2, "nowhere does not exist"),
    ("pretrain: --from empty", f"{FROM} @nothing", 2, "holds no model"),
    ("pretrain: --from a picture", f"{FROM} @picture.png", 2, "holds no model"),
    ("pretrain: --from a false .gguf", f"{FROM} @picture.gguf", 3, "picture.gguf"),
    ("pretrain: --from cut weights", f"{FROM} @cut", 3, "model.safetensors"),
    ("pretrain: --from a pickle", f"{FROM} @pickle", 3, "pickled weights"),
    ("pretrain: --from without tokenizer", f"{FROM} @bare", 2, "has no tokenizer"),
    ("pretrain: --from another kind", f"{FROM} @odd", 3, "'mamba' is unknown"),
    ("pretrain: --from unfinished", f"{FROM} @unfinished", 2, "has no checkpoint yet"),
    ("pretrain: --from and shape", f"{FROM} @model -s model.vocab=700 -s model.dim=64", 2, "model.dim = 64"),
    ("pretrain: --added alone", f"{NEW} --added @text.jsonl", 2, "--added"),
    ("plan: flag", f"{PLAN} --gpu 8", 2, "Did you mean --gpus"),
    ("plan: no model", "plan --no-measure", 2, "has no model"),
    ("plan: device", f"{PLAN} --device H10O", 2, "H10O"),
    ("plan: gpus", f"{PLAN} --gpus 7", 2, "gpus = 7"),
    ("plan: shards", f"plan @nothing --no-measure {SHAPE} -s data.seq_len=64", 3, "holds no token shards"),
    ("ppl: flag", f"{PPL} --seqlen 8", 2, "Did you mean --seq-len"),
    ("ppl: no documents", "eval ppl @run", 2, "DOCS"),
    ("ppl: no model", "eval ppl @nothing @text.jsonl", 2, "holds no model"),
    ("ppl: picture", "eval ppl @picture.png @text.jsonl", 2, "holds no model"),
    ("ppl: missing documents", "eval ppl @run @nowhere.jsonl", 2, "nowhere.jsonl does not exist"),
    ("ppl: picture as documents", "eval ppl @run @picture.png", 3, "a picture"),
    ("ppl: seq_len", f"{PPL} --seq-len 65", 2, "seq_len 65 is longer"),
    ("ppl: stride", f"{PPL} --seq-len 8 --stride 9", 2, "stride"),
    ("ppl: nothing is held out", f"{PPL} --held-out 0.000001", 3, "None of the 1 documents is in --held-out 1e-06"),
    ("ppl: a damaged checkpoint", "eval ppl @damaged @text.jsonl", 3, "model.safetensors was cut or edited"),
    ("ppl: rope", "eval ppl @rope @text.jsonl", 3, "the rope parameters are no object"),
    ("ppl: page alone", f"{PPL} --page OUT", 2, "--page belongs to --curve"),
    ("ppl: curve of a folder", "eval ppl @model @text.jsonl --curve", 2, "has no checkpoints"),
    ("ppl: no tokenizer", "eval ppl @bare @text.jsonl", 2, "tokenizer"),
    ("mcq: flag", f"{MCQ} --shot 1", 2, "Did you mean --shots"),
    ("mcq: no folder", "eval mcq @run @nowhere", 2, "nowhere"),
    ("mcq: empty folder", "eval mcq @run @nothing", 2, "C-Eval's layout"),
    ("mcq: subject", f"{MCQ} --subjects alchemy", 2, "alchemy"),
    ("mcq: examples of dev", f"{MCQ} --split dev", 2, "--shots 0"),
    ("mcq: test without --out", f"{MCQ} --split test --subjects high_school_physics", 2, "--out"),
    ("mcq: page alone", f"{MCQ} --page OUT", 2, "--page belongs to --curve"),
    ("mcq: no model", "eval mcq @unfinished @questions", 2, "has no checkpoint yet"),
    ("import: flag", "import @model --out OUT --dtyp bf16", 2, "Did you mean --dtype"),
    ("import: dtype", "import @model --out OUT --dtype int8", 2, "int8"),
    ("import: missing", "import @nowhere --out OUT", 2, "nowhere does not exist"),
    ("import: picture", "import @picture.gguf --out OUT", 3, "picture.gguf"),
    ("import: pickle", "import @pickle --out OUT", 3, "pickled weights"),
    ("import: used folder", "import @model --out @run", 2, "is there already"),
    ("export: empty", "export @nothing --out OUT", 2, "holds no model"),
    ("export: damaged", "export @damaged --out OUT", 3, "model.safetensors was cut or edited"),
    ("export: tokenizer_config", "export @tokconf --out OUT", 3, "tokenizer_config.json cannot be read"),
    ("export: a file", "export @run --out @file", 2, "is there already"),
    ("export: no --out", "export @run", 2, "--out"),
    ("export: shard size", "export @run --out OUT --shard-gb 0", 2, "--shard-gb"),
]


@pytest.mark.parametrize(("words", "code", "said"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, said: str
) -> None:
    out = tmp_path / "run"
    before = sums(place)
    ended = call([word.replace("@", f"{place}/").replace("OUT", str(out)) for word in words.split()], capsys)
    *told, last = ended.err.splitlines(keepends=True)
    assert all(line.startswith(("Warning: ", "Computing in ", "53,280 parameters, ")) for line in told), ended.err
    assert_one_sentence(ended.code, code, ended.out, last, said)
    assert not [*out.glob("[!.]*")]
    assert sums(place) == before
