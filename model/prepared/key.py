"""The key of a prepared classifier: everything that decides what loading a checkpoint comes to on this machine."""

import errno
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from whisker import __version__
from whisker.model.prepared.container import FORMAT, MAX_BYTES
from whisker.model.regular_file import open_regular

_PACKAGES = ("openvino", "torch", "numpy", "pillow", "simplejpeg", "cykooz-resizer")
_CPU = Path("/proc/cpuinfo")
# What decides there which instructions can be used: x86's names and ARM's.
_CPU_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU variant", "CPU part", "Features"),
)
_DEVICES, _DRIVER = Path("/dev"), Path("/proc/driver/nvidia")
_SOURCES = Path(__file__).parents[1]  # of whisker.model, which prepares and opens
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_COMPILER_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_DIGITS = 16  # of each part of a name


@dataclass(frozen=True, slots=True)
class PreparedFor:
    """What was asked for: a checkpoint, by its SHA-256, and how it is to run."""

    sha256: str
    engine: str
    device: str
    threads: int
    max_batch: int


def digest_of(checkpoint: Path) -> str:
    """Compute the SHA-256 of a checkpoint file; raise `OSError`, also if no checkpoint is as large."""
    with open_regular(checkpoint) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(checkpoint))
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_name(asked: PreparedFor, environment: str) -> str:
    """Name the file of a prepared classifier; two that differ in the environment alone differ behind the last dash."""
    how = _digest({name: value for name, value in asdict(asked).items() if name != "sha256"})
    return f"{asked.sha256[:_DIGITS]}-{how}-{environment}"


def environment_key() -> str:
    """Digest what a prepared classifier depends on besides: this machine, this user, and what prepares it."""
    return _digest(
        {
            "whisker": __version__,
            "sources": _sources(_SOURCES),
            "format": FORMAT,
            "packages": {name: _version(name) for name in _PACKAGES},
            "machine": platform.machine(),
            "system": platform.system(),
            "cpu": _cpu(_CPU),
            "gpus": gpus(),
            "user": os.geteuid(),  # who may replace nobody else's file in a folder for all
            "variables": {name: os.environ.get(name) for name in (*_GPU_VARIABLES, *_COMPILER_VARIABLES)},
        }
    )


def gpus() -> list[str]:
    """List what shows that there are GPUs for PyTorch, whether or not it can use them now."""
    others = (_DEVICES / "dxg", _DRIVER)  # of Windows' subsystem for Linux, and of a driver that has made no nodes yet
    return sorted(str(it) for it in (*_DEVICES.glob("nvidia[0-9]*"), *others) if it.exists())


def _sources(folder: Path) -> str:
    """Digest the source code, as a checkout from git keeps its version for long."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu(path: Path) -> Mapping[str, str]:
    """Describe the first processor, as all others are like it; elsewhere than on Linux by its name."""
    try:
        first = path.read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return {"processor": platform.processor()}
    rows = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in rows if name.strip() in _CPU_FIELDS}


def _digest(values: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]
