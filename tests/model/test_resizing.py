"""Resizing: Pillow's sums, whoever computes them."""

import importlib.util
import sys
from types import ModuleType

import cykooz_resizer
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from whisker.model import resizing
from whisker.model.resizing import Resample, as_image, resize

SIZE = (48, 40)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SHAPES = ((40, 48), (1, 1), (300, 200), (200, 300), (90, 40), (40, 90), (700, 20), (20, 700))

resamples = pytest.mark.parametrize("resample", ["bilinear", "bicubic"])


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def by_pillow(pixels: NDArray[np.uint8], resample: Resample) -> NDArray[np.uint8]:
    """Resize the height first, and then the width."""
    rows = Image.fromarray(pixels).resize((pixels.shape[1], SIZE[1]), FILTERS[resample])
    return np.array(rows.resize(SIZE, FILTERS[resample]))


@resamples
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_pillows_but_for_those_next_to_a_half(shape: tuple[int, int], resample: Resample) -> None:
    pixels = noise(*shape)
    expected = by_pillow(pixels, resample)
    for picture in (pixels, Image.fromarray(pixels)):
        apart = np.abs(np.asarray(as_image(resize(picture, SIZE, resample))).astype(int) - expected)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.02


@resamples
@pytest.mark.parametrize("shape", SHAPES)
def test_every_instruction_set_gives_the_same_pixels(shape: tuple[int, int], resample: Resample) -> None:
    """Or a checkpoint would answer otherwise on another machine."""
    pixels, found = noise(*shape), set[bytes]()
    resizer = cykooz_resizer.Resizer()
    for extensions in {cykooz_resizer.CpuExtensions.none, resizer.cpu_extensions}:
        resizer.cpu_extensions = extensions
        source = cykooz_resizer.ImageData(shape[1], shape[0], cykooz_resizer.PixelType.U8x3, pixels.tobytes())
        target = cykooz_resizer.ImageData(*SIZE, cykooz_resizer.PixelType.U8x3)
        resizer.resize(source, target, resizing.filter_options(resample))
        found.add(target.get_buffer())
    assert len(found) == 1
    assert found == {np.asarray(resize(pixels, SIZE, resample)).tobytes()}


@resamples
def test_large_pictures_are_left_to_pillow_in_the_same_order(resample: Resample) -> None:
    pixels = noise(1_010, 1_000)
    np.testing.assert_array_equal(as_image(resize(pixels, SIZE, resample)), by_pillow(pixels, resample))


def test_where_there_is_no_wheel_pillow_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    without = _imported_anew()
    assert without.simd is None
    pixels = noise(300, 200)
    np.testing.assert_array_equal(as_image(without.resize(pixels, SIZE, "bicubic")), by_pillow(pixels, "bicubic"))


@resamples
def test_opaque_alpha_changes_no_pixel_but_by_rounding(resample: Resample) -> None:
    picture = Image.fromarray(noise(60, 90))
    opaque = as_image(resize(picture.convert("RGBA"), SIZE, resample)).convert("RGB")
    apart = np.abs(np.asarray(opaque).astype(int) - np.asarray(as_image(resize(picture, SIZE, resample))))
    assert apart.max() <= 1


@resamples
def test_filters_reach_over_the_edge_of_a_box(resample: Resample) -> None:
    pixels, box = noise(60, 90), (10.5, 5.0, 70.5, 55.0)
    expected = Image.fromarray(pixels).resize(SIZE, FILTERS[resample], box)
    np.testing.assert_array_equal(as_image(resize(pixels, SIZE, resample, box)), np.asarray(expected))


def _imported_anew() -> ModuleType:
    spec = importlib.util.spec_from_file_location("resizing_anew", resizing.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
