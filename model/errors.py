"""Every error that Whisker raises on purpose.

    WhiskerError
    ├── ConfigError                    a setting has a value that cannot work
    ├── CheckpointError                a checkpoint file cannot be used
    │   └── SignatureError             it lacks a valid signature of the key that is trusted
    ├── DeviceError                    the requested device is not available
    ├── EngineError                    the requested engine cannot be used here
    ├── PreparedError                  a prepared classifier cannot be used, so that the checkpoint is loaded
    ├── InferenceError                 the network's output is not a number
    ├── NoHeatMapError                 the network has no feature map
    ├── PictureError                   one picture cannot be used
    │   ├── UnsupportedFormatError     not a picture in an accepted format
    │   ├── PictureTooLargeError       more pixels, a longer side, or more work, than allowed
    │   │   └── HeavyPictureError      decoding takes too much memory beside others
    │   │       └── SlowPictureError   decoding takes so long that others should not wait for it
    │   └── UndecodablePictureError    a known format that does not decode
    └── whisker.training.errors        raised by training alone

Each message is one sentence for the person who has to act on it. It
never names a file of the server to a client, and never holds a traceback.
"""

from typing import ClassVar


class WhiskerError(Exception):
    """The root: `except WhiskerError` catches everything that a user can correct, and nothing else.

    `code` is the error's stable name in answers and result files, `exit_code` that of a command that fails with it.
    """

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1


class ConfigError(WhiskerError):
    """A setting has a value that cannot work."""


class CheckpointError(WhiskerError):
    """A checkpoint file is missing, damaged, altered, or not for this version."""


class SignatureError(CheckpointError):
    """A file has no signature, none of the key that is trusted, or is not the one that was signed."""


class DeviceError(WhiskerError):
    """The requested device is not available on this machine."""


class EngineError(WhiskerError):
    """An engine cannot be used with this checkpoint on this machine."""


class ExportError(WhiskerError):
    """A checkpoint cannot be exported, or an exported file cannot be used or answers otherwise than its checkpoint."""


class PreparedError(WhiskerError):
    """A prepared classifier is damaged, or of another version or checkpoint: its checkpoint has to be loaded."""


class InferenceError(WhiskerError):
    """The network's output holds NaN or infinity."""


class NoHeatMapError(WhiskerError):
    """The network has no feature map, so heat maps are impossible."""

    code: ClassVar[str] = "no_heat_map"


class PictureError(WhiskerError):
    """One picture cannot be used; others are not affected."""


class UnsupportedFormatError(PictureError):
    """The bytes are not a picture of an accepted format."""

    code: ClassVar[str] = "unsupported_picture_format"


class PictureTooLargeError(PictureError):
    """The picture's header announces more pixels, a longer side, or more work to decode them, than is allowed."""

    code: ClassVar[str] = "picture_too_large"


class HeavyPictureError(PictureTooLargeError):
    """Decoding takes too much memory beside other pictures: it has to wait until no other such picture is decoded."""


class SlowPictureError(HeavyPictureError):
    """Decoding takes far longer than is usual for a file of that length: others should not have to wait for it."""


class UndecodablePictureError(PictureError):
    """The bytes start like an accepted format but do not decode."""

    code: ClassVar[str] = "undecodable_picture"
