"""A worker like any other, but for what it does instead of serving: nothing, and for ever."""

import time
from unittest.mock import patch

from whisker.app.inference import worker


def _stay(_connection: object) -> None:
    print("stuck", flush=True)  # noqa: T201 - the test waits for it
    time.sleep(600)


if __name__ == "__main__":
    with patch.object(worker, "serve", _stay):
        worker.main()
