"""What the prepared process of `launch` has done before it is forked: the imports, the compiled kernels."""

import train.data_view
import train.extend
import train.fit
import train.tokens
import train.view  # noqa: F401
from corpus.minhash import warm_kernels

warm_kernels()
