"""GGUF files that we write: llama.cpp computes our ids and our logprobs, and we read back what was written."""

import json
import resource
from pathlib import Path
from typing import Any

import gguf
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, trainers
from tokenizers.processors import TemplateProcessing

from runkit.console import run_app
from runkit.errors import EnvironmentFault, UsageError
from tests.train.foreign_models import theirs
from tests.train.llama_cpp import llama_cpp
from tests.train.making import TEXTS, byte_level, small_model
from train.chat_template import CHATML, FILE, ChatTemplate
from train.cli import app
from train.convert import ConvertCall, Loaded, load_model, write_model
from train.export_gguf import export_gguf
from train.gguf_cuts import CUTS, steps
from train.model import Model
from train.model_config import ModelConfig
from train.model_file import new_model, read_model
from train.tokenizer import files_in, load

SAMPLES = [
    *(
        "",
        " ",
        "a",
        "你好，世界！",
        "  two  spaces \n\n\tand a tab\r\n",
        "def f(x):\n    return x**2  # ½",
        "😀👩‍👩‍👧 é 𠮷 ٣٤",
    ),
    *("It's 1,234.5% of 20000", "<s> </s> <unk> <|endoftext|> <0x0A>", "end \n ", "HELLO'S we'Ll ña ＡＢＣ１２３"),
    *TEXTS[:20],
]


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def folder_with(folder: Path, model: Any, tokenizer: str) -> Path:
    """A Hugging Face folder of 304 rows and 300 pieces."""
    model.save_pretrained(folder)
    (small_model if tokenizer == "spm" else byte_level)(folder, 300)
    return folder


def exported(source: Path, dtype: Any = "fp32") -> Path:
    out = source.with_name(f"{source.name}-{dtype}.gguf")
    export_gguf(ConvertCall(source=source, out=out, dtype=dtype))
    return out


@torch.no_grad()
def foretold(loaded: Loaded, ids: list[int]) -> torch.Tensor:
    """Logprobs (V,) of what comes behind `ids`."""
    return loaded.model.logits(loaded.model.hidden(torch.tensor([ids]))[0, -1]).log_softmax(-1)


