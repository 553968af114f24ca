"""The OpenAPI document as generators of clients need it: every form is a component, and each body has one media type.

They parse no problem that is written out in place, and of several media types they choose one that nobody meant.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from whisker.app.errors import UnauthorizedError
from whisker.app.schemas import Problem
from whisker.app.uploads.form_files import FIELD
from whisker.app.uploads.reader import FORM, RAW
from whisker.app.web.problems import problem_responses
from whisker.app.web.security import HEALTH

# Both notations for bytes are given: `format` is what OpenAPI 3.0 tools look for, `contentMediaType` is OpenAPI 3.1's.
BYTES = {"type": "string", "format": "binary", "contentMediaType": RAW}
AGREED = "yes"  # the only `consent` that counts
_COMPONENTS = "#/components/schemas/"
_LABEL = "One class or, if the checkpoint is multi-label, a field `label` for each."


class DescribedApp(FastAPI):
    """An application whose OpenAPI document has all components that its operations refer to."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is written once."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"] |= _components()
        return super().openapi()


def form_body(form: str, prose: str) -> dict[str, object]:
    """Describe an operation's body: one of the forms, and in prose what else is taken."""
    content = {FORM: {"schema": {"$ref": _COMPONENTS + form}}}
    return {"required": True, "description": prose, "content": content}


def ask_for_key(app: FastAPI) -> None:
    """Say in the OpenAPI document which operations need an API key, so that Swagger UI and clients send it."""
    document = app.openapi()  # which FastAPI keeps
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]
    for path, operation in _operations(document):
        if path in HEALTH:
            operation["security"] = []
    may_answer(app, UnauthorizedError)


def may_answer(app: FastAPI, problem: type[Exception]) -> None:
    """Say in the OpenAPI document that every operation but those of health may answer with a problem."""
    for path, operation in _operations(app.openapi()):
        if path not in HEALTH:
            operation["responses"] |= {str(it): said for it, said in problem_responses(problem).items()}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _components() -> dict[str, object]:
    consent = {"type": "string", "const": AGREED, "description": "Says that the photo may be kept."}
    label = {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": _LABEL}
    return {
        "PictureForm": _form("One picture.", {FIELD: BYTES}),
        "PicturesForm": _form("Several pictures, each in a field of its own.", {FIELD: _several(BYTES)}),
        "CorrectionForm": _form("A photo and its right label.", {FIELD: BYTES, "label": label, "consent": consent}),
        "Problem": Problem.model_json_schema(),
    }


def _form(description: str, properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "description": description, "required": [*properties], "properties": properties}


def _several(items: Mapping[str, object]) -> dict[str, object]:
    return {"type": "array", "items": items, "minItems": 1}
