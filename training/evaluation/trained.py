"""Whether a checkpoint was trained with the photos that it is measured on, as far as its file knows."""

from collections.abc import Sequence

from whisker.model.card.provenance import Provenance
from whisker.model.checkpoint.contents import Checkpoint
from whisker.training.data.cache import Decoded
from whisker.training.data.fingerprints import data_fingerprint

_TOO_GOOD = "the figures are too good. Measure on photos that it has not seen."

LabelledDigest = tuple[str, tuple[str, ...]]  # the SHA-256 of a photo's bytes, and the names of its labels


def warn_of_trained_photos(checkpoint: Checkpoint, name: str, photos: Sequence[LabelledDigest]) -> str:
    """Say so if `checkpoint`, called `name`, was trained with exactly these photos; otherwise return "".

    A checkpoint knows a hash of all its photos together: whether single ones are among them, it cannot tell.
    """
    provenance = Provenance.from_json(checkpoint.provenance)
    fingerprint, data = _fingerprint(photos), provenance.data
    if data is not None and data.fingerprint == fingerprint:
        learned = "some" if data.train is None else f"{data.train:,}"
        return f"Warning: {name} was trained with exactly these photos, and learned from {learned} of them: {_TOO_GOOD}"
    if any(extension.fingerprint == fingerprint for extension in provenance.extensions or ()):
        return f"Warning: classes were added to {name} with exactly these photos: {_TOO_GOOD}"
    return ""


def _fingerprint(photos: Sequence[LabelledDigest]) -> str:
    classes = sorted({label for _, labels in photos for label in labels})
    number_of = {label: number for number, label in enumerate(classes)}
    numbers = [sorted(number_of[label] for label in labels) for _, labels in photos]
    return data_fingerprint(numbers, classes, [Decoded(sha256=digest) for digest, _ in photos])
