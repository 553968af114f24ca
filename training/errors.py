"""Errors that only training raises; the root of the tree is in `whisker.model.errors`.

WhiskerError
├── DatasetError                 the folder of photos cannot be used
├── TrainingError                the training cannot start or continue
└── TrainingInterruptedError     stopped by the user, saved, ready to be resumed
"""

from typing import ClassVar

from whisker.model.errors import WhiskerError


class DatasetError(WhiskerError):
    """The folder of photos cannot be used as it is."""


class TrainingError(WhiskerError):
    """The training cannot start or continue."""


class TrainingInterruptedError(WhiskerError):
    """The training was stopped by a signal and has saved its state."""

    exit_code: ClassVar[int] = 130  # as shells report Ctrl-C
