"""A calibration says what it changed, and warns if the earlier checkpoint was better."""

from dataclasses import replace

import numpy as np
import pytest

from tests.pictures import draw
from whisker.model import load_checkpoint
from whisker.training.data.outliers import Outliers
from whisker.training.evaluation.verdict_changes import describe_verdict_changes
from whisker.training.job import Training


@pytest.mark.parametrize(("threshold", "found"), [(-1e9, 4), (1e9, 0)])
def test_unrelated_photos_that_only_the_earlier_checkpoint_finds_are_warned_of(
    trained: Training, threshold: float, found: int
) -> None:
    checkpoint = load_checkpoint(trained.out)
    assert checkpoint.novelty is not None
    before = replace(checkpoint, novelty=replace(checkpoint.novelty, threshold=threshold, typical=threshold - 1))
    unknown = checkpoint.metrics["unknown"] | {"outliers": {"caught": 2, "of": 4}}
    after = replace(checkpoint, metrics={**checkpoint.metrics, "unknown": unknown})
    pixels = np.stack([np.asarray(draw("rings", seed, (32, 32))) for seed in range(4)])
    said = [*describe_verdict_changes(before, after, Outliers(pixels, np.arange(4), np.arange(4)), "cpu")]
    assert f"Unrelated photos called unknown: {found} of 4 before, 2 now." in said
    assert any(line.startswith("Warning: ") for line in said) == (found > 2)
    assert said[0].startswith("Confident answers on held-out photos: ")
