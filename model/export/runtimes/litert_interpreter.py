"""LiteRT files, run by its interpreter, one picture at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import ModelT
from numpy.typing import NDArray

from whisker.model.errors import ExportError
from whisker.model.export.manifest import KEY, Manifest
from whisker.model.export.runtimes.base import ExportedFile


class LiteRtFile(ExportedFile):
    """A `.tflite` file in LiteRT."""

    def __init__(self, path: Path) -> None:
        """Open a file; raise `ExportError` with the end of a sentence if it has no manifest."""
        content = path.read_bytes()
        model = ModelT.InitFromPackedBuf(content, 0)
        buffers = [entry.buffer for entry in model.metadata or () if entry.name.decode() == KEY]
        if not buffers:
            raise ExportError("was not written by `whisker export`")
        super().__init__(Manifest.from_json(bytes(model.buffers[buffers[0]].data).decode()))
        # The runner borrows the interpreter.
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._run_one = self._interpreter.get_signature_runner()
        (self._input,) = self._run_one.get_input_details()

    def _compute(self, pictures: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        rows = [self._run_one(**{self._input: picture[None]}) for picture in pictures]
        return [np.concatenate([row[name] for row in rows]) for name in sorted(rows[0])]  # output_0, output_1, ...
