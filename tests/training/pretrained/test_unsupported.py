"""Tensors of networks that Whisker does not build: one sentence says what they are, and what is supported."""

from collections.abc import Sequence

import pytest
import torch

from tests.training.pretrained.reference import others
from tests.training.pretrained.reference.others import SHALLOW, SMALL_SHAPE
from whisker.model.errors import ConfigError
from whisker.training.pretrained.recognition import recognise


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cls_token", "blocks.0.attn.qkv.weight"), "it is a vision transformer; supported are ResNet-18 to -152"),
        (("patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight"), "it is a vision transformer"),
        (("encoder.layers.encoder_layer_0.self_attention.in_proj_weight",), "it is a vision transformer"),
        (("resnet.embedder.embedder.convolution.weight",), "under the names of Hugging Face's Transformers"),
        (("backbone.body.layer1.0.conv1.weight", "rpn.head.conv.weight"), "it is a detection network"),
        (("model.0.conv.weight", "model.22.cv2.0.0.conv.weight"), "it is a detection network"),
        (("backbone.conv1.weight",), "it is a network for detection or segmentation"),
        (("features.1.0.block.0.0.weight", "features.1.0.block.1.fc1.weight"), "EfficientNet with squeeze"),
        (("features.0.0.weight", "features.1.conv.0.0.weight"), "it is a MobileNetV2"),
        (("features.denseblock1.denselayer1.conv1.weight",), "it is a DenseNet"),
        (("features.0.weight", "classifier.0.weight"), "it is a VGG or an AlexNet"),
        (("downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"), "a ConvNeXt under its authors' names"),
        (("state.0.exp_avg",), "it is an optimizer's state"),
        (("d", "c", "b", "a"), r"names of its tensors \(a, b, c\) are of no network that Whisker knows; supported are"),
        ((), r"\(there are none\) are of no network"),
    ],
)
def test_anything_else_is_named(names: Sequence[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        recognise({name: torch.zeros(1) for name in names})
    assert str(caught.value).endswith("under timm's or torchvision's names.")


def test_network_of_the_same_names_and_another_shape_is_refused() -> None:
    resnet = others.resnet(SHALLOW, 64, device="meta")
    wide = resnet | {"layer2.0.conv2.weight": torch.zeros(256, 128, 3, 3, device="meta")}
    with pytest.raises(ConfigError, match=r"but layer2.0.conv2.weight is \(256, 128, 3, 3\), not \(128, 128, 3, 3\)"):
        recognise(wide)
    excited = resnet | {"layer3.0.se.fc1.weight": torch.zeros(1)}
    with pytest.raises(ConfigError, match=r"but also has layer3.0.se.fc1.weight; supported are"):
        recognise(excited)
    del resnet["layer4.0.bn2.running_mean"]
    with pytest.raises(ConfigError, match=r"but lacks layer4.0.bn2.running_mean; supported are"):
        recognise(resnet)


def test_relatives_of_supported_networks_are_named() -> None:
    excited = others.mobilenet_timm(*SMALL_SHAPE, "meta") | {"bn2.weight": torch.zeros(1)}
    with pytest.raises(ConfigError, match="an EfficientNet with squeeze-and-excitation"):
        recognise(excited)
    second = others.convnext_timm(40, SHALLOW) | {"stages.0.blocks.0.mlp.grn.weight": torch.zeros(1)}
    with pytest.raises(ConfigError, match="it is a ConvNeXt V2; supported are"):
        recognise(second)
    with pytest.raises(ConfigError, match="it is like a ConvNeXt of width 128; supported are"):
        recognise(others.convnext_timm(128, SHALLOW, device="meta"))
    left = others.mobilenet_torchvision(*SMALL_SHAPE, "meta") | {"features.3.block.9.0.weight": torch.zeros(1)}
    with pytest.raises(ConfigError, match=r"but also has features.3.block.9.0.weight"):
        recognise(left)
    fewer = {name: torch.zeros(1) for name in ("_blocks.0._depthwise_conv.weight", "_blocks.1._bn1.weight")}
    with pytest.raises(ConfigError, match="like an EfficientNet-Lite, but has 2 blocks"):
        recognise(fewer)


def test_tensors_without_dimensions_are_no_convolutions() -> None:
    for state, stem in (
        (others.resnet(SHALLOW, 8), "conv1.weight"),
        (others.convnext_timm(40, SHALLOW), "stem.0.weight"),
        (others.mobilenet_timm(*SMALL_SHAPE, "meta"), "conv_stem.weight"),
    ):
        with pytest.raises(ConfigError, match=f"it has no convolution {stem}"):
            recognise(state | {stem: torch.zeros(())})
        with pytest.raises(ConfigError, match=f"it has no convolution {stem}"):
            recognise({name: tensor for name, tensor in state.items() if name != stem})
