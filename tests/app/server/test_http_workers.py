"""Several processes behind one socket, with real signals and real deaths."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import ROOT, Server, picture

pytestmark = pytest.mark.usefixtures("measured")

_RAW = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--workers=2", WHISKER_LOG_REQUESTS="all")
    yield server
    server.clean_up()


@pytest.fixture
def doomed(tiny: Path, tmp_path: Path) -> Iterator[Server]:
    """Serve a checkpoint of its own; what a kill leaves behind stays in the test's folder."""
    checkpoint = Path(shutil.copy(tiny, tmp_path / "doomed.safetensors"))
    server = Server(checkpoint, "--workers=2", WHISKER_LOG_REQUESTS="all", TMPDIR=str(tmp_path))
    yield server
    server.clean_up()


def test_every_worker_answers_and_its_lines_name_it(server: Server) -> None:
    with _Clients(server, 8) as clients:
        assert {client.post("/predict", content=picture(), headers=_RAW).status_code for client in clients} == {200}
        for _ in clients:
            server.read_until("request")
    asked = {line["worker"] for line in server.lines if line["message"] == "request"}
    assert asked == {*_loaded(server)}
    assert len(asked) == 2
    assert server.process.pid not in asked


def test_any_worker_reports_what_all_have_counted(server: Server) -> None:
    with _Clients(server, 4) as clients:
        before = _samples(server.client)
        for client in clients:
            client.post("/predict", content=picture(), headers=_RAW)
        for client in clients:
            samples = _samples(client)
            assert samples["whisker_batch_size_sum"] == before["whisker_batch_size_sum"] + 4
            assert samples["whisker_model_info"] == 1
            assert samples["whisker_queue_depth"] == 0
            assert samples["whisker_worker_restarts_total"] == 0


def test_killed_worker_is_replaced_and_its_counts_stay(server: Server) -> None:
    with _Upload(server) as upload:
        counted = _samples(server.client)["whisker_batch_size_sum"]
        os.kill(upload.worker, signal.SIGKILL)
        died = server.read_until("Worker died")
        assert (died["worker"], died["exit_code"], died["restart_in_seconds"]) == (upload.worker, -signal.SIGKILL, 0)
        with _Clients(server, 4) as clients:  # the other one answers meanwhile
            assert {client.post("/predict", content=picture(), headers=_RAW).status_code for client in clients} == {200}
        assert server.read_until("Checkpoint loaded")["worker"] != upload.worker
    with _Clients(server, 8) as clients:
        for client in clients:
            samples = _samples(client)
            assert samples["whisker_batch_size_sum"] == counted + 4
            assert samples["whisker_receiving"] == 0  # the upload has died with its worker
            assert samples["whisker_worker_restarts_total"] == 1


def test_end_of_the_terminal_answers_what_is_in_flight(server: Server) -> None:  # the last to use the server
    uploads = [_Upload(server) for _ in range(4)]
    assert len({upload.worker for upload in uploads}) == 2
    server.client.close()
    supervisor = psutil.Process(server.process.pid)
    for process in (*supervisor.children(recursive=True), supervisor):  # as a terminal does
        process.send_signal(signal.SIGHUP)
    _wait_for_refusal(server)
    assert [upload.finish() for upload in uploads] == [b"HTTP/1.1 200 OK"] * 4
    code, lines = server.end()
    assert code == 0
    assert '"Stopped"' in lines[-1]
    assert sum('"Worker stopped"' in line for line in lines) == 2


def test_service_ends_when_no_worker_can_start_any_more(doomed: Server, tmp_path: Path) -> None:
    (tmp_path / "doomed.safetensors").unlink()
    first, second = _loaded(doomed)
    os.kill(first, signal.SIGKILL)
    failed = doomed.read_until("Worker could not start: There is no checkpoint file")
    assert failed["restart_in_seconds"] == 1
    assert doomed.client.post("/predict", content=picture(), headers=_RAW).status_code == 200
    os.kill(second, signal.SIGKILL)
    code, lines = doomed.end()
    assert code == 1
    assert lines[-1].startswith("whisker: There is no checkpoint file")
    assert "Traceback" not in "".join(lines)


def test_workers_end_when_the_supervisor_is_killed(doomed: Server) -> None:
    with _Upload(doomed) as upload:
        doomed.process.kill()
        doomed.read_until("The supervisor is gone")
        assert upload.finish() == b"HTTP/1.1 200 OK"
    code, _ = doomed.end()  # which waits until no process has its stderr
    assert code == -signal.SIGKILL


