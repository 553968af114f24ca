"""The classifier: a checkpoint, ready to answer."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint, Golden, load_checkpoint
from model.device import one_thread, resolve_device
from model.engine import Engine, TorchEngine
from model.engine_choice import AUTO, PLAIN, choose_engine
from model.errors import CheckpointError, PictureError
from model.golden import TOLERANCE, check_golden_answers, golden_pictures
from model.network import build_network
from model.novelty import UNKNOWN_SCORE
from model.preprocessing import Preprocessing

Verdict = Literal["confident", "unsure", "unknown"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class and its calibrated probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one picture: every class, best first, and whether to believe the best.

    `unknown_score` says how unlike the training photos the picture is: 0.1 is typical of photos of known classes, and
    above 0.5 the verdict is "unknown". It is `None` where the checkpoint has no measure of it.
    """

    predictions: tuple[ClassScore, ...]
    verdict: Verdict
    unknown_score: float | None

    @property
    def label(self) -> str:
        """Name the best class."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """Give the best class's calibrated probability."""
        return self.predictions[0].score


@dataclass(frozen=True, slots=True)
class Scores:
    """The answers for N pictures: calibrated probabilities float32 `[N, classes]`, unknown scores `[N]` or `None`."""

    probabilities: NDArray[np.float32]
    unknown: NDArray[np.float32] | None


class Classifier:
    """Answer for pictures with one checkpoint on one device. Not thread-safe: one thread owns a classifier."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        """Build the network from `checkpoint`; raise `DeviceError` if `device` is not there."""
        self.checkpoint = checkpoint
        self.device = resolve_device(device)
        self.network = build_network(checkpoint.network, len(checkpoint.classes))
        self.network.load_state_dict(dict(checkpoint.state))
        self.network.eval().requires_grad_(requires_grad=False).to(self.device)
        self._engine: Engine = TorchEngine(self.network, self.device)
        self._kind = PLAIN
        self.batch_seconds: Mapping[int, float] = {}  # what a batch of each size took at warm-up

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", *, engine: str = AUTO) -> Self:
        """Load a checkpoint file, replay its golden pictures, choose the fastest engine and warm up.

        Raises `CheckpointError` if the file cannot be used or its golden answers differ, `DeviceError` if `device`
        (`auto`, `cpu`, `cuda` or `cuda:N`) is not there, `EngineError` if an `engine` asked for cannot be used.
        """
        device = resolve_device(device)
        checkpoint = load_checkpoint(Path(path))
        classifier = cls(checkpoint, device)
        classifier.verify()
        classifier.use_engine(engine)
        classifier.batch_seconds = classifier._engine.warm_up(checkpoint.preprocessing.size)
        return classifier

    @property
    def engine(self) -> str:
        """Name the engine that computes."""
        return self._kind.name

    def use_engine(self, name: str = AUTO) -> None:
        """Choose the fastest engine that answers rightly, or the one named; until then the plain one is used.

        Raises `EngineError` if the one named cannot be used, and as `verify` without golden pictures to compare for.
        """
        plain = self._engine if self._kind is PLAIN else TorchEngine(self.network, self.device)
        self._engine, self._kind = choose_engine(self.network, self.checkpoint, plain, self._golden_pixels, name=name)

    def verify(self) -> float:
        """Replay the golden pictures; return the largest difference of a probability.

        Raises `CheckpointError` if a picture does not decode or an answer differs by more than the tolerance.
        """
        answers = torch.from_numpy(self.scores(self._golden_pixels).probabilities)
        return check_golden_answers(self._golden, answers, tolerance=TOLERANCE + self._kind.tolerance)

    @property
    def classes(self) -> tuple[str, ...]:
        """List the class names, sorted; column `i` of the logits is `classes[i]`."""
        return self.checkpoint.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """Give the one way from a file's bytes to pixels that the network was trained with."""
        return self.checkpoint.preprocessing

    def predict(self, pictures: Sequence[bytes]) -> list[Prediction]:
        """Classify encoded pictures; raise a `PictureError` for the first that cannot be used."""
        return self.predict_pixels([self.preprocessing.decode(picture) for picture in pictures])

    def predict_pixels(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Classify pictures that `preprocessing` has decoded, each uint8 `[size, size, 3]` RGB."""
        if not pixels:
            return []
        scores = self.scores(pixels)
        unknown = [None] * len(pixels) if scores.unknown is None else scores.unknown.tolist()
        answers = zip(scores.probabilities, self.verdicts(scores), unknown, strict=True)
        return [Prediction(self._ranked(row), verdict, strangeness) for row, verdict, strangeness in answers]

    def scores(self, pixels: Sequence[NDArray[np.uint8]]) -> Scores:
        """Compute probabilities, the softmax of the logits over the temperature, and unknown scores."""
        outputs = self._engine.run(pixels)
        novelty = self.checkpoint.novelty
        with one_thread():
            probabilities = torch.softmax(outputs.logits / self.checkpoint.temperature, dim=1).numpy()
            return Scores(probabilities, None if novelty is None else novelty.scores(outputs.features))

    def answers(self, pictures: Sequence[bytes]) -> torch.Tensor:
        """Compute float32 probabilities `[pictures, classes]` for encoded pictures."""
        scores = self.scores([self.preprocessing.decode(picture) for picture in pictures])
        return torch.from_numpy(scores.probabilities)

    def verdicts(self, scores: Scores) -> list[Verdict]:
        """Judge each answer: unknown by its unknown score, or else confident or unsure by its best probability."""
        sure = scores.probabilities.max(1) >= self.checkpoint.thresholds.unsure
        strange = np.zeros(len(sure), bool) if scores.unknown is None else scores.unknown > UNKNOWN_SCORE
        return [
            "unknown" if odd else "confident" if good else "unsure" for odd, good in zip(strange, sure, strict=True)
        ]

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

    def _ranked(self, probabilities: NDArray[np.float32]) -> tuple[ClassScore, ...]:
        order = np.argsort(-probabilities, kind="stable")
        return tuple(ClassScore(self.classes[index], float(probabilities[index])) for index in order)


def with_golden_answers(checkpoint: Checkpoint) -> Checkpoint:
    """Return `checkpoint` with golden pictures and the answers that it gives for them here, on the CPU."""
    pictures = golden_pictures()
    answers = Classifier(checkpoint).answers(pictures)
    return dataclasses.replace(checkpoint, golden=Golden(pictures, answers))
