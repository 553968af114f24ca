"""Programs of `torch.export`: an archive that PyTorch runs without Whisker's sources."""

from pathlib import Path

import torch

from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.conversion.quietness import quiet
from whisker.model.export.manifest import Manifest
from whisker.model.export.runtimes.torch_program import MANIFEST_FILE


def write_torch(network: ExportedNetwork, manifest: Manifest, path: Path) -> None:
    """Write one file."""
    program = network.program()
    with quiet():
        torch.export.save(program, path, extra_files={MANIFEST_FILE: manifest.to_json()})
