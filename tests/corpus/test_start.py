"""What a start does not load: it would be a third of the CPU time of `corpus dedup` on 50 MB."""

import subprocess
import sys

LOADED = """
import sys
from corpus.cli_dedup import app
from corpus.dedup_config import DeepDedupConfig
from corpus.dedup_run import warm_kernels
DeepDedupConfig.load()
warm_kernels()
print(*sys.modules)
"""


def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_start_of_dedup_loads_neither_the_compiler_nor_the_steps_of_clean() -> None:
    loaded()  # what is not in numba's cache is compiled
    found = loaded()
    assert {"corpus.minhash", "numba"} <= found
    assert not found & {"scipy.linalg", "datatrove", "corpus.steps", "corpus.extract", "fsspec", "requests"}
