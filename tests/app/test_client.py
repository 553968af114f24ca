"""The Python client, against a real service, and against a server that refuses, stumbles or talks nonsense."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.app.conftest import ROOT, Server, picture
from tests.deploy.chart import EXAMPLES, render
from whisker.app.client import AsyncClient, Client, ProblemError
from whisker.app.errors import ServerError
from whisker.app.schemas import PredictionAnswer

_KEY = "a-secret-of-the-test"
_PROBLEM = {
    "type": "about:blank",
    "title": "x",
    "status": 503,
    "detail": "Busy.",
    "code": "overloaded",
    "request_id": "1",
}

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1", WHISKER_API_KEY=_KEY)
    yield server
    server.clean_up()


@pytest.fixture(scope="module")
def good_answer(server: Server) -> bytes:
    answer = httpx.post(
        f"{server.address}/predict",
        content=picture(),
        headers={"Authorization": f"Bearer {_KEY}", "Content-Type": "image/png"},
        trust_env=False,
    )
    return answer.content


@contextmanager
def scripted(answers: Sequence[Answer | None]) -> Iterator[tuple[str, list[str]]]:
    """Run a server that gives these answers, one a request; for `None` it hangs up. Yield its address and its log."""
    left, asked = list(answers), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            answer = left.pop(0)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def refusal(seconds: str = "0") -> Answer:
    return 503, {"Retry-After": seconds}, json.dumps(_PROBLEM).encode()


def test_path_bytes_and_image_have_the_same_answer(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(picture())
    with Client(server.address, api_key=_KEY) as client, Image.open(io.BytesIO(picture())) as image:
        answers = [client.predict(it, top_k=2) for it in (file, str(file), picture(), image)]
        assert {(it.label, round(it.score, 4), len(it.predictions)) for it in answers} == {
            (answers[0].label, round(answers[0].score, 4), 2)
        }
        explained = client.predict(file, explain="dog")
        assert explained.heat_map is not None
        assert explained.heat_map.label == "dog"
        assert client.model().classes == ["bird", "cat", "dog"]


def test_problem_has_its_code(server: Server) -> None:
    with Client(server.address, api_key=_KEY) as client:
        with pytest.raises(ProblemError, match="not a JPEG") as raised:
            client.predict(b"text")
        assert raised.value.problem.code == "unsupported_picture_format"
    with Client(server.address) as client, pytest.raises(ProblemError) as raised:
        client.predict(picture())
    assert raised.value.problem.code == "unauthorized"


def test_many_have_their_answers_in_order(server: Server, tmp_path: Path) -> None:
    pictures = [picture(colour=f"#{number:02x}8040") for number in range(40)]
    asked: list[bytes | Path] = [*pictures, b"text", tmp_path / "missing.png"]
    with Client(server.address, api_key=_KEY) as client:
        *good, refused, missing = client.predict_many(asked, at_once=4)
        assert [it.score for it in good if isinstance(it, PredictionAnswer)] == [
            pytest.approx(client.predict(it).score, abs=1e-3) for it in pictures
        ]
    assert isinstance(refused, ProblemError)
    assert isinstance(missing, FileNotFoundError)


@pytest.mark.anyio
async def test_asynchronous_client_gives_the_same(server: Server) -> None:
    pictures = [picture(colour=f"#{number:02x}8040") for number in range(20)]
    async with AsyncClient(server.address, api_key=_KEY) as client:
        assert (await client.model()).name == "tiny"
        headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-ID": "mine"}
        first = await client.predict(pictures[0], explain="", headers=headers)
        assert first.heat_map is not None
        with pytest.raises(ProblemError) as refused:
            await client.predict(b"text", headers=headers)
        assert refused.value.problem.request_id == "mine"
        many = [it async for it in client.predict_many([*pictures, b"text"], at_once=3)]
        assert isinstance(many.pop(), ProblemError)
        assert [isinstance(it, PredictionAnswer) for it in many] == [True] * 20
        async for answer in client.predict_many(pictures):
            assert isinstance(answer, PredictionAnswer)
            break  # and nothing is left running
    async with AsyncClient("http://127.0.0.1:1", tries=1) as nobody:
        with pytest.raises(ServerError, match="cannot be reached"):
            await nobody.predict(picture())
        with pytest.raises(ServerError, match="cannot be reached"):
            await nobody.model()


def test_refused_or_lost_upload_is_sent_again(good_answer: bytes) -> None:
    answers = [refusal(), None, refusal(), (200, {}, good_answer)]
    with scripted(answers) as (address, asked), Client(address) as client:
        assert client.predict(picture()).image.width == 40
    assert asked == ["/predict?top_k=5"] * 4


@pytest.mark.anyio
async def test_asynchronous_client_sends_again_too(good_answer: bytes) -> None:
    with scripted([refusal(), None, (200, {}, good_answer)]) as (address, asked):
        async with AsyncClient(address) as client:
            assert (await client.predict(picture())).image.width == 40
    assert len(asked) == 3


def test_it_gives_up_after_so_many_tries() -> None:
    with (
        scripted([refusal(), refusal()]) as (address, asked),
        Client(address, tries=2) as client,
        pytest.raises(ProblemError, match="Busy"),
    ):
        client.predict(picture())
    assert len(asked) == 2
    with (
        scripted([None]) as (address, _),
        Client(address, tries=1) as client,
        pytest.raises(ServerError, match="cannot be reached"),
    ):
        client.predict(picture())
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServerError, match="cannot be reached"):
        client.model()


def test_it_waits_as_long_as_it_is_told(good_answer: bytes) -> None:
    waited: list[float] = []
    with (
        scripted([refusal("7"), refusal("soon"), refusal("9999"), (200, {}, good_answer)]) as (address, _),
        Client(address) as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("whisker.app.client.time.sleep", waited.append)
        client.predict(picture())
    assert waited == [7, 1, 60]


@pytest.mark.parametrize("status", [200, 404])
def test_other_servers_are_told_from_ours(status: int) -> None:
    with (
        scripted([(status, {}, b"<html>")]) as (address, _),
        Client(address) as client,
        pytest.raises(ServerError, match=f"with status {status}, does not come from a Whisker service"),
    ):
        client.predict(picture())


@pytest.mark.parametrize(
    ("url", "reason"), [("localhost:8000", "must begin with http"), ("http://localhost:many", "is not an address")]
)
def test_address_that_is_none_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ServerError, match=reason):
        Client(url)


def test_key_that_no_header_can_hold_is_refused() -> None:
    for key in ("kätzchen", "a key\n"):
        with pytest.raises(ServerError, match="must be ASCII"):
            Client("http://localhost", api_key=key)


def test_who_stops_listening_does_not_wait_for_further_tries(good_answer: bytes) -> None:
    answers = [(200, dict[str, str](), good_answer), *[refusal("60")] * 3]
    with scripted(answers) as (address, asked), Client(address) as client:
        for answer in client.predict_many([picture()] * 4, at_once=1):
            assert isinstance(answer, PredictionAnswer)
            break
        thread = next(it for it in threading.enumerate() if it.name.startswith("client"))
        thread.join(10)
        assert not thread.is_alive()
    assert len(asked) <= 2


def test_pod_of_helm_test_has_a_picture_answered_with_the_key(server: Server) -> None:
    release = render({}, {"public": EXAMPLES["public"]})["public"]
    (container,) = release.find("Pod")["spec"]["containers"]
    given = {"SERVICE": server.address, "WHISKER_API_KEY": _KEY}
    assert {it["name"] for it in container["env"]} == set(given)
    ended = subprocess.run(  # noqa: S603 - the command is the chart's
        [sys.executable, *container["command"][1:]],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.fullmatch(r"tiny \w+ answers: (bird|cat|dog), \w+\.\n", ended.stdout), ended.stderr
