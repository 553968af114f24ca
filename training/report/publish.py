"""Publish a calibrated checkpoint: write its file, load that as every server will, and write the report."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from whisker.model import Classifier, save_checkpoint, with_golden_answers
from whisker.training.calibration.calibrate import CalibratedCheckpoint
from whisker.training.data.dataset import Dataset
from whisker.training.report.gallery import Galleries, Shown, choose_galleries
from whisker.training.report.page import write_report

_MAX_GROUPS = 24  # of photos that look the same, in the report
_MAX_COPIES = 6  # photos shown of one group


def publish(calibrated: CalibratedCheckpoint, dataset: Dataset, out: Path, report: Path) -> None:
    """Write both files; raise `CheckpointError` or `TrainingError` if that fails."""
    save_checkpoint(with_golden_answers(calibrated.checkpoint), out)
    classifier = Classifier.load(out)  # replays the golden answers: a file that fails its own test is no result
    galleries = _galleries(calibrated, dataset) if classifier.checkpoint.task == "single-label" else None
    write_report(report, classifier.checkpoint, galleries)


def _galleries(calibrated: CalibratedCheckpoint, dataset: Dataset) -> Galleries:
    galleries = choose_galleries(
        dataset.test.pixels,
        dataset.test.rows,
        dataset.test.paths,
        dataset.test.labels,
        calibrated.scores.probabilities,
        dataset.classes,
        unknown_scores=calibrated.scores.unknown,
    )
    differing_first = sorted(dataset.copies, key=lambda group: -len({photo.labels for photo in group}))
    duplicates = tuple(
        tuple(
            Shown(np.asarray(dataset.train.pixels[photo.row]), photo.path, dataset.classes[photo.labels[0]], "", 0.0)
            for photo in group[:_MAX_COPIES]
        )
        for group in differing_first[:_MAX_GROUPS]
    )
    return replace(galleries, duplicates=duplicates)
