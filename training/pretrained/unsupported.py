"""State dicts of what Whisker does not build: what they are, as far as their names tell."""

import re
from collections.abc import Collection

SUPPORTED = (
    "supported are ResNet-18 to -152, MobileNetV3, EfficientNet-Lite0 to -2 and ConvNeXt Atto to Tiny, under timm's or "
    "torchvision's names"
)
_KINDS = (  # a pattern of some tensor's name, and what has it
    (r"(^|\.)exp_avg|^param_groups", "an optimizer's state"),
    (
        r"^(resnet|convnext|mobilenet_v\d|efficientnet)\.(embedder|embeddings|encoder|conv_stem)",
        "a network under the names of Hugging Face's Transformers (timm has the same under its own)",
    ),
    (r"^(cls_token|class_token|pos_embed|patch_embed)|\.(self_)?(attn|attention)\.", "a vision transformer"),
    (r"(^|\.)(rpn|roi_heads|bbox_embed|class_embed|bbox_pred)\.|^model\.\d+\.(conv|cv1|m)\.", "a detection network"),
    (r"^backbone\.", "a network for detection or segmentation"),
    (r"^downsample_layers\.", "a ConvNeXt under its authors' names (timm has the same under its own)"),
    (r"^features\.\d+\.\d+\.block\.", "an EfficientNet with squeeze-and-excitation"),
    (r"^features\.\d+\.conv\.", "a MobileNetV2"),
    (r"^features\.denseblock", "a DenseNet"),
    (r"^features\.\d+\.weight$", "a VGG or an AlexNet"),
)
_MAX_NAMES, _MAX_LETTERS = 3, 60  # of tensors, listed where nothing is known


def describe_unsupported(names: Collection[str]) -> str:
    """Say what tensors of these names are of, as the end of a sentence that begins with the file."""
    for pattern, kind in _KINDS:
        if any(re.search(pattern, name) for name in names):
            return f"it is {kind}; {SUPPORTED}."
    some = ", ".join(name[:_MAX_LETTERS] for name in sorted(names)[:_MAX_NAMES]) or "there are none"
    return f"the names of its tensors ({some}) are of no network that Whisker knows; {SUPPORTED}."
