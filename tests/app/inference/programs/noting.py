"""A worker like any other, but for a note of each model that it prepares for lone pictures: its pid, the threads."""

import os
from pathlib import Path
from unittest.mock import patch

from whisker.app.inference import worker
from whisker.model.predictor import Predictor

_prepare = Predictor.prepare_for_lone


def _note(predictor: Predictor, threads: int) -> None:
    _prepare(predictor, threads)
    with Path(os.environ["TEST_NOTES"]).open("a") as notes:
        notes.write(f"{os.getpid()} {threads}\n")


if __name__ == "__main__":
    with patch.object(Predictor, "prepare_for_lone", _note):
        worker.main()
