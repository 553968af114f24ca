"""What an int8 engine needs and costs: the ranges of its layers, and the accuracy that it loses."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.answers.decision_rule import softmax
from whisker.model.checkpoint.contents import Int8Cost, Quantization
from whisker.model.engines.quantization import MAX_NARROW_WEIGHT, MAX_WEIGHT, SimulatedInt8Engine, measure_ranges
from whisker.model.networks.base import Network
from whisker.training.calibration.photos import BATCH, run_engine, thin_out
from whisker.training.data.dataset import Split, batched
from whisker.training.progress import Progress

_MAX_PHOTOS = 512  # training photos that the ranges are measured on


def quantize(
    network: Network,
    device: str,
    train: Split,
    validation: Split,
    *,
    float32: NDArray[np.float32],
    temperature: float,
    progress: Progress,
) -> Quantization:
    """Measure ranges on training photos, and what int8 costs against the `float32` probabilities `[N, classes]`."""
    labels, costs = validation.labels, list[Int8Cost]()
    with progress.task("Measuring int8", 2 * len(validation.rows)) as task:
        ranges = measure_ranges(network, _inputs(thin_out(train, _MAX_PHOTOS)))
        for max_weight in (MAX_WEIGHT, MAX_NARROW_WEIGHT):
            engine = SimulatedInt8Engine(network, device, ranges, max_weight=max_weight)
            int8 = softmax(run_engine(engine, validation, task).logits, temperature)
            lost = int((float32.argmax(1) == labels).sum()) - int((int8.argmax(1) == labels).sum())
            costs.append(Int8Cost(100 * lost / len(labels), float(np.abs(int8 - float32).mean())))
    return Quantization(ranges, *costs)


def _inputs(photos: Split) -> Iterator[Tensor]:
    """Give photos in batches, float32 `[N, 3, size, size]` in 0..1."""
    for rows in batched(photos.rows, BATCH):
        yield torch.from_numpy(photos.pixels[rows]).permute(0, 3, 1, 2).float() / 255
