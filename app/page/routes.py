"""The pages, and the form that works without the page's script."""

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from itertools import accumulate
from weakref import WeakKeyDictionary

from fastapi import APIRouter, FastAPI, HTTPException, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from whisker import __version__
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.page.examples import EXAMPLE_TYPES, read_example
from whisker.app.page.verdicts import Promise, promise_of, tell
from whisker.app.routes.answering import predict_many
from whisker.app.routes.dependencies import ServiceDep, choose_service
from whisker.app.routes.state import AppState, state_of
from whisker.app.uploads.reader import read_uploads
from whisker.app.web.files import ContentResponse, PackageFiles
from whisker.app.web.problems import describe
from whisker.model.answers.kinds import OPACITY
from whisker.model.card.overview import describe as describe_card
from whisker.model.card.wording.formats import format_score

_SHOWN = 5  # classes of an answer in the plain form's page
_BARS, _MAX_BARS = 10, 100  # classes of an answer on the page, where there is one label and where there are several
_NAMED_LETTERS, _MAX_NAME = 160, 40  # of the classes that the page begins with, in all and each
_ENTRY = "page.js"
_SCRIPTS = (
    "answer.js",
    "correction.js",
    "element.js",
    "export.js",
    "gallery.js",
    "heat_map.js",
    "history.js",
    "photo.js",
    "problem.js",
    "service.js",
    "shot.js",
    "snippets.js",
    "words.js",
)
FILES = ("icon.svg", "style.css", "card.css", "docs.css", "docs.js", _ENTRY, *_SCRIPTS)
# Nothing comes from, or goes to, any other host.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)
_templates = Environment(loader=PackageLoader("whisker.app.page"), autoescape=True, undefined=StrictUndefined)
_pages, _cards = WeakKeyDictionary[Service, str](), WeakKeyDictionary[Service, str]()
_templates.filters["score"] = format_score
_templates.globals["release"] = __version__


def add_page(app: FastAPI) -> None:
    """Serve the pages at `/` and `/card`, and their files below `/page`."""
    app.include_router(router)
    app.mount("/page", PackageFiles(__package__, "static", FILES), name="page")


@router.get("/")
async def page(request: Request, service: ServiceDep) -> Response:
    return _html(_once(_pages, service, lambda: _render_page(service, state_of(request.app))))


@router.get("/card")
async def card(service: ServiceDep) -> Response:
    return _html(_once(_cards, service, lambda: _render_card(service)))


def _once(rendered: MutableMapping[Service, str], service: Service, render: Callable[[], str]) -> str:
    """Render a page once: nothing in it changes while a version is served."""
    if service not in rendered:
        rendered[service] = render()
    return rendered[service]


def _render_page(service: Service, state: AppState) -> str:
    classes, promise = service.card["classes"], promise_of(service.card)
    named = _first(classes)
    return _render(
        "page.html",
        here="page",
        name=service.name,
        scripts=_SCRIPTS,
        classes=classes,
        named=named,
        unnamed=len(classes) - len(named),
        several=service.is_multi_label,
        never_confident=service.card["shown"] is False,
        confident_means=promise.sentence,
        proven=promise.is_proven,
        opacity=round(100 * OPACITY),
        heat_maps=service.card["has_heat_maps"],
        keyed=state.settings.api_key is not None,
        bars=min(len(classes), _MAX_BARS) if service.is_multi_label else _BARS,
        background=service.card["preprocessing"]["background"],
        size=service.card["network"]["size"],
        grey=service.card["network"]["channels"] == 1,
        examples=state.examples,
        corrections=state.settings.corrections is not None,
        review=state.keeper is not None,
    )


def _render_card(service: Service) -> str:
    return _render("card.html", name=service.name, version=service.version, **describe_card(service.card))


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
    choice = await choose_service(request)
    service = choice.service
    files = await read_uploads(request, max_files=state_of(request.app).settings.max_files)
    results = await predict_many(request, choice, files, service.options(_SHOWN))
    promise, review = promise_of(service.card), state_of(request.app).keeper is not None
    shown = [_shown(result, request, promise) for result in results]
    return _html(_render("answer.html", here="answer", name=service.name, results=shown, review=review))


def _shown(result: PredictionResult | Exception, request: Request, promise: Promise) -> dict[str, object]:
    if isinstance(result, Exception):
        return {"problem": describe(result, state_of(request.app).metrics)}
    return {
        "problem": None,
        "told": tell(result.prediction, promise),
        "predictions": result.prediction["predictions"],
    }


def _first(classes: Sequence[str]) -> list[str]:
    """Take as many classes as fit a few lines, at least one; long names are cut."""
    cut = [name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}\N{HORIZONTAL ELLIPSIS}" for name in classes]
    ends = accumulate(len(name) for name in cut)
    return [
        name for number, (name, end) in enumerate(zip(cut, ends, strict=True)) if not number or end <= _NAMED_LETTERS
    ]


def _render(template: str, **values: object) -> str:
    return _templates.get_template(template).render(values)


def _html(page: str) -> Response:
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})
