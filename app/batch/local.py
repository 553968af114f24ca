"""The classifier of `whisker predict` on this machine: what was prepared of it before or, with PyTorch, loaded anew.

The thread that opens it must also be the one that lets it classify.
"""

from collections.abc import Generator, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from whisker.app.batch.photos import Photo
from whisker.app.batch.processes import BATCH, THREADS, ProcessConfig, classify_in_processes
from whisker.app.batch.results import Lines, ResultsFile
from whisker.app.batch.threads import classify
from whisker.app.prepared import open_cache
from whisker.app.settings import Settings
from whisker.model.card.document import CheckpointCard
from whisker.model.cores import available_cores
from whisker.model.errors import PreparedError, WhiskerError
from whisker.model.predictor import Predictor
from whisker.model.prepared.cache import PreparedFile
from whisker.model.prepared.contents import open_prepared
from whisker.model.prepared.key import PreparedFor, digest_of

if TYPE_CHECKING:
    from whisker.model.classifier import Classifier

MIN_PHOTOS_FOR_PROCESSES = 512  # half a second in threads, which is about what starting processes takes


class LocalClassifier:
    """A checkpoint, ready to classify here. `card` describes it."""

    card: CheckpointCard

    def __init__(self, settings: Settings) -> None:
        """Find what was prepared of the checkpoint, or load it; raise what `Classifier.load` raises."""
        self._settings = settings
        self._cache = open_cache(settings)
        self._loaded: Classifier | None = None
        self._content = b""
        self._has_given_up = False  # a file: perhaps processes cannot open what this one can
        self._file: PreparedFile | None = self._find()
        if self._file is None:
            self._load()
        else:
            self.card = self._file.card

    def predictor(self) -> Predictor:
        """Open it in this process."""
        if self._loaded is None and self._file is not None:
            try:
                return open_prepared(self._file.read(), threads=_threads(self._settings), largest=BATCH)[0]
            except (WhiskerError, OSError) as exc:
                self._give_up(exc)
        assert self._loaded is not None  # noqa: S101 - otherwise there was a file
        return self._loaded

    def classify(self, photos: Iterable[Photo], results: ResultsFile) -> Generator[Lines]:
        """Yield the results as lines; use processes if photos and cores are enough, and the engine allows it."""
        source = iter(photos)
        first = list(islice(source, MIN_PHOTOS_FOR_PROCESSES))
        photos = chain(first, source)
        processes = self._settings.inference_workers or available_cores()
        if len(first) == MIN_PHOTOS_FOR_PROCESSES and processes > 1:
            while prepared := self._prepared():
                try:
                    yield from classify_in_processes(
                        ProcessConfig(prepared, results, self._settings.max_pixels), photos, processes
                    )
                except PreparedError as exc:  # before any photo was read
                    if self._loaded is not None:
                        raise
                    self._give_up(exc)
                else:
                    return
        yield from map(results.lines, classify(self.predictor(), photos, self._settings))

    def _prepared(self) -> Path | bytes:
        """Give what processes open; empty if the engine needs PyTorch."""
        if self._file is not None:
            return self._file.source
        return self._content or self._prepare()

    def _find(self) -> PreparedFile | None:
        if self._cache is None:
            return None
        try:
            return self._cache.find(self._asked(digest_of(self._settings.checkpoint)))
        except OSError:  # whoever loads it says what is wrong
            return None

    def _load(self) -> None:
        """Load the checkpoint with PyTorch, and prepare it for the next time."""
        import torch  # noqa: PLC0415 - it takes seconds

        from whisker.model.classifier import Classifier  # noqa: PLC0415 - as above
        from whisker.model.prepared.preparing import card_of  # noqa: PLC0415

        settings = self._settings
        torch.set_num_threads(_threads(settings))
        self._loaded = Classifier.load(
            settings.checkpoint, device=settings.device, engine=settings.engine, signed_by=settings.signed_by
        )
        self.card = card_of(self._loaded)
        if self._cache is not None and (content := self._prepare()):
            asked = self._asked(self.card["sha256"])
            self._cache.keep(asked, content)
            self._file = None if self._has_given_up else self._cache.find(asked)
            self._content = content if self._file is None else b""

    def _prepare(self) -> bytes:
        from whisker.model.prepared.preparing import prepare  # noqa: PLC0415 - PyTorch

        assert self._loaded is not None  # noqa: S101 - callers have loaded it
        _, self._content = prepare(self._loaded, threads=THREADS, largest=BATCH)
        return self._content

    def _give_up(self, reason: Exception) -> None:
        """Load the checkpoint, as what was prepared of it cannot be used."""
        if self._cache is not None and self._file is not None:
            self._cache.refuse(self._file.path, str(reason))
        self._file, self._has_given_up = None, True
        self._load()

    def _asked(self, sha256: str) -> PreparedFor:
        return PreparedFor(sha256, self._settings.engine, self._settings.device, THREADS, BATCH)


def _threads(settings: Settings) -> int:
    return settings.threads or available_cores()
