"""Models come and go while the service answers: nothing is lost, and each answer names the version that gave it."""

import asyncio
import gc
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import child_processes, connected, picture
from tests.app.repository.conftest import KEY, House, Opening, keyed, put
from tests.app.web.test_problems import assert_problem
from whisker.app.errors import RepositoryError
from whisker.app.main import create_app
from whisker.app.repository.rollout_file import read_rollout
from whisker.app.settings import Settings
from whisker.model.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.anyio

LABELS = {"v1": "bird", "v2": "cat", "v3": "dog"}
Leaning = Callable[[str], Path]


async def test_versions_swap_without_losing_or_mixing_an_answer(opened: Opening, leaning: Leaning) -> None:
    """Also not when the worker is killed in between; what is served before goes, and its memory with it."""
    others = child_processes()
    async with opened(inference_workers=2) as house:
        stopped, answers = asyncio.Event(), list[dict[str, Any]]()
        clients = [asyncio.create_task(_ask_until(house, stopped, answers)) for _ in range(4)]
        for version in ("v2", "v3"):
            put(leaning(LABELS[version]), house.root / "pets" / f"{version}.safetensors")
            await house.until_serving("pets", version)
        os.kill(max(child_processes() - others), signal.SIGKILL)
        await asyncio.sleep(0)
        put(leaning("bird"), house.root / "pets" / "v10.safetensors")
        found = await house.until_serving("pets", "v10")
        answers.append(await house.predict())  # a client may not have asked since
        stopped.set()
        await asyncio.gather(*clients)
        assert {it["version"]: it["state"] for it in found["versions"]} == {
            "v1": "unloaded",
            "v2": "unloaded",
            "v3": "loaded",  # for a way back
            "v10": "serving",
        }
        assert await _metric(house, "whisker_models_loaded") == 2
        assert await _metric(house, 'whisker_model_swaps_total{model="pets",outcome="served"}') == 3
    given = Counter((answer["model"]["version"], answer["label"]) for answer in answers)
    assert given.keys() == {*LABELS.items(), ("v10", "bird")}


async def test_bad_version_leaves_the_other_one_serving_and_says_why(opened: Opening, leaning: Leaning) -> None:
    async with opened() as house:
        (house.root / "pets" / "v2.safetensors").write_bytes(leaning("cat").read_bytes()[:-1])
        found = await house.until("pets", lambda it: it["versions"][-1]["state"] == "failed")
        assert found["serving"] == "v1"
        assert found["versions"][-1]["reason"].startswith("v2.safetensors is not a safetensors file, or it is damaged")
        assert (await house.predict())["label"] == "bird"
        response = await house.client.post(
            "/predict?version=v2", content=picture(), headers={"Content-Type": "image/png"}
        )
        assert_problem(response, 503, "not_ready")
        put(leaning("dog"), house.root / "pets" / "v2.safetensors")
        await house.until_serving("pets", "v2")
        assert (await house.predict())["label"] == "dog"


async def test_versions_and_models_are_asked_for_by_name(opened: Opening, leaning: Leaning) -> None:
    async with opened() as house:
        put(leaning("cat"), house.root / "others" / "1.safetensors")
        put(leaning("dog"), house.root / "pets" / "v0.safetensors")  # older than v1, and so not served
        await house.until_serving("others", "1")
        assert [it["name"] for it in (await house.client.get("/models")).json()["models"]] == ["pets", "others"]
        assert (await house.predict())["model"] == {"name": "pets", "version": "v1"}
        assert (await house.predict("/predict?version=v0"))["label"] == "dog"
        answer = await house.predict("/models/others/predict")
        assert (answer["label"], answer["model"]) == ("cat", {"name": "others", "version": "1"})
        assert (await house.client.get("/v2/models/others/versions/1")).json()["versions"] == ["1"]
        assert (await house.client.get("/v1/models")).json() == {"models": ["pets", "others"]}
        for path, code in {
            "/models/none/predict": "unknown_model",
            "/predict?version=v9": "unknown_version",
            "/v2/models/pets/versions/v9/infer": "unknown_version",
        }.items():
            assert_problem(await house.client.post(path, content=picture()), 404, code)
        assert_problem(await house.client.post("/models/pets/load?version=v0"), 404, "model_control_off")


async def test_least_recently_used_model_gives_way_and_comes_back(
    opened: Opening, leaning: Leaning, root: Path
) -> None:
    for number, label in enumerate(("cat", "dog")):
        put(leaning(label), root / f"q{number}" / "1.safetensors")
    async with opened(max_model_bytes=1) as house:
        assert await house.predict("/models/q0/predict")
        assert (await house.predict("/models/q1/predict"))["label"] == "dog"
        gc.collect()
        assert (await house.model("q0"))["versions"][0]["state"] == "unloaded"
        assert (await house.predict())["label"] == "bird"  # the default one never gives way
        assert (await house.predict("/models/q0/predict"))["label"] == "cat"
        assert await _metric(house, "whisker_models_loaded") == 2


