"""llama.cpp, as the wheel `xllamacpp` has it: one model, served on the loopback until the block ends."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 20


@dataclass(frozen=True)
class LlamaCpp:
    address: str

    def post(self, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())

    def ids(self, text: str, special: bool = False) -> list[int]:
        """`special`: a special token in the text is one, and the token that begins a text is put before it."""
        return list(self.post("/tokenize", content=text, parse_special=special, add_special=special)["tokens"])

    def greedy(self, prompt: Sequence[int], tokens: int) -> list[int]:
        found = self.post("/completion", prompt=list(prompt), n_predict=tokens, temperature=0, return_tokens=True)
        return list(found["tokens"])

    def likeliest(self, prompt: Sequence[int]) -> dict[int, float]:
        """Five ids that may come next with their logprobs; none where the first begins a character of several bytes."""
        found = self.post("/completion", prompt=list(prompt), n_predict=1, temperature=0, n_probs=5)
        steps = found.get("completion_probabilities", [])
        return {one["id"]: one["logprob"] for step in steps for one in step["top_logprobs"]}


@contextmanager
def llama_cpp(path: Path) -> Iterator[LlamaCpp]:
    library = pytest.importorskip("xllamacpp", reason="the wheel xllamacpp is not installed (pip install -e '.[dev]')")
    params = library.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.port = str(path), 128, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup, params.fit_params, params.verbosity = False, False, -1
    params.cache_type_k = params.cache_type_v = library.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # rounds on its way
    server = library.Server(params)  # its thread ends with the object
    try:
        yield LlamaCpp(server.listening_address)
    finally:
        del server
