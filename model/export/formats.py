"""The formats of exported files: what each is called, what its files are, and what has to be installed for it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.model.errors import ExportError


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the packages that run its files, and those that write them besides."""

    name: str
    title: str
    suffix: str
    extra: str
    runs: tuple[str, ...]
    writes: tuple[str, ...] = ()

    def require(self, *, to_write: bool) -> None:
        """Raise `ExportError`, with what to install, unless the packages can be imported."""
        for package in (*self.runs, *(self.writes if to_write else ())):
            try:
                importlib.import_module(package)
            except ImportError as exc:
                missing = f"The package {package} is not installed" if exc.name == package else f"{package}: {exc}"
                install = f"`pip install 'whisker-vision[{self.extra}]'`" if self.extra else "`pip install torch`"
                raise ExportError(f"{missing}: {install} has what {self.title} needs.") from exc


FORMATS: Sequence[Format] = (
    Format("onnx", "ONNX", ".onnx", "onnx", ("onnxruntime",), ("onnx", "onnxscript")),
    Format("openvino", "OpenVINO", ".xml", "openvino", ("openvino",)),
    Format("torch", "torch.export", ".pt2", "", ("torch",)),
    Format("litert", "LiteRT", ".tflite", "litert", ("ai_edge_litert",), ("litert_torch",)),
)


def format_named(name: str) -> Format:
    """Find a format by its name; raise `ExportError` for others."""
    for known in FORMATS:
        if known.name == name:
            return known
    raise ExportError(f"--to is one of {', '.join(known.name for known in FORMATS)}, not {name!r}.")


def format_of(path: Path) -> Format:
    """Find the format of a file by the end of its name; raise `ExportError` for others."""
    for known in FORMATS:
        if path.suffix.lower() == known.suffix:
            return known
    ends = ", ".join(known.suffix for known in FORMATS)
    raise ExportError(f"{path} is no exported file: its name ends in none of {ends}.")
