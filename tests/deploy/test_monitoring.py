"""Every query of the dashboard and of the alerts, asked of a real Prometheus that scrapes a real service."""

import math
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import Server
from tests.deploy.prometheus import Prometheus, alerts, panel_queries, scraping, selectors, until
from tests.pictures import draw, encode
from whisker.model import Checkpoint, save_checkpoint

_KEY = "not-a-secret"
_WINDOW = "10s"  # instead of Grafana's $__rate_interval
# What this service has not, and why.
_ABSENT = {
    "ALERTS": "nothing is wrong",
    "whisker_drift": "it takes a thousand answers",
    "whisker_worker_restarts_total": "counted with several HTTP workers",
}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian: apt install prometheus)")
def test_every_query_has_data_from_a_real_service(untrained: Checkpoint, tmp_path: Path) -> None:
    queries = {name: query.replace("$__rate_interval", _WINDOW) for name, query in panel_queries().items()}
    queries |= {f"{name}: {part}": part for name, rule in alerts().items() for part in selectors(rule["expr"])}
    expected = {name for name, query in queries.items() if not any(metric in query for metric in _ABSENT)}
    with service(untrained, tmp_path) as server, scraping(server.address, _KEY, tmp_path / "prometheus") as prometheus:
        missing = set(queries)

        def is_complete() -> bool:
            use(server)
            missing.difference_update([name for name in missing if is_answered(prometheus, queries[name])])
            return not missing & expected

        assert until(is_complete, seconds=60), {name: queries[name] for name in missing & expected}
        assert "# TYPE whisker_drift gauge" in server.client.get("/metrics").text
        assert {rule["name"]: rule["health"] for rule in prometheus.rules()} == dict.fromkeys(alerts(), "ok")
        server.clean_up()
        assert until(lambda: "WhiskerDown" in pending(prometheus), seconds=60)


@contextmanager
def service(checkpoint: Checkpoint, folder: Path) -> Iterator[Server]:
    """Serve with little room, so that uploads are refused and no photo is kept."""
    file = folder / "checkpoint.safetensors"
    save_checkpoint(checkpoint, file)
    options = ["--device=cpu", "--engine=torch", "--inference-workers=1", "--max-in-flight=8"]
    for name in ("review", "corrections"):
        (folder / name).mkdir()
        options += [f"--{name}={folder / name}", f"--max-{name}-bytes=1"]
    server = Server(file, *options, WHISKER_API_KEY=_KEY)
    server.client.timeout = httpx.Timeout(30)
    server.client.headers["Authorization"] = f"Bearer {_KEY}"
    try:
        yield server
    finally:
        server.clean_up()


def use(server: Server) -> None:
    """Send pictures that are answered, some that are refused, and more at once than there is room for."""
    good = encode(draw("rings", 1))
    for content in (good, b"text", good[:60]):
        server.client.post("/predict", content=content, headers={"Content-Type": "image/png"})
    server.client.post("/corrections", files={"file": good}, data={"label": "stripes", "consent": "yes"})
    form = [("file", good)] * 20
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: server.client.post("/predict/batch", files=form), range(2)))


def is_answered(prometheus: Prometheus, query: str) -> bool:
    return any(math.isfinite(value) for value in prometheus.values(query))


def pending(prometheus: Prometheus) -> set[str]:
    return {rule["name"] for rule in prometheus.rules() if rule["state"] == "pending"}
