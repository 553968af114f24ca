"""The promise of no skew: train, write the file, serve it, and get the very answers of `Classifier`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.pictures import draw, encode, exif
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.model import Classifier
from whisker.training.job import Training

LARGE = (400, 300)  # so large that a JPEG of it is decoded at a reduced scale


def with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


UPLOADS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda image: encode(image, "JPEG"),
    "png with alpha": lambda image: encode(with_alpha(image)),
    "exif-rotated jpeg": lambda image: encode(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif(6)),
    "grey": lambda image: encode(image.convert("L"), "JPEG"),
    "cmyk": lambda image: encode(image.convert("CMYK"), "JPEG"),
    "16-bit grey png": lambda image: encode(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)),
    "webp": lambda image: encode(image, "WEBP"),
    "gif": lambda image: encode(image, "GIF"),
    "bmp": lambda image: encode(image, "BMP"),
}


async def post_all(checkpoint: Path, uploads: dict[str, bytes]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Serve `checkpoint` in this process and post each upload in both body forms; both must answer alike.

    Returns the engine that was chosen, and the answers.
    """
    app = create_app(Settings(checkpoint=checkpoint, device="cpu"))
    answers = {}
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        for name, data in uploads.items():
            form = (await client.post("/predict", files={"file": ("upload", data)})).raise_for_status().json()
            raw = await client.post("/predict", content=data, headers={"content-type": "image/jpeg"})
            assert raw.raise_for_status().json()["predictions"] == form["predictions"]
            answers[name] = form
        engine: str = (await client.get("/model")).json()["engine"]
    return engine, answers


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(48, 40), LARGE])
async def test_service_answers_as_the_classifier(trained: Training, size: tuple[int, int]) -> None:
    uploads = {name: make(draw("rings", 500, size)) for name, make in UPLOADS.items()}
    engine, answers = await post_all(trained.out, uploads)
    classifier = Classifier.load(trained.out, engine=engine)
    for (name, answer), expected in zip(answers.items(), classifier.predict(list(uploads.values())), strict=True):
        assert answer["label"] == expected.label, name
        assert answer["verdict"] == expected.verdict, name
        assert answer["unknown_score"] == pytest.approx(expected.unknown_score, abs=1e-5), name
        scores = {entry["label"]: entry["score"] for entry in answer["predictions"]}
        for entry in expected.predictions:
            assert scores[entry.label] == pytest.approx(entry.score, abs=1e-5), name
        assert (answer["image"]["width"], answer["image"]["height"]) == size, name


@pytest.mark.anyio
async def test_served_answers_are_right(trained: Training) -> None:
    uploads = {
        f"{label} {seed}": encode(draw(label, seed)) for label in ("rings", "stripes") for seed in range(900, 910)
    }
    _, answers = await post_all(trained.out, uploads)
    assert sum(name.startswith(answer["label"]) for name, answer in answers.items()) >= 18
