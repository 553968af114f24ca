"""Versions that cannot be used: why, and when that is worth another try."""

import logging
import math
import re
import time
from dataclasses import dataclass

from whisker.app.repository.folder import Stamp, VersionFile
from whisker.model.errors import CheckpointError, WhiskerError

_RETRY_SECONDS = 30.0  # after what may have had another reason than the file: lost processes, lack of memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    retry_at: float


def without_folders(sentence: str) -> str:
    """Leave out where files lie: clients may read the sentence."""
    return re.sub(r"(?<![^\s`'(])/(?:[^\s/]+/)+", "", sentence)


class Failures:
    """Remember the versions of one model that could not be loaded; a file that was replaced is another one."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._failures: dict[tuple[str, Stamp, Stamp | None], _Failure] = {}

    def note(self, file: VersionFile, exc: WhiskerError) -> None:
        """Remember, and log, that a version cannot be used: for good, if it is the file that is at fault."""
        reason = without_folders(str(exc))
        retry_at = math.inf if isinstance(exc, CheckpointError) else time.monotonic() + _RETRY_SECONDS
        self._failures = {key: failure for key, failure in self._failures.items() if key[0] != file.name}
        self._failures[file.attempt] = _Failure(reason, retry_at)
        logger.error(
            "A version of a model cannot be used",
            extra={"model": self._model, "version": file.name, "reason": str(exc)},
        )

    def forget(self, file: VersionFile) -> None:
        """Let a version be tried again."""
        self._failures.pop(file.attempt, None)

    def is_failing(self, file: VersionFile) -> bool:
        """Tell whether it is no use to try a version now."""
        failure = self._failures.get(file.attempt)
        return failure is not None and time.monotonic() < failure.retry_at

    def reason(self, file: VersionFile) -> str | None:
        """Say why a version cannot be used, without the path of its folder; `None` if it has not failed."""
        failure = self._failures.get(file.attempt)
        return None if failure is None else failure.reason
