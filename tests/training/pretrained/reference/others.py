"""Random weights under the names of timm and torchvision, written down by hand from what these publish."""

from collections.abc import Sequence

import torch
from torch import Tensor

CLASSES = 10
SHALLOW = (1, 2, 1, 1)  # blocks a stage
# Each block of MobileNetV3, by stage: kernel, channels within and after, squeeze-and-excitation, stride.
Block = tuple[int, int, int, bool, int]
LARGE: Sequence[Sequence[Block]] = (
    ((3, 16, 16, False, 1),),
    ((3, 64, 24, False, 2), (3, 72, 24, False, 1)),
    ((5, 72, 40, True, 2), (5, 120, 40, True, 1), (5, 120, 40, True, 1)),
    ((3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1), (3, 184, 80, False, 1)),
    ((3, 480, 112, True, 1), (3, 672, 112, True, 1)),
    ((5, 672, 160, True, 2), (5, 960, 160, True, 1), (5, 960, 160, True, 1)),
)
SMALL: Sequence[Sequence[Block]] = (
    ((3, 16, 16, True, 2),),
    ((3, 72, 24, False, 2), (3, 88, 24, False, 1)),
    ((5, 96, 40, True, 2), (5, 240, 40, True, 1), (5, 240, 40, True, 1)),
    ((5, 120, 48, True, 1), (5, 144, 48, True, 1)),
    ((5, 288, 96, True, 2), (5, 576, 96, True, 1), (5, 576, 96, True, 1)),
)
SMALL_SHAPE, LARGE_SHAPE = (SMALL, 576, 1024), (LARGE, 960, 1280)  # with the channels before and after pooling
# What a squeeze-and-excitation of so many channels has in its middle.
SQUEEZED = {16: 8, 72: 24, 96: 24, 120: 32, 144: 40, 240: 64, 288: 72, 480: 120, 576: 144, 672: 168, 960: 240}


