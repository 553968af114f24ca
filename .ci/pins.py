"""Write the image's requirements with hashes: `uv pip compile` on standard input, requirements-image.txt as output.

PyTorch has a file of its own, requirements-torch.txt: the image's build without CUDA comes from PyTorch's own index.
"""

import re
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
PYTHON = "cp311"  # of the base image
HEADER = "# Written by `make pins` from constraints.txt. Every file that pip may install, by its SHA-256.\n"
LEFT_OUT = {"openvino-telemetry"}  # reports to a third party; OpenVINO works without it
SECONDS = 20.0


def image_requirements(compiled: str, pinned: set[str]) -> str:
    """Keep what constraints.txt pins; the rest is for other systems and for GPUs."""
    blocks = re.findall(r"^\S.*?(?<!\\)$\n", compiled, re.MULTILINE | re.DOTALL)
    return HEADER + "".join(block for block in blocks if normal(re.split(r"[=\s]", block)[0]) in pinned)


def torch_requirements(page: str, version: str) -> str:
    """Pin the build without CUDA by the hashes in PyTorch's index, for every kind of processor."""
    wheel = rf"torch-{re.escape(version)}(?:%2B|\+)cpu-{PYTHON}-{PYTHON}-manylinux\w+\.whl#sha256=([0-9a-f]{{64}})"
    lines = [f"torch=={version}", *(f"    --hash=sha256:{digest}" for digest in sorted(set(re.findall(wheel, page))))]
    return HEADER + " \\\n".join(lines) + "\n"


def normal(name: str) -> str:
    """Spell a package's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write both files; if PyTorch's index is out of reach, only the first."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {normal(name) for name in pins} - LEFT_OUT - {"torch"}
    compiled = sys.stdin.read()
    if not compiled:
        sys.exit("Nothing is written: `uv pip compile` has failed.")
    (ROOT / "requirements-image.txt").write_text(image_requirements(compiled, pinned))
    try:
        with urllib.request.urlopen(TORCH_INDEX, timeout=SECONDS) as answer:
            page = answer.read().decode()
    except OSError as exc:
        sys.exit(f"requirements-torch.txt is left as it was: {TORCH_INDEX} cannot be read ({exc}).")
    (ROOT / "requirements-torch.txt").write_text(torch_requirements(page, pins["torch"]))


if __name__ == "__main__":
    main()
