"""Programs of `torch.export`, run by PyTorch, which may run code that is in them as it opens them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.errors import ExportError
from whisker.model.export.manifest import KEY, Manifest
from whisker.model.export.runtimes.base import ExportedFile

MANIFEST_FILE = f"{KEY}.json"  # in the archive


class TorchProgram(ExportedFile):
    """A `.pt2` file in PyTorch."""

    def __init__(self, path: Path) -> None:
        """Open a file; raise `ExportError` with the end of a sentence if it has no manifest."""
        extra_files: dict[str, Any] = {MANIFEST_FILE: ""}
        self._module = torch.export.load(path, extra_files=extra_files).module()
        if not extra_files[MANIFEST_FILE]:
            raise ExportError("was not written by `whisker export`")
        super().__init__(Manifest.from_json(extra_files[MANIFEST_FILE]))

    @torch.inference_mode()
    def _compute(self, pictures: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        return [output.numpy() for output in self._module(torch.from_numpy(pictures))]
