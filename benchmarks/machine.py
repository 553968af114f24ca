"""The machine that something was measured on, in words."""

import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.servers import ROOT
from whisker import __version__
from whisker.model.cores import available_cores

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
_ARM_FLAGS = ("asimd", "asimddp", "bf16", "i8mm", "sve")


def describe_machine() -> dict[str, str]:
    """Describe processor, memory, system and libraries, as terms and their values."""
    cpu, flags = _read_cpu(Path("/proc/cpuinfo"))
    return {
        "Processor": cpu,
        "Cores in use": f"{available_cores()} of {psutil.cpu_count()}",
        "Instructions": ", ".join(flag for flag in (*_FLAGS, *_ARM_FLAGS) if flag in flags) or "unknown",
        "Memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": platform.python_version(),
        "PyTorch": version("torch"),
        "Pillow": version("pillow"),
        "Whisker": f"{__version__}, {_revision()}",
    }


def _revision() -> str:
    """Name the commit that is checked out, and whether files differ from it."""
    git = shutil.which("git")
    command = [git or "git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True) if git else None  # noqa: S603
    return done.stdout.strip() if done is not None and done.returncode == 0 else "of no known revision"


def _read_cpu(file: Path) -> tuple[str, frozenset[str]]:
    """Read the processor's name and flags where Linux tells them."""
    text = file.read_text() if file.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine(), frozenset(flags[1].split() if flags else ())
