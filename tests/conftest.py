"""For all tests: the same examples each time, and a run that was begun in the background can be interrupted.

hypothesis draws the same examples in every run of the suite, so that it fails for what was changed and nothing else;
the full counts (WENHAI_FULL=1) draw new ones. A shell without job control starts what it puts into the background with
SIGINT ignored, and whatever is started from there ignores it too: tests that press Ctrl-C would wait for ever.
"""

import os
import signal

from hypothesis import settings

settings.register_profile("suite", derandomize=True)
if os.environ.get("WENHAI_FULL") != "1":
    settings.load_profile("suite")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
