"""The OpenAPI document, as generators of clients need it; `benchmarks.generated_clients` runs their clients."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving, connected, picture
from whisker import __version__
from whisker.app.main import create_app
from whisker.app.schemas import Problem
from whisker.app.settings import Settings

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_TYPE = "application/problem+json"
_BYTES = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_FORMS = {
    "/predict": ("PictureForm", _BYTES),
    "/explain": ("PictureForm", _BYTES),
    "/predict/batch": ("PicturesForm", {"type": "array", "items": _BYTES, "minItems": 1}),
    "/corrections": ("CorrectionForm", _BYTES),
}


@pytest.fixture(scope="module")
def document(settings: Settings) -> dict[str, Any]:
    return create_app(settings).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {path: operation for path, methods in document["paths"].items() for operation in methods.values()}


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """List all objects of a document, outermost first."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from objects(inner)


def test_no_object_is_written_out_in_an_operation(document: dict[str, Any]) -> None:
    assert [it for it in objects(document["paths"]) if "properties" in it] == []


def test_document_says_version_and_licence(document: dict[str, Any]) -> None:
    assert f"Whisker {__version__}" in document["info"]["description"]
    assert document["info"]["license"]["identifier"] == "Apache-2.0"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    targets = {it["$ref"].removeprefix("#/components/schemas/") for it in objects(document) if "$ref" in it}
    assert {"Problem", "PictureForm", "PicturesForm", "CorrectionForm", "PredictionAnswer", "BatchAnswer"} <= targets
    assert targets <= document["components"]["schemas"].keys()


def test_every_error_is_the_problem(document: dict[str, Any]) -> None:
    for path, operation in operations(document).items():
        errors = {status: it for status, it in operation["responses"].items() if not status.startswith("2")}
        if path not in ("/health", "/livez"):  # they answer in the same form when they fail
            assert all(it["content"][_TYPE]["schema"] == _PROBLEM for it in errors.values()), path
        assert errors or path == "/metrics"


@pytest.mark.parametrize("path", _FORMS)
def test_body_has_one_media_type_and_its_files_are_binary(document: dict[str, Any], path: str) -> None:
    form, files = _FORMS[path]
    body = operations(document)[path]["requestBody"]
    assert body["content"] == {"multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{form}"}}}
    schema = document["components"]["schemas"][form]
    assert (schema["type"], schema["required"]) == ("object", [*schema["properties"]])
    assert schema["properties"]["file"] == files


def test_bodies_without_a_form_are_described_in_prose(document: dict[str, Any]) -> None:
    for path in ("/predict", "/explain"):
        prose = operations(document)[path]["requestBody"]["description"]
        assert "`image/*`" in prose
        assert "`application/octet-stream`" in prose


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len({*names}) == len(names)
    assert all(name.isidentifier() for name in names)


def test_operations_that_need_the_key_may_be_refused(settings: Settings, document: dict[str, Any]) -> None:
    assert all("401" not in operation["responses"] for operation in operations(document).values())
    keyed = create_app(settings.model_copy(update={"api_key": SecretStr("correct-horse")})).openapi()
    for path, operation in operations(keyed).items():
        is_open = path in ("/health", "/livez", "/readyz")
        assert operation.get("security") == ([] if is_open else None)
        assert ("401" in operation["responses"]) is not is_open, path
    named = create_app(settings.model_copy(update={"allowed_hosts": "photos.example"})).openapi()
    assert {path for path, operation in operations(named).items() if "421" in operation["responses"]} == {
        path for path, operation in operations(keyed).items() if "401" in operation["responses"]
    }


_PNG, _RAW = picture(), {"Content-Type": "image/png"}
_FORM = {"Content-Type": "multipart/form-data; boundary=b"}
_CUT = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxx'
_PICTURE: dict[str, Any] = {"content": _PNG, "headers": _RAW}
_TWO = [("file", ("a.png", _PNG))] * 2
_AGREED = {"label": "wolf", "consent": "yes"}
# Code, path and request of each example that is cheap to ask for.
_Asked = tuple[str, str, dict[str, Any]]
_ASKED: tuple[_Asked, ...] = (
    ("malformed_form", "/predict", {"content": _CUT, "headers": _FORM}),
    ("cross_site", "/explain", {"content": _PNG, "headers": _RAW | {"Origin": "https://elsewhere.example"}}),
    ("unsupported_media_type", "/predict", {"content": b"a text", "headers": {"Content-Type": "text/plain"}}),
    ("unsupported_media_type", "/predict/batch", _PICTURE),
    ("unsupported_encoding", "/predict", {"content": _PNG, "headers": _RAW | {"Content-Encoding": "br"}}),
    ("unsupported_picture_format", "/predict", {"content": b"a text", "headers": _RAW}),
    ("undecodable_picture", "/explain", {"content": _PNG[:60], "headers": _RAW}),
    ("invalid_upload", "/predict", {"files": _TWO}),
    ("invalid_upload", "/predict/batch", {"files": {"note": (None, "text")}}),
    ("invalid_request", "/predict?top_k=0", _PICTURE),
    ("invalid_request", "/explain?opacity=2", _PICTURE),
    ("unknown_class", "/predict?explain=wolf", _PICTURE),
    ("unsupported_media_type", "/corrections", _PICTURE),
    ("invalid_upload", "/corrections", {"files": _TWO[:1], "data": {"label": "cat"}}),
    ("unknown_class", "/corrections", {"files": _TWO[:1], "data": _AGREED}),
)


async def check_examples(client: httpx.AsyncClient, asked: Iterable[_Asked], document: dict[str, Any]) -> None:
    for code, path, request in asked:
        answer = await client.post(path, **request)
        responses = operations(document)[path.partition("?")[0]]["responses"]
        example = responses[str(answer.status_code)]["content"][_TYPE]["examples"][code]["value"]
        assert answer.json() | {"request_id": ""} == example | {"request_id": ""}, path


@pytest.mark.anyio
async def test_example_of_an_error_is_what_the_service_answers(
    serving: Serving, document: dict[str, Any], tmp_path: Path
) -> None:
    async with serving(corrections=tmp_path) as client:
        await check_examples(client, _ASKED, document)


@pytest.mark.anyio
async def test_examples_of_other_services_are_true(settings: Settings) -> None:
    elsewhere: dict[str, Any] = {"headers": {"Host": "elsewhere.example"}}
    for changes, asked in (
        ({}, ("not_ready", "/predict", _PICTURE)),
        ({}, ("corrections_off", "/corrections", {"files": _TWO[:1]})),
        ({"api_key": SecretStr("correct-horse")}, ("unauthorized", "/predict", _PICTURE)),
        ({"allowed_hosts": "photos.example"}, ("misdirected_request", "/predict", elsewhere)),
    ):
        app = create_app(settings.model_copy(update=changes))
        async with connected(app) as client:
            await check_examples(client, [asked], app.openapi())


def test_every_example_is_of_its_status_and_code(document: dict[str, Any]) -> None:
    for path, operation in operations(document).items():
        for status, response in operation["responses"].items():
            for code, example in response["content"].get(_TYPE, {}).get("examples", {}).items():
                problem = Problem.model_validate(example["value"])
                assert (str(problem.status), problem.code) == (status, code), path
                assert f"`{code}`" in response["description"]
