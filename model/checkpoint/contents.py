"""What a checkpoint holds, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.answers.decision_rule import DecisionRule, Task
from whisker.model.answers.multi_label import MultiLabelRule
from whisker.model.answers.novelty import Novelty
from whisker.model.answers.single_label import SingleLabelRule
from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.model.networks.config import NetworkConfig
from whisker.model.onnx.config import GraphConfig
from whisker.model.preprocessing import Preprocessing

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of a checkpoint's answers.

    Single-label: a best score below `unsure` gets that verdict, and `shown` tells whether photos showed that answers
    above it keep their promised precision; if not, none is confident. Multi-label: a class is a label of the picture if
    its score reaches its threshold in `labels`, and `guaranteed` tells whether that was shown to keep its target
    precision.
    """

    unsure: float = 0.0
    shown: bool = True
    labels: tuple[float, ...] = ()
    guaranteed: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Golden:
    """Generated pictures, as encoded files, and the probabilities `[pictures, classes]` they must give."""

    pictures: tuple[bytes, ...]
    probabilities: Tensor


@dataclass(frozen=True, slots=True)
class Int8Cost:
    """What int8 costs on the validation split.

    `points_lost` are the percentage points of accuracy that its answers lose against float32, `mean_difference` is the
    mean absolute difference of a probability.
    """

    points_lost: float
    mean_difference: float


@dataclass(frozen=True, slots=True)
class Quantization:
    """What an int8 engine needs, and the accuracy that it costs.

    `ranges` has the lowest and highest input of each layer, by its name. `narrow` is the cost with weights of 7 bits,
    for processors without VNNI; `None` if it was not measured, as by older versions.
    """

    ranges: Mapping[str, Range]
    cost: Int8Cost
    narrow: Int8Cost | None = None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What networks that were trained without a photo gave for it, for N photos in R repeats of a cross-validation.

    `logits` is float32 `[R, N, classes]`, `folds` `[R, N]` the number of the fold that a photo was held out in. Photos
    are in the order of their classes and paths. `distances` float32 `[N]` are those of each photo from the photos that
    such a network was trained on; only after fine-tuning, as features of a frozen network can be computed again. They
    are kept to fit verdicts anew without training anew.
    """

    logits: NDArray[np.float32]
    folds: NDArray[np.int64]
    distances: NDArray[np.float32] | None = None

    @property
    def repeats(self) -> int:
        """Count the repeats."""
        return len(self.logits)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a checkpoint file holds.

    `metrics` and `provenance` are JSON objects, which `whisker.model.card` reads.
    """

    name: str
    network: NetworkConfig | GraphConfig
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    state: Mapping[str, Tensor]
    temperature: float = 1.0
    thresholds: Thresholds = Thresholds()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    novelty: Novelty | None = None  # without, no verdict is "unknown"
    quantization: Quantization | None = None  # without, no engine computes in int8
    held_out: HeldOut | None = None  # without, photos were set aside
    statistics: ClassStatistics | None = None  # without, no class can be added
    golden: Golden | None = None
    sha256: str = ""  # of the file it was loaded from
    task: Task = "single-label"

    @property
    def is_imported(self) -> bool:
        """Tell whether it holds an ONNX graph that another program has made, instead of a network of ours."""
        return isinstance(self.network, GraphConfig)

    @property
    def has_features(self) -> bool:
        """Tell whether pictures can be compared by their features."""
        return not isinstance(self.network, GraphConfig) or self.network.has_features

    @property
    def decision_rule(self) -> DecisionRule:
        """Make the rule that its answers follow; raise `ConfigError` if a threshold is missing."""
        thresholds, shared = self.thresholds, (self.classes, self.temperature, self.novelty)
        if self.task == "multi-label":
            return MultiLabelRule(*shared, thresholds.labels, thresholds.guaranteed)
        return SingleLabelRule(*shared, thresholds.unsure, thresholds.shown)
