"""What others' networks compute from their weights, written down with PyTorch's functions alone."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tests.training.pretrained.reference.others import Block, State


def conv(w: State, name: str, x: Tensor, stride: int = 1, *, depthwise: bool = False) -> Tensor:
    weight = w[f"{name}.weight"]
    padding = weight.shape[-1] // 2
    return functional.conv2d(x, weight, w.get(f"{name}.bias"), stride, padding, groups=len(weight) if depthwise else 1)


def batch_norm(w: State, name: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
    mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return functional.batch_norm(x, mean, variance, w[f"{name}.weight"], w[f"{name}.bias"], eps=epsilon)


def layer_norm(w: State, name: str, x: Tensor) -> Tensor:
    """Normalise the channels of `[N, C, H, W]`, without PyTorch's own layer norm."""
    deviation = x - x.mean(1, keepdim=True)
    normal = deviation / (deviation.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return normal * w[f"{name}.weight"].view(1, -1, 1, 1) + w[f"{name}.bias"].view(1, -1, 1, 1)


def linear(w: State, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, w[f"{name}.weight"].flatten(1), w[f"{name}.bias"])


def resnet(w: State, x: Tensor) -> Tensor:
    x = batch_norm(w, "bn1", conv(w, "conv1", x, 2)).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        index = 0
        while (block := f"layer{stage}.{index}") + ".conv1.weight" in w:
            stride = 2 if stage > 1 and index == 0 else 1
            out = batch_norm(w, f"{block}.bn1", conv(w, f"{block}.conv1", x)).relu()
            out = batch_norm(w, f"{block}.bn2", conv(w, f"{block}.conv2", out, stride)).relu()
            out = batch_norm(w, f"{block}.bn3", conv(w, f"{block}.conv3", out))
            if index == 0:
                x = batch_norm(w, f"{block}.downsample.1", conv(w, f"{block}.downsample.0", x, stride))
            x, index = (x + out).relu(), index + 1
    return linear(w, "fc", x.mean((2, 3)))


def excite(w: State, reduce: str, expand: str, x: Tensor) -> Tensor:
    weights = conv(w, expand, conv(w, reduce, x.mean((2, 3), keepdim=True)).relu())
    return x * (weights / 6 + 0.5).clamp(0, 1)


def hard_swish(x: Tensor) -> Tensor:
    return x * (x / 6 + 0.5).clamp(0, 1)


def mobilenet_timm(w: State, x: Tensor, stages: Sequence[Sequence[Block]], *, first_swish: int) -> Tensor:
    """Compute with hard swish from the stage `first_swish` on, and ReLU before."""
    x = hard_swish(batch_norm(w, "bn1", conv(w, "conv_stem", x, 2)))
    for stage, blocks in enumerate(stages):
        act = hard_swish if stage >= first_swish else torch.relu
        for index, (_, _, _, squeezes, stride) in enumerate(blocks):
            block, out, norm = f"blocks.{stage}.{index}", x, 1
            if stage > 0:
                out, norm = act(batch_norm(w, f"{block}.bn1", conv(w, f"{block}.conv_pw", out))), 2
            out = conv(w, f"{block}.conv_dw", out, stride, depthwise=True)
            out = act(batch_norm(w, f"{block}.bn{norm}", out))
            if squeezes:
                out = excite(w, f"{block}.se.conv_reduce", f"{block}.se.conv_expand", out)
            out = conv(w, f"{block}.conv_{'pwl' if stage else 'pw'}", out)
            out = batch_norm(w, f"{block}.bn{norm + 1}", out)
            x = x + out if x.shape == out.shape else out
    last = f"blocks.{len(stages)}.0"
    x = hard_swish(batch_norm(w, f"{last}.bn1", conv(w, f"{last}.conv", x)))
    x = hard_swish(conv(w, "conv_head", x.mean((2, 3), keepdim=True)))
    return linear(w, "classifier", x.flatten(1))


def mobilenet_torchvision(w: State, x: Tensor, stages: Sequence[Sequence[Block]], *, first_swish: int) -> Tensor:
    """Compute with hard swish from the stage `first_swish` on, and ReLU before; epsilon is TensorFlow's."""

    def layer(name: str, x: Tensor, stride: int = 1, *, depthwise: bool = False) -> Tensor:
        return batch_norm(w, f"{name}.1", conv(w, f"{name}.0", x, stride, depthwise=depthwise), 1e-3)

    x = hard_swish(layer("features.0", x, 2))
    numbered = [(stage, block) for stage, blocks in enumerate(stages) for block in blocks]
    for number, (stage, (_, wide, _, squeezes, stride)) in enumerate(numbered, 1):
        act = hard_swish if stage >= first_swish else torch.relu
        block, out, place = f"features.{number}.block", x, 0
        if wide != x.shape[1]:
            out, place = act(layer(f"{block}.0", out)), 1
        out = act(layer(f"{block}.{place}", out, stride, depthwise=True))
        if squeezes:
            place += 1
            out = excite(w, f"{block}.{place}.fc1", f"{block}.{place}.fc2", out)
        out = layer(f"{block}.{place + 1}", out)
        x = x + out if x.shape == out.shape else out
    x = hard_swish(layer(f"features.{len(numbered) + 1}", x)).mean((2, 3))
    return linear(w, "classifier.3", hard_swish(linear(w, "classifier.0", x)))


def convnext_timm(w: State, x: Tensor) -> Tensor:
    x = layer_norm(w, "stem.1", functional.conv2d(x, w["stem.0.weight"], w["stem.0.bias"], 4))
    for stage in range(4):
        if stage > 0:
            down = f"stages.{stage}.downsample"
            x = functional.conv2d(layer_norm(w, f"{down}.0", x), w[f"{down}.1.weight"], w[f"{down}.1.bias"], 2)
        index = 0
        while (block := f"stages.{stage}.blocks.{index}") + ".gamma" in w:
            out = layer_norm(w, f"{block}.norm", conv(w, f"{block}.conv_dw", x, depthwise=True)).movedim(1, 3)
            out = linear(w, f"{block}.mlp.fc2", functional.gelu(linear(w, f"{block}.mlp.fc1", out)))
            x, index = x + (out * w[f"{block}.gamma"]).movedim(3, 1), index + 1
    return linear(w, "head.fc", layer_norm(w, "head.norm", x.mean((2, 3), keepdim=True)).flatten(1))


def convnext_torchvision(w: State, x: Tensor) -> Tensor:
    x = layer_norm(w, "features.0.1", functional.conv2d(x, w["features.0.0.weight"], w["features.0.0.bias"], 4))
    for stage in range(4):
        if stage > 0:
            down = f"features.{2 * stage}"
            x = functional.conv2d(layer_norm(w, f"{down}.0", x), w[f"{down}.1.weight"], w[f"{down}.1.bias"], 2)
        index = 0
        while (block := f"features.{2 * stage + 1}.{index}") + ".layer_scale" in w:
            out = layer_norm(w, f"{block}.block.2", conv(w, f"{block}.block.0", x, depthwise=True)).movedim(1, 3)
            out = linear(w, f"{block}.block.5", functional.gelu(linear(w, f"{block}.block.3", out)))
            x, index = x + out.movedim(3, 1) * w[f"{block}.layer_scale"], index + 1
    return linear(w, "classifier.2", layer_norm(w, "classifier.0", x.mean((2, 3), keepdim=True)).flatten(1))
