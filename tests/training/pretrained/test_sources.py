"""One door to all pretrained weights."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from tests.training.pretrained.reference import others
from tests.training.pretrained.reference.others import SHALLOW
from whisker.training.errors import TrainingError
from whisker.training.pretrained.sources import open_pretrained


def test_no_weights_are_asked_for_by_a_word() -> None:
    assert open_pretrained("none") is None


def test_installed_weights_are_asked_for_by_their_variant() -> None:
    pretrained = open_pretrained("lite0")
    assert pretrained is not None
    assert pretrained.source == "ImageNet weights of EfficientNet-Lite0"


def test_anything_else_is_a_file(tmp_path: Path) -> None:
    save_file(others.resnet(SHALLOW, 8), tmp_path / "resnet.safetensors")
    pretrained = open_pretrained(str(tmp_path / "resnet.safetensors"))
    assert pretrained is not None
    assert pretrained.source.endswith("resnet.safetensors")
    with pytest.raises(TrainingError, match="lite9 does not exist"):
        open_pretrained("lite9")


def test_address_of_the_web_is_not_downloaded() -> None:
    with pytest.raises(TrainingError, match="is not downloaded: give the path of a file, or hf-hub:OWNER/NAME"):
        open_pretrained("https://example.com/resnet50.pth")
