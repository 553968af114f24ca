"""The one test of a calibrated checkpoint: scores, speed and verdicts, measured through the code that serves."""

import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Classifier
from whisker.model.answers.decision_rule import Scores, Verdict
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.card.metrics import ConfidentMetrics, Interval, OutlierMetrics, SpeedMetrics, UnknownMetrics
from whisker.model.networks.build import count_multiply_adds
from whisker.training.calibration.metrics import wilson_interval
from whisker.training.calibration.photos import BATCH
from whisker.training.data.dataset import Split, batched
from whisker.training.progress import Progress


def score_photos(classifier: Classifier, photos: Split, progress: Progress) -> tuple[Scores, SpeedMetrics]:
    """Score photos, and time it."""
    parts: list[Scores] = []
    started = time.perf_counter()
    with progress.task("Testing", len(photos.rows)) as task:
        for rows in batched(photos.rows, BATCH):
            parts.append(classifier.scores(list(photos.pixels[rows])))
            task.advance(len(rows))
    seconds = time.perf_counter() - started
    unknown = [part.unknown for part in parts if part.unknown is not None]
    probabilities = np.concatenate([part.probabilities for part in parts])
    return Scores(probabilities, np.concatenate(unknown) if unknown else None), SpeedMetrics(
        milliseconds_per_photo=round(1000 * seconds / len(photos.rows), 2),
        multiply_adds=count_multiply_adds(classifier.checkpoint.network, len(classifier.classes)),
        threads=torch.get_num_threads(),
        processor=_processor() if classifier.device == "cpu" else torch.cuda.get_device_name(),
    )


def count_confident(
    verdicts: Sequence[Verdict], scores: Scores, labels: NDArray[np.int64], *, repeats: int = 1
) -> ConfidentMetrics:
    """Count the confident answers, and the wrong ones among them; each photo may be there `repeats` times."""
    confident = np.array([verdict == "confident" for verdict in verdicts])
    wrong = math.ceil((confident & (scores.probabilities.argmax(1) != labels)).sum() / repeats)
    answers = max(wrong, round(confident.sum() / repeats))
    return ConfidentMetrics(answers, len(labels) // repeats, wrong, _interval(wrong, answers))


def count_unknown(known: NDArray[np.float32], outliers: NDArray[np.float32] | None) -> UnknownMetrics:
    """Count the verdict "unknown" among photos of known classes and unrelated ones, given their unknown scores."""
    alarms = int((known > UNKNOWN_SCORE).sum())
    found = None
    if outliers is not None:
        caught = int((outliers > UNKNOWN_SCORE).sum())
        found = OutlierMetrics(caught, len(outliers), _interval(caught, len(outliers)))
    return UnknownMetrics(alarms, len(known), _interval(alarms, len(known)), found)


def _processor() -> str:
    """Name the processor; on Linux, only /proc has its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _interval(successes: int, trials: int) -> Interval:
    if not trials:
        return 0.0, 1.0
    low, high = wilson_interval(successes, trials)
    return round(low, 4), round(high, 4)
