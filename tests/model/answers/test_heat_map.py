"""Heat maps: exact for every engine, turned as the picture is, and drawn in two colours."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from tests.pictures import CLASSES, draw, encode, exif
from whisker.model import Checkpoint, Classifier, NetworkConfig, Preprocessing, build_network, with_golden_answers
from whisker.model.answers.heat_map import AGAINST, FOR, overlay
from whisker.model.answers.kinds import BEST_CLASS, NO_CLASS
from whisker.model.decoder import open_picture
from whisker.model.engines.choice import ENGINES
from whisker.model.errors import EngineError, NoHeatMapError, UndecodablePictureError
from whisker.model.structure.outline import Outline
from whisker.training.job import Training


@pytest.mark.parametrize("engine", ENGINES)
def test_heat_is_exactly_what_the_logit_is_made_of(trained: Training, engine: str) -> None:
    try:
        classifier = Classifier.load(trained.out, engine=engine)
    except EngineError as exc:
        pytest.skip(str(exc))
    pixels = [classifier.preprocessing.decode(encode(draw(label, 7))) for label in CLASSES]
    answers = classifier.predict_pixels(pixels, [0, 1])
    outputs = classifier._engine.run(pixels)  # noqa: SLF001 - no answer has the logits
    weight, bias = classifier._engine.head.weight, classifier._engine.head.bias  # noqa: SLF001 - as above
    for row, answer in enumerate(answers):
        assert answer.heat_map is not None
        assert answer.heat_map.label == CLASSES[row]
        above = outputs.logits[row] - outputs.logits[row].mean()
        share = answer.heat_map.heat.mean() + bias[row] - bias.mean()
        assert abs(share - above[row]) < 0.02 * np.abs(weight).sum()


def test_maps_are_made_only_for_who_asks(classifier: Classifier) -> None:
    pixels = [classifier.preprocessing.decode(encode(draw(label, 3))) for label in CLASSES]
    plain = classifier.predict_pixels(pixels)
    one, other = classifier.predict_pixels(pixels, [NO_CLASS, BEST_CLASS])
    assert one == plain[0]
    assert other.heat_map is not None
    assert other.heat_map.label == other.label
    assert dataclasses.replace(other, heat_map=None) == plain[1]
    assert classifier.predict_pixels([], [BEST_CLASS]) == []


def test_network_that_looks_at_no_place_has_no_heat_map() -> None:
    config = NetworkConfig(family="mlp", width=2, depth=1, size=32)
    state = build_network(config, 2).state_dict()
    checkpoint = with_golden_answers(Checkpoint("mlp", config, Preprocessing(32), CLASSES, state))
    assert not config.has_feature_map
    classifier = Classifier(checkpoint)
    pixels = [np.zeros((32, 32, 3), np.uint8)]
    assert classifier.predict_pixels(pixels, [NO_CLASS])[0].heat_map is None
    with pytest.raises(NoHeatMapError):
        classifier.predict_pixels(pixels, [BEST_CLASS])
    (outcome,) = classifier.predict_each(pixels, [BEST_CLASS])
    assert isinstance(outcome, NoHeatMapError)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_view_is_upright_and_keeps_its_shape(orientation: int) -> None:
    corner = Image.new("RGB", (60, 40), "white")
    corner.paste("red", (0, 0, 30, 20))
    data = encode(corner, "PNG", exif=exif(orientation))
    with Image.open(io.BytesIO(data)) as stored:
        upright = ImageOps.exif_transpose(stored)
    view = Preprocessing(32).read(data, view_side=800).view
    assert view is not None
    assert view.size == upright.size
    assert view.tobytes() == upright.tobytes()


def test_view_of_a_large_picture_is_small() -> None:
    large = encode(Image.new("RGB", (2000, 500), "teal"), "JPEG")
    small = Preprocessing(32).read(large, view_side=400).view
    assert small is not None
    assert small.size == (400, 100)
    with pytest.raises(UndecodablePictureError):
        Preprocessing(32).read(large[:300], view_side=400)


def test_overlay_is_orange_for_and_blue_against_the_class() -> None:
    grey = Image.new("RGB", (40, 20), (128, 128, 128))
    drawn = overlay(grey, np.array([[4.0, -4.0]], np.float32), opacity=1.0)
    assert drawn.size == grey.size
    np.testing.assert_allclose(drawn.getpixel((2, 10)), FOR, atol=2)  # type: ignore[arg-type]  # of an RGB picture it is a tuple
    np.testing.assert_allclose(drawn.getpixel((37, 10)), AGAINST, atol=2)  # type: ignore[arg-type]  # as above
    assert overlay(grey, np.array([[4.0, -4.0]], np.float32), opacity=0.0).tobytes() == grey.tobytes()
    assert overlay(grey, np.zeros((2, 2), np.float32)).tobytes() == grey.tobytes()


def test_overlay_stands_out_from_a_photo_of_its_own_colour() -> None:
    flower = Image.new("RGB", (40, 20), FOR)
    drawn = overlay(flower, np.array([[4.0, 0.0]], np.float32))
    warm, cool = (drawn.getpixel((x, 10)) for x in (2, 37))
    assert isinstance(warm, tuple)
    assert isinstance(cool, tuple)
    assert warm[0] - warm[2] > 100  # the map is orange
    assert max(cool) - min(cool) < 10  # and what lies beside it is grey
    assert overlay(flower, np.array([[4.0, 0.0]], np.float32), opacity=0.0).tobytes() == flower.tobytes()


@pytest.mark.parametrize("side", [100, 800])
@pytest.mark.parametrize("orientation", [1, 6])
def test_picture_with_a_view_is_decoded_once_to_nearly_the_same_pixels(
    side: int, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG is decoded at another scale for its view; other formats give equal pixels."""
    photo = Image.effect_noise((64, 48), 60).resize((1300, 900), Image.Resampling.BICUBIC).convert("RGB")
    opened: list[Image.Image] = []

    def open_noticed(outline: Outline) -> ImageFile.ImageFile:
        image = open_picture(outline)
        opened.append(image)
        return image

    monkeypatch.setattr("whisker.model.preprocessing.open_picture", open_noticed)
    for format_, tolerance in (("JPEG", 2), ("PNG", 0)):
        data = encode(photo, format_, exif=exif(orientation))
        alone = Preprocessing(64).read(data)
        opened.clear()
        shown = Preprocessing(64).read(data, view_side=side)
        assert len(opened) == 1
        assert (shown.width, shown.height) == (alone.width, alone.height)
        assert shown.view is not None
        assert max(shown.view.size) == side
        difference = np.abs(shown.pixels.astype(int) - alone.pixels)
        assert difference.max() <= tolerance
