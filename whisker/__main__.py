"""The command line's entry: `whisker`, `python -m whisker`, and `torchrun -m whisker`."""

import signal
import sys

import whisker

if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Ctrl-C during the imports, which take a second, ends without a traceback of them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
if whisker.__file__ is None:  # `whisker/__init__.py` was removed with whisker-vision-client
    sys.exit("whisker: Files are missing: run `pip install --force-reinstall --no-deps whisker-vision-client`.")

from whisker.cli import main

if __name__ == "__main__":
    main()
