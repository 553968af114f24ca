"""Checkpoints that were loaded before, on this machine and in this way: found in a cache, and put there.

Imports nothing slow.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from whisker.app.errors import WorkerError
from whisker.app.inference.wire import WorkerConfig
from whisker.model.card.document import CheckpointCard
from whisker.model.prepared.cache import PreparedCache, PreparedFile
from whisker.model.prepared.key import PreparedFor, digest_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checkpoint that was loaded, ready for workers to open; a `file` of a cache stands for `exported`.

    Both are empty if each worker has to load the checkpoint itself. Whoever opens it replays its golden pictures.
    """

    checkpoint: Path
    card: CheckpointCard
    exported: bytes
    max_batch: int
    file: PreparedFile | None = None

    @property
    def source(self) -> bytes | Path | None:
        """Give what workers open; `None` if that is the checkpoint."""
        return self.exported or None if self.file is None else self.file.source


class PreparedModels:
    """The cache, if there is one, as seen by a service that runs its models in one way."""

    def __init__(self, cache: PreparedCache | None, config: WorkerConfig, engine: str) -> None:
        self._cache = cache
        self._config, self._engine = config, engine
        self._has_refused = False

    def find(self, checkpoint: Path, max_batch: int) -> LoadedModel | None:
        """Look for a checkpoint; reads it, and what is found, as a whole."""
        if self._cache is None:
            return None
        try:
            sha256 = digest_of(checkpoint)
        except OSError:  # whoever loads it says what is wrong
            return None
        file = self._cache.find(self._asked(sha256, max_batch))
        if file is None:
            return None
        logger.info("Found what was prepared of the checkpoint", extra={"path": str(file.path)})
        return LoadedModel(checkpoint, file.card, b"", max_batch, file)

    def keep(self, loaded: LoadedModel) -> LoadedModel:
        """Write what was loaded; give it as a file, if that is possible, which takes no memory here.

        After a file was refused, what is loaded stays in memory: perhaps workers cannot open what this process can.
        """
        if self._cache is None or not loaded.exported:
            return loaded
        asked = self._asked(loaded.card["sha256"], loaded.max_batch)
        self._cache.keep(asked, loaded.exported)
        file = None if self._has_refused else self._cache.find(asked)
        return loaded if file is None else replace(loaded, exported=b"", file=file)

    def refuse(self, loaded: LoadedModel, reason: Exception) -> bool:
        """Tell whether loading the checkpoint anew is worth a try: what was opened in vain came from the cache.

        The file is removed, unless it was a process that ended or came too late, for which the file is hardly to blame.
        """
        if loaded.file is None or self._cache is None:
            return False
        self._has_refused = True
        self._cache.refuse(loaded.file.path, str(reason), remove=not isinstance(reason, WorkerError))
        return True

    def _asked(self, sha256: str, max_batch: int) -> PreparedFor:
        return PreparedFor(sha256, self._engine, self._config.device, self._config.threads, max_batch)
