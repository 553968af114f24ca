"""Whether the fast engine answers as plain PyTorch does: accuracy and probabilities, on the same photos.

`python -m benchmarks.answers CHECKPOINT PHOTOS`, PHOTOS/<class>/*
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from whisker.model import Classifier
from whisker.model.engines.device import use_available_cores
from whisker.model.errors import WhiskerError
from whisker.training.calibration.metrics import wilson_interval
from whisker.training.data.folders.folder import find_photos
from whisker.training.evaluation.evaluate import run_folder
from whisker.training.progress import Progress

TARGET, GOAL = 0.1, 0.05  # points of accuracy that the engines may be apart


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two engines answer for N photos; accuracies are shares of 0..1."""

    photos: int
    right_fast: int
    right_plain: int
    same_labels: int
    mean_difference: float
    largest_difference: float

    @property
    def points_apart(self) -> float:
        """Give the difference of the accuracies, fast minus plain, in percentage points."""
        return 100 * (self.right_fast - self.right_plain) / self.photos


def main(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint file.")],
    photos: Annotated[Path, typer.Argument(help="Folder with photos of the checkpoint's classes, PHOTOS/<class>/*.")],
) -> None:
    """Compare the classifier's engine with its network in float32, both calibrated by the checkpoint."""
    use_available_cores()
    classifier = Classifier.load(checkpoint)

    def both(pixels: list[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return classifier.scores(pixels).probabilities, plain_probabilities(classifier, pixels)

    run = run_folder(classifier, find_photos(photos, min_classes=1), both, Progress())
    fast, plain = (np.concatenate(parts) for parts in zip(*run.answers, strict=True))
    typer.echo(describe(compare(fast, plain, run.labels)))
    if run.quarantined:
        typer.echo(f"{len(run.quarantined)} files could not be used and were left out.")


@torch.inference_mode()
def plain_probabilities(classifier: Classifier, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Compute the calibrated probabilities of N pictures, uint8 `[size, size, 3]`, with the plain float32 network."""
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255  # [N, 3, H, W]
    probabilities: NDArray[np.float32] = (classifier.network(x) / classifier.checkpoint.temperature).softmax(1).numpy()
    return probabilities


def compare(fast: NDArray[np.float32], plain: NDArray[np.float32], labels: NDArray[np.int64]) -> Agreement:
    """Compare probabilities `[N, classes]` of two engines for photos with labels `[N]`."""
    differences = np.abs(fast - plain)
    fast_labels, plain_labels = fast.argmax(1), plain.argmax(1)
    return Agreement(
        photos=len(labels),
        right_fast=int((fast_labels == labels).sum()),
        right_plain=int((plain_labels == labels).sum()),
        same_labels=int((fast_labels == plain_labels).sum()),
        mean_difference=float(differences.mean()),
        largest_difference=float(differences.max()),
    )


def describe(agreement: Agreement) -> str:
    """Write the figures, a line each."""
    photos, apart = agreement.photos, abs(agreement.points_apart)
    reached = "goal" if apart <= GOAL else "target" if apart <= TARGET else "missed"
    return "\n".join(
        (
            f"Photos: {photos:,}",
            f"Accuracy, fast engine: {_accuracy(agreement.right_fast, photos)}",
            f"Accuracy, plain float32: {_accuracy(agreement.right_plain, photos)}",
            f"Apart: {agreement.points_apart:+.3f} points ({reached}: target {TARGET}, goal {GOAL})",
            f"Same label: {agreement.same_labels / photos:.2%} ({photos - agreement.same_labels} photos differ)",
            f"Mean difference of probabilities: {agreement.mean_difference:.5f}",
            f"Largest difference of probabilities: {agreement.largest_difference:.5f}",
        )
    )


def _accuracy(right: int, photos: int) -> str:
    low, high = wilson_interval(right, photos)
    return f"{right / photos:.3%} (95 % interval {low:.2%} to {high:.2%})"


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
