"""What the prepared process of `launch` has done before it is forked: the imports, the compiled kernels."""

import corpus.report
import corpus.run  # noqa: F401
from corpus.minhash import warm_kernels

warm_kernels()
