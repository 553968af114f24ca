"""ONNX files, run by ONNX Runtime on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from whisker.model.errors import ExportError
from whisker.model.export.manifest import KEY, Manifest
from whisker.model.export.runtimes.base import ExportedFile

_ERRORS_ONLY = 3


class OnnxSession(ExportedFile):
    """An ONNX file in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        """Open a file; raise `ExportError` with the end of a sentence if it has no manifest."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting is not worth a core
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        manifest = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if manifest is None:
            raise ExportError("was not written by `whisker export`")
        super().__init__(Manifest.from_json(manifest))

    def _compute(self, pictures: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        outputs: list[NDArray[Any]] = self._session.run([*self.manifest.outputs], {"pictures": pictures})
        return outputs
