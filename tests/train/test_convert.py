"""Models in and out of other formats, against transformers' own classes."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from runkit.errors import InputError, UsageError
from tests.train.foreign_models import IDS, KINDS, LLAMA3, auto, close, logits, theirs
from tests.train.making import TEXTS, small_model
from train.convert import ConvertCall, Loaded, export_model, import_model, load_model, write_model
from train.model import Model
from train.model_config import ModelConfig, RopeScaling
from train.model_json import read_config
from train.tokenizer import load
from train.tokenizer_json import as_json


def changed(folder: Path, **values: Any) -> None:
    """Values of `config.json` set, or taken out with ...."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


@pytest.mark.parametrize("kind", KINDS)
def test_in_and_out_again_the_logits_stay(kind: str, tmp_path: Path) -> None:
    original = theirs(kind)
    original.save_pretrained(tmp_path / "in")
    loaded = load_model(tmp_path / "in")
    assert close(loaded.model, original)
    assert loaded.tokenizer is None
    assert loaded.config.parameters == sum(weight.numel() for weight in loaded.model.parameters())
    export_model(ConvertCall(source=tmp_path / "in", out=tmp_path / "out"))
    assert close(auto(tmp_path / "out"), original)
    assert load_model(tmp_path / "out").config == loaded.config.model_copy(
        update={"head_dim": loaded.config.head_width}
    )


def test_a_config_of_transformers_4(tmp_path: Path) -> None:
    original = theirs("llama3")
    original.save_pretrained(tmp_path)
    scaling = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    changed(tmp_path, rope_parameters=..., rope_theta=5000.0, rope_scaling=scaling, dtype=..., torch_dtype="float32")
    assert close(load_model(tmp_path).model, original)
    changed(tmp_path, rope_scaling={"type": "linear", "factor": 2.0})
    assert read_config(tmp_path / "config.json").rope_scaling == RopeScaling(kind="linear", factor=2.0)


def test_sharded_weights_in_and_out(tmp_path: Path) -> None:
    original = theirs()
    original.save_pretrained(tmp_path / "in", max_shard_size="40KB")
    assert not (tmp_path / "in" / "model.safetensors").exists()
    import_model(ConvertCall(source=tmp_path / "in", out=tmp_path / "out", shard_gb=4e-5))
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) > 2
    assert close(auto(tmp_path / "out"), original)
    assert close(load_model(tmp_path / "out").model, original)
    next((tmp_path / "out").glob("model-00002*")).unlink()
    with pytest.raises(InputError, match=r"lacks files that .*: model-00002-of-"):
        load_model(tmp_path / "out")


def test_the_decoder_alone_with_tied_embeddings(tmp_path: Path) -> None:
    original = theirs("llama-tied")
    original.model.save_pretrained(tmp_path)
    assert "embed_tokens.weight" in load_file(tmp_path / "model.safetensors")
    assert close(load_model(tmp_path).model, original)


def test_half_precision(tmp_path: Path) -> None:
    original = theirs().to(torch.bfloat16)
    original.save_pretrained(tmp_path / "in")
    loaded = load_model(tmp_path / "in")
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    original = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "in", dtype=torch.float32).eval()
    assert close(loaded.model, original)
    assert {weight.dtype for weight in load_model(tmp_path / "in", torch.float16).model.parameters()} == {torch.float16}
    export_model(ConvertCall(source=tmp_path / "in", out=tmp_path / "out", dtype="bf16"))
    again = auto(tmp_path / "out")
    assert again.dtype == torch.bfloat16
    for name, weight in original.state_dict().items():
        assert torch.equal(again.state_dict()[name].float(), weight)


