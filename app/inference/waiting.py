"""Pictures that wait for an inference worker, and which of them is next."""

import time
from collections import deque
from collections.abc import Callable, Iterable

from whisker.app.errors import OverloadedError
from whisker.app.inference.requests import PendingPrediction

LARGE_BYTES = 500_000  # a batch, or a worker, that holds this much gets no more
_PATIENCE_SECONDS = 0.5  # after which pictures that came in company let single ones go first no more
_MAX_RETRY_SECONDS = 60


class WaitingPictures:
    """Keep three queues: single pictures, those that came in company, as in a form, and heavy ones.

    The first two need no bound of their own: only admitted uploads come to them. Of the heavy ones, `max_heavy` may
    wait or be decoded at a time, twice as many if they came in company, so that they leave slots to the others.
    `on_change` is told how many more pictures wait.
    """

    def __init__(self, max_heavy: int, on_change: Callable[[int], None]) -> None:
        self._max_heavy = max_heavy
        self._on_change = on_change
        self._single: deque[PendingPrediction] = deque()
        self._company: deque[PendingPrediction] = deque()
        self._heavy: deque[PendingPrediction] = deque()
        self._heavy_seconds = 1.0  # that the latest heavy picture took, from when it was sent

    def __len__(self) -> int:
        return len(self._single) + len(self._company) + len(self._heavy)

    @property
    def light(self) -> int:
        """Count the pictures that are not known to be heavy."""
        return len(self._single) + len(self._company)

    @property
    def heavy(self) -> PendingPrediction | None:
        """Show the next heavy picture, without those that nobody waits for any more."""
        while self._heavy and self._heavy[0].is_dropped:
            self._heavy.popleft()
            self._on_change(-1)
        return self._heavy[0] if self._heavy else None

    def put(self, pending: PendingPrediction, *, at_once: bool = False) -> None:
        """Queue a picture behind those of its kind or, if it has waited before, ahead of them."""
        queue = self._heavy if pending.is_heavy else self._company if pending.has_company else self._single
        (queue.appendleft if at_once else queue.append)(pending)
        self._on_change(1)

    def put_heavy(self, pending: PendingPrediction, decoding: int) -> None:
        """Queue a picture that turned out to be heavy; raise `OverloadedError` if there are too many.

        `decoding` is how many inference workers hold. One that no client waits for has to be the only one, and is not
        counted.
        """
        waiting = decoding + sum(not (other.is_dropped or other.is_spare) for other in self._heavy)
        if waiting >= (1 if pending.is_spare else self._max_heavy * (2 if pending.has_company else 1)):
            seconds = min(_MAX_RETRY_SECONDS, 1 + int(waiting * self._heavy_seconds))
            raise OverloadedError("Too many pictures that take long to decode are waiting.", retry_seconds=seconds)
        pending.is_heavy = True
        self.put(pending)

    def take_heavy(self) -> PendingPrediction:
        """Remove and return the next heavy picture, which must be there."""
        self._on_change(-1)
        return self._heavy.popleft()

    def note_heavy(self, seconds: float) -> None:
        """Remember how long a heavy picture took."""
        self._heavy_seconds = seconds

    @property
    def is_company_next(self) -> bool:
        """Tell whether the next light picture is one that came in company."""
        return self._next_queue() is self._company

    @property
    def next_slot(self) -> int:
        """Give the slot of the model that the next light picture, which must be there, is for."""
        return self._next_queue()[0].slot

    def take(self, share: int) -> list[PendingPrediction]:
        """Take the next batch of up to `share` others for the same model.

        Large ones, and those that may have ended a worker, go alone.
        """
        batch: list[PendingPrediction] = []
        size = 0
        queue = self._next_queue()
        while queue and len(batch) < share and size < LARGE_BYTES:
            if batch and (queue[0].is_suspect or batch[0].is_suspect or queue[0].slot != batch[0].slot):
                break
            pending = queue.popleft()
            self._on_change(-1)
            if not pending.is_dropped:
                batch.append(pending)
                size += len(pending.data)
        return batch

    def _next_queue(self) -> deque[PendingPrediction]:
        if not self._single:
            return self._company
        is_late = bool(self._company) and time.perf_counter() - self._company[0].since > _PATIENCE_SECONDS
        return self._company if is_late and self._company[0].since < self._single[0].since else self._single


def has_large(pictures: Iterable[PendingPrediction]) -> bool:
    """Tell whether one of the pictures takes so much memory that no other such picture may be decoded beside it."""
    return any(picture.is_large for picture in pictures)
