"""What only training can raise; the root of the tree is in `whisker.model.errors`.

WhiskerError
├── DatasetError                 the folder of photos cannot be used
├── TrainingError                the training cannot start or go on
└── TrainingInterruptedError     stopped by the user, saved, ready to be resumed
"""

from whisker.model.errors import WhiskerError


class DatasetError(WhiskerError):
    """The folder of photos cannot be used as it is."""


class TrainingError(WhiskerError):
    """The training cannot start or go on."""


class TrainingInterruptedError(WhiskerError):
    """The training was stopped by a signal and has saved its state."""
