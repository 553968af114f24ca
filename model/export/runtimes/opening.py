"""Opening an exported file in its own runtime, whichever that is."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from whisker.model.errors import ExportError
from whisker.model.export.formats import format_of
from whisker.model.export.runtimes.base import ExportedFile

_RUNTIMES: Mapping[str, tuple[str, str]] = {
    "onnx": ("onnx_session", "OnnxSession"),
    "openvino": ("openvino_model", "OpenVinoFile"),
    "torch": ("torch_program", "TorchProgram"),
    "litert": ("litert_interpreter", "LiteRtFile"),
}


def open_export(path: Path) -> ExportedFile:
    """Open an exported file; raise `ExportError` if it cannot be used, or its runtime is not installed."""
    kind = format_of(path)
    if not path.is_file():
        raise ExportError(f"There is no file at {path}: give the path of a file from `whisker export`.")
    kind.require(to_write=False)
    module, name = _RUNTIMES[kind.name]
    runtime: Callable[[Path], ExportedFile] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    try:
        return runtime(path)
    except ExportError as exc:
        raise ExportError(f"{path} {exc}.") from exc
    except Exception as exc:  # on damaged bytes a runtime can raise anything at all
        raise ExportError(
            f"{path} is damaged, or not for this version of {kind.title}: use an unaltered copy."
        ) from exc
