"""A worker that never says that it is ready, whatever it is told."""

import time

from whisker.app.inference.child_signals import ignore_in_child

if __name__ == "__main__":
    ignore_in_child()
    time.sleep(600)
