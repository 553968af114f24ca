import numpy as np
import pytest

from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import Output
from whisker.training.importing.outputs import check_outputs


@pytest.mark.parametrize(
    ("row", "kind", "problem"),
    [
        ([0.2, 0.8], "logits", "give --outputs probabilities"),
        ([0.6, 0.9], "probabilities", "do not add up to 1"),  # of sigmoids
        ([2.0, -1.0], "probabilities", "do not add up to 1"),
        ([2.0, float("nan")], "logits", "not finite"),
        ([2.0], "logits", "answers with 1 numbers"),
    ],
)
def test_outputs_that_are_not_what_they_are_called_are_refused(row: list[float], kind: Output, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        check_outputs(np.array([row], np.float32), kind, 2, softmax_at_end=False)
