"""The names of tensors in others' files, and ours, which are those of timm but for the last layers."""

import re
from collections.abc import Mapping

from torch import Tensor

from whisker.model.errors import ConfigError
from whisker.model.networks.config import PUBLISHED

_WRAPPERS = ("module.", "_orig_mod.")  # of networks trained in parallel, and compiled ones
_LITE_LAYERS = {  # of the original EfficientNet code for PyTorch, in most blocks
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE_FIRST_LAYERS = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "fc"}
_TIMM_ENDS = {"classifier": "fc", "head.fc": "fc", "head.norm": "norm"}
# Convolutions of torchvision's MobileNetV3 blocks, each with its batch-norm; the last comes after the excitation.
_SEPARABLE = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
_INVERTED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
_CONVNEXT_LAYERS = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}  # of torchvision


def unwrap(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take away what wrappers put before all names."""
    for wrapper in _WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return unwrap({name.removeprefix(wrapper): tensor for name, tensor in state.items()})
    return state


def rename_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the last layers, and turn a ConvNeXt's matrices into pointwise convolutions."""
    renamed = {}
    for name, tensor in state.items():
        new = name.removesuffix(".gamma") + ".gamma.weight" if name.endswith(".gamma") else name
        renamed[_replace_module(new, _TIMM_ENDS)] = _pointwise(tensor) if ".mlp." in name else tensor
    return renamed


def rename_lite(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give an EfficientNet-Lite's tensors of the original code our names; blocks are numbered by stage.

    Raises `ConfigError` if it has not as many blocks as any of them.
    """
    blocks = len({name.split(".")[1] for name in state if name.startswith("_blocks.")})
    depths = [shape.depth for shape in PUBLISHED.values() if shape.family == "efficientnet-lite"]
    depth = next((depth for depth in depths if sum(depth) == blocks), None)
    if depth is None:
        raise ConfigError(f"it is like an EfficientNet-Lite, but has {blocks} blocks, as none of them does.")
    modules = dict(_LITE_ENDS)
    for index, (stage, block) in enumerate(_places(depth)):
        layers = _LITE_LAYERS if stage else _LITE_FIRST_LAYERS
        modules |= {f"_blocks.{index}.{theirs}": f"blocks.{stage}.{block}.{ours}" for theirs, ours in layers.items()}
    return {_replace_module(name, modules): tensor for name, tensor in state.items()}


def rename_mobilenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of torchvision's MobileNetV3 our names; blocks are numbered by stage."""
    depth = PUBLISHED["large" if "features.16.0.weight" in state else "small"].depth
    last, stages = sum(depth) + 1, len(depth)
    modules = {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        f"features.{last}.0": f"blocks.{stages}.0.conv",
        f"features.{last}.1": f"blocks.{stages}.0.bn1",
        "classifier.0": "conv_head",
        "classifier.3": "fc",
    }
    for index, (stage, block) in enumerate(_places(depth)):
        theirs, ours = f"features.{index + 1}.block", f"blocks.{stage}.{block}"
        convolutions = _INVERTED if stage else _SEPARABLE
        squeeze = f"{theirs}.{len(convolutions) - 1}"  # if there is one, the last convolution comes after it
        squeezes = f"{squeeze}.fc1.weight" in state
        modules |= {f"{squeeze}.fc1": f"{ours}.se.conv_reduce", f"{squeeze}.fc2": f"{ours}.se.conv_expand"}
        for place, (convolution, norm) in enumerate(convolutions):
            place += squeezes and place == len(convolutions) - 1  # noqa: PLW2901 - its place in their list
            modules |= {f"{theirs}.{place}.0": f"{ours}.{convolution}", f"{theirs}.{place}.1": f"{ours}.{norm}"}
    return {
        _replace_module(name, modules): _pointwise(tensor) if name == "classifier.0.weight" else tensor
        for name, tensor in state.items()
    }


def rename_convnext(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of torchvision's ConvNeXt our names."""
    return dict(_rename_convnext(name, tensor) for name, tensor in state.items())


def _rename_convnext(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    ends = {"features.0.0": "stem.0", "features.0.1": "stem.1", "classifier.0": "norm", "classifier.2": "fc"}
    new = _replace_module(name, ends)
    if match := re.fullmatch(r"features\.(\d+)\.(\d+)\.(.+)", new):
        place, index, rest = int(match[1]), match[2], match[3]
        if place % 2 == 0:
            return f"stages.{place // 2}.downsample.{index}.{rest}", tensor
        block = f"stages.{place // 2}.blocks.{index}"
        if rest == "layer_scale":
            return f"{block}.gamma.weight", tensor.flatten()
        new = f"{block}.{_replace_module(rest.removeprefix('block.'), _CONVNEXT_LAYERS)}"
    return new, _pointwise(tensor) if ".mlp." in new else tensor


def _places(depth: tuple[int, ...]) -> list[tuple[int, int]]:
    """List each block's stage and its number in it."""
    return [(stage, block) for stage, blocks in enumerate(depth) for block in range(blocks)]


def _replace_module(name: str, modules: Mapping[str, str]) -> str:
    """Replace the module of a tensor's name, if it is one of `modules`."""
    module, _, parameter = name.rpartition(".")
    return f"{modules[module]}.{parameter}" if module in modules else name


def _pointwise(tensor: Tensor) -> Tensor:
    """Turn a matrix `[out, in]` into a pointwise convolution `[out, in, 1, 1]`."""
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor
