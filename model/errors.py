"""Everything that Whisker raises on purpose.

    WhiskerError
    ├── ConfigError                    a setting has a value that cannot work
    ├── CheckpointError                a checkpoint file cannot be used
    ├── DeviceError                    the device asked for is not there
    ├── EngineError                    the engine asked for cannot be used here
    ├── InferenceError                 the network gave an answer that is not a number
    ├── NoHeatMapError                 the network looks at no place in particular
    ├── PictureError                   one picture cannot be used
    │   ├── UnsupportedFormatError     not JPEG, PNG, WebP, GIF or BMP
    │   ├── PictureTooLargeError       more pixels, or a longer side, than allowed
    │   │   └── HeavyPictureError      takes more memory than it may beside others
    │   └── UndecodablePictureError    a known format that does not decode
    └── whisker.training.errors                what only training can raise

Each message is one sentence for the person who has to act on it. It never names a file of an upload's
server, and never holds a traceback.
"""


class WhiskerError(Exception):
    """The root: `except WhiskerError` catches what a user can mend, and nothing else."""


class ConfigError(WhiskerError):
    """A setting has a value that cannot work."""


class CheckpointError(WhiskerError):
    """A checkpoint file is missing, damaged, altered, or not for this version."""


class DeviceError(WhiskerError):
    """The device asked for is not available on this machine."""


class EngineError(WhiskerError):
    """An engine cannot be used with this checkpoint on this machine."""


class InferenceError(WhiskerError):
    """The network's answer holds NaN or infinity."""


class NoHeatMapError(WhiskerError):
    """The network has no feature map, so that no place of a picture can be told to speak for a class."""


class PictureError(WhiskerError):
    """One picture cannot be used; others are not affected."""


class UnsupportedFormatError(PictureError):
    """The bytes are not a picture of an accepted format."""


class PictureTooLargeError(PictureError):
    """The picture's header announces more pixels, or a longer side, than is allowed."""


class HeavyPictureError(PictureTooLargeError):
    """Decoding takes more memory than it shall beside others: the picture's turn comes when no other is as heavy."""


class UndecodablePictureError(PictureError):
    """The bytes start like an accepted format but do not decode."""