async def test_version_is_taken_and_rolled_back_by_request(opened: Opening, leaning: Leaning) -> None:
    async with opened(**keyed()) as house:
        house.client.headers["Authorization"] = f"Bearer {KEY}"
        put(leaning("cat"), house.root / "pets" / "v2.safetensors")
        await house.until_serving("pets", "v2")
        response = await house.client.post("/models/pets/load?version=v1")
        assert (response.status_code, response.json()["pinned"]) == (200, "v1")
        assert (await house.predict())["label"] == "bird"
        assert read_rollout(house.root / "pets").pinned == "v1"
        put(leaning("dog"), house.root / "pets" / "v3.safetensors")
        (house.root / "pets" / "v4.safetensors").write_bytes(b"no checkpoint")
        assert_problem(await house.client.post("/models/pets/load?version=v4"), 409, "version_unusable")
        assert (await house.predict())["model"]["version"] == "v1"  # neither the newest nor the bad one
        del house.client.headers["Authorization"]
        assert_problem(await house.client.post("/models/pets/load?version=v3"), 401, "unauthorized")


async def test_canary_answers_its_share_and_is_stopped_when_it_leaves_its_bounds(
    opened: Opening, leaning: Leaning, root: Path
) -> None:
    put(leaning("cat"), root / "pets" / "v2.safetensors")
    bounds = {"refusals": 0.05, "latency": 100.0, "drift": 0.25, "answers": 20}
    canary = {"version": "v2", "share": 0.5, "bounds": bounds}
    async with opened() as house:
        _write_rollout(root, canary=canary)
        await house.until("pets", lambda it: it["versions"][-1]["state"] == "canary")
        assert (await house.predict(headers={"Whisker-Canary": "always"}))["label"] == "cat"
        assert (await house.predict(headers={"Whisker-Canary": "never"}))["label"] == "bird"
        response = await house.client.post("/predict", content=picture(), headers={"Whisker-Canary": "perhaps"})
        assert_problem(response, 422, "invalid_request")
        answers = [await house.predict() for _ in range(100)]
        found = await house.until("pets", lambda it: it["canary"] is None)
        assert {(it["model"]["version"], it["label"]) for it in answers} == {("v1", "bird"), ("v2", "cat")}
        assert (await house.predict())["model"]["version"] == "v1"
        assert "The stability index between its labels" in found["stopped"][0]["reason"]
        await house.until("pets", lambda _: bool(read_rollout(root / "pets").stopped))
        assert await _metric(house, 'whisker_canary_stops_total{model="pets"}') == 1


async def test_shadow_answers_for_nobody_and_its_disagreement_is_kept_for_review(
    opened: Opening, leaning: Leaning, root: Path, tmp_path: Path
) -> None:
    put(leaning("cat"), root / "pets" / "v2.safetensors")
    _write_rollout(root, shadow={"version": "v2", "share": 1.0})
    (tmp_path / "review").mkdir()
    async with opened(**keyed(review=tmp_path / "review", review_share=0)) as house:
        house.client.headers["Authorization"] = f"Bearer {KEY}"
        await house.until("pets", lambda it: it["versions"][-1]["state"] == "shadow")
        assert (await house.predict())["label"] == "bird"
        while not await _metric(house, "whisker_review_kept_total"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        assert await _metric(house, 'whisker_shadow_answers_total{agrees="no",model="pets"}') == 1


async def test_several_checkpoints_are_served_by_their_names(leaning: Leaning) -> None:
    more = f"{leaning('cat')}, {leaning('dog')}"
    settings = Settings(checkpoint=leaning("bird"), more_checkpoints=more, device="cpu", deadline_seconds=60)
    app = create_app(settings)
    async with app.router.lifespan_context(app), connected(app) as client:
        house = House(Path(), app, client)
        assert (await house.predict())["model"]["name"] == "bird"
        assert (await house.predict("/models/dog/predict"))["label"] == "dog"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"checkpoint": Path("a.safetensors")}, ConfigError, "WHISKER_MODELS and WHISKER_CHECKPOINT are both set"),
        ({"model_control": "on"}, ConfigError, "so set WHISKER_API_KEY, too"),
        ({}, CheckpointError, "is not a safetensors file"),
    ],
)
async def test_start_that_cannot_be_is_one_sentence(
    root: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    (root / "pets" / "v1.safetensors").write_bytes(b"no checkpoint")
    app = create_app(Settings(models=root, device="cpu", **change))
    with pytest.raises(error, match=message):
        async with app.router.lifespan_context(app):
            pass


async def test_rollout_that_cannot_be_read_at_the_start_is_not_guessed(root: Path) -> None:
    (root / "pets" / "rollout.json").write_text("{")
    app = create_app(Settings(models=root, device="cpu"))
    with pytest.raises(RepositoryError, match=r"The model pets cannot be served\. rollout\.json cannot be used"):
        async with app.router.lifespan_context(app):
            pass


async def _ask_until(house: House, stopped: asyncio.Event, answers: list[dict[str, Any]]) -> None:
    while not stopped.is_set():
        answers.append(await house.predict())


async def _metric(house: House, name: str) -> float:
    text = (await house.client.get("/metrics")).text
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


def _write_rollout(root: Path, **document: Any) -> None:
    target = root / "pets" / "rollout.json"
    hidden = target.with_name(".rollout.json")
    hidden.write_text(json.dumps(document))
    shutil.move(hidden, target)
