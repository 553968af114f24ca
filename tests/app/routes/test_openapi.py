"""The OpenAPI document, as generators of clients need it; `benchmarks.generated_clients` runs their clients."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from whisker import __version__
from whisker.app.main import create_app
from whisker.app.settings import Settings

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
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
            assert all(it["content"] == _PROBLEM for it in errors.values()), path
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
        assert operation["responses"].get("401", {}).get("content") == (None if is_open else _PROBLEM), path
