"""A worker like any other, but for what every model after the first does to it: it ends."""

import os
from typing import Any
from unittest.mock import patch

from whisker.app.inference import worker
from whisker.app.inference.opening import Opened, open_model
from whisker.app.inference.wire import Opening, WorkerConfig


def _open(config: WorkerConfig, opening: Opening, **options: Any) -> Opened:
    if opening.slot > 0:
        os._exit(7)
    return open_model(config, opening, **options)


if __name__ == "__main__":
    with patch.object(worker, "open_model", _open):
        worker.main()
