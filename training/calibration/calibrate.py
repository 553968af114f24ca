"""From trained weights to a finished checkpoint: calibrate on validation, then test once."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import Outputs, Scores, Verdict, softmax
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.checkpoint.contents import Quantization, Thresholds
from whisker.model.engines.base import Engine
from whisker.model.engines.quantization import SimulatedInt8Engine, measure_ranges
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.network import Network, build_network, count_multiply_adds
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.metrics import Evaluation, evaluate_probabilities, wilson_interval
from whisker.training.calibration.novelty import MIN_OUTLIERS, NoveltyFit, fit_novelty
from whisker.training.calibration.thresholds import Choice, choose_unsure_threshold, fit_temperature, int8_cost
from whisker.training.data.dataset import Dataset, Split, batched
from whisker.training.data.outliers import Outliers
from whisker.training.progress import Progress, Task

_BATCH = 32
_RANGE_PHOTOS = 512  # training photos that the ranges of int8 are measured on
_NOVELTY_PHOTOS = 4096  # training photos that the measure of novelty is fitted on


@dataclass(frozen=True, slots=True)
class Targets:
    """What the verdicts shall keep, with 95 % confidence, on photos like those of the validation side."""

    precision: float = 0.99  # of the answers called confident, the share that is right
    false_alarms: float = 0.05  # of photos of known classes, the share called unknown


@dataclass(frozen=True, slots=True)
class CalibratedCheckpoint:
    """A checkpoint with all its figures, and the test side's scores for a report's galleries."""

    checkpoint: Checkpoint
    evaluation: Evaluation
    scores: Scores


def finish(
    draft: Checkpoint,
    dataset: Dataset,
    *,
    outliers: Outliers | None,
    targets: Targets,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Fit temperature, novelty and thresholds on the validation side; measure the result on the test side."""
    network = build_network(draft.network, len(draft.classes))
    network.load_state_dict(dict(draft.state))
    engine, size = TorchEngine(network.eval(), device), draft.network.size
    train = _sample(dataset.train, _NOVELTY_PHOTOS)
    others = 0 if outliers is None else len(outliers.rows)
    with progress.task("Calibrating", len(dataset.validation.rows) + len(train.rows) + others) as task:
        validation = _run(engine, dataset.validation, size, task)
        known = _run(engine, train, size, task)
        unlike = None if outliers is None else _run(engine, outliers, size, task)
    temperature = fit_temperature(torch.from_numpy(validation.logits), torch.from_numpy(dataset.validation.labels))
    fit = fit_novelty(
        torch.from_numpy(known.features),
        train.labels,
        torch.from_numpy(validation.features),
        false_alarms=targets.false_alarms,
        outliers=None if unlike is None else torch.from_numpy(unlike.features),
        folds=None if outliers is None else outliers.groups,
    )
    quantization = _quantize(
        network, device, dataset, validation=validation, temperature=temperature, progress=progress
    )
    draft = replace(draft, temperature=temperature, novelty=fit.novelty, quantization=quantization)
    unsure = _choose_unsure(draft, validation, dataset.validation.labels, targets)
    _warn(fit, unsure, others, targets, progress)
    checkpoint = replace(draft, thresholds=Thresholds(unsure=unsure.threshold))
    classifier = Classifier(checkpoint, device)
    scores, speed = _measure(classifier, dataset.test, progress)
    evaluation = evaluate_probabilities(scores.probabilities, dataset.test.labels)
    on_validation = evaluate_probabilities(softmax(validation.logits, temperature), dataset.validation.labels)
    metrics = {
        "validation": on_validation.to_json(),
        "test": evaluation.to_json(),
        "confident": _confident(classifier.verdicts(scores), scores, dataset.test.labels)
        | {"promised_precision": targets.precision, "promised": unsure.guaranteed},
        "unknown": _unknown(scores, fit) | {"promised_rate": targets.false_alarms, "promised": fit.guaranteed},
        "figures": measure_figures(scores.probabilities, dataset.test.labels, scores.unknown, fit.outlier_scores),
        "profile": Profile.measure(scores.probabilities, draft.classes).to_json(),
        "speed": speed,
    }
    return CalibratedCheckpoint(replace(checkpoint, metrics=metrics), evaluation, scores)


def _sample(side: Split, most: int) -> Split:
    """Thin a side out evenly; its rows are sorted, so that every class and folder keeps its part."""
    picked = np.linspace(0, len(side.rows) - 1, min(most, len(side.rows))).round().astype(np.int64)
    return Split(side.pixels, side.rows[picked], side.labels[picked])


def _run(engine: Engine, side: Split | Outliers, size: int, task: Task) -> Outputs:
    """Run the network over a side, its pixels shrunk to the serving size where they are larger."""
    outputs = []
    for x in _pictures(side, size):
        outputs.append(engine.run(list(x.numpy())))
        task.advance(len(x))
    return Outputs(np.concatenate([o.logits for o in outputs]), np.concatenate([o.features for o in outputs]))


