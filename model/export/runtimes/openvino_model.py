"""OpenVINO files, run by OpenVINO on the CPU, in float32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model.engines.openvino_engine import shared_core
from whisker.model.errors import ExportError
from whisker.model.export.manifest import KEY, Manifest
from whisker.model.export.runtimes.base import ExportedFile


class OpenVinoFile(ExportedFile):
    """An `.xml` file, with the weights in the `.bin` file beside it, in OpenVINO."""

    def __init__(self, path: Path) -> None:
        """Open a file; raise `ExportError` with the end of a sentence if it has no manifest."""
        model = shared_core().read_model(path)
        if not model.has_rt_info([KEY]):
            raise ExportError("was not written by `whisker export`")
        super().__init__(Manifest.from_json(model.get_rt_info([KEY]).astype(str)))
        # Its own choice may be bfloat16, which moves probabilities by up to 0.1.
        options = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
        self._compiled = shared_core().compile_model(model, "CPU", options)

    def _compute(self, pictures: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        results = self._compiled([pictures])
        return [np.array(results[name]) for name in self.manifest.outputs]
