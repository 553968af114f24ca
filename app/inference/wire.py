"""What the service and an inference worker say to each other over their socket.

Down go a `WorkerConfig`, pickled, and then orders, each an `ORDER` header: to open a model under a slot, with an
`Opening`, pickled; to close it; and to answer a batch, or a lone picture, with it, which is a `PICTURE` header for each
picture and then their bytes. Up come frames, each a `FRAME` header and its bytes. For each model that was opened an
`OpenedDocument` and, if it was loaded from its checkpoint, whatever another worker needs to open it without PyTorch.
For each batch a `BatchDocument` and one frame for each drawing that was asked for, in the order of the pictures and
empty where there is none. Everything that comes up from a worker that has seen an upload is JSON or a picture file, so
that it cannot harm the service even if a hostile picture has taken the worker over.
"""

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, Required, TypedDict, TypeVar

from whisker.model import errors
from whisker.model.answers.kinds import NO_CLASS, Verdict
from whisker.model.card.document import CheckpointCard
from whisker.model.errors import WhiskerError

LENGTH = struct.Struct("<I")  # of the configuration, in bytes
# An order's kind, the slot, and the length of what follows: in pictures or, of an opening, bytes.
ORDER = struct.Struct("<cII")
OPEN, CLOSE, ANSWER, ANSWER_LONE = b"o", b"c", b"a", b"l"
FRAME = struct.Struct("<cI")  # its kind, and the length of what follows in bytes
OPENED, EXPORTED, ANSWERED = b"O", b"E", b"A"
PICTURE = struct.Struct("<I?Iif?")  # the file's length in bytes, whether it may be heavy, and its `PredictionOptions`
NO_DRAWING = -1.0

E = TypeVar("E", bound=WhiskerError)


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
    def packed(self) -> tuple[int, int, float, bool]:
        """List the fields in their order, as `PICTURE` has them; `dataclasses.astuple` would copy each deeply."""
        return self.top_k, self.explain, self.opacity, self.wants_descriptor

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
    """How a worker is to run, whatever models it opens."""

    device: str
    threads: int
    lone_threads: int  # for a picture that comes, like those before it, while no worker does anything
    max_pixels: int
    log_format: str
    log_level: str
    http_worker: int | None = None  # the process id of the HTTP worker, if there are several
    signed_by: Path | None = None  # whose signature a checkpoint must have
    is_idle: bool = False  # whether it takes only what time others leave


@dataclass(frozen=True, slots=True)
class Opening:
    """A model to open under a slot: from its `exported` classifier or, without one, by loading its checkpoint.

    An exported classifier is a container as `whisker.model.prepared` writes it, or a file of one.
    """

    slot: int
    checkpoint: Path
    engine: str
    max_batch: int
    sha256: str = ""  # of the checkpoint file, if it has been loaded before
    exported: bytes | Path | None = None


def pack_config(config: WorkerConfig) -> bytes:
    """Write what a worker is told first."""
    packed = pickle.dumps(config)
    return LENGTH.pack(len(packed)) + packed


def pack_opening(opening: Opening) -> bytes:
    """Write the order to open a model."""
    packed = pickle.dumps(opening)
    return ORDER.pack(OPEN, opening.slot, len(packed)) + packed


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


class OpenedDocument(TypedDict, total=False):
    """What became of an opening: an error's name and sentence, or how the model runs and, if it was loaded, its card.

    `bytes` is the memory that it takes in this worker, as far as the system tells.
    """

    slot: Required[int]
    batch_seconds: dict[str, float]
    bytes: int
    card: CheckpointCard | None
    failed: tuple[str, str]


def error_from_name(name: str, sentence: str, *, base: type[E]) -> E:
    """Make the error that a worker has named; it is a `base` if none of that kind has the name."""
    kind = vars(errors).get(name)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, base) else base(sentence)
