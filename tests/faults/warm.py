"""What the prepared process of `launch` has done before it is forked: the imports, the compiled kernels."""

from importlib import import_module

from corpus.minhash import warm_kernels

for name in ("corpus.run", "corpus.report"):
    import_module(name)
for name in ("fit", "extend", "tokens", "data_view", "view", "pretrain"):
    import_module(f"train.{name}")
import_module("torch._dynamo")  # 2 s, which the first product of a model would take in each process
warm_kernels()
