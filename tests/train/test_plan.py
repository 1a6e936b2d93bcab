"""`train plan` beside what training really takes: bytes that autograd keeps, FLOPs that torch counts, sums by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.amp.grad_scaler import GradScaler
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runkit.errors import InputError, UsageError
from tests.train.making import small_model
from tests.train.model_runs import tiny
from tests.train.token_runs import make_call, write_documents
from train.checkpoint import weights
from train.loss import cross_entropy
from train.model import Model
from train.model_config import ModelConfig
from train.optim import Optimizers
from train.peak import DEVICES, find_device, matmul_peak
from train.plan import Machine, PlanCall, plan, worth
from train.plan_machine import measured
from train.plan_report import amount, size, span
from train.plan_sizes import (
    Rows,
    activations,
    block_activations,
    checkpoint_bytes,
    memory,
    optimizer_bytes,
    parameters,
    recomputed_flops,
)
from train.pretrain_config import PretrainConfig
from train.tokens import tokens as make_tokens

ROOT = Path(__file__).resolve().parents[2]
VOCAB, B, T = 500, 3, 48
SHAPE: dict[str, Any] = {"vocab": VOCAB, "dim": 64, "heads": 8, "kv_heads": 2, "hidden": 160, "layers": 2}
CONFIG: dict[str, Any] = {"model": {**SHAPE, "seq_len": 64}, "data": {"seq_len": 64}, "batch_rows": 8}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def config(**changes: Any) -> PretrainConfig:
    return PretrainConfig.model_validate({**CONFIG, **changes})


def call(chosen: PretrainConfig, **changes: Any) -> PlanCall:
    given: dict[str, Any] = {"config": chosen, "shards": [], "devices": ["H100"], "gpus": 1, "mfu": None}
    return PlanCall(**{**given, "tokens": None, "as_json": True, "quiet": True, **changes})


def said(capfdbinary: pytest.CaptureFixture[bytes], made: PlanCall, machine: Machine | None = None) -> Any:
    plan(made, None if machine is None else lambda config, model: machine)
    return json.loads(capfdbinary.readouterr().out)


def forward(model: Model, half: bool = False) -> torch.Tensor:
    """Loss of packed rows of five texts each, a scalar."""
    ids = torch.randint(0, VOCAB, (B, T), generator=torch.Generator().manual_seed(0))
    documents = (torch.arange(T) // 10).expand(B, T).contiguous()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        hidden = model.hidden(ids, documents)
        return cross_entropy(hidden.flatten(0, 1), model.lm_head.weight, ids.flatten())


def kept(model: Model, half: bool) -> int:
    """Bytes of all storages that autograd keeps for the backward pass, but for the weights and the loss's own two."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    seen: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            seen.setdefault(place, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(model, half)
    stored = sum(tensor.untyped_storage().nbytes() for tensor in seen.values()) - 4 * (B * T + VOCAB) * 64
    return stored + (_held(model, half) if model.checkpointing else 0)


def _held(model: Model, half: bool) -> int:
    """Bytes of angles, and of what says which positions are seen: checkpointing keeps both without telling autograd."""
    ids = torch.zeros(B, T, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        seen = model._seen(ids, 0, T, ids)
    angles = 4 * T * model.config.head_width if model.config.position == "rope" else 0
    return angles + sum(part.nbytes for part in seen if part is not None)


# ----------------------------------------------------------------------------------------------------------- sizes


def test_parameters_of_the_shipped_shape_by_hand() -> None:
    chosen = PretrainConfig.load(ROOT / "configs" / "model-26m.yaml")
    assert chosen.model is not None
    sizes = parameters(chosen.model)
    assert sizes.embedding == 6400 * 512
    assert sizes.output == 0
    assert sizes.attention == 8 * (512 * 512 + 2 * 512 * 128 + 512 * 512)
    assert sizes.feed_forward == 8 * 3 * 512 * 1408  # 8/3 of 512 is 1,365.3
    assert sizes.norms == 8 * 2 * 512 + 512
    assert sizes.total == 3_276_800 + 5_242_880 + 17_301_504 + 8_704 == 25_829_888


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"qk_norm": True, "qkv_bias": True}])
def test_parameters_are_those_of_the_model(changes: dict[str, Any]) -> None:
    model = tiny(**SHAPE, **changes)
    sizes = parameters(model.config)
    assert sizes.total == sum(weight.numel() for weight in model.parameters())
    parts = (sizes.embedding, sizes.output, sizes.attention, sizes.feed_forward, sizes.norms)
    assert sum(parts) == sizes.total
    assert sizes.block == sum(weight.numel() for weight in model.model.layers[0].parameters())


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, {"position": "alibi"}, {"qk_norm": True, "tied": False}, {"kv_heads": 8, "layers": 3}]
)
@pytest.mark.filterwarnings("ignore:Mismatch dtype")
def test_activations_are_what_autograd_keeps(changes: dict[str, Any], checkpointing: bool, half: bool) -> None:
    model = tiny(**{**SHAPE, **changes})
    model.checkpointing = checkpointing
    estimate = activations(model.config, Rows(B, T, half, False, checkpointing))
    assert estimate == pytest.approx(kept(model, half), rel=0.01)


