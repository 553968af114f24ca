"""Measure a multi-label checkpoint on a folder of labelled photos, through the code that serves."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whisker.model.answers.decision_rule import Verdict
from whisker.model.classifier import Classifier
from whisker.training.calibration.multi_label.metrics import MultiLabelEvaluation, evaluate_labels
from whisker.training.data.dataset import Quarantined
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.errors import DatasetError
from whisker.training.evaluation.evaluate import score_folder
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class LabelsEvaluation:
    """The figures, how often each verdict was given and how often wrongly, and the unusable files.

    An answer is wrong if it names a label that the photo does not have, whatever the verdict.
    """

    evaluation: MultiLabelEvaluation
    verdicts: Mapping[Verdict, int]
    wrong: Mapping[Verdict, int]
    quarantined: tuple[Quarantined, ...]


def evaluate_folder_labels(
    classifier: Classifier, root: Path, progress: Progress, labels_file: Path | LabelFile | None = None
) -> LabelsEvaluation:
    """Find the labels of every photo of `root/<class>/` and compare; each class must be one of the checkpoint.

    Photos have several labels, and `labels_file` is, as in `find_photos`. Raises `DatasetError` as `run_folder` does.
    """
    folder = find_photos(root, min_classes=1, labels_file=labels_file, multi_label=True, skip_small=True)
    folder = folder.to_measure()
    folder.say(progress)
    scored, thresholds = score_folder(classifier, folder, progress), classifier.checkpoint.thresholds
    if not scored.present.any():
        raise DatasetError(f"No readable photo in {root} has a label: without any, nothing can be measured.")
    verdicts = classifier.verdicts(scored.scores)
    found = scored.scores.probabilities >= np.array(thresholds.labels)
    errors = (found & ~scored.present).sum(1) > 0
    return LabelsEvaluation(
        evaluate_labels(scored.scores.probabilities, scored.present, thresholds),
        Counter(verdicts),
        Counter(verdict for verdict, error in zip(verdicts, errors, strict=True) if error),
        scored.quarantined,
    )
