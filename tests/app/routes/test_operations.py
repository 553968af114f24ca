"""The routes: their answers, and their agreement with the OpenAPI document."""

import asyncio
import errno
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psutil
import pytest

from tests.app.conftest import Serving, connected, picture
from tests.app.web.test_problems import assert_problem
from whisker import __version__
from whisker.app import time_limits
from whisker.app.main import create_app
from whisker.app.schemas import BatchAnswer, PredictionAnswer
from whisker.app.settings import Settings
from whisker.model import Classifier, load_checkpoint
from whisker.model.answers.single_label import NOT_SHOWN, UNLIKE

pytestmark = pytest.mark.anyio


async def test_prediction_says_all_there_is_to_say(client: httpx.AsyncClient, tiny: Path, settings: Settings) -> None:
    data = picture(48, 36, format_="JPEG")
    response = await client.post("/predict", files={"file": ("a.jpg", data)})
    assert response.status_code == 200
    answer = response.json()
    (expected,) = Classifier.load(tiny, engine=settings.engine).predict([data])
    assert answer["label"] == expected.label
    assert answer["score"] == pytest.approx(expected.score, abs=1e-5)
    assert (answer["verdict"], answer["unknown_score"]) == ("confident", None)  # no measure of novelty
    assert [entry["label"] for entry in answer["predictions"]] == [entry.label for entry in expected.predictions]
    assert answer["predictions"][0] == {"label": answer["label"], "score": answer["score"]}
    assert answer["model"] == {"name": "tiny", "version": load_checkpoint(tiny).sha256[:12]}
    assert answer["image"] == {"width": 48, "height": 36, "format": "JPEG"}
    timing = answer["timing_ms"]
    assert set(timing) == {"decode", "queue", "inference", "total"}
    assert timing["decode"] + timing["queue"] + timing["inference"] <= timing["total"] + 0.05  # each is rounded
    assert response.headers["server-timing"] == ", ".join(f"{stage};dur={ms}" for stage, ms in timing.items())


@pytest.mark.parametrize("media_type", ["image/png", "IMAGE/PNG", "image/*; q=1", "application/octet-stream"])
async def test_raw_body_gets_the_answer_of_a_form(client: httpx.AsyncClient, media_type: str) -> None:
    form = await client.post("/predict", files={"file": ("a.png", picture())})
    raw = await client.post("/predict", content=picture(), headers={"Content-Type": media_type})
    assert raw.status_code == 200
    assert raw.json()["predictions"] == form.json()["predictions"]


@pytest.mark.parametrize(("top_k", "entries"), [(1, 1), (2, 2), (3, 3), (1000, 3)])
async def test_top_k_limits_the_list(client: httpx.AsyncClient, top_k: int, entries: int) -> None:
    response = await client.post("/predict", params={"top_k": top_k}, files={"file": ("a.png", picture())})
    assert len(response.json()["predictions"]) == entries


async def test_other_fields_of_a_form_are_ignored(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", data={"note": "hello"}, files={"file": ("a.png", picture())})
    assert response.status_code == 200


async def test_many_at_once_get_the_answers_of_one_at_a_time(client: httpx.AsyncClient) -> None:
    pictures = [picture(20 + n, 30, colour=colour) for n in range(8) for colour in ("red", "lime", "navy")]

    async def predict(data: bytes) -> dict[str, float]:
        response = await client.post("/predict", content=data, headers={"Content-Type": "image/png"})
        return {entry["label"]: entry["score"] for entry in response.json()["predictions"]}

    alone = [await predict(data) for data in pictures]
    together = await asyncio.gather(*[predict(data) for data in pictures])
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


async def test_bad_neighbours_do_not_change_an_answer(client: httpx.AsyncClient) -> None:
    good, bad = picture(), picture()[:60]
    headers = {"Content-Type": "image/png"}
    alone = await client.post("/predict", content=good, headers=headers)
    responses = await asyncio.gather(
        *[client.post("/predict", content=data, headers=headers) for data in (bad, good, bad, good, bad)]
    )
    assert [response.status_code for response in responses] == [422, 200, 422, 200, 422]
    for response in (responses[1], responses[3]):
        assert response.json()["score"] == pytest.approx(alone.json()["score"], abs=1e-5)


async def test_health_names_the_checkpoint(client: httpx.AsyncClient, tiny: Path) -> None:
    response = await client.get("/health")
    assert response.status_code == 200
    health = response.json()
    assert health.pop("uptime_seconds") > 0
    version = load_checkpoint(tiny).sha256[:12]
    assert health == {
        "status": "ready",
        "model": {"name": "tiny", "version": version},
        "device": "cpu",
        "whisker_version": __version__,
    }


async def test_probes_say_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_before_loading_it_is_alive_but_not_ready(settings: Settings) -> None:
    async with connected(create_app(settings)) as client:
        assert (await client.get("/livez")).status_code == 200
        for path in ("/readyz", "/model"):
            response = await client.get(path)
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
            assert response.headers["retry-after"] == "1"
        response = await client.get("/health")
        assert response.status_code == 503
        expected = {"status": "unavailable", "model": None, "device": None, "uptime_seconds": 0}
        assert response.json() == {**expected, "whisker_version": __version__}


async def test_any_number_of_classes_may_be_asked_for(client: httpx.AsyncClient) -> None:
    """A number that a worker cannot read must not shift its answers, so that the next client gets this one's."""
    black, white = picture(colour="black"), picture(colour="white")
    for top_k in (2**32, 10**30):
        answer = await client.post("/predict", params={"top_k": top_k}, files={"file": ("a.png", black)})
        assert len(answer.json()["predictions"]) == 3
    expected = (await client.post("/predict", files={"file": ("a.png", black)})).json()["predictions"]
    assert answer.json()["predictions"] == expected
    other = (await client.post("/predict", files={"file": ("a.png", white)})).json()["predictions"]
    assert other != expected


async def answer_of_status(status: int, client: httpx.AsyncClient, path: str) -> httpx.Response:
    while (response := await client.get(path)).status_code != status:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)
    return response