class State(dict[str, Tensor]):
    """A state dict that grows layer by layer, on one device."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self._device = device
        self._generator = None if device == "meta" else torch.Generator().manual_seed(0)

    def uniform(self, name: str, *shape: int, low: float = -0.5, high: float = 0.5) -> None:
        values = torch.empty(shape, device=self._device)
        self[name] = values if self._generator is None else values.uniform_(low, high, generator=self._generator)

    def conv(self, name: str, fan_out: int, fan_in: int, kernel: int = 1, *, bias: bool = False) -> None:
        scale = 1.5 / (fan_in * kernel**2) ** 0.5
        self.uniform(f"{name}.weight", fan_out, fan_in, kernel, kernel, low=-scale, high=scale)
        if bias:
            self.uniform(f"{name}.bias", fan_out)

    def linear(self, name: str, fan_out: int, fan_in: int) -> None:
        self.conv(name, fan_out, fan_in, bias=True)
        self[f"{name}.weight"] = self[f"{name}.weight"][:, :, 0, 0]

    def norm(self, name: str, channels: int, *, batch: bool = True) -> None:
        for parameter in ("weight", "bias", *(("running_mean", "running_var") if batch else ())):
            self.uniform(f"{name}.{parameter}", channels, low=0.5, high=1.5)
        if batch:
            self[f"{name}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64, device=self._device)


def resnet(depth: Sequence[int], width: int = 64, *, deep: bool = False, device: str = "cpu") -> State:
    """Make a ResNet of bottleneck blocks, as both publish it; with a `deep` stem, timm's ResNet-D."""
    state = State(device)
    if deep:
        state.conv("conv1.0", width // 2, 3, 3)
        state.norm("conv1.1", width // 2)
        state.conv("conv1.3", width // 2, width // 2, 3)
        state.norm("conv1.4", width // 2)
        state.conv("conv1.6", width, width // 2, 3)
    else:
        state.conv("conv1", width, 3, 7)
    state.norm("bn1", width)
    fan_in = width
    for stage, blocks in enumerate(depth):
        for index in range(blocks):
            block, narrow = f"layer{stage + 1}.{index}", width * 2**stage
            state.conv(f"{block}.conv1", narrow, fan_in)
            state.norm(f"{block}.bn1", narrow)
            state.conv(f"{block}.conv2", narrow, narrow, 3)
            state.norm(f"{block}.bn2", narrow)
            state.conv(f"{block}.conv3", narrow * 4, narrow)
            state.norm(f"{block}.bn3", narrow * 4)
            if index == 0:
                state.conv(f"{block}.downsample.{1 if deep else 0}", narrow * 4, fan_in)
                state.norm(f"{block}.downsample.{2 if deep else 1}", narrow * 4)
            fan_in = narrow * 4
    state.linear("fc", CLASSES, fan_in)
    return state


def mobilenet_timm(stages: Sequence[Sequence[Block]], last: int, features: int, device: str = "cpu") -> State:
    state, fan_in = State(device), 16
    state.conv("conv_stem", 16, 3, 3)
    state.norm("bn1", 16)
    for stage, blocks in enumerate(stages):
        for index, (kernel, wide, fan_out, squeezes, _) in enumerate(blocks):
            block = f"blocks.{stage}.{index}"
            if stage > 0:
                state.conv(f"{block}.conv_pw", wide, fan_in)
                state.norm(f"{block}.bn1", wide)
            state.conv(f"{block}.conv_dw", wide, 1, kernel)
            state.norm(f"{block}.bn{2 if stage else 1}", wide)
            if squeezes:
                state.conv(f"{block}.se.conv_reduce", SQUEEZED[wide], wide, bias=True)
                state.conv(f"{block}.se.conv_expand", wide, SQUEEZED[wide], bias=True)
            state.conv(f"{block}.conv_{'pwl' if stage else 'pw'}", fan_out, wide)
            state.norm(f"{block}.bn{3 if stage else 2}", fan_out)
            fan_in = fan_out
    state.conv(f"blocks.{len(stages)}.0.conv", last, fan_in)
    state.norm(f"blocks.{len(stages)}.0.bn1", last)
    state.conv("conv_head", features, last, bias=True)
    state.linear("classifier", CLASSES, features)
    return state


def mobilenet_torchvision(stages: Sequence[Sequence[Block]], last: int, features: int, device: str = "cpu") -> State:
    state, fan_in = State(device), 16
    state.conv("features.0.0", 16, 3, 3)
    state.norm("features.0.1", 16)
    blocks = [block for stage in stages for block in stage]
    for number, (kernel, wide, fan_out, squeezes, _) in enumerate(blocks, 1):
        layer = 0
        if wide != fan_in:
            state.conv(f"features.{number}.block.0.0", wide, fan_in)
            state.norm(f"features.{number}.block.0.1", wide)
            layer = 1
        state.conv(f"features.{number}.block.{layer}.0", wide, 1, kernel)
        state.norm(f"features.{number}.block.{layer}.1", wide)
        if squeezes:
            layer += 1
            state.conv(f"features.{number}.block.{layer}.fc1", SQUEEZED[wide], wide, bias=True)
            state.conv(f"features.{number}.block.{layer}.fc2", wide, SQUEEZED[wide], bias=True)
        state.conv(f"features.{number}.block.{layer + 1}.0", fan_out, wide)
        state.norm(f"features.{number}.block.{layer + 1}.1", fan_out)
        fan_in = fan_out
    state.conv(f"features.{len(blocks) + 1}.0", last, fan_in)
    state.norm(f"features.{len(blocks) + 1}.1", last)
    state.linear("classifier.0", features, last)
    state.linear("classifier.3", CLASSES, features)
    return state


def convnext_timm(width: int, depth: Sequence[int], *, matrices: bool = False, device: str = "cpu") -> State:
    """Make a ConvNeXt of timm; Tiny and larger have `matrices` where the smaller ones have pointwise convolutions."""
    state = State(device)
    state.conv("stem.0", width, 3, 4, bias=True)
    state.norm("stem.1", width, batch=False)
    for stage, blocks in enumerate(depth):
        channels = width * 2**stage
        if stage > 0:
            state.norm(f"stages.{stage}.downsample.0", channels // 2, batch=False)
            state.conv(f"stages.{stage}.downsample.1", channels, channels // 2, 2, bias=True)
        for index in range(blocks):
            block = f"stages.{stage}.blocks.{index}"
            state.conv(f"{block}.conv_dw", channels, 1, 7, bias=True)
            state.norm(f"{block}.norm", channels, batch=False)
            for layer, out, fan_in in (("fc1", 4 * channels, channels), ("fc2", channels, 4 * channels)):
                if matrices:
                    state.linear(f"{block}.mlp.{layer}", out, fan_in)
                else:
                    state.conv(f"{block}.mlp.{layer}", out, fan_in, bias=True)
            state.uniform(f"{block}.gamma", channels, low=0.5, high=1.5)
    state.norm("head.norm", width * 8, batch=False)
    state.linear("head.fc", CLASSES, width * 8)
    return state


def convnext_torchvision(width: int, depth: Sequence[int], device: str = "cpu") -> State:
    state = State(device)
    state.conv("features.0.0", width, 3, 4, bias=True)
    state.norm("features.0.1", width, batch=False)
    for stage, blocks in enumerate(depth):
        channels = width * 2**stage
        if stage > 0:
            state.norm(f"features.{2 * stage}.0", channels // 2, batch=False)
            state.conv(f"features.{2 * stage}.1", channels, channels // 2, 2, bias=True)
        for index in range(blocks):
            block = f"features.{2 * stage + 1}.{index}"
            state.uniform(f"{block}.layer_scale", channels, 1, 1, low=0.5, high=1.5)
            state.conv(f"{block}.block.0", channels, 1, 7, bias=True)
            state.norm(f"{block}.block.2", channels, batch=False)
            state.linear(f"{block}.block.3", 4 * channels, channels)
            state.linear(f"{block}.block.5", channels, 4 * channels)
    state.norm("classifier.0", width * 8, batch=False)
    state.linear("classifier.2", CLASSES, width * 8)
    return state
