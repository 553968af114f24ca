"""What all runtimes share: an exported file that is open, with its manifest."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model.export.answers import Answers
from whisker.model.export.manifest import Manifest


class ExportedFile(ABC):
    """An exported file in its own runtime."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def run(self, pictures: NDArray[np.uint8]) -> Answers:
        """Answer N pictures of one size, uint8 `[N, height, width, 3]` RGB.

        Any height and width are fine if the file resizes; otherwise they are the network's.
        """
        outputs = dict(zip(self.manifest.outputs, self._compute(pictures), strict=True))
        unknown = outputs.get("unknown_score")
        labels = outputs.get("labels")
        return Answers(
            outputs["probabilities"].astype(np.float32),
            None if unknown is None else unknown.astype(np.float32),
            outputs["verdict"].astype(np.int64),
            None if labels is None else labels.astype(bool),
        )

    @abstractmethod
    def _compute(self, pictures: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        """Compute the outputs, in the manifest's order."""