def test_second_interrupt_waits_for_nobody(doomed: Server) -> None:
    with _Upload(doomed) as upload:
        doomed.process.send_signal(signal.SIGINT)
        _wait_for_refusal(doomed)
        doomed.process.send_signal(signal.SIGINT)
        assert doomed.read_until("Worker killed")["worker"] in _loaded(doomed)
        code, lines = doomed.end()
    assert upload.worker in _loaded(doomed)
    assert code == 1
    assert lines[-1].endswith("of 2 workers did not stop as told: answers may be lost.")


def test_worker_that_hangs_is_passed_over_replaced_and_not_waited_for(tiny: Path) -> None:
    server = Server(tiny, "--workers=2", "--drain-seconds=0.2", limits="t.HUNG_SECONDS = t.HUNG_STOPPING_SECONDS = 1.0")
    try:
        hanging, other = _loaded(server)
        with _Clients(server, 4):  # so that it would be its turn
            os.kill(hanging, signal.SIGSTOP)
            assert server.read_until("An HTTP worker does not answer")["worker"] == hanging
            assert server.read_until("Worker died")["exit_code"] == -signal.SIGKILL
            assert server.client.get("/readyz").status_code == 200
        third = server.read_until("Checkpoint loaded")["worker"]
        assert psutil.pid_exists(other)
        _wait_until_it_accepts(server, third)
        os.kill(third, signal.SIGSTOP)
        asked = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code, lines = server.end()
        assert time.monotonic() - asked < 10
        assert code == 1
        assert lines[-1] == "whisker: 1 of 2 workers did not stop as told: answers may be lost."
    finally:
        server.clean_up()


def _wait_until_it_accepts(server: Server, worker: int) -> None:
    """Open connections until one of them is the worker's."""
    address = (server.client.base_url.host, server.client.base_url.port)
    with contextlib.ExitStack() as clients:
        while not any(it.status == psutil.CONN_ESTABLISHED for it in psutil.Process(worker).net_connections("tcp")):
            clients.enter_context(socket.create_connection(address))
            server.client.get("/livez")


def test_bad_checkpoint_is_one_sentence_from_all_workers(tmp_path: Path) -> None:
    path = tmp_path / "none"
    command = [sys.executable, "-m", "whisker", "serve", "--port=0", "--workers=2", f"--checkpoint={path}"]
    ended = subprocess.run(  # noqa: S603 - the command is ours
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"whisker: There is no checkpoint file at {path}: give the path of a file from `whisker train`."
    ]
    assert list(tmp_path.iterdir()) == []  # the metrics' folder is gone


class _Clients(list[httpx.Client]):
    """Clients that each keep a connection."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(httpx.Client(base_url=server.address, trust_env=False) for _ in range(number))

    def __enter__(self) -> Self:
        for client in self:
            client.get("/livez")
        return self

    def __exit__(self, *_: object) -> None:
        for client in self:
            client.close()


class _Upload:
    """A request on its way: its worker has the head and waits for the rest of the body."""

    def __init__(self, server: Server) -> None:
        before = _samples(server.client)["whisker_receiving"]
        self._body = picture()
        host, port = server.address.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)))
        name = secrets.token_hex(8)
        self._socket.sendall(f"GET /livez HTTP/1.1\r\nHost: whisker\r\nX-Request-ID: {name}\r\n\r\n".encode())
        while not self._socket.recv(4096).endswith(b"}"):  # head and body may come apart
            pass
        while (line := server.read_until("request"))["request_id"] != name:
            pass
        self.worker: int = line["worker"]
        head = (
            f"POST /predict HTTP/1.1\r\nHost: whisker\r\nContent-Length: {len(self._body)}\r\nContent-Type: image/png"
        )
        self._socket.sendall(head.encode() + b"\r\n\r\n" + self._body[:10])
        while _samples(server.client)["whisker_receiving"] <= before:
            pass

    def finish(self) -> bytes:
        """Send the rest; return the first line of the answer."""
        with self._socket:
            self._socket.sendall(self._body[10:])
            return self._socket.makefile("rb").readline().rstrip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _loaded(server: Server) -> list[int]:
    return [line["worker"] for line in server.lines if line["message"].startswith("Checkpoint loaded")]


def _samples(client: httpx.Client) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def _wait_for_refusal(server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            with contextlib.suppress(ConnectionResetError):  # it closes in this very moment
                socket.create_connection((host, int(port))).close()