def test_a_sliding_window_shortens_the_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = theirs("mistral", sliding_window=40)
    original.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config.seq_len == 40 == IDS.shape[1]
    assert close(loaded.model, original)
    assert "sliding window of 40 positions" in capsys.readouterr().err
    changed(tmp_path, sliding_window=64)
    assert load_model(tmp_path).config.seq_len == 64
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "gpt2"}, "architecture 'gpt2' is unknown; known are llama, mistral, qwen2, qwen3"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope type 'yarn' is unknown"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 4.0}}, "needs original_max_position_embeddings"),
        ({"hidden_size": ...}, "does not say hidden_size"),
        ({"hidden_size": "wide"}, "dim: Input should be a valid integer"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"num_key_value_heads": 3}, "heads must be a multiple of kv_heads"),
        ({"intermediate_size": 56}, r"proj.weight has the shape \[32, 48\], but its config asks for \[32, 56\]"),
        ({"num_hidden_layers": 1}, "belong to no part of the model: model.layers.1.*and 6 more"),
        ({"num_hidden_layers": 3}, "are missing: model.layers.2.*and 6 more"),
        ({"tie_word_embeddings": True}, "lm_head.weight is not the embedding"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    theirs().save_pretrained(tmp_path)
    changed(tmp_path, **values)
    with pytest.raises(InputError, match=sentence):
        load_model(tmp_path)


def test_folders_without_weights_that_can_be_read(tmp_path: Path) -> None:
    theirs().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "model.norm.weight": torch.ones(32, dtype=torch.int8)}, file)
    with pytest.raises(InputError, match=r"model.norm.weight is stored as torch.int8"):
        load_model(tmp_path)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"model.safetensors is no safetensors file"):
        load_model(tmp_path)
    file.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(InputError, match="pickled weights alone"):
        load_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match="holds no model"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="has no checkpoint yet"):
        load_model(tmp_path)


def own_model(**values: Any) -> Model:
    config = ModelConfig(vocab=400, dim=32, layers=1, heads=2, hidden=48, seq_len=64, **values)
    model = Model(config)
    model.initialize(torch.Generator().manual_seed(0))
    return model


def test_a_model_that_transformers_lacks_stays_in_our_format(tmp_path: Path) -> None:
    model = own_model(position="alibi", qk_norm=True)
    write_model(tmp_path / "run", Loaded(model, None, model.config, {}), torch.float32)
    assert torch.equal(logits(load_model(tmp_path / "run").model), logits(model))
    with pytest.raises(UsageError, match="ALiBi, which no class of transformers has"):
        export_model(ConvertCall(source=tmp_path / "run", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="there already"):
        import_model(ConvertCall(source=tmp_path / "run", out=tmp_path / "run"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our model with a SentencePiece tokenizer of 400 pieces, as transformers gets it."""
    folder = tmp_path_factory.mktemp("exported")
    model, file = own_model(), small_model(folder / "tokenizer")
    write_model(folder / "run", Loaded(model, load(file), model.config, {file.name: file.read_bytes()}), torch.float32)
    export_model(ConvertCall(source=folder / "run", out=folder / "out"))
    return folder / "out"


@pytest.fixture(scope="module")
def tokenizer(exported: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(exported)


TEXT = st.text() | st.text(alphabet="aab \u2581\n的一是<s>/01")


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
def test_the_exported_tokenizer_gives_the_same_ids(exported: Path, tokenizer: Any, text: str) -> None:
    ids = load(exported).encode(text).tolist()
    assert tokenizer(text, split_special_tokens=True).input_ids == ids
    assert tokenizer.decode(ids) == text


def test_the_exported_tokenizer_on_real_texts_and_special_tokens(exported: Path, tokenizer: Any) -> None:
    ours = load(exported)
    for text in TEXTS:
        assert tokenizer(text).input_ids == ours.encode(text).tolist()
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (ours.special.bos, ours.special.eos) == (1, 2)
    # In a prompt a special token is one; ours never makes one of text.
    assert tokenizer("<s>你好</s>").input_ids == [1, *ours.encode("你好").tolist(), 2]
    model = auto(exported)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (1, 2)
    assert model.generation_config.eos_token_id == 2
    again = load_model(exported)
    assert again.tokenizer is not None and again.tokenizer.kind == "sentencepiece"


def test_why_there_is_no_tokenizer_json(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=file, model_type="unigram", vocab_size=700, minloglevel=2
        )
    assert as_json(tmp_path / "tokenizer.model") == "the model is not BPE"


def test_a_tokenizer_with_more_ids_than_rows(tmp_path: Path) -> None:
    theirs().save_pretrained(tmp_path, max_shard_size="40KB")
    small_model(tmp_path)
    with pytest.raises(InputError, match="400 pieces, more than"):
        load_model(tmp_path)
