"""What the service and an inference worker say to each other over their socket.

Down go a `WorkerConfig`, pickled, and then batches: the number of pictures, a `PICTURE` header for each, and their
bytes. Up come frames, each a length and its bytes. First a `Greeting`, and a second frame with whatever another worker
needs to start without PyTorch. Then, for each batch, a `BatchDocument` and one frame for each drawing that was asked
for, in the order of the pictures and empty where there is none. Everything that comes up is JSON or a picture file, so
that it cannot harm the service even if a hostile picture has taken a worker over.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from whisker.model.answers.decision_rule import Verdict
from whisker.model.answers.heat_map import NO_CLASS
from whisker.model.card.document import CheckpointCard

LENGTH = struct.Struct("<I")  # of a frame in bytes, or of a batch in pictures
PICTURE = struct.Struct("<I?Iif?")  # the file's length in bytes, whether it may be heavy, and its `PredictionOptions`
NO_DRAWING = -1.0


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """What is wanted for a picture: how many classes, a heat map for a class, a drawing, and a descriptor.

    `explain` is the index of a class, `BEST_CLASS` or `NO_CLASS`. A drawing is the upright picture: as JPEG, or, with a
    heat map over it at an `opacity` of 0 to 1, as PNG.
    """

    top_k: int
    explain: int = NO_CLASS
    opacity: float = NO_DRAWING
    wants_descriptor: bool = False

    @property
    def wants_drawing(self) -> bool:
        return self.opacity != NO_DRAWING


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One picture of a batch, as a worker receives it."""

    data: bytes
    may_be_heavy: bool
    options: PredictionOptions


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker is to run: with the `exported` classifier or, without one, by loading the checkpoint."""

    checkpoint: Path
    device: str
    engine: str
    threads: int
    max_batch: int
    max_pixels: int
    log_format: str
    log_level: str
    http_worker: int | None = None  # the process id of the HTTP worker, if there are several
    exported: bytes | None = None
    signed_by: Path | None = None  # whose signature the checkpoint must have


class ClassScoreDocument(TypedDict):
    """A class and its calibrated probability."""

    label: str
    score: float


class ImageDocument(TypedDict):
    """The upright size of an uploaded picture, and its format."""

    width: int
    height: int
    format: str


class HeatMapDocument(TypedDict):
    """What each place of a picture says for a class, in logits, row by row."""

    label: str
    rows: list[list[float]]


class PredictionDocument(TypedDict):
    """A prediction, as it goes to the client; `whisker.app.schemas` describes it to clients.

    Only answers of multi-label checkpoints have `labels`; only some that are not confident have a `reason`.
    """

    label: str
    score: float
    verdict: Verdict
    unknown_score: float | None
    predictions: list[ClassScoreDocument]
    image: ImageDocument
    labels: NotRequired[list[ClassScoreDocument]]
    reason: NotRequired[str]
    heat_map: NotRequired[HeatMapDocument]


class AnswerDocument(TypedDict, total=False):
    """What became of one picture: a prediction, an error's name and sentence, or the traceback of a defect.

    A descriptor is in hexadecimal digits.
    """

    decode_seconds: float
    prediction: PredictionDocument
    descriptor: str
    refused: tuple[str, str]
    failure: str


class BatchDocument(TypedDict):
    """What became of a batch, in the order of its pictures."""

    answers: list[AnswerDocument]
    inference_seconds: float


class ReadyDocument(TypedDict):
    """The seconds that a batch of each size takes and, from the worker that has loaded the checkpoint, its card."""

    batch_seconds: dict[str, float]
    card: CheckpointCard | None


class Greeting(TypedDict, total=False):
    """A worker's first frame: that it is ready, or the name and sentence of the error it failed with."""

    ready: ReadyDocument
    failed: tuple[str, str]
