"""For all tests: a run that was begun in the background can be interrupted as one in front.

A shell without job control starts what it puts into the background with SIGINT ignored, and whatever is started from
there ignores it too: tests that press Ctrl-C would wait for ever.
"""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
