"""A worker that never says that it is ready, whatever it is told."""

import signal
import time

from whisker.app.inference.wire import IGNORED_SIGNALS

if __name__ == "__main__":
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)
