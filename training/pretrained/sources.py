"""The sources of pretrained weights behind one option: installed packages, the Hugging Face Hub, and files."""

from pathlib import Path

from whisker.model.networks.config import Variant
from whisker.training.errors import TrainingError
from whisker.training.pretrained.hub import PREFIX, read_hub
from whisker.training.pretrained.installed import INSTALLED, read_installed
from whisker.training.pretrained.weights import Pretrained, read_pretrained

NONE = "none"  # random weights
DEFAULT: Variant = "lite0"  # of the installed ones


def open_pretrained(value: str) -> Pretrained | None:
    """Read what `--pretrained` names: `none`, installed weights such as `lite0`, `hf-hub:OWNER/NAME`, or a file.

    Only `hf-hub:` uses the network. Raises `TrainingError`, and `CheckpointError` if it is a damaged Whisker
    checkpoint.
    """
    if value == NONE:
        return None
    for variant in INSTALLED:
        if value == variant:
            return read_installed(variant)
    if value.startswith(PREFIX):
        return read_hub(value)
    if value.startswith(("http://", "https://")):
        raise TrainingError(f"{value} is not downloaded: give the path of a file, or {PREFIX}OWNER/NAME.")
    return read_pretrained(Path(value))
