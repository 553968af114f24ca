"""A worker that never says that it is ready, whatever it is told."""

import time

from whisker.app.inference.child_signals import LEFT, ignore

if __name__ == "__main__":
    ignore(LEFT)
    time.sleep(600)
