"""Heat maps: which places of a picture are evidence for a class, and how to draw them. Needs no PyTorch.

Features are the mean of the last feature map over its places, and a logit is their weighted sum, so that each place's
share of the logit is known exactly: the class activation map of Zhou et al. 2016, "Learning Deep Features for
Discriminative Localization".
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whisker.model.answers.kinds import OPACITY

# Blue and orange of Okabe and Ito's palette (2008), which colour-blind people can tell apart.
AGAINST, FOR = (0, 114, 178), (230, 159, 0)


def class_activation_map(maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh up one picture's feature map `[F, h, w]` with the evidence `weights` `[F]` of a class: `[h, w]` in logits.

    The weights are those of `DecisionRule.evidence_weights`. The map's mean, and the biases' share, are the logit that
    decides about the class: its own or, where classes exclude each other, its distance from the mean of all.
    """
    heat: NDArray[np.float32] = np.tensordot(weights, maps, 1)
    return heat


def overlay(photo: Image.Image, heat: NDArray[np.float32], *, opacity: float = OPACITY) -> Image.Image:
    """Draw a heat map `[h, w]` over an RGB picture: orange is evidence for the class, blue against it.

    The strongest place has `opacity`, 0 to 1, others in proportion. The picture loses its own colours, from an opacity
    of a half on all of them: on an orange flower, orange would not be seen.
    """
    largest = max(float(np.abs(heat).max()), float(np.finfo(np.float32).tiny))
    scaled = (heat / largest).astype(np.float32)
    smooth = Image.fromarray(scaled).resize(photo.size, Image.Resampling.BICUBIC)
    # A bicubic curve leads beyond its ends: beside strong evidence for a class, there would seem to be some against it.
    strength = np.asarray(smooth).clip(scaled.min(), scaled.max())[..., None]  # [height, width, 1]
    colour = np.where(strength > 0, np.array(FOR), np.array(AGAINST))
    share = np.abs(strength) * opacity
    drawn = _drained(photo, min(1.0, 2 * opacity)) * (1 - share) + colour * share
    return Image.fromarray(drawn.round().astype(np.uint8))


def _drained(photo: Image.Image, part: float) -> NDArray[np.float64]:
    """Take a part of a picture's colours out, and keep its brightness."""
    grey = np.asarray(photo.convert("L"))[..., None]  # [height, width, 1]
    drained: NDArray[np.float64] = np.asarray(photo) * (1 - part) + grey * part
    return drained
