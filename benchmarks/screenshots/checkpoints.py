"""Checkpoints to show: untrained ones, with made-up figures as a training measures them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model import (
    Checkpoint,
    NetworkConfig,
    Preprocessing,
    build_network,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.checkpoint.contents import Thresholds

_SIZE = 32
_PHOTOS = 40  # test photos of a class
ODD_NAMES = (
    "w" * 100,
    "日本語のとても長いクラスの名前",
    "\N{CAT FACE}\N{PAW PRINTS} émoji",
    "\N{ARABIC LETTER QAF}\N{ARABIC LETTER TEH}\N{ARABIC LETTER TEH}",
    "African_wild_dog_(Lycaon_pictus)_photographed_at_dawn",
)


def class_names(count: int) -> tuple[str, ...]:
    """Name so many classes, in order, five of them oddly."""
    return tuple(sorted((*ODD_NAMES, *(f"species {number:03}" for number in range(count)))[:count]))


def write(path: Path, classes: Sequence[str], *, task: str = "single-label", shown: bool = True) -> Path:
    """Write a checkpoint of these classes."""
    config = NetworkConfig(family="resnet", width=2, depth=1, size=_SIZE)
    is_single, count = task == "single-label", len(classes)
    thresholds = Thresholds(unsure=0.5, shown=shown)
    if not is_single:
        thresholds = Thresholds(labels=(0.2,) * count, guaranteed=tuple(at % 3 > 0 for at in range(count)))
    checkpoint = Checkpoint(
        name=path.stem,
        network=config,
        preprocessing=Preprocessing(_SIZE),
        classes=tuple(classes),
        state=build_network(config, count).state_dict(),
        thresholds=thresholds,
        task="single-label" if is_single else "multi-label",
        metrics=_metrics(count, shown=shown) if is_single else {},
        provenance={
            "epochs": 30,
            "training_minutes": 24.7,
            "pretrained": "0123456789ab" * 4,
            "date": "2026-01-01",
            "data": {"photos": dict.fromkeys(classes, 300)},
        },
    )
    save_checkpoint(with_golden_answers(checkpoint), path)
    return path


def _metrics(count: int, *, shown: bool) -> dict[str, object]:
    matrix = _confusion(count)
    right, answered = int(np.trace(matrix)), matrix.sum(0)
    per_class = [
        {
            "photos": _PHOTOS,
            "answered": int(answered[at]),
            "right": int(matrix[at, at]),
            "recall": round(float(matrix[at, at]) / _PHOTOS, 4),
            "precision": round(float(matrix[at, at] / max(1, answered[at])), 4),
        }
        for at in range(count)
    ]
    return {
        "test": {
            "photos": int(matrix.sum()),
            "accuracy": round(right / int(matrix.sum()), 4),
            "accuracy_95_interval": [0.61, 0.72],
            "expected_calibration_error": 0.02,
            "confusion": matrix.tolist(),
        },
        "confident": {"answers": 9, "of": 10, "wrong": 0, "promised": shown, "promised_precision": 0.99},
        "figures": {"per_class": per_class},
    }


def _confusion(count: int) -> NDArray[np.int64]:
    """Make up a matrix of mostly right answers."""
    numbers = np.random.default_rng(0)
    likely = np.eye(count) * 0.7 + numbers.dirichlet(np.full(count, 0.1), count) * 0.3
    return np.array([numbers.multinomial(_PHOTOS, row / row.sum()) for row in likely], np.int64)
