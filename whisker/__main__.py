"""The command line's entry: `whisker`, `python -m whisker`, and `torchrun -m whisker`."""

import signal

if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Ctrl-C during the imports, which take a second, ends without a traceback of them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from whisker.cli import main

if __name__ == "__main__":
    main()
