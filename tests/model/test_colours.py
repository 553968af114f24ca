"""Colours as a picture's profile means them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.reliability.pictures import chunk
from tests.pictures import encode
from whisker.model.preprocessing import Preprocessing
from whisker.model.structure.numbered_colours import numbered_profile

PREPROCESSING = Preprocessing(size=32)
P3 = numbered_profile(12)
ORANGE = (200, 100, 50)
SRGB = ImageCms.createProfile("sRGB")


def decoded(image: Image.Image, format_: str, **options: object) -> tuple[int, ...]:
    """Give the colour of a picture of one colour."""
    return tuple(PREPROCESSING.decode(encode(image, format_, **options))[16, 16].tolist())


def in_p3(colour: tuple[int, int, int], mode: str = "RGB") -> Image.Image:
    """Make a picture that looks like an sRGB colour, with the numbers of Display P3."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(P3))
    image = Image.new("RGB", (64, 64), colour)
    converted = ImageCms.profileToProfile(image, SRGB, profile)
    assert converted is not None
    converted.info.clear()  # it would be saved with the profile
    return converted.convert(mode)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_display_p3_looks_as_it_should_in_every_format(format_: str) -> None:
    image = in_p3(ORANGE)
    assert np.abs(np.asarray(image)[0, 0].astype(int) - ORANGE).max() > 10
    options = {"quality": 100} if format_ not in ("PNG", "TIFF") else {}
    assert np.abs(np.subtract(decoded(image, format_, icc_profile=P3, **options), ORANGE)).max() <= 4


def test_colours_named_by_a_number_are_those_of_the_profile() -> None:
    avif = encode(in_p3(ORANGE), "AVIF", quality=100)
    at = avif.index(b"nclx") + 4
    for primaries, error in ((12, (0, 4)), (1, (10, 255))):
        numbered = avif[:at] + struct.pack(">H", primaries) + avif[at + 2 :]
        difference = np.abs(np.subtract(PREPROCESSING.decode(numbered)[16, 16].tolist(), ORANGE)).max()
        assert error[0] <= difference <= error[1]


def test_transparency_stays() -> None:
    image = in_p3(ORANGE, "RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    pixels = PREPROCESSING.decode(encode(image, "PNG", icc_profile=P3))
    assert (pixels[:, 4] == 255).all()
    assert np.abs(pixels[16, 28].astype(int) - ORANGE).max() <= 3


@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_palette_is_converted_too(mode: str) -> None:
    assert np.abs(np.subtract(decoded(in_p3(ORANGE, mode), "PNG", icc_profile=P3), ORANGE)).max() <= 3


def test_grey_profile_changes_the_brightness() -> None:
    profile = written_profile(b"GRAY", {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"kTRC": curve(1.0)})
    for format_ in ("JPEG", "PNG"):
        assert decoded(Image.new("L", (32, 32), 55), format_, icc_profile=profile)[0] == pytest.approx(128, abs=3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("exponent", "stored"), [(1.0, 55), (1 / 1.8, 75), (1 / 2.2, 128)])
def test_gamma_of_a_png_changes_the_brightness(mode: str, exponent: float, stored: int) -> None:
    png = encode(Image.new("RGB", (32, 32), (stored,) * 3).convert(mode), "PNG")
    with_gamma = png[:33] + chunk(b"gAMA", struct.pack(">I", round(exponent * 100_000))) + png[33:]
    seen = 255 * (stored / 255) ** (1 / (2.2 * exponent)) if exponent != 1.0 else 128
    assert PREPROCESSING.decode(with_gamma)[16, 16] == pytest.approx([seen] * 3, abs=4)
    srgb = with_gamma[:33] + chunk(b"sRGB", b"\0") + with_gamma[33:]
    assert (PREPROCESSING.decode(srgb) == stored).all()


def test_profile_of_a_printer_says_what_its_inks_look_like() -> None:
    pink = (55.0, 60.0, 0.0)  # L*a*b* of full cyan, as no naive conversion would have it
    profile = written_profile(b"CMYK", {b"A2B0": inks(cyan=pink)}, kind=b"prtr", space=b"Lab ")
    cyan = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    red, green, blue = decoded(cyan, "JPEG", quality=95, icc_profile=profile)
    assert red > green + 80
    assert red > blue + 40
    assert decoded(cyan, "JPEG", quality=95)[0] < 30


@pytest.mark.parametrize("profile", [b"no profile", b"x" * 200, numbered_profile(9)[:-40]])
def test_profile_that_makes_no_sense_is_ignored(profile: bytes) -> None:
    assert decoded(Image.new("RGB", (32, 32), ORANGE), "PNG", icc_profile=profile) == ORANGE


def test_profile_for_other_pictures_is_ignored() -> None:
    assert decoded(Image.new("L", (32, 32), 77), "PNG", icc_profile=P3) == (77, 77, 77)


def test_srgb_costs_no_rounding() -> None:
    profile = ImageCms.ImageCmsProfile(SRGB).tobytes()
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8))
    with_profile, without = encode(noise, "PNG", icc_profile=profile), encode(noise, "PNG")
    np.testing.assert_array_equal(PREPROCESSING.decode(with_profile), PREPROCESSING.decode(without))


def test_profile_in_parts_that_are_out_of_order_is_joined() -> None:
    long = P3 + bytes(70_000)
    jpeg = encode(in_p3(ORANGE), "JPEG", quality=100, icc_profile=long)
    first = jpeg.index(b"ICC_PROFILE\0\1\2") - 4
    second = jpeg.index(b"ICC_PROFILE\0\2\2") - 4
    (length,) = struct.unpack_from(">H", jpeg, second + 2)
    end = second + 2 + length
    swapped = jpeg[:first] + jpeg[second:end] + jpeg[first:second] + jpeg[end:]
    assert np.abs(np.subtract(PREPROCESSING.decode(swapped)[16, 16].tolist(), ORANGE)).max() <= 4


def written_profile(
    colours: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"scnr", space: bytes = b"XYZ "
) -> bytes:
    """Write a profile of the International Color Consortium, version 2."""
    table, content, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(content), b"", 0x02400000, kind, colours, space)
    head += bytes(12) + b"acsp" + bytes(28) + xyz(0.9642, 1.0, 0.8249)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + content


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65_536)) for value in values)


def curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def inks(cyan: tuple[float, float, float]) -> bytes:
    """Write a table (lut8Type) from inks to L*a*b*: white paper, one colour for any cyan, black for all else."""
    straight = bytes(range(256))
    table = b""
    for node in range(16):  # two levels of each ink, of which the last varies fastest
        lightness, a, b = (100.0, 0.0, 0.0) if node == 0 else cyan if node == 8 else (0.0, 0.0, 0.0)
        table += bytes([round(lightness * 2.55), round(a) + 128, round(b) + 128])
    matrix = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    return b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + straight * 4 + table + straight * 3
