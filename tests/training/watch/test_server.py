"""The page of a training, as browsers ask for it: kind ones, hostile ones, and ones that hang."""

import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from html import unescape
from pathlib import Path

import pytest

from tests.test_whisker import run
from whisker.model.errors import ConfigError
from whisker.training.errors import TrainingError
from whisker.training.events.event import Epoch, Event, Finished, Line, Stage
from whisker.training.job import Training
from whisker.training.watch import handler as handling
from whisker.training.watch import server as serving
from whisker.training.watch.address import Address
from whisker.training.watch.handler import WatchHandler
from whisker.training.watch.server import WatchServer, watching

_PATIENCE = 60.0  # seconds, on a busy machine
Answer = http.client.HTTPResponse


def ask(server: WatchServer, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=_PATIENCE)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def events(answer: Answer) -> Iterator[tuple[str, str]]:
    """Read what an `EventSource` would: kinds of events, and their data."""
    kind, data = "", list[str]()
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        else:
            yield kind, "\n".join(data)
            data = []


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling, "_PAUSE_SECONDS", 0.02)  # between two events


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchServer]:
    monkeypatch.setattr(serving, "_PLAIN_SECONDS", 0.0)  # in which a page without scripts would ask again
    with watching(Address("127.0.0.1", 0), "shapes") as server:
        yield server


def test_browser_sees_a_training_from_its_start_to_its_report(trained: Training, told: list[Event]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with watching(Address("127.0.0.1", 0), "photos") as server:
            assert "http-equiv" in ask(server).read().decode()  # a browser without scripts is to load it again
            seen = events(ask(server, "/events"))
            assert next(seen)[0] == "parts"
            rest = pool.submit(lambda: [*seen])
            for event in told:
                server.watched.notice(event)
            assert ask(server, "/report").read() == trained.report_file.read_bytes()
        kind, last = rest.result(_PATIENCE)[-1]
    assert kind == "end"
    assert "<h1>shapes</h1>" in last
    assert str(trained.report_file) in unescape(last)
    assert "120 photos of 2 classes; train 96, validation 12, test 12" in last
    assert "Validation accuracy by epoch" in last
    assert "after epoch 16 of 16" in last
    stages = ("Decoding photos (40 px)", "Looking for duplicates", "Training", "Calibrating", "Writing the checkpoint")
    places = [last.index(f"<span>{stage}") for stage in stages]
    assert places == sorted(places)


def stop_watched(pool: ThreadPoolExecutor, told: list["Future[list[tuple[str, str]]]"]) -> None:
    with watching(Address("127.0.0.1", 0), "shapes") as server:
        seen = events(ask(server, "/events"))
        next(seen)
        told.append(pool.submit(lambda: [*seen]))
        server.watched.notice(Line("Warning: <few> photos"))
        raise TrainingError("The training diverged <here>.")


def test_page_says_why_a_training_stopped() -> None:
    told: list[Future[list[tuple[str, str]]]] = []
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(TrainingError, match="diverged"):
            stop_watched(pool, told)
        kind, last = told[0].result(_PATIENCE)[-1]
    assert kind == "end"
    assert '<p class="alert">The training diverged &lt;here&gt;.</p>' in last
    assert '<p class="alert">Warning: &lt;few&gt; photos</p>' in last


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "localhost:9000"}, 200),  # through a tunnel
        ("GET", "/", {"Host": "[::1]"}, 200),
        ("HEAD", "/", {}, 200),
        ("GET", "/", {"Host": "evil.example"}, 421),  # DNS rebinding
        ("GET", "/", {"Host": "127.0.0.1.evil.example"}, 421),
        ("GET", "/", {"Host": ""}, 421),
        ("GET", "/events", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", "/report", {}, 404),  # not yet
        ("GET", "/../../../../etc/passwd", {}, 404),
        ("GET", "//evil.example/", {}, 404),
        ("POST", "/", {}, 501),
    ],
)
def test_answers_are_few(server: WatchServer, method: str, path: str, headers: dict[str, str], status: int) -> None:
    answer = ask(server, path, method, **headers)
    assert answer.status == status
    if status != 501:
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert "unsafe" not in str(answer.getheader("Content-Security-Policy"))
    assert method != "HEAD" or answer.read() == b""


def test_reader_that_hangs_is_dropped_and_holds_up_nobody(server: WatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchHandler, "timeout", 0.3)
    for _ in range(120):
        server.watched.notice(Line("x" * 100_000))  # 12 MB: more than the system holds for a reader
    with socket.socket() as hanging:
        hanging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hanging.settimeout(_PATIENCE)
        hanging.connect(("127.0.0.1", server.server_port))
        hanging.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        before = time.monotonic()
        server.watched.notice(Stage("Training"))
        assert ask(server, "/watch.css").status == 200
        assert time.monotonic() - before < 5
        while server.readers:
            time.sleep(0.05)  # until it is dropped
        assert sum(len(part) for part in iter(lambda: hanging.recv(1_000_000), b"")) < 12_000_000


def test_connections_are_few_and_must_ask_for_something(server: WatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_REQUEST_SECONDS", 0.2)
    silent = [socket.create_connection(("127.0.0.1", server.server_port), timeout=_PATIENCE) for _ in range(30)]
    assert [connection.recv(1) for connection in silent] == [b""] * 30  # closed: at once, or when they took too long
    assert ask(server).status == 200
    for connection in silent:
        connection.close()


def test_port_that_is_taken_is_one_sentence_and_nothing_begins(
    server: WatchServer,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "train", photo_folder, "--watch", str(server.server_port))
    assert "give --watch another port" in str(code)
    assert (out, [*tmp_path.iterdir()]) == ("", [])


@pytest.mark.parametrize("text", ["", "port", "70000", "http://localhost:80", "a b:80", "::1:80"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--watch takes a port"):
        Address.parse(text)


@pytest.mark.parametrize(("text", "url"), [("80", "http://127.0.0.1:80/"), ("[::1]:80", "http://[::1]:80/")])
def test_address_is_for_this_machine_unless_told(text: str, url: str) -> None:
    assert Address.parse(text).url(80) == url


def test_server_for_others_answers_to_numbers_and_its_own_name() -> None:
    everywhere = Address.parse("0.0.0.0:80")
    assert all(map(everywhere.allows, ["192.0.2.7:80", "[2001:db8::1]", socket.gethostname(), "localhost"]))
    assert not everywhere.allows("evil.example")


def test_curves_of_strange_figures_are_drawn(server: WatchServer) -> None:
    for number, loss in enumerate((float("nan"), 0.0, 0.0, 1e9), 1):
        server.watched.notice(Epoch("Training", number, 4, loss, 0.1, accuracy=1.0))
    server.watched.notice(Stage("Training"))
    page = ask(server).read().decode()
    assert "nan" not in page
    assert page.count("<polyline") == 2


def test_report_that_is_gone_is_said(server: WatchServer, tmp_path: Path) -> None:
    server.watched.notice(Finished(tmp_path / "a.safetensors", tmp_path / "a.html", {}, "99 %"))
    assert ask(server, "/report").status == 404
    server.report_served()  # or the server would wait for it
