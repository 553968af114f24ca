"""The classifier: a checkpoint, ready to answer."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import Checkpoint, Golden
from whisker.model.checkpoint.file import load_checkpoint
from whisker.model.checkpoint.golden import TOLERANCE, check_golden_answers, golden_pictures
from whisker.model.engines.choice import AUTO, PLAIN, choose_engine
from whisker.model.engines.device import resolve_device
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.errors import CheckpointError, PictureError
from whisker.model.exported import ExportedClassifier
from whisker.model.networks.build import build_network
from whisker.model.predictor import Predictor


class Classifier(Predictor):
    """Classify pictures with one checkpoint on one device. Not thread-safe: one thread owns a classifier."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        """Build the network from `checkpoint`; raise `DeviceError` if `device` is not available."""
        self.checkpoint = checkpoint
        self.device = resolve_device(device)
        self.network = build_network(checkpoint.network, len(checkpoint.classes))
        self.network.load_state_dict(dict(checkpoint.state))
        self.network.eval().requires_grad_(requires_grad=False).to(self.device)
        self._kind = PLAIN
        engine = TorchEngine(self.network, self.device)
        super().__init__(engine, checkpoint.preprocessing, checkpoint.decision_rule)
        self.batch_seconds: Mapping[int, float] = {}  # what a batch of each size took at warm-up

    @classmethod
    def load(
        cls, path: str | Path, device: str = "cpu", *, engine: str = AUTO, signed_by: str | Path | None = None
    ) -> Self:
        """Load a checkpoint file, replay its golden pictures, choose the fastest engine and warm up.

        Raises `CheckpointError` if the file cannot be used or its golden answers differ, `DeviceError` if `device`
        (`auto`, `cpu`, `cuda` or `cuda:N`) is not there, `EngineError` if an `engine` asked for cannot be used.
        `signed_by` as for `load_checkpoint`.
        """
        device = resolve_device(device)
        checkpoint = load_checkpoint(Path(path), signed_by=None if signed_by is None else Path(signed_by))
        classifier = cls(checkpoint, device)
        classifier.verify()
        classifier.use_engine(engine)
        classifier.batch_seconds = classifier._engine.warm_up(checkpoint.preprocessing.size)
        return classifier

    @property
    def engine(self) -> str:
        """Return the name of the engine."""
        return self._kind.name

    def use_engine(self, name: str = AUTO) -> None:
        """Switch from the plain engine to the fastest accurate one, or to the one named.

        Raises `EngineError` if the one named cannot be used, and as `verify` without golden pictures to compare for.
        """
        plain = self._engine if self._kind is PLAIN else TorchEngine(self.network, self.device)
        self._engine, self._kind = choose_engine(self.network, self.checkpoint, plain, self._golden_pixels, name=name)

    def verify(self) -> float:
        """Replay the golden pictures; return the largest difference of a probability.

        Raises `CheckpointError` if a picture does not decode or an answer differs by more than the tolerance.
        """
        answers = self.scores(self._golden_pixels).probabilities
        return check_golden_answers(
            self._golden.probabilities.numpy(), answers, tolerance=TOLERANCE + self._kind.tolerance
        )

    def exported(self) -> ExportedClassifier | None:
        """Export the classifier for a process without PyTorch; return `None` if its engine needs PyTorch."""
        if self._kind.export is None:
            return None
        return ExportedClassifier(
            openvino_model=self._kind.export(self.network, self.checkpoint),
            head=self._engine.head,
            preprocessing=self.preprocessing,
            decision_rule=self._decision_rule,
            golden=(self._golden.pictures, self._golden.probabilities.numpy()),
            tolerance=TOLERANCE + self._kind.tolerance,
        )

    def answers(self, pictures: Sequence[bytes]) -> torch.Tensor:
        """Compute float32 probabilities `[pictures, classes]` for encoded pictures."""
        scores = self.scores([self.preprocessing.decode(picture) for picture in pictures])
        return torch.from_numpy(scores.probabilities)

    @property
    def _golden(self) -> Golden:
        if self.checkpoint.golden is None:
            raise CheckpointError("The checkpoint has no golden answers to verify itself with.")
        return self.checkpoint.golden

    @cached_property
    def _golden_pixels(self) -> list[NDArray[np.uint8]]:
        try:
            return [self.preprocessing.decode(picture) for picture in self._golden.pictures]
        except PictureError as exc:
            raise CheckpointError(
                "The checkpoint's golden pictures cannot be decoded here: reinstall Pillow, or use an unaltered copy."
            ) from exc


def with_golden_answers(checkpoint: Checkpoint) -> Checkpoint:
    """Return `checkpoint` with golden pictures and the answers that it gives for them here, on the CPU."""
    pictures = golden_pictures()
    answers = Classifier(checkpoint).answers(pictures)
    return dataclasses.replace(checkpoint, golden=Golden(pictures, answers))
