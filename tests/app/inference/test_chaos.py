"""What a machine may do to a service: no more descriptors, a full disk, a clock that jumps."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.app.conftest import ROOT, Server, Serving, picture, rows
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.errors import ResultsError

_YEAR = 365 * 24 * 3600


@pytest.fixture
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1")
    yield server
    server.clean_up()


def test_clients_take_all_descriptors_and_service_is_normal_when_they_leave(server: Server) -> None:
    assert server.client.get("/health").status_code == 200  # over a connection that it keeps
    process = psutil.Process(server.process.pid)
    most = process.num_fds() + 20
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
    address = (server.client.base_url.host, server.client.base_url.port)
    with ExitStack() as clients:
        for _ in range(60):
            clients.enter_context(socket.create_connection(address))
        _until(lambda: process.num_fds() >= most - 1)
        upload = server.client.post("/predict", content=picture(), headers={"Content-Type": "image/png"})
        assert upload.status_code == 200
    with httpx.Client(trust_env=False) as newcomer:
        assert newcomer.get(f"{server.address}/health", timeout=3).status_code == 200
    code, messages = server.stop()
    assert code == 0
    assert len(messages) < 20  # of what could not be accepted, a line a second


def test_idle_connections_make_room_for_new_ones(tiny: Path) -> None:
    server = Server(
        tiny, "--inference-workers=1", max_descriptors="228"
    )  # for 100 connections, besides files and workers
    address = (server.client.base_url.host, server.client.base_url.port)
    try:
        with ExitStack() as clients:
            idle = [clients.enter_context(socket.create_connection(address)) for _ in range(140)]
            oldest = idle[0]
            oldest.settimeout(5)
            assert oldest.recv(1) == b""  # closed, long before its time
            for _ in range(10):
                with httpx.Client(trust_env=False) as newcomer:
                    assert newcomer.get(f"{server.address}/health", timeout=3).status_code == 200
            server.read_until("Idle connections are closed")
    finally:
        server.clean_up()


def test_log_on_a_full_disk_stops_nothing(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "whisker",
        "serve",
        f"--port={port}",
        "--inference-workers=1",
        f"--checkpoint={tiny}",
    ]
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, "WHISKER_LOG_REQUESTS": "all"}, stderr=full) as service,  # noqa: S603 - ours
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        _until(lambda: _is_ready(client))
        for _ in range(3):
            answer = client.post("/predict", content=picture(), headers={"Content-Type": "image/png"})
            assert answer.status_code == 200
        service.terminate()


def test_folder_that_fills_the_disk_goes_on_when_there_is_room(job: Job) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # fails as a full disk does
    try:
        with pytest.raises(ResultsError, match="cannot be written: File too large"):
            predict_to_file(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not job.out.exists()
    assert 0 < len(job.journal.read_bytes()) <= 10_000
    assert predict_to_file(job) == (82, 2)
    assert len({row["photo"] for row in rows(job.out)}) == 82


@pytest.mark.anyio
@pytest.mark.parametrize("jump", [_YEAR, -_YEAR])
async def test_clock_that_jumps_changes_nothing(serving: Serving, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    async with serving() as client:
        upload = {"file": ("a.png", picture())}
        before = (await client.post("/predict", files=upload)).json()
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        answer = await client.post("/predict", files=upload)
        assert answer.status_code == 200
        assert answer.json()["predictions"] == before["predictions"]
        assert 0 <= (await client.get("/health")).json()["uptime_seconds"] < 60


def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # the test's time limit is its end
        time.sleep(0.02)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