def _pictures(side: Split | Outliers, size: int) -> Iterator[Tensor]:
    """Give a side in batches, uint8 `[N, size, size, 3]`."""
    for batch in batched(side.rows, _BATCH):
        x = torch.from_numpy(side.pixels[batch])
        if x.shape[1] != size:
            x = functional.interpolate(x.permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True)
            x = x.permute(0, 2, 3, 1)
        yield x


def _quantize(
    network: Network, device: str, dataset: Dataset, *, validation: Outputs, temperature: float, progress: Progress
) -> Quantization:
    """Find the ranges of an int8 engine on training photos, and what int8 costs on the validation side."""
    size = dataset.validation.pixels.shape[1]
    sample = _sample(dataset.train, _RANGE_PHOTOS)
    batches = (x.permute(0, 3, 1, 2).float() / 255 for x in _pictures(sample, size))
    with progress.task("Measuring int8", len(dataset.validation.rows)) as task:
        ranges = measure_ranges(network, batches)
        int8 = _run(SimulatedInt8Engine(network, device, ranges), dataset.validation, size, task)
    cost = int8_cost(ranges, int8.logits, validation.logits, dataset.validation.labels, temperature)
    progress.say(
        f"int8 loses {cost.points_lost:.2f} percentage points on {len(dataset.validation.rows):,} validation photos "
        f"and moves probabilities by {cost.mean_difference:.4f} on average."
    )
    return cost


def _choose_unsure(draft: Checkpoint, validation: Outputs, labels: NDArray[np.int64], targets: Targets) -> Choice:
    """Choose the threshold of "unsure" among the validation photos that are not called unknown."""
    probabilities = softmax(validation.logits, draft.temperature)
    if draft.novelty is not None:
        familiar = draft.novelty.scores(validation.features) <= UNKNOWN_SCORE
        probabilities, labels = probabilities[familiar], labels[familiar]
    return choose_unsure_threshold(probabilities, labels, targets.precision)


def _warn(fit: NoveltyFit, unsure: Choice, outliers: int, targets: Targets, progress: Progress) -> None:
    if not unsure.guaranteed:
        progress.say(
            f"Warning: the validation photos do not show that {targets.precision:.1%} of confident answers are right; "
            f'"unsure" begins below a score of {unsure.threshold:.3f} without that promise. More photos would help.'
        )
    if not fit.guaranteed:
        progress.say(
            f"Warning: there are too few validation photos to show that at most {targets.false_alarms:.1%} of known "
            'photos are called unknown; "unknown" begins beyond all of them. More photos would help.'
        )
    if 0 < outliers < MIN_OUTLIERS:
        progress.say(
            f"Warning: {outliers} photos of other things are too few to learn from (at least {MIN_OUTLIERS}); "
            '"unknown" rests on the distance to the training photos alone.'
        )


def _measure(classifier: Classifier, side: Split, progress: Progress) -> tuple[Scores, dict[str, Any]]:
    """Score a side through the code that serves, and time it."""
    parts: list[Scores] = []
    started = time.perf_counter()
    with progress.task("Testing", len(side.rows)) as task:
        for batch in batched(side.rows, _BATCH):
            parts.append(classifier.scores([side.pixels[row] for row in batch]))
            task.advance(len(batch))
    seconds = time.perf_counter() - started
    unknown = [part.unknown for part in parts if part.unknown is not None]
    scores = Scores(
        np.concatenate([part.probabilities for part in parts]), np.concatenate(unknown) if unknown else None
    )
    return scores, {
        "milliseconds_per_photo": round(1000 * seconds / len(side.rows), 2),
        "multiply_adds": count_multiply_adds(classifier.checkpoint.network, len(classifier.classes)),
        "threads": torch.get_num_threads(),
        "processor": _processor() if classifier.device == "cpu" else torch.cuda.get_device_name(),
    }


def _processor() -> str:
    """Name the processor; Linux tells it in /proc alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _confident(verdicts: Sequence[Verdict], scores: Scores, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Count the confident answers, and those of them that are wrong."""
    confident = np.array([verdict == "confident" for verdict in verdicts])
    wrong = int((confident & (scores.probabilities.argmax(1) != labels)).sum())
    answers = int(confident.sum())
    return {"answers": answers, "of": len(labels), "wrong": wrong, "error_95_interval": _interval(wrong, answers)}


def _unknown(scores: Scores, fit: NoveltyFit) -> dict[str, Any]:
    """Count the known photos and the outliers that are called unknown."""
    if scores.unknown is None:
        return {}
    alarms = int((scores.unknown > UNKNOWN_SCORE).sum())
    counts = {
        "false_alarms": alarms,
        "of": len(scores.unknown),
        "rate_95_interval": _interval(alarms, len(scores.unknown)),
    }
    if fit.outlier_scores is None:
        return counts | {"outliers": None}
    caught, others = int((fit.outlier_scores > UNKNOWN_SCORE).sum()), len(fit.outlier_scores)
    return counts | {"outliers": {"caught": caught, "of": others, "share_95_interval": _interval(caught, others)}}


def _interval(successes: int, trials: int) -> list[float]:
    return [round(bound, 4) for bound in wilson_interval(successes, trials)] if trials else [0.0, 1.0]
