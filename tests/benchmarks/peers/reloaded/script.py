"""For the watchfiles command: a script that works once, for as long as its environment says, then waits."""

import os
import signal
import time

import part
from stamps import stamp

stamp("began", part.VERSION)
time.sleep(float(os.environ["SECONDS"]))
stamp("done", part.VERSION)
signal.pause()
