"""The service: start, stop, and the sentences for what stops it from starting."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from benchmarks.reliability.commands import left_of
from tests.app.conftest import ROOT, Server, picture
from whisker.app.inference.program import PROGRAM
from whisker.app.server.run import bind, run
from whisker.app.settings import Settings
from whisker.model.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--drain-seconds=1", WHISKER_PROT="1")
    yield server
    server.clean_up()


def test_server_says_where_it_serves_and_answers(server: Server) -> None:
    assert server.client.get("/health").json()["status"] == "ready"
    answer = server.client.post("/predict", files={"file": ("a.png", picture())})
    assert answer.status_code == 200
    assert "server" not in answer.headers
    assert server.lines[-1]["open"] == f"{server.address}/"


def test_server_complains_of_a_misspelt_variable(server: Server) -> None:
    assert server.lines[0]["level"] == "warning"
    assert "WHISKER_PROT" in server.lines[0]["message"]


def test_body_too_large_is_answered_although_unread(server: Server) -> None:
    answer = server.client.post("/predict", content=b"x" * 60_000_000, headers={"Content-Type": "image/png"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


def test_sighup_drains_and_ends_with_exit_code_0(server: Server) -> None:  # the last to use the server
    service = psutil.Process(server.process.pid)
    for process in (*service.children(recursive=True), service, service):  # a terminal's end reaches all, perhaps twice
        process.send_signal(signal.SIGHUP)
    while server.client.get("/readyz").status_code == 200:
        pass
    assert server.client.post("/predict", files={"file": ("a.png", picture())}).status_code == 200
    code, messages = server.stop()  # after SIGHUP, this is no second signal
    assert code == 0
    assert messages[-1] == "Stopped"


@pytest.mark.parametrize("options", [(), ("--workers=2",)], ids=["one", "two"])
def test_signal_while_the_checkpoint_is_loaded_ends_everything_at_once(
    tiny: Path, tmp_path: Path, options: Sequence[str]
) -> None:
    command = [sys.executable, "-m", "whisker", "serve", "--port=0", f"--checkpoint={tiny}", *options]
    with subprocess.Popen(  # noqa: S603 - as above
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "WHISKER_CACHE": "off"},  # or there may be nothing to load
        stderr=subprocess.PIPE,
        text=True,
    ) as service:
        while not (loading := _inference_workers(service.pid)):
            time.sleep(0.01)
        told = time.monotonic()
        service.terminate()
        assert service.wait() == 0
        assert time.monotonic() - told < 2  # it takes three times as long to load
        assert left_of(loading, 0.5) == []
        assert service.stderr is not None
        assert [json.loads(line)["message"] for line in service.stderr] == ["Stopped"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_before_anything_is_at_stake_ends_the_process(number: signal.Signals) -> None:
    script = f"import os, whisker.app.server.run as r; r._serve = lambda *_: os.kill(os.getpid(), {number:d}); "
    script += "from whisker.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", script, "serve"], cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - as above
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_service_that_was_started_to_outlive_its_terminal_does() -> None:
    script = "from whisker.app.server.stop_signals import stop_signals; print(*map(int, stop_signals()))"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", script]  # as nohup does
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - as above
    assert ended.stdout.split() == [str(int(signal.SIGTERM)), str(int(signal.SIGINT))]


def _inference_workers(pid: int) -> list[psutil.Process]:
    return [it for it in psutil.Process(pid).children(recursive=True) if PROGRAM in _command(it)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended
        return []


def test_service_without_workers_that_can_start_none_ends_with_exit_code_1(tiny: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copy(tiny, tmp_path / "taken away.safetensors"))
    start = "from whisker.app import time_limits; time_limits.DEAD_SECONDS = 0.5; from whisker.cli import main; main()"
    options = ["--host=127.0.0.1", "--port=0", "--engine=torch", "--inference-workers=1", f"--checkpoint={checkpoint}"]
    with subprocess.Popen(  # noqa: S603 - as above
        [sys.executable, "-c", start, "serve", *options], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as service:
        assert service.stderr is not None
        assert any('"Serving"' in line for line in service.stderr)
        checkpoint.unlink()
        for worker in psutil.Process(service.pid).children():
            worker.kill()
        lines = service.stderr.read().splitlines()
    assert service.returncode == 1
    assert lines[-1] == "whisker: All inference workers have ended, and none could be started again."


def test_missing_checkpoint_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whisker", "serve", "--port=0", f"--checkpoint={tmp_path / 'none'}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"whisker: There is no checkpoint file at {tmp_path / 'none'}: give the path of a file from `whisker train`."
    ]


def test_checkpoint_of_another_sha256_is_refused(settings: Settings) -> None:
    other = settings.model_copy(update={"checkpoint_sha256": "0" * 64, "port": 0, "log_level": "error"})
    with pytest.raises(CheckpointError, match="WHISKER_CHECKPOINT_SHA256"):
        run(other)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # handlers are put back


def test_supervisor_needs_nothing_heavy() -> None:
    script = "import whisker.app.server.run, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - as above
    assert not {"torch", "numpy", "PIL", "fastapi", "uvicorn"} & set(ended.stdout.split())


def test_process_that_speaks_http_needs_no_pytorch() -> None:
    script = "import whisker.app.server.process, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - as above
    assert not {"torch", "openvino"} & set(ended.stdout.split())


def test_hundreds_of_clients_may_come_at_once() -> None:
    if int(Path("/proc/sys/net/core/somaxconn").read_text()) < 512:
        pytest.skip("the system lets fewer wait")
    with bind("127.0.0.1", 0) as listener, ExitStack() as clients:
        for _ in range(300):  # one that found no room would try again after a second
            clients.enter_context(socket.create_connection(listener.getsockname(), timeout=0.9))


def test_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Port {port} is taken: .* WHISKER_PORT or --port\."):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_address_of_another_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{host}' is not an address of this machine: .* --host\."):
        bind(host, 0)


def test_other_refusals_tell_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)  # root, who may be testing, is refused nothing
    with pytest.raises(ConfigError, match=r"Port 80 of 127.0.0.1 cannot be listened on \(Permission denied\)"):
        bind("127.0.0.1", 80)


def test_ipv6_is_listened_on() -> None:
    with bind("::1", 0) as listener:
        assert listener.family == socket.AF_INET6
