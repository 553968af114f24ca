"""Bodies and forms as clients send them: whatever they call a picture, it is taken where there is one only."""

import base64
import gzip
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.app.conftest import picture
from tests.app.web.test_problems import assert_problem

pytestmark = pytest.mark.anyio

_PNG = picture()
_JPEG = picture(format_="JPEG")
_BMP = picture(format_="BMP")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/x-image",  # SageMaker
        "binary/octet-stream",  # S3
        "application/x-www-form-urlencoded",  # curl --data-binary, wget --post-file
        "application/binary",
        "text/plain;charset=UTF-8",
        "application/json",
        "*/*",
    ],
)
@pytest.mark.parametrize("data", [_PNG, _JPEG, _BMP], ids=["png", "jpeg", "bmp"])
async def test_picture_is_a_picture_whatever_it_is_called(
    client: httpx.AsyncClient, kind: str | None, data: bytes
) -> None:
    for path in ("/predict", "/invocations") if kind != "application/json" else ("/predict",):
        answer = await client.post(path, content=data, headers={} if kind is None else {"Content-Type": kind})
        assert answer.status_code == 200, path


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", None, "no content type, and the body is empty"),
        (
            b"a=1",
            "application/x-www-form-urlencoded",
            "`application/x-www-form-urlencoded`, and the body is no picture",
        ),
        (b"BMW=1", "application/x-www-form-urlencoded", "is no picture"),
        (b' {"a": 1}', "application/json", "`application/json`, and the body is JSON"),
        (b"x" * 100, "video/mp4\\` evil", "`video/mp4"),
    ],
    ids=str,
)
async def test_other_body_is_named(client: httpx.AsyncClient, content: bytes, kind: str | None, said: str) -> None:
    answer = await client.post("/predict", content=content, headers={} if kind is None else {"Content-Type": kind})
    assert_problem(answer, 415, "unsupported_media_type")
    assert said in answer.json()["detail"]
    assert "in the field `file`" in answer.json()["detail"]


async def test_other_body_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 100

    assert_problem(await client.post("/predict", content=endless()), 415, "unsupported_media_type")
    assert sent < 5


_NAMES = ["file[]", "file[0]", "files", "image", "images", "photo", "picture", "upload", "data", "ä b"]


@pytest.mark.parametrize("name", _NAMES)
async def test_only_picture_of_a_form_is_taken_from_any_field(client: httpx.AsyncClient, name: str) -> None:
    one = ("a.png", _PNG)
    assert (await client.post("/predict", files={name: one}, data={"label": "BMW", "n": "1"})).status_code == 200
    several = (await client.post("/predict/batch", files=[(name, one), (name, one)])).json()
    assert [it["problem"] for it in several["results"]] == [None, None]


