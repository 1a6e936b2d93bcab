"""What a prepared process has done when `launch` forks the command from it: the imports and the compiled kernels."""

import corpus.report
import corpus.run  # noqa: F401
from corpus.minhash import warm_kernels

warm_kernels()
