"""Whether the photos of a comparison are those that a checkpoint was trained with, as far as its file knows."""

from collections.abc import Iterator

from whisker.model.card.provenance import Provenance
from whisker.training.comparing.answers import Contender, PairedAnswers
from whisker.training.data.cache import Decoded
from whisker.training.data.dataset import data_fingerprint

_TOO_GOOD = "its figures are too good. Compare on photos that neither checkpoint has seen."


def find_trained_on(answers: PairedAnswers) -> Iterator[str]:
    """Say for each checkpoint whether it was trained with exactly these photos.

    A checkpoint knows a hash of all its photos together: whether single ones are among them, it cannot tell.
    """
    classes = sorted({name for _, labels in answers.digests for name in labels})
    labels = [[classes.index(name) for name in own] for _, own in answers.digests]
    fingerprint = data_fingerprint(labels, classes, [Decoded(sha256=digest) for digest, _ in answers.digests])
    for side, contender in (("A", answers.a.contender), ("B", answers.b.contender)):
        yield from _warn(side, contender, fingerprint)


def _warn(side: str, contender: Contender, fingerprint: str) -> Iterator[str]:
    provenance = Provenance.from_json(contender.checkpoint.provenance)
    data = provenance.data
    if data is not None and data.fingerprint == fingerprint:
        learned = "some" if data.train is None else f"{data.train:,}"
        yield f"Warning: {side} was trained with exactly these photos, and learned from {learned} of them: {_TOO_GOOD}"
    elif any(extension.fingerprint == fingerprint for extension in provenance.extensions or ()):
        yield f"Warning: classes were added to {side} with exactly these photos: {_TOO_GOOD}"