async def test_workers_that_cannot_be_replaced_are_not_alive(settings: Settings, tiny: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "moved.safetensors"
    shutil.copy(tiny, checkpoint)
    app = create_app(settings.model_copy(update={"checkpoint": checkpoint, "engine": "torch", "stall_seconds": 0.1}))
    others = set(psutil.Process().children())
    async with app.router.lifespan_context(app), connected(app) as client:
        checkpoint.unlink()
        (worker,) = set(psutil.Process().children()) - others
        worker.kill()
        assert (await answer_of_status(503, client, "/livez")).json() == {"status": "stalled"}
        assert (await client.get("/readyz")).status_code == 503
        shutil.copy(tiny, checkpoint)
        await answer_of_status(200, client, "/readyz")
        assert (await client.get("/livez")).status_code == 200


async def test_one_worker_of_two_that_cannot_be_replaced_makes_livez_fail(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capacity that is lost for good must be seen, although the other worker answers."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(time_limits, "MISSING_SECONDS", 0.1)
    monkeypatch.setattr(time_limits, "RETRY_SECONDS", 0.02)
    app = create_app(settings.model_copy(update={"inference_workers": 2}))
    others = set(psutil.Process().children())
    async with app.router.lifespan_context(app), connected(app) as client:
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", refuse)
            next(iter(set(psutil.Process().children()) - others)).kill()
            assert (await answer_of_status(503, client, "/livez")).json() == {"status": "stalled"}
            assert (await client.get("/v2/health/live")).status_code == 503
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.post("/predict", files={"file": ("a.png", picture())})).status_code == 200
        await answer_of_status(200, client, "/livez")


async def test_model_card_tells_what_the_file_holds(client: httpx.AsyncClient, tiny: Path) -> None:
    card = (await client.get("/model")).json()
    checkpoint = load_checkpoint(tiny)
    assert (card["name"], card["sha256"], card["version"]) == ("tiny", checkpoint.sha256, checkpoint.sha256[:12])
    assert card["classes"] == ["bird", "cat", "dog"]
    assert card["network"]["family"] == "resnet"
    assert card["input"]["preprocessing"]["size"] == 32
    assert card["input"]["formats"] == ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
    assert (card["temperature"], card["thresholds"]) == (1.0, {"unsure": 0.0, "shown": True, "unknown": None})
    assert card["metrics"] == {"test": {"accuracy": 0.5}}
    assert card["provenance"] == {"recipe": "none"}


async def test_picture_like_nothing_trained_on_is_unknown(serving: Serving, strict: Path) -> None:
    async with serving(checkpoint=strict) as client:
        answer = (await client.post("/predict", files={"file": ("a.png", picture())})).json()
        card = (await client.get("/model")).json()
    (expected,) = Classifier.load(strict, engine="torch").predict([picture()])
    assert answer["verdict"] == "unknown"
    assert answer["unknown_score"] == pytest.approx(expected.unknown_score, abs=1e-5)
    assert answer["unknown_score"] > card["thresholds"]["unknown"] == 0.5
    assert answer["label"] == expected.label  # the best class, whatever the verdict


async def test_answers_say_why_they_are_not_confident(serving: Serving, strict: Path, unproven: Path) -> None:
    for checkpoint, verdict, reason in ((strict, "unknown", UNLIKE), (unproven, "unsure", NOT_SHOWN)):
        async with serving(checkpoint=checkpoint) as client:
            answer = (await client.post("/predict", files={"file": ("a.png", picture())})).json()
        assert (answer["verdict"], answer["reason"]) == (verdict, reason)


async def test_card_tells_whether_the_promised_precision_is_shown(serving: Serving, unproven: Path) -> None:
    async with serving(checkpoint=unproven) as client:
        card = (await client.get("/model")).json()
    assert card["thresholds"] == {"unsure": 0.0, "shown": False, "unknown": None}


async def test_checkpoint_of_the_named_sha256_is_served(serving: Serving, tiny: Path) -> None:
    async with serving(checkpoint_sha256=load_checkpoint(tiny).sha256) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_openapi_describes_every_answer(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    responses = document["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "403", "404", "408", "413", "415", "422", "500", "503", "504"}
    for status, response in responses.items():
        assert list(response["content"]) == ["application/json" if status == "200" else "application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    verdict = document["components"]["schemas"]["PredictionAnswer"]["properties"]["verdict"]
    assert verdict["enum"] == ["confident", "unsure", "unknown"]
    assert "the picture resembles nothing in the training data" in verdict["description"]
    assert "unknown_score" in document["components"]["schemas"]["PredictionAnswer"]["required"]
    operator = {"/health", "/livez", "/readyz", "/model", "/metrics"}
    models = {"/models"} | {f"/models/{{model}}/{verb}" for verb in ("predict", "predict/batch", "explain", "load")}
    assert set(document["paths"]) == {"/predict", "/predict/batch", "/explain", "/corrections", *operator, *models}


async def test_answer_is_what_openapi_says(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files={"file": ("a.png", picture())})
    PredictionAnswer.model_validate_json(response.content, strict=True, extra="forbid")


async def test_each_picture_of_a_batch_has_its_own_answer_or_problem(client: httpx.AsyncClient) -> None:
    pictures = [picture(colour="red"), b"no picture", picture(colour="white"), picture()[:60]]
    response = await client.post("/predict/batch?top_k=2", files=[("file", ("a.png", data)) for data in pictures])
    assert response.status_code == 200
    answer = BatchAnswer.model_validate_json(response.content, strict=True, extra="forbid")
    codes = [None if result.problem is None else result.problem.code for result in answer.results]
    assert codes == [None, "unsupported_picture_format", None, "undecodable_picture"]
    for data, result in zip(pictures, answer.results, strict=True):
        if result.prediction is not None:
            alone = (await client.post("/predict?top_k=2", files={"file": ("a.png", data)})).json()
            assert len(result.prediction.predictions) == 2
            assert result.prediction.label == alone["label"]
            assert result.prediction.score == pytest.approx(alone["score"], abs=1e-3)
    assert response.headers["server-timing"].startswith("total;dur=")
    assert "whisker_problems_total" in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/health",
            "/livez",
            "/readyz",
            "/model",
            "/",
            "/card",
            "/docs",
            "/page/docs.js",
            "/openapi.json",
            "/metrics",
        ),
        *("/docs/assets/swagger-ui.css", "/page/page.js", "/nothing", "/predict", "/ping", "/v2/health/ready"),
        "/page",
    ],
)
async def test_head_is_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    full, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (full.status_code, b"")
    varying = {"x-request-id", "content-length"} if path in ("/health", "/metrics") else {"x-request-id"}
    assert {*head.headers.items()} ^ {*full.headers.items()} <= {
        (name, answer.headers[name]) for name in varying for answer in (head, full)
    }
    assert int(head.headers["content-length"]) > 0 or not full.content


@pytest.mark.parametrize("files", [0, 4])
async def test_batch_of_no_or_too_many_pictures_is_refused(serving: Serving, files: int) -> None:
    parts: list[tuple[str, Any]] = [("file", ("a.png", picture()))] * files or [("note", (None, b"a text"))]
    async with serving(max_files=3) as client:
        response = await client.post("/predict/batch", files=parts)
        assert_problem(response, 422, "invalid_upload")
        assert "1 to 3 files" in response.json()["detail"]


async def test_batch_in_another_form_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict/batch", content=picture(), headers={"Content-Type": "image/png"})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("query", ["top_k=0", "top_k=x", "top_k=1.5", "top_k="])
async def test_top_k_that_is_no_number_of_classes_is_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post(f"/predict?{query}", files={"file": ("a.png", picture())})
    assert_problem(response, 422, "invalid_request")
    assert "`top_k`" in response.json()["detail"]
