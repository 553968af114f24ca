"""Whether heat maps tell the truth: covering the hottest quarter of a photo must cost more than covering the coldest.

`python -m benchmarks.explain CHECKPOINT PHOTOS`
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.photos import read_photos
from whisker.model import BUNDLED_CHECKPOINT, Classifier
from whisker.model.answers.kinds import BEST_CLASS
from whisker.model.engines.device import use_available_cores
from whisker.model.errors import WhiskerError
from whisker.model.predictor import Predictor
from whisker.training.calibration.metrics import wilson_interval

TARGET = 0.9  # of the photos
_QUARTER = 0.25


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth.")],
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file.")] = BUNDLED_CHECKPOINT,
    most: Annotated[int, typer.Option(min=1, help="Photos that are looked at, evenly spread.")] = 100,
) -> None:
    """Cover the parts that speak most, and least, for each photo's best class, and compare the class's scores."""
    use_available_cores()
    classifier = Classifier.load(checkpoint)
    pixels = [classifier.preprocessing.decode(photo) for photo in read_photos(photos, most)]
    right = sum(map(int, find_telling(classifier, pixels)))
    low, high = wilson_interval(right, len(pixels))
    share = right / len(pixels)
    met = "met" if share >= TARGET else "missed"
    typer.echo(
        f"Covering the hottest quarter costs more than covering the coldest for {right} of {len(pixels)} photos: "
        f"{share:.1%} (95 % interval {low:.1%} to {high:.1%}; target {TARGET:.0%}: {met}); engine {classifier.engine}."
    )


def find_telling(predictor: Predictor, pixels: Sequence[NDArray[np.uint8]]) -> list[bool]:
    """Say of each picture, uint8 `[size, size, 3]`, whether its heat map tells what the answer depends on."""
    telling = []
    for picture in pixels:
        (answer,) = predictor.predict_pixels([picture], [BEST_CLASS])
        assert answer.heat_map is not None  # noqa: S101 - it was asked for
        order = np.argsort(answer.heat_map.heat, axis=None)
        places = round(_QUARTER * order.size)
        covered = [_cover(picture, answer.heat_map.heat.shape, part) for part in (order[-places:], order[:places])]
        index = predictor.classes.index(answer.label)
        without_hottest, without_coldest = predictor.scores(covered).probabilities[:, index]
        telling.append(bool(without_hottest < without_coldest))
    return telling


def _cover(picture: NDArray[np.uint8], shape: tuple[int, ...], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Paint some of a picture's `shape` = (h, w) places in its mean colour."""
    mask = np.zeros(shape, bool)
    mask.flat[places] = True
    rows, columns = (np.arange(side) * cells // side for side, cells in zip(picture.shape[:2], shape, strict=True))
    covered = picture.copy()
    covered[mask[np.ix_(rows, columns)]] = picture.mean((0, 1)).round()
    return covered


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
