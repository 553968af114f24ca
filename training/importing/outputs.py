"""What an imported graph answers with, and whether that is what the user says."""

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import softmax
from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import Output

_MAX_OFF = 0.01  # that probabilities may add up to more or less than 1


def check_outputs(outputs: NDArray[np.float32], kind: Output, classes: int, *, softmax_at_end: bool) -> None:
    """Raise `CheckpointError`, with the end of a sentence, unless outputs `[N, classes]` are of a kind."""
    if outputs.shape[1] != classes:
        raise CheckpointError(f"answers with {outputs.shape[1]:,} numbers, where --labels names {classes:,} classes")
    if not np.isfinite(outputs).all():
        raise CheckpointError("answers with numbers that are not finite")
    adds_up = bool((outputs >= -_MAX_OFF).all() and (np.abs(outputs.sum(1) - 1) <= _MAX_OFF).all())
    if kind == "logits" and (softmax_at_end or adds_up):
        raise CheckpointError("answers with probabilities, which add up to 1: give --outputs probabilities")
    if kind == "probabilities" and not adds_up:
        raise CheckpointError(
            "answers with numbers that do not add up to 1, so they are not the probabilities of classes that exclude "
            "each other: for logits, give --outputs logits"
        )


def to_probabilities(outputs: NDArray[np.float32], kind: Output) -> NDArray[np.float32]:
    """Turn outputs `[N, classes]` into probabilities of that shape."""
    return softmax(outputs, 1.0) if kind == "logits" else outputs