def _form(*parts: str | tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Write a form of parts, each the rest of its head, and its content."""
    whole = [part if isinstance(part, tuple) else (part, _PNG) for part in parts]
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), data) for head, data in whole
    )
    return body + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    "parts",
    [
        ['name="file"'],
        ['name="image"', ('name="label"', b"BMW 3")],
        ['name="file"\r\nContent-Type: image/png'],
        ["name=\"file\"; filename*=UTF-8''caf%C3%A9.png"],
        ['name="photo"; FileName*=UTF-8\'\'a.png; filename="a.png"'],
        ["name=file; filename=a.png"],
        ['name="file"; filename=""'],
        [('name="choice"; filename=""', b""), 'name="photo"; filename="a.png"'],
        [('name="about"; filename="blob"\r\nContent-Type: application/json', b"{}"), 'name="photo"; filename="a.png"'],
        ['name="file"; filename="a.png"', 'name="other"; filename="b.png"'],
        [("name=file", picture(300, 300, format_="BMP"))],  # larger than a text field may be
    ],
    ids=lambda parts: str(parts)[:60],
)
async def test_part_is_a_file_by_what_is_in_it(
    client: httpx.AsyncClient, parts: Sequence[str | tuple[str, bytes]]
) -> None:
    content, headers = _form(*parts)
    assert (await client.post("/predict", content=content, headers=headers)).status_code == 200
    results = (await client.post("/predict/batch", content=content, headers=headers)).json()["results"]
    assert [it["problem"] for it in results] == [None]


@pytest.mark.parametrize(
    ("path", "parts", "said"),
    [
        ("/predict", ['name="a"; filename="a"', 'name="b"'], "there is a file in `a`, a file in `b`"),
        ("/predict", ['name="file"; filename="a"'] * 2, "there is a file in `file`, a file in `file`"),
        ("/predict", [('name="file"', b"text")], "there is text in `file`"),
        ("/predict", [], "it has no parts"),
        ("/predict/batch", ['name="a"; filename="a"', 'name="b"'], "one name, best `file`, but there is a file in `a`"),
        ("/predict/batch", [('name="a"', b"BMW")], "there is text in `a`"),
    ],
    ids=str,
)
async def test_form_without_one_picture_is_named(
    client: httpx.AsyncClient, path: str, parts: Sequence[str | tuple[str, bytes]], said: str
) -> None:
    content, headers = _form(*parts)
    answer = await client.post(path, content=content, headers=headers)
    assert_problem(answer, 422, "invalid_upload")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("notation", ["plain", "url", "no padding", "lines", "data", "escaped data", "spaces"])
@pytest.mark.parametrize("size", [(37, 30), (38, 31), (400, 300)], ids=str)
async def test_base64_is_taken_in_every_notation(
    client: httpx.AsyncClient, notation: str, size: tuple[int, int]
) -> None:
    data = picture(*size, format_="BMP" if size[0] > 100 else "PNG")
    text, url = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    given = {
        "plain": text,
        "url": url,
        "no padding": url.rstrip("="),
        "lines": base64.encodebytes(data).decode().replace("\n", "\r\n"),
        "data": f"data:image/png;charset=utf-8;BASE64,{text.rstrip('=')}",
        "escaped data": f"data:image/png;base64,{text.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
        "spaces": f" {text} ",
    }[notation]
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [given]}
    for path, document in (
        ("/", {"inputs": given}),
        ("/v1/models/tiny:predict", {"instances": [{"b64": given}]}),
        ("/v2/models/tiny/infer", {"inputs": [tensor]}),
    ):
        assert (await client.post(path, json=document)).status_code == 200, path


@pytest.mark.parametrize(
    ("text", "said"), [("a!b", "`!`"), ("https://a.example/b.png", "`:`"), ("ä", "`ä`"), ("abcde", "length")]
)
async def test_what_is_no_base64_is_named(client: httpx.AsyncClient, text: str, said: str) -> None:
    answer = await client.post("/", json={"inputs": text})
    assert_problem(answer, 422, "invalid_upload")
    assert said in answer.json()["detail"]


async def test_json_is_json_whatever_it_is_called(client: httpx.AsyncClient) -> None:
    text = base64.b64encode(_PNG).decode()
    for kind in ("application/json; charset=utf-8", "application/x-www-form-urlencoded", ""):
        answer = await client.post("/", content=f'{{"inputs": "{text}"}}', headers={"Content-Type": kind})
        assert answer.status_code == 200, kind
    assert (await client.post("/", files={"image": ("a.png", _PNG)})).status_code == 200


async def test_compressed_bodies_are_answered(client: httpx.AsyncClient) -> None:
    text = base64.b64encode(_PNG).decode()
    for path, content, kind in (
        ("/predict", _PNG, "image/png"),
        ("/predict", _form('name="photo"')[0], "multipart/form-data; boundary=b"),
        ("/", f'{{"inputs": "{text}"}}'.encode(), "application/json"),
    ):
        headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
        assert (await client.post(path, content=gzip.compress(content), headers=headers)).status_code == 200, kind
