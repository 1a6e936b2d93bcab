"""What the prepared process of `launch` has done before `judge` is forked."""

from importlib import import_module

for name in ("judge.cli", "judge.compare", "judge.answering"):
    import_module(name)
