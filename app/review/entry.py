"""A photo of the review folder, and what is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whisker.app.review.rated import Rated

Labels = Sequence[str] | None  # `None`: nobody has labelled it; empty: it shows none of the classes


@dataclass(frozen=True, slots=True)
class Entry:
    """One photo. `upload` is the SHA-256 of the file it came as; `worth` decides which photo gives way to a new one.

    `answer` is what the checkpoint `model` said of it: the prediction, with some of its scores.
    """

    upload: str
    model: str
    answer: Mapping[str, Any]
    interest: float
    descriptor: bytes
    id: str = ""
    bytes: int = 0
    kept_at: str = ""
    worth: float = 0.0
    labels: Labels = None
    labelled_at: str | None = None
    skips: int = 0

    @property
    def rated(self) -> Rated:
        return Rated(self.interest, self.descriptor, self.model, self.skips)