@pytest.mark.parametrize(
    ("kind", "tokenizer"),
    [
        *(("llama", "spm"), ("llama-tied", "bpe"), ("llama3", "bpe"), ("linear", "spm"), ("mistral", "spm")),
        *(("qwen2", "bpe"), ("qwen3", "spm"), ("qwen3", "bpe")),
    ],
)
def test_llama_cpp_computes_what_we_compute(tmp_path: Path, kind: str, tokenizer: str) -> None:
    source = folder_with(tmp_path / "model", theirs(kind), tokenizer)
    ours, path = load_model(source), exported(source)
    again = load_model(path)
    for name, weight in ours.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weight), name
    assert again.config == ours.config.model_copy(update={"head_dim": ours.config.head_width})
    assert ours.tokenizer is not None and again.tokenizer is not None
    assert (again.tokenizer.size, again.tokenizer.special) == (300, ours.tokenizer.special)
    ids = [ours.tokenizer.encode(text).tolist() for text in SAMPLES]
    assert [found.tolist() for found in again.tokenizer.encode_batch(SAMPLES)] == ids
    with llama_cpp(path) as server:
        assert [server.ids(text) for text in SAMPLES] == ids
        compared = 0
        for prompt in (ids[3], ids[5], ids[-1][:40]):
            done = list(prompt)
            for chosen in server.greedy(prompt, 8):
                expected = foretold(ours, done)
                assert chosen == int(expected.argmax())
                likeliest = server.likeliest(done)
                assert likeliest == pytest.approx({id: float(expected[id]) for id in likeliest}, abs=1e-4)
                compared += len(likeliest)
                done.append(chosen)
        assert compared >= 25


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "q8_0"])
def test_narrow_numbers(tmp_path: Path, dtype: str) -> None:
    source = folder_with(tmp_path / "model", theirs("qwen2"), "spm")
    ours, path = load_model(source), exported(source, dtype)
    again = load_model(path)
    found = again.model.state_dict()
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    # A feed-forward of 48 has no blocks of 32.
    assert kinds["blk.0.ffn_down.weight"] == {"fp16": "F16", "bf16": "BF16", "q8_0": "F32"}[dtype]
    assert kinds["blk.0.attn_q.weight"] == {"fp16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}[dtype]
    assert {kinds["blk.0.attn_q.bias"], kinds["output_norm.weight"]} == {"F32"}
    for name, weight in ours.model.state_dict().items():
        if weight.ndim == 1:
            assert torch.equal(found[name], weight)
        elif dtype == "q8_0":
            assert (found[name] - weight).norm() < 0.01 * weight.norm()
        else:
            assert torch.equal(found[name], weight.to({"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]).float())
    assert ours.tokenizer is not None
    prompt = ours.tokenizer.encode(SAMPLES[5]).tolist()
    with llama_cpp(path) as server:
        likeliest = server.likeliest(prompt)
    assert likeliest
    expected = foretold(again, prompt)
    # llama.cpp rounds what it multiplies with such weights too.
    assert likeliest == pytest.approx({id: float(expected[id]) for id in likeliest}, abs=0.2)


def cut_otherwise(folder: Path, name: str, nfc: bool, specials: list[str]) -> Path:
    """A byte-level tokenizer.json that cuts as llama.cpp's `name`, with a word that is always one piece."""
    library = tokenizers.Tokenizer(models.BPE(ignore_merges=CUTS[name].ignore_merges))
    library.pre_tokenizer, library.decoder = steps(CUTS[name]), decoders.ByteLevel()
    if nfc:
        library.normalizer = normalizers.NFC()
    alphabet = byte_level_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator([*TEXTS, *SAMPLES * 5], trainer)
    library.add_tokens([tokenizers.AddedToken("<think>", normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    library.save(str(folder / "tokenizer.json"))
    return folder


def byte_level_alphabet() -> list[str]:
    return tokenizers.pre_tokenizers.ByteLevel.alphabet()


def own_model(**values: Any) -> Model:
    config = ModelConfig(**{"vocab": 448, "dim": 32, "layers": 1, "heads": 2, "hidden": 48, "seq_len": 64, **values})
    model = Model(config)
    model.initialize(torch.Generator().manual_seed(0))
    return model


def with_tokenizer(folder: Path) -> Path:
    """A random model beside the tokenizer in `folder`."""
    tokenizer = load(folder)
    model = own_model(vocab=-(-tokenizer.size // 64) * 64)
    write_model(folder / "model", Loaded(model, tokenizer, model.config, files_in(folder)), torch.float32)
    return folder / "model"


@pytest.mark.parametrize("name", [name for name in CUTS if name not in ("default", "llama3")])
def test_every_way_of_cutting_texts(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    nfc = CUTS[name].nfc != (name == "qwen35")  # once otherwise than the models of that name
    source = with_tokenizer(cut_otherwise(tmp_path, name, nfc, ["<|endoftext|>"]))
    path, ours = exported(source), load(source)
    assert ("NFC" in capsys.readouterr().err) == nfc
    assert gguf.GGUFReader(path).fields["tokenizer.ggml.pre"].contents() == name
    texts = [*SAMPLES, "x<think>1</think> <think>"]
    ids = [found.tolist() for found in ours.encode_batch(texts)]
    again = load_model(path).tokenizer
    assert again is not None
    odd = "e\u0301"  # not in NFC
    assert [found.tolist() for found in again.encode_batch([*texts, odd])] == [*ids, ours.encode(odd).tolist()]
    with llama_cpp(path) as server:
        assert [server.ids(text) for text in texts] == ids


@pytest.mark.parametrize("kind", ["spm", "bpe"])
def test_chat_template_and_the_token_that_ends_a_turn(tmp_path: Path, kind: str) -> None:
    specials = ["<|im_start|>", "<|im_end|>"]
    if kind == "spm":
        (tmp_path / "tokenizer.model").write_bytes(new_model(specials, ["ab"], ["a", "b", "你"]))
    else:
        cut_otherwise(tmp_path, "qwen2", False, ["<|endoftext|>", *specials])
    (tmp_path / FILE).write_text(CHATML, encoding="utf-8")
    source = with_tokenizer(tmp_path)
    path, tokenizer = exported(source), load(source)
    values = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    assert values["tokenizer.chat_template"].endswith(CHATML)
    assert values["tokenizer.ggml.eot_token_id"] == tokenizer.find("<|im_end|>") != tokenizer.special.eos
    assert values["tokenizer.ggml.add_bos_token"] == (kind == "spm")
    assert json.loads(load_model(path).files["tokenizer_config.json"])["chat_template"] == CHATML
    turns = [("system", "ab\n"), ("user", " 你 好")]
    with llama_cpp(path) as server:
        messages = [{"role": role, "content": text} for role, text in turns]
        asked = server.post("/apply-template", messages=messages)["prompt"]
        found = server.ids(asked, special=True)
    ids = ChatTemplate(CHATML, tokenizer, "here").question(turns).tolist()
    assert found == ids  # llama.cpp would take a token of its own for a bos that is missing


def test_which_texts_begin_with_a_token(tmp_path: Path) -> None:
    def stated(**config: Any) -> bool:
        for file in tmp_path.glob("*.gguf"):
            file.unlink()
        values = {"bos_token": "<s>", "eos_token": "</s>", **config}
        (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(values))
        fields = gguf.GGUFReader(exported(tmp_path / "model")).fields
        return bool(fields["tokenizer.ggml.add_bos_token"].contents())

    with_tokenizer(cut_otherwise(tmp_path, "gpt-2", False, ["<s>", "</s>"]))
    assert [stated(), stated(add_bos_token=True), stated(bos_token=None, add_bos_token=True)] == [False, True, False]
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    library.post_processor = TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)])
    library.save(str(tmp_path / "model" / "tokenizer.json"))
    assert [stated(), stated(add_bos_token=False)] == [True, False]


def test_words_that_sentencepiece_keeps_whole(tmp_path: Path) -> None:
    file = small_model(tmp_path, 300)
    model = read_model(file)
    model.pieces.add(piece="人工\u2581智能", score=0.0, type=4)
    model.pieces.add(piece="gone", score=0.0, type=5)
    file.write_bytes(model.SerializeToString())
    source = with_tokenizer(tmp_path)
    path, ours = exported(source), load(source)
    texts = ["人工 智能", "我爱人工 智能。人工智能", "gone"]
    ids = [ours.encode(text).tolist() for text in texts]
    assert 300 in ids[1]
    again = load_model(path).tokenizer
    assert again is not None and again.special == ours.special
    assert [again.encode(text).tolist() for text in texts] == ids
    with llama_cpp(path) as server:
        assert [server.ids(text) for text in texts] == ids


def test_what_llama_cpp_makes_of_some_texts_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_model(tmp_path, 300)
    model = read_model(file)
    model.normalizer_spec.add_dummy_prefix = True
    for piece, kind in (("</", 1), ("</s", 1), ("智能", 4)):
        model.pieces.add(piece=piece, score=-5000.0, type=kind)
    file.write_bytes(model.SerializeToString())
    path, ours = exported(with_tokenizer(tmp_path)), load(tmp_path)
    told = capsys.readouterr().err
    assert "where a text says </s>, llama.cpp takes it for the piece of that name" in told
    assert "puts a space behind each user-defined piece" in told
    texts = [text for text in SAMPLES if "</s>" not in text]
    with llama_cpp(path) as server:
        assert [server.ids(text) for text in texts] == [ours.encode(text).tolist() for text in texts]
        assert server.ids("a</s>")[-1] == ours.special.eos  # when this fails, the notice can go


def test_a_full_disk(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", theirs(), "bpe")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (1000, 100_000):  # among the keys, among the weights
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(EnvironmentFault, match=r"Cannot write .*model-fp32.gguf: file too large"):
                exported(source)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert exported(source).stat().st_size > 100_000


def test_what_llama_cpp_does_not_compute_is_refused(tmp_path: Path) -> None:
    def refused(source: Path, sentence: str, **call: Any) -> None:
        with pytest.raises(UsageError, match=sentence):
            export_gguf(ConvertCall(source=source, out=tmp_path / "out.gguf", **call))
        assert not list(tmp_path.glob("*out.gguf*"))

    def written(name: str, tokenizer: Path | None, **values: Any) -> Path:
        model = own_model(**values)
        files = {} if tokenizer is None else files_in(tokenizer)
        found = None if tokenizer is None else load(tokenizer)
        write_model(tmp_path / name, Loaded(model, found, model.config, files), torch.float32)
        return tmp_path / name

    spm, bpe = small_model(tmp_path / "spm").parent, byte_level(tmp_path / "bpe", 400).parent
    refused(written("alibi", spm, position="alibi"), "has ALiBi, which no architecture of llama.cpp has")
    refused(written("both", spm, qk_norm=True, qkv_bias=True), "has biases together with QK-norm")
    scaling = {"kind": "llama3", "factor": 8.0}
    refused(written("scaled", spm, qk_norm=True, rope_scaling=scaling), "llama3's rope scaling.* lacks for qwen3")
    refused(written("mute", None), "has no tokenizer")
    whole = written("whole", bpe)
    for change, sentence in (
        ({"pre_tokenizer": {**BYTE_LEVEL, "add_prefix_space": True}}, "cuts texts as none of the kinds"),
        ({"normalizer": {"type": "Lowercase"}}, "changes texts before it cuts them"),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, BYTE_LEVEL]}},
            "cuts texts as none of the kinds",
        ),
    ):
        layout = json.loads((bpe / "tokenizer.json").read_text())
        (whole / "tokenizer.json").write_text(json.dumps({**layout, **change}))
        refused(whole, f"cannot compute the ids of .*tokenizer.json: it {sentence}")
    plain = written("plain", spm)
    model = read_model(spm / "tokenizer.model")
    model.normalizer_spec.remove_extra_whitespaces = True
    (plain / "tokenizer.model").write_bytes(model.SerializeToString())
    refused(plain, "cannot compute the ids of .*tokenizer.model: the model normalises its text")
    model = read_model(spm / "tokenizer.model")
    del model.pieces[3 : 3 + 256]
    model.trainer_spec.byte_fallback = False
    (plain / "tokenizer.model").write_bytes(model.SerializeToString())
    refused(plain, "cannot compute the ids of .*tokenizer.model: the model has no pieces for bytes")
    weight = torch.full((448, 32), 1e6)
    loud = load_model(plain)
    loud.model.model.embed_tokens.weight.data.copy_(weight)
    small_model(plain)
    write_model(tmp_path / "loud", Loaded(loud.model, load(plain), loud.config, files_in(plain)), torch.float32)
    refused(tmp_path / "loud", "token_embd.weight has numbers beyond fp16", dtype="fp16")


def test_wrong_calls_are_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = folder_with(tmp_path / "model", theirs(), "bpe")
    (tmp_path / "there.gguf").write_text("old")
    capsys.readouterr()

    def told(*arguments: str) -> tuple[int, str]:
        code = run_app(app, ["export", str(source), *arguments])
        return code, capsys.readouterr().err

    new, form = str(tmp_path / "new.gguf"), ("--format", "gguf")
    for arguments, sentence in (
        (("--out", str(tmp_path / "there.gguf"), *form), "there.gguf is there already"),
        (("--out", str(tmp_path / "new"), *form), "does not end in .gguf"),
        (("--out", new, *form, "--shard-gb", "1"), "--shard-gb and --format gguf exclude each other"),
        (("--out", new, "--dtype", "q8_0"), "--dtype q8_0 goes with --format gguf alone"),
    ):
        code, err = told(*arguments)
        assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1, err
    assert (tmp_path / "there.gguf").read_text() == "old"
    code, err = told("--out", new, *form, "--dtype", "q8_0", "--json")
    assert code == 0 and "Exported llama, " in err
