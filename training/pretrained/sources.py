"""Where pretrained weights may come from: one name for each source."""

from pathlib import Path

from whisker.model.networks.config import Variant
from whisker.training.pretrained.installed import INSTALLED, read_installed
from whisker.training.pretrained.weights import Pretrained, read_pretrained

NONE = "none"  # start from random weights
DEFAULT: Variant = "lite0"  # among the installed ones


def open_pretrained(source: str) -> Pretrained | None:
    """Open the weights of a source: `none`, the name of installed ones (`lite0`, `lite1`, `lite2`), or a file.

    Raises `TrainingError` or `CheckpointError` if they cannot be used.
    """
    if source == NONE:
        return None
    for variant in INSTALLED:
        if source == variant:
            return read_installed(variant)
    return read_pretrained(Path(source))