def test_one_kernel_for_a_norm_keeps_one_tensor_less() -> None:
    rows = Rows(B, T, False, False, False)
    model = ModelConfig(**SHAPE)
    rows = replace(rows, half=True)  # both with PyTorch's attention
    less = block_activations(model, rows) - block_activations(model, replace(rows, gpu=True))
    assert less == 2 * B * T * 64 * 4


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_is_what_the_optimizer_keeps(kind: str) -> None:
    chosen = config(optim={"kind": kind})
    assert chosen.model is not None
    model = Model(chosen.model)
    model.initialize(torch.Generator().manual_seed(0))
    optimizers = Optimizers(model, chosen.optim)
    forward(model).backward()  # type: ignore[no-untyped-call]
    optimizers.step(GradScaler("cpu", enabled=False), 0.0)
    state = sum(tensor.numel() * tensor.element_size() for tensor in optimizers.tensors().values())
    assert optimizer_bytes(chosen.model, chosen) == pytest.approx(state, rel=0.001)  # steps are counted in it
    file = sum(tensor.numel() * tensor.element_size() for tensor in weights(model).values())
    assert checkpoint_bytes(chosen.model, chosen) == pytest.approx(file + state, rel=0.001)


def test_fsdp_divides_what_stays() -> None:
    chosen = config(parallel="fsdp")
    assert chosen.model is not None
    rows = Rows(2, 64, True, True, False)
    one, four = memory(chosen.model, chosen, rows, 1), memory(chosen.model, chosen, rows, 4)
    assert one.shared == 0
    assert (four.weights, four.gradients, four.optimizer) == (one.weights // 4, one.gradients // 4, one.optimizer // 4)
    assert four.activations == one.activations
    block, table = parameters(chosen.model).block, VOCAB * 64
    assert four.shared == 8 * (2 * block + table)  # weights and gradients
    parts = memory(chosen.model, chosen, replace(rows, rows=1), 4)
    assert parts.shared == 4 * (2 * block + table + one.weights // 4)  # two parts a step: all gradients stay whole
    assert memory(chosen.model, config(), rows, 4) == one


# ----------------------------------------------------------------------------------------------------------- FLOPs


@pytest.fixture
def counted_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention of whole rows by products that torch counts, without grouped heads."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (k, v))
        with sdpa_kernel(SDPBackend.MATH):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)

    monkeypatch.setattr("train.model.packed_attention", attention)


@pytest.mark.usefixtures("counted_attention")
def test_flops_are_those_that_torch_counts() -> None:
    """Torch counts the whole square of attention; of a causal one half is needed."""
    model = tiny(**SHAPE)
    with FlopCounterMode(display=False) as counter:
        forward(model).backward()  # type: ignore[no-untyped-call]
    counted = counter.get_flop_counts()["Global"]
    attention = counted[torch.ops.aten.bmm]
    expected = model.config.flops_per_token(T) * B * T
    assert sum(counted.values()) - attention / 2 == pytest.approx(expected, rel=0.005)  # it takes norms for matrices


@pytest.mark.usefixtures("counted_attention")
def test_checkpointing_adds_the_forward_pass_of_the_blocks() -> None:
    counts = []
    for checkpointing in (False, True):
        model = tiny(**SHAPE)
        model.checkpointing = checkpointing
        with FlopCounterMode(display=False) as counter:
            forward(model).backward()  # type: ignore[no-untyped-call]
        counts.append(counter.get_flop_counts()["Global"])
    more = {kind: counts[1][kind] - counts[0][kind] for kind in counts[0]}
    needed = sum(more.values()) - more[torch.ops.aten.bmm] / 2
    assert needed == pytest.approx(recomputed_flops(model.config, T) * B * T, rel=0.005)


# ----------------------------------------------------------------------------------------------------- the command


def test_hours_by_hand(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    chosen = config(steps=1_000_000, dtype="bf16")
    found = said(capfdbinary, call(chosen, devices=["a100 80", "H100"], gpus=4, mfu=0.5))
    assert chosen.model is not None
    tokens = 1_000_000 * 8 * 64
    assert (found["tokens"], found["steps"]) == (tokens, 1_000_000)
    flops = tokens * chosen.model.flops_per_token(64)
    assert found["flops"] == pytest.approx(flops)
    a100, h100 = found["estimates"]
    assert a100["device_hours"] == pytest.approx(flops / (312e12 * 0.5) / 3600)
    assert a100["hours"] == pytest.approx(a100["device_hours"] / 4)
    assert h100["device_hours"] / a100["device_hours"] == pytest.approx(312 / 989.4)
    assert a100["micro_rows"] == 2  # a quarter of eight


def test_this_machine_as_it_was_measured(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    machine = Machine("a CPU", False, "fp32", 8_000_000_000, 1e11, 500.0, None)
    chosen = config(steps=100, checkpointing=True)
    assert chosen.model is not None
    found = said(capfdbinary, call(chosen, devices=[]), machine)["estimates"][0]
    assert found["hours"] == pytest.approx(100 * 8 * 64 / 500 / 3600)
    work = chosen.model.flops_per_token(64) + recomputed_flops(chosen.model, 64)
    assert found["share"] == pytest.approx(500 * work / 1e11)
    tried = replace(machine, tokens_per_s=None, why_not="too long")
    found = said(capfdbinary, call(chosen, devices=[]), tried)["estimates"][0]
    assert found["tokens_per_s"] == pytest.approx(0.75 * 1e11 / work)
    assert found["share_is"] == "assumed, not measured: too long"


def test_tokens_come_from_what_says_so(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    step = 8 * 64
    chosen = config()
    assert chosen.model is not None
    best = 20 * chosen.model.parameters
    assert said(capfdbinary, call(chosen))["tokens"] == best // step * step
    assert said(capfdbinary, call(chosen, tokens=10_000))["tokens"] == 10_000 // step * step
    given = config(data={"seq_len": 64, "tokens": 20_000})
    assert said(capfdbinary, call(given))["steps"] == 20_000 // step
    assert said(capfdbinary, call(config(steps=7)))["tokens_per_parameter"] == 7 * step / chosen.model.parameters


def test_epochs_of_shards(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    shards = tmp_path / "shards"
    make_tokens(make_call(write_documents(tmp_path / "docs"), small_model(tmp_path / "tok"), shards))
    once = said(capfdbinary, call(config(), shards=[shards]))
    assert all(source["epochs"] == pytest.approx(1, rel=0.05) for source in once["sources"])
    assert not any(source["too_often"] for source in once["sources"])
    often = said(capfdbinary, call(config(), shards=[shards], tokens=6 * once["tokens"]))
    for one, many in zip(once["sources"], often["sources"], strict=True):
        assert many["epochs"] == pytest.approx(6 * one["epochs"])
        assert many["too_often"]
        assert many["tokens"] < many["worth_tokens"] < 6 * many["tokens"]
    with pytest.raises(InputError, match="lower batch_rows"):
        plan(call(config(batch_rows=100_000, micro_rows=1), shards=[shards]))


def test_worth_of_repeated_tokens() -> None:
    assert worth(100, 0.5) == 50
    assert worth(100, 1) == 100
    assert 370 < worth(100, 4) < 400  # nearly as good as new
    assert worth(100, 1e6) == pytest.approx(1640)  # and never more than 16.4 times


def test_rows_that_fit(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    chosen = PretrainConfig.load(ROOT / "configs" / "model-1b.yaml", ["micro_rows=512"])
    assert chosen.model is not None
    found = said(capfdbinary, call(chosen, devices=["H100", "T4"]))
    large, small = found["estimates"]
    assert not large["fits"]
    rows = Rows(large["largest_micro_rows"], 2048, True, True, True)
    assert memory(chosen.model, chosen, rows, 1).total <= 0.9 * 80e9
    assert memory(chosen.model, chosen, replace(rows, rows=rows.rows + 1), 1).total > 0.9 * 80e9
    assert small["largest_micro_rows"] == 0  # 16 bytes for each of a billion weights are more than it has
    plan(call(chosen, devices=["H100", "T4"], as_json=False))
    text = capfdbinary.readouterr().err.decode()
    assert f"set micro_rows to {rows.rows} or less" in text
    assert "T4: does not fit; train on several GPUs with parallel: fsdp" in text


def test_text_for_people(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    machine = Machine("a CPU", False, "fp32", 8_000_000_000, 1e11, None, "one row would take about 60 s")
    plan(call(config(steps=100), as_json=False), lambda config, model: machine)
    text = capfdbinary.readouterr()
    assert text.out == b""
    assert b"a CPU was not tried: one row would take about 60 s." in text.err
    assert b"steps of the config" in text.err
    assert (size(1_500_000), amount(25_829_888), span(0.5), span(200)) == ("1.5 MB", "25.8 million", "30 min", "8 days")


def test_what_cannot_be_planned() -> None:
    without = PretrainConfig.model_construct(**{**dict(config()), "model": None})
    for made, told in [
        (call(without), "has no model"),
        (call(config(), devices=["A100"]), "did you mean A100-80 or A100-40"),
        (call(config(), devices=["abacus"]), "give one of"),
        (call(config(), gpus=3), "batch_rows = 8 cannot be split evenly over gpus = 3"),
        (call(config(dtype="bf16"), devices=["V100-16"]), "has no bf16"),
        (call(config(train_only="embeddings")), "train_only"),
    ]:
        with pytest.raises(UsageError, match=told):
            plan(made)


# ------------------------------------------------------------------------------------------------------- measuring


def test_devices_are_plausible() -> None:
    assert find_device("nvidia geforce rtx 4090") is DEVICES["RTX-4090"]
    assert find_device("h100pcie") is DEVICES["H100-PCIe"]
    for device in DEVICES.values():
        assert device.bf16 in (None, device.fp16)
        assert 1.5 < device.fp16 / device.fp32 < 40
        assert 16e9 <= device.memory_bytes <= 192e9
    assert DEVICES["V100-16"].peak("auto") == 125e12
    assert DEVICES["H100"].peak("fp32") == 67e12


def test_peak_is_measured_and_leaves_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    peak = matmul_peak(torch.device("cpu"), torch.float32, seconds=0.05)
    assert torch.equal(state, torch.get_rng_state())
    assert 1e8 < peak < 1e14
    half = matmul_peak(torch.device("cpu"), torch.float32, seconds=0.05)
    assert 0.2 < half / peak < 5


def test_this_machine_trains_no_faster_than_it_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.plan_machine.ONE_PASS_S", 0.05)
    chosen = config(threads=1, dtype="fp32", micro_rows=4)
    assert chosen.model is not None
    found = measured(chosen, chosen.model)
    assert found.why_not is None
    assert found.tokens_per_s is not None
    assert 0 < found.tokens_per_s * chosen.model.flops_per_token(64) < found.peak
    assert found.dtype == "fp32"
    monkeypatch.setattr("train.plan_machine.LONGEST_PASS_S", 0.0)
    refused = measured(chosen, chosen.model)
    assert refused.tokens_per_s is None
    assert refused.why_not is not None
    assert "one row would take" in refused.why_not
