"""The page at `/label`, and the form that does the same without a script, one photo after the other."""

from base64 import b64encode
from collections.abc import Mapping

from fastapi import APIRouter, FastAPI, Request
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from whisker import __version__
from whisker.app.errors import InvalidLabelError, PhotoGoneError, ReviewUnavailableError
from whisker.app.inference.service import Service
from whisker.app.label.class_names import checked_labels
from whisker.app.label.documents import photo_document
from whisker.app.label.routes import MAX_BODY_BYTES, StoreDep, all_classes
from whisker.app.label.routes import router as review_router
from whisker.app.review.store import ReviewStore
from whisker.app.routes.dependencies import ServiceDep
from whisker.app.routes.state import state_of
from whisker.app.uploads.reader import read_texts
from whisker.app.web.files import PackageFiles
from whisker.app.web.problems import describe
from whisker.model.card.wording.formats import format_score

_FILES = ("label.css", "label.js")
# Photos come with the API key, so that they are no addresses that a page could load, but made of what a script or the
# form's answer has.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
_WRONG_KEY = "This key is another one than the service has."

router = APIRouter(include_in_schema=False)
_loaders = [PackageLoader("whisker.app.label"), PackageLoader("whisker.app.page")]
_templates = Environment(loader=ChoiceLoader(_loaders), autoescape=True, undefined=StrictUndefined)
_templates.globals["release"] = __version__
_templates.filters["score"] = format_score

_Form = Mapping[str, list[str]]


def add_labelling(app: FastAPI) -> None:
    """Serve the page at `/label`, its files below it, and what it asks for at `/review`."""
    app.include_router(review_router)
    app.include_router(router)
    app.mount("/label", PackageFiles(__package__, "static", _FILES), name="label")


@router.get("/label")
async def label_page(service: ServiceDep) -> Response:
    return _html("label.html", service)


@router.post("/label")
async def label_form(request: Request, service: ServiceDep, store: StoreDep) -> Response:
    """Do what the form asks for, and answer with the next photo."""
    form = await read_texts(request, max_bytes=MAX_BODY_BYTES)
    if not state_of(request.app).key.is_key(_text(form, "key")):
        return _html("label.html", service, 401, complaint=_WRONG_KEY)
    try:
        return await store.run(_next_page, form, service, store)
    except (PhotoGoneError, ReviewUnavailableError) as exc:  # a browser would show JSON
        problem = describe(exc, state_of(request.app).metrics)
        return _html("label.html", service, problem.status, complaint=problem.detail)


def _next_page(form: _Form, service: Service, store: ReviewStore) -> Response:
    complaint, shown = "", None
    try:
        shown = _act(form, service, store)
    except InvalidLabelError as exc:
        complaint, shown = str(exc), _text(form, "photo")
    except PhotoGoneError as exc:
        complaint = str(exc)
    progress = store.progress()
    entry = store.find(shown) if shown else next(iter(store.next(1)), None)
    return _html(
        "plain.html",
        service,
        complaint=complaint,
        key=_text(form, "key"),
        last="" if shown else _text(form, "photo") if _text(form, "action") in ("label", "none") else "",
        progress=progress,
        classes=all_classes(service.card["classes"], progress),
        several=service.is_multi_label,
        photo=entry and photo_document(entry),
        content=entry and b64encode(store.read(entry.id)).decode(),
    )


def _act(form: _Form, service: Service, store: ReviewStore) -> str:
    """Do what a form asks for; return the photo to show again, or nothing for the next one."""
    action, photo = _text(form, "action"), _text(form, "photo")
    if action == "undo":
        return store.label(_text(form, "last"), None).id
    if action == "skip":
        store.skip(photo)
    elif action == "delete":
        store.delete(photo)
    elif action == "none":
        store.label(photo, [])
    elif action == "label":
        store.label(photo, _given_labels(form, service, store))
    return ""


def _given_labels(form: _Form, service: Service, store: ReviewStore) -> list[str]:
    new, chosen = [name for name in form.get("new", []) if name.strip()], form.get("label", [])
    names = [*chosen, *new] if service.is_multi_label else new or chosen
    if not names:
        raise InvalidLabelError("Choose a class first, or say that it is none of them.")
    known = all_classes(service.card["classes"], store.progress())
    return checked_labels(names, known, several=service.is_multi_label)


def _text(form: _Form, field: str) -> str:
    return next(iter(form.get(field, [])), "")


def _html(template: str, service: Service, status: int = 200, *, complaint: str = "", **values: object) -> Response:
    page = _templates.get_template(template).render(here="label", name=service.name, complaint=complaint, **values)
    return HTMLResponse(page, status, headers=_HEADERS)
