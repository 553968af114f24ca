"""Colours as a picture's profile means them, turned into sRGB, which networks have learned from and screens show.

Profiles are those of the International Color Consortium (ICC.1).
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MODES = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}  # by the space of a profile's colours
_CLASSES = ("mntr", "scnr", "prtr", "spac")  # of profiles that describe pictures
_SMALL_CHANGE = 3  # of 255: a profile that changes no colour by more is taken for sRGB's
_SAMPLES = 6  # of each channel, that are looked at for that
_PROFILES = 16  # that are remembered, of 3 MB at most: to build a conversion takes milliseconds


@dataclass(frozen=True, slots=True)
class Conversion:
    """What turns colours into sRGB; `mode` is the one in which a picture has to come to it."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        """Turn a picture of `mode`, or of RGBA, into one of RGB or RGBA."""
        if image.mode != "RGBA":
            return self.transform.apply(image)
        colours = self.transform.apply(image.convert(self.mode))
        colours.putalpha(image.getchannel("A"))
        return colours


def find_conversion(image: Image.Image, profile: bytes) -> Conversion | None:
    """Find what turns a picture's colours into sRGB; `None` if nothing has to, or the profile is for other pictures."""
    conversion = _read_profile(profile) if profile else None
    if conversion is None:
        return None
    is_grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    own = "L" if is_grey else "CMYK" if image.mode == "CMYK" else "RGB"
    return conversion if own == conversion.mode else None


@lru_cache(_PROFILES)
def _read_profile(profile: bytes) -> Conversion | None:
    """Build the conversion; `None` for a profile that changes next to nothing or, as in browsers, makes no sense."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[opened.profile.xcolor_space]
        if opened.profile.device_class not in _CLASSES:
            return None
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, KeyError, OSError, ValueError):
        return None
    return Conversion(mode, transform) if mode == "CMYK" or _changes(transform, mode) else None


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, _SAMPLES).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(*[levels] * len(mode), indexing="ij"), -1).reshape(1, -1, len(mode))
    image = Image.fromarray(cube.squeeze(-1) if mode == "L" else cube)
    change = np.abs(np.asarray(transform.apply(image), int) - np.asarray(image.convert("RGB"), int))
    return int(change.max()) > _SMALL_CHANGE
