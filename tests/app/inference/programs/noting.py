"""A worker like any other, but for notes of what it prepares for lone pictures, and what it then computes for them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from numpy.typing import NDArray

from whisker.app.inference import worker
from whisker.model.answers.decision_rule import Outputs
from whisker.model.engines.openvino_engine import OpenVinoEngine


class _Noted(OpenVinoEngine):
    def run(self, pixels: Sequence[NDArray[Any]], *, with_maps: bool = False) -> Outputs:
        _note("computed")
        return super().run(pixels, with_maps=with_maps)


_open = OpenVinoEngine.with_threads


def _with_threads(engine: OpenVinoEngine, threads: int, *options: Any) -> OpenVinoEngine:
    wide = _open(engine, threads, *options)
    wide.__class__ = _Noted
    _note(f"prepared {threads}")
    return wide


def _note(what: str) -> None:
    with Path(os.environ["TEST_NOTES"]).open("a") as notes:
        notes.write(f"{os.getpid()} {what}\n")


if __name__ == "__main__":
    with patch.object(OpenVinoEngine, "with_threads", _with_threads):
        worker.main()
