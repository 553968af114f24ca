"""Metrics: what is counted, and that no client can make up a label."""

import os
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import Serving, connected, picture
from whisker import __version__
from whisker.app.main import create_app
from whisker.app.metrics import shared_metrics
from whisker.app.settings import Settings
from whisker.model.errors import ConfigError

pytestmark = pytest.mark.anyio

_RAW = {"Content-Type": "image/png"}


async def test_an_answer_is_counted_in_every_way(serving: Serving) -> None:
    async with serving() as client:
        answer = (await client.post("/predict", content=picture(), headers=_RAW)).json()
        samples = await _samples(client)
    predict = {"method": "POST", "route": "/predict", "status": "200"}
    assert samples[_key("whisker_request_duration_seconds_count", **predict)] == 1
    assert 0 < samples[_key("whisker_request_duration_seconds_sum", **predict)] < 60
    for stage in ("decode", "queue", "inference"):
        assert samples[_key("whisker_stage_duration_seconds_count", stage=stage)] == 1
    assert samples[_key("whisker_batch_size_sum")] == 1
    assert samples[_key("whisker_queue_depth")] == 0
    assert samples[_key("whisker_in_flight")] == 0
    assert samples[_key("whisker_predictions_total", model="tiny", label=answer["label"])] == 1
    assert samples[_key("whisker_verdicts_total", model="tiny", verdict="confident")] == 1
    version = answer["model"]["version"]
    assert samples[_key("whisker_model_info", name="tiny", version=version, device="cpu")] == 1
    assert samples[_key("whisker_build_info", version=__version__)] == 1
    assert samples[_key("process_open_fds")] > 0


async def test_pictures_that_cannot_be_used_are_counted_by_code(serving: Serving) -> None:
    async with serving() as client:
        for content in (b"text", b"text", picture()[:60]):
            await client.post("/predict", content=content, headers=_RAW)
        samples = await _samples(client)
    assert samples[_key("whisker_problems_total", code="unsupported_picture_format")] == 2
    assert samples[_key("whisker_problems_total", code="undecodable_picture")] == 1


async def test_paths_and_methods_that_clients_make_up_are_no_labels(serving: Serving) -> None:
    async with serving() as client:
        for path in ("/a", "/b"):
            await client.get(path)
        await client.request("BREW", "/health")
        samples = await _samples(client)
    count = "whisker_request_duration_seconds_count"
    assert samples[_key(count, method="GET", route="other", status="404")] == 2
    assert samples[_key(count, method="other", route="/health", status="405")] == 1


async def test_two_applications_count_apart(settings: Settings) -> None:
    async with connected(create_app(settings)) as one, connected(create_app(settings)) as other:
        await one.get("/livez")
        assert 'route="/livez"' in (await one.get("/metrics")).text
        assert 'route="/livez"' not in (await other.get("/metrics")).text


async def test_workers_without_a_place_for_their_metrics_are_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    monkeypatch.setattr("whisker.app.metrics._IN_MEMORY", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"TMPDIR, or serve with one worker\."), shared_metrics():
        pass


def test_workers_share_their_metrics_in_memory_where_no_folder_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    monkeypatch.setattr("whisker.app.metrics._IN_MEMORY", str(tmp_path))
    with shared_metrics():
        assert Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


async def _samples(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        _key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def _key(sample: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample, frozenset(labels.items())
