"""The pages, and the form that works without the page's script."""

import asyncio
import functools

from fastapi import APIRouter, FastAPI, HTTPException, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from whisker import __version__
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.inference.wire import PredictionDocument
from whisker.app.page.examples import EXAMPLE_TYPES, read_example
from whisker.app.routes.answering import predict_many
from whisker.app.routes.dependencies import ServiceDep, require_service
from whisker.app.routes.state import AppState, state_of
from whisker.app.uploads.reader import read_uploads
from whisker.app.web.files import ContentResponse, PackageFiles
from whisker.app.web.problems import describe
from whisker.model.card.overview import describe as describe_card
from whisker.model.card.wording.formats import format_score

_SHOWN = 5  # classes of an answer in the plain form's page
_BARS, _MAX_BARS = 10, 100  # classes of an answer on the page, where there is one label and where there are several
_FILES = ("icon.svg", "page.js", "style.css")
# Nothing comes from, or goes to, any other host.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)
_templates = Environment(loader=PackageLoader("whisker.app.page"), autoescape=True, undefined=StrictUndefined)
_templates.globals["whisker_version"] = __version__
_templates.filters["score"] = format_score


def add_page(app: FastAPI) -> None:
    """Serve the pages at `/` and `/card`, and their files below `/page`."""
    app.include_router(router)
    app.mount("/page", PackageFiles(__package__, "static", _FILES), name="page")


@router.get("/")
async def page(request: Request, service: ServiceDep) -> Response:
    return _html(_render_page(service, state_of(request.app)))


@router.get("/card")
async def card(service: ServiceDep) -> Response:
    return _html(_render_card(service))


@functools.lru_cache(maxsize=2)  # nothing in it changes while a checkpoint is served
def _render_page(service: Service, state: AppState) -> str:
    classes = service.card["classes"]
    return _render(
        "page.html",
        here="page",
        name=service.card["name"],
        classes=classes,
        several=service.is_multi_label,
        never_confident=service.card["shown"] is False,
        bars=min(len(classes), _MAX_BARS) if service.is_multi_label else _BARS,
        background=service.card["preprocessing"]["background"],
        size=service.card["network"]["size"],
        grey=service.card["network"]["channels"] == 1,
        examples=state.examples,
        corrections=state.settings.corrections is not None,
        review=state.keeper is not None,
    )


@functools.lru_cache(maxsize=2)
def _render_card(service: Service) -> str:
    return _render("card.html", name=service.card["name"], version=service.version, **describe_card(service.card))


@router.get("/examples/{number}")
async def example(request: Request, number: int) -> Response:
    examples = state_of(request.app).examples
    content = await asyncio.to_thread(read_example, examples[number]) if 0 <= number < len(examples) else None
    if content is None:
        raise HTTPException(404)
    return ContentResponse(content, EXAMPLE_TYPES[examples[number].suffix.lower()])


@router.post("/answer")
async def answer(request: Request) -> Response:
    """Answer a form with a page, for browsers that do not run the page's script."""
    service = require_service(request.app)
    files = await read_uploads(request, max_files=state_of(request.app).settings.max_files)
    results = await predict_many(request, service, files, service.options(_SHOWN))
    shown = [_shown(result, request) for result in results]
    review = state_of(request.app).keeper is not None
    return _html(_render("answer.html", here="answer", name=service.card["name"], results=shown, review=review))


def _shown(result: PredictionResult | Exception, request: Request) -> dict[str, object]:
    if isinstance(result, Exception):
        return {"problem": describe(result, state_of(request.app).metrics).detail}
    prediction = result.prediction
    return {
        "problem": None,
        "verdict": describe_verdict(prediction),
        "reason": "" if prediction["verdict"] == "unknown" else prediction.get("reason", ""),  # the verdict says it
        "predictions": prediction["predictions"],
    }


def describe_verdict(prediction: PredictionDocument) -> str:
    """Describe an answer in words, as the page's script does."""
    if prediction["verdict"] == "unknown":
        return "Unlike anything the model was trained on"
    if "labels" in prediction:
        names = ", ".join(it["label"] for it in prediction["labels"]) or "none of the labels"
        return names if prediction["verdict"] == "confident" else f"Not sure: {names}"
    if prediction["verdict"] == "confident":
        return f"{prediction['label']}: {format_score(prediction['score'])}"
    best = ", ".join(f"{it['label']} {format_score(it['score'])}" for it in prediction["predictions"][:2])
    return f"Not sure: {best}"


def _render(template: str, **values: object) -> str:
    return _templates.get_template(template).render(values)


def _html(page: str) -> Response:
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})
