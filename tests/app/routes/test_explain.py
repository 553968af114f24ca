"""Heat maps over HTTP: as numbers with the answer, and as a picture."""

import asyncio
import dataclasses
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.app.conftest import Serving, picture
from tests.pictures import encode, exif
from whisker.app.schemas import PredictionAnswer
from whisker.model import (
    Checkpoint,
    Classifier,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.answers.kinds import BEST_CLASS, NO_CLASS

pytestmark = pytest.mark.anyio


def upload(data: bytes | None = None) -> dict[str, tuple[str, bytes]]:
    return {"file": ("a.png", data or picture())}


async def test_heat_map_comes_only_when_asked_for(client: httpx.AsyncClient, tiny: Path) -> None:
    plain = (await client.post("/predict", files=upload())).json()
    answer = (await client.post("/predict?explain=top", files=upload())).json()
    assert "heat_map" not in plain
    assert {name: answer[name] for name in ("label", "predictions", "verdict")} == {
        name: plain[name] for name in ("label", "predictions", "verdict")
    }
    PredictionAnswer.model_validate(answer)
    classifier = Classifier.load(tiny, engine="torch")
    (expected,) = classifier.predict_pixels([classifier.preprocessing.decode(picture())], [BEST_CLASS])
    assert expected.heat_map is not None
    assert answer["heat_map"]["label"] == answer["label"]
    for row, wanted in zip(answer["heat_map"]["rows"], expected.heat_map.heat.tolist(), strict=True):
        assert row == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("label", ["bird", "cat", "dog"])
async def test_any_class_has_a_heat_map(client: httpx.AsyncClient, label: str) -> None:
    answer = await client.post("/predict", params={"explain": label, "top_k": 1}, files=upload())
    assert answer.json()["heat_map"]["label"] == label


async def test_class_called_top_is_a_class(serving: Serving, tiny: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny)
    path = tmp_path / "top.safetensors"
    save_checkpoint(dataclasses.replace(checkpoint, classes=("bird", "cat", "top")), path)
    async with serving(checkpoint=path) as client:
        best = (await client.post("/predict", files=upload())).json()["label"]
        for explain, label in (("top", "top"), ("bird", "bird"), ("", best)):
            answer = await client.post("/predict", params={"explain": explain}, files=upload())
            assert answer.json()["heat_map"]["label"] == label
        drawings = {
            label: (await client.post("/explain", params=query, files=upload())).content
            for label, query in (("top", {"label": "top"}), (best, {"label": best}), ("", {}))
        }
        assert drawings[""] == drawings[best]
        assert best == "top" or drawings["top"] != drawings[best]


async def test_pictures_of_a_batch_have_heat_maps(client: httpx.AsyncClient) -> None:
    files = [("file", ("a.png", picture(colour=colour))) for colour in ("red", "blue")]
    answer = (await client.post("/predict/batch?explain=dog", files=files)).json()
    assert [it["prediction"]["heat_map"]["label"] for it in answer["results"]] == ["dog", "dog"]


async def test_overlay_is_the_photo_as_it_was_seen(client: httpx.AsyncClient) -> None:
    tall = encode(Image.new("RGB", (60, 40), "white"), "PNG", exif=exif(6))
    answer = await client.post("/explain", params={"label": "cat", "opacity": 0}, files=upload(tall))
    assert answer.headers["content-type"] == "image/png"
    assert "inference" in answer.headers["server-timing"]
    with Image.open(io.BytesIO(answer.content)) as drawn:
        assert drawn.size == (40, 60)
        assert drawn.convert("RGB").getextrema() == ((255, 255),) * 3
    coloured = await client.post("/explain", files=upload(tall))
    assert coloured.content != answer.content


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/predict", "explain=wolf", "unknown_class"),
        ("/predict", "explain=TOP", "unknown_class"),
        ("/explain", "label=wolf", "unknown_class"),
        ("/explain", "opacity=2", "invalid_request"),
        ("/explain", "opacity=nan", "invalid_request"),
        ("/explain", "opacity=x", "invalid_request"),
    ],
)
async def test_what_cannot_be_explained_is_refused(client: httpx.AsyncClient, path: str, query: str, code: str) -> None:
    answer = await client.post(f"{path}?{query}", files=upload())
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_damaged_picture_is_refused_as_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.post("/explain", files=upload(picture()[:60]))
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_picture")


async def test_large_picture_is_drawn_small(client: httpx.AsyncClient) -> None:
    answer = await client.post("/explain", files=upload(picture(6000, 4000, format_="JPEG")))
    with Image.open(io.BytesIO(answer.content)) as drawn:
        assert drawn.size == (800, 533)


async def test_many_large_overlays_at_once_are_no_nonsense(serving: Serving) -> None:
    """A worker that sends more than can be an answer is ended; how much that is depends on what was asked."""
    noise = encode(Image.effect_noise((800, 800), 100).convert("RGB"), "JPEG", quality=20)
    async with serving(max_batch=32, max_batch_seconds=60.0, stall_seconds=60.0, deadline_seconds=120.0) as client:
        answers = await asyncio.gather(*(client.post("/explain", files=upload(noise)) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}
        assert sum(len(answer.content) for answer in answers) > 10_000_000


async def test_network_without_feature_maps_says_so(serving: Serving, tmp_path: Path) -> None:
    config = NetworkConfig(family="mlp", width=2, depth=1, size=32)
    state = build_network(config, 2).state_dict()
    checkpoint = tmp_path / "mlp.safetensors"
    save_checkpoint(
        with_golden_answers(Checkpoint("mlp", config, Preprocessing(32), ("cat", "dog"), state)), checkpoint
    )
    async with serving(checkpoint=checkpoint) as client:
        for path in ("/predict?explain=top", "/explain"):
            answer = await client.post(path, files=upload())
            assert (answer.status_code, answer.json()["code"]) == (422, "no_heat_map")
        assert (await client.post("/predict", files=upload())).status_code == 200


def test_nothing_is_not_a_class() -> None:
    assert NO_CLASS < BEST_CLASS < 0
