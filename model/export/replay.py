"""The proof: golden pictures, replayed from their encoded bytes in an exported file's own runtime."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.golden import TOLERANCE
from whisker.model.errors import ExportError, PictureError
from whisker.model.export.answers import Answers
from whisker.model.export.manifest import NETWORK_BOUND, RESIZE_BOUND, digest_pixels
from whisker.model.export.runtimes.base import ExportedFile


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay of golden pictures showed: the largest differences of a probability or an unknown score.

    `network` is that for pixels of the network's size, `whole` that for whole pictures, if the file takes them.
    `other_pixels` counts pictures that decoders here turn into other pixels than those where the file was written: the
    bounds are wider then.
    """

    pictures: int
    network: float
    whole: float | None
    other_pixels: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Give the bounds for pixels of the network's size, and for whole pictures."""
        wider = TOLERANCE if self.other_pixels else 0.0
        return NETWORK_BOUND + wider, RESIZE_BOUND + wider

    def describe(self) -> str:
        """Say it in a sentence, or two."""
        network, whole = self.bounds
        resized = f", for whole pictures {self.whole:.2g} (allowed: {whole:g})" if self.whole is not None else ""
        decoders = (
            f" Decoders here give other pixels for {self.other_pixels} of them than where the file was written."
            if self.other_pixels
            else ""
        )
        return (
            f"The {self.pictures} golden pictures are answered as by the checkpoint: the largest difference is "
            f"{self.network:.2g} (allowed: {network:g}){resized}.{decoders}"
        )


def replay(file: ExportedFile) -> Replay:
    """Replay the golden pictures; raise `ExportError` if the file answers otherwise, with the end of a sentence."""
    manifest, golden = file.manifest, file.manifest.golden
    try:
        decoded = [manifest.preprocessing.decode(picture) for picture in golden.pictures]
        whole = [manifest.preprocessing.read(picture, resized=False).pixels for picture in golden.pictures]
    except PictureError as exc:
        raise ExportError("has a golden picture that cannot be decoded here: reinstall Pillow") from exc
    answers = _answer(file, np.stack(decoded))
    other_pixels = sum(map(str.__ne__, map(digest_pixels, decoded, whole), golden.digests))
    found = Replay(
        len(golden.pictures),
        answers.difference(golden.answers),
        _whole_difference(file, whole) if manifest.resizes else None,
        other_pixels,
    )
    _check(found)
    return found


def _whole_difference(file: ExportedFile, whole: list[NDArray[np.uint8]]) -> float:
    answers = [_answer(file, pixels[None]) for pixels in whole]
    return max(one.difference(file.manifest.golden.answers.row(place)) for place, one in enumerate(answers))


def _answer(file: ExportedFile, pictures: NDArray[np.uint8]) -> Answers:
    answers = file.run(pictures)
    if not answers.obey(file.manifest.rule):
        raise ExportError("gives verdicts that do not follow from its scores: use an unaltered copy")
    return answers


def _check(found: Replay) -> None:
    for difference, bound in zip((found.network, found.whole), found.bounds, strict=True):
        if difference is not None and not difference <= bound:
            raise ExportError(
                f"answers otherwise than its checkpoint: a golden answer differs by {difference:.2g} "
                f"(allowed: {bound:g})"
            )
