"""Errors: each code once, and never more than a client should know."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import Serving, connected, picture
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.app.web.problem_kinds import HTTP_KINDS, KINDS

pytestmark = pytest.mark.anyio

_PNG = picture()
_BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
_RAW = {"Content-Type": "image/png"}


@dataclass(frozen=True)
class Case:
    """A request to `/predict`, and the problem it must end in."""

    status: int
    code: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _RAW)
    files: Any = None
    query: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        path = f"/predict{self.query}"
        if self.files is not None:
            return await client.post(path, files=self.files)
        return await client.post(path, content=self.content, headers=self.headers)


CASES = {
    "form without boundary": Case(400, "malformed_form", _PNG, {"Content-Type": "multipart/form-data"}),
    "form that is none": Case(400, "malformed_form", b"nonsense", _BOUNDARY),
    "empty form body": Case(400, "malformed_form", b"", _BOUNDARY),
    "truncated form": Case(
        400, "malformed_form", b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxx', _BOUNDARY
    ),
    "part without a name": Case(
        400, "malformed_form", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", _BOUNDARY
    ),
    "a thousand files": Case(400, "malformed_form", files=[("file", ("a.png", b"x"))] * 1000),
    "a long field": Case(400, "malformed_form", files={"file": (None, b"x" * 20_000)}),
    "declared body too large": Case(413, "body_too_large", _PNG, settings={"max_body_bytes": len(_PNG) - 1}),
    "form too large": Case(413, "body_too_large", files={"file": ("a.png", _PNG)}, settings={"max_body_bytes": 99}),
    "picture of too many pixels": Case(413, "picture_too_large", _PNG, settings={"max_pixels": 40 * 30 - 1}),
    "neither content type nor picture": Case(415, "unsupported_media_type", b"hello", {}),
    "nothing at all": Case(415, "unsupported_media_type", b"", {}),
    "body in brotli": Case(415, "unsupported_encoding", _PNG, {**_RAW, "Content-Encoding": "br"}),
    "other content type": Case(415, "unsupported_media_type", b"{}", {"Content-Type": "application/json"}),
    "endless content type": Case(415, "unsupported_media_type", _PNG, {"Content-Type": "image/png" + ";a" * 500}),
    "urlencoded form": Case(
        415, "unsupported_media_type", b"file=x", {"Content-Type": "application/x-www-form-urlencoded"}
    ),
    "text as a picture": Case(415, "unsupported_picture_format", b"hello, I am not a picture"),
    "svg": Case(415, "unsupported_picture_format", b"<svg/>", {"Content-Type": "image/svg+xml"}),
    "truncated png": Case(422, "undecodable_picture", _PNG[:60]),
    "empty body": Case(422, "undecodable_picture", b""),
    "empty file": Case(422, "undecodable_picture", files={"file": ("a.png", b"")}),
    "two fields": Case(422, "invalid_upload", files={"photo": ("a.png", _PNG), "image": ("b.png", _PNG)}),
    "two files": Case(422, "invalid_upload", files=[("file", ("a.png", _PNG))] * 2),
    "a text field": Case(422, "invalid_upload", files={"file": (None, b"text")}),
    "top_k of zero": Case(422, "invalid_request", _PNG, query="?top_k=0"),
    "top_k of text": Case(422, "invalid_request", _PNG, query="?top_k=many"),
    "deadline passed": Case(504, "deadline_exceeded", picture(3000, 2000), settings={"deadline_seconds": 1e-6}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_problem_of_an_upload(case: Case, client: httpx.AsyncClient, serving: Serving) -> None:
    if case.settings:
        async with serving(**case.settings) as changed:
            response = await case.send(changed)
    else:
        response = await case.send(client)
    assert_problem(response, case.status, case.code)


async def test_path_that_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nothing"), 404, "not_found")


async def test_method_that_is_not_allowed_is_405(client: httpx.AsyncClient) -> None:
    response = await client.get("/predict")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


async def test_what_a_path_answers_to_is_told_whole(client: httpx.AsyncClient) -> None:
    for method, path, allowed in (
        ("HEAD", "/predict", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/", "GET, HEAD, POST"),
        ("DELETE", "/page/page.js", "GET, HEAD"),
        ("GET", "/corrections", "POST"),
    ):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert response.json()["detail"] == "`GET` came, but `/corrections` answers to POST alone."


async def test_refusals_name_what_came(client: httpx.AsyncClient) -> None:
    for path, said in (
        ("/nothing%0A%60x", "There is nothing at `/nothing\\n'x`."),
        ("/" + "x" * 200, f"There is nothing at `/{'x' * 59}...`."),
        ("/v1/models/other", "There is no model `other` here, but `tiny`."),
    ):
        assert (await client.get(path)).json()["detail"] == said
    answer = await client.post("/v1/models/tiny:predict", json={"inputs": 1})
    assert "but holds `inputs`" in answer.json()["detail"]
    answer = await client.post("/predict?explain=wolf", content=_PNG, headers=_RAW)
    assert "no class `wolf`" in answer.json()["detail"]


async def test_every_problem_leads_to_what_to_do(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs/errors")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    problem = (await client.get("/nothing")).json()
    assert problem["type"] == "/docs/errors#not_found"
    for kind in (*KINDS.values(), *HTTP_KINDS.values()):
        assert f'<h2 id="{kind.code}">' in page.text


async def test_failing_network_is_500_for_that_picture_only(serving: Serving, fragile: Path) -> None:
    async with serving(checkpoint=fragile) as client:
        bright = await client.post("/predict", content=picture(colour="white"), headers=_RAW)
        dark = await client.post("/predict", content=picture(colour="black"), headers=_RAW)
    assert_problem(bright, 500, "inference_failed")
    assert dark.status_code == 200


async def test_starting_service_is_503(settings: Settings) -> None:
    async with connected(create_app(settings)) as client:
        response = await client.post("/predict", content=_PNG, headers=_RAW)
    assert_problem(response, 503, "not_ready")
    assert response.headers["retry-after"] == "1"


async def test_defect_is_500_and_tells_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(settings)

    async def broken() -> None:
        raise RuntimeError("a secret in /etc/passwd")

    app.add_api_route("/broken", broken)
    async with connected(app) as client:
        response = await client.get("/broken")
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "a secret in /etc/passwd" in caplog.text  # the log is where it belongs


async def test_defect_after_the_answer_began_is_not_answered_twice(settings: Settings) -> None:
    app = create_app(settings)

    async def broken() -> Any:
        from starlette.responses import StreamingResponse  # noqa: PLC0415

        async def chunks() -> AsyncIterator[bytes]:
            yield b"x"
            raise RuntimeError("too late")

        return StreamingResponse(chunks())

    app.add_api_route("/broken", broken)
    async with connected(app) as client:
        with pytest.raises(RuntimeError, match="too late"):
            await client.get("/broken")


async def test_missing_field_is_explained(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files={"photo": (None, b"a text"), "n": (None, b"1")})
    assert response.json()["detail"] == (
        "The form must hold exactly one picture, best in the field `file`, but there is text in `photo`, text in `n`."
    )
    response = await client.post("/predict?top_k=0", content=_PNG, headers=_RAW)
    assert response.json()["detail"] == (
        "The query parameter `top_k` is `0`: input should be greater than or equal to 1."
    )


def test_codes_are_stable_and_tested() -> None:
    codes = [kind.code for kind in (*KINDS.values(), *HTTP_KINDS.values())]
    assert len(codes) == len(set(codes))
    # The rest have tests of their own: above, in test_limits.py, _connection, _security, _identity, _explain,
    # _corrections, _labelling and _models.
    others = {"not_found", "method_not_allowed", "inference_failed", "internal_error", "not_ready", "overloaded"}
    others |= {"client_gone", "request_timeout", "malformed_request", "unauthorized", "cross_site"}
    others |= {"target_too_long", "head_too_large"}
    others |= {"misdirected_request", "unknown_class", "no_heat_map", "corrections_off", "corrections_full"}
    others |= {"photo_gone", "invalid_label", "review_unavailable"}
    others |= {"unknown_model", "unknown_version", "version_unusable", "repository_unwritable", "model_control_off"}
    assert set(codes) == {case.code for case in CASES.values()} | others


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert list(problem) == ["type", "title", "status", "detail", "code", "request_id"]
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert problem["type"] == f"/docs/errors#{code}"
    quoted = re.sub("`[^`]*`", "", problem["detail"])  # what came, or is wanted
    assert "/" not in quoted.replace("multipart/form-data", "").replace("image/*", "")  # no path
