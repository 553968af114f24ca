"""The application, assembled; and, as `app`, the one of the environment, for servers other than `whisker serve`."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from whisker import __version__
from whisker.app.errors import MisdirectedRequestError
from whisker.app.label.page import add_labelling
from whisker.app.logs import configure_logging, flush_log
from whisker.app.metrics import Metrics
from whisker.app.page.examples import find_examples
from whisker.app.page.routes import add_page
from whisker.app.protocols.bodies import reading_process_of
from whisker.app.protocols.kserve import vertex_health, vertex_predict
from whisker.app.protocols.routers import add_protocols
from whisker.app.repository.models import running_models
from whisker.app.repository.shadows import Shadows
from whisker.app.review.keeper import open_keeper
from whisker.app.routes.corrections import router as corrections_router
from whisker.app.routes.corrections_store import CorrectionsStore
from whisker.app.routes.docs import add_docs
from whisker.app.routes.models import router as models_router
from whisker.app.routes.openapi import DescribedApp, ask_for_key, may_answer
from whisker.app.routes.operations import router
from whisker.app.routes.predict import router as predict_router
from whisker.app.routes.state import AppState, set_state, state_of
from whisker.app.setting_warnings import name_warnings
from whisker.app.settings import Settings, chosen_hosts, chosen_origins, load_settings, variable
from whisker.app.tracing.tracing import Tracing, open_tracing, set_tracing, tracing_of
from whisker.app.uploads.body_limits import BodyLimitMiddleware
from whisker.app.uploads.encodings import EncodedBodyMiddleware
from whisker.app.uploads.reader import set_turns
from whisker.app.uploads.slots import UploadSlotMiddleware, UploadSlots
from whisker.app.web.access_log import AccessMiddleware
from whisker.app.web.cors import CorsMiddleware, CorsOrigins
from whisker.app.web.direct_routes import DirectRoutesMiddleware
from whisker.app.web.head import HeadMiddleware
from whisker.app.web.identity import IdentityMiddleware
from whisker.app.web.problems import ProblemMiddleware, problem_handler
from whisker.app.web.request_id import RequestIdMiddleware
from whisker.app.web.security import ApiKeyMiddleware, CrossSiteMiddleware, KeyCheck, SecurityHeadersMiddleware
from whisker.app.web.slashes import redirect_slashes

_OF_SERVE = ("host", "port", "workers", "keep_alive_seconds", "drain_seconds")  # settings for `whisker serve` alone
API_VERSION = "1"  # of the HTTP interface: changes when clients have to change
logger = logging.getLogger(__name__)
_DESCRIPTION = (
    "Say what pictures show, with calibrated scores. Errors are RFC 9457 problems with stable codes. "
    f"Served by Whisker {__version__}."
)
_LICENCE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}


def create_app(settings: Settings | None = None, *, tracing: Tracing | None = None) -> FastAPI:
    """Assemble the application, whose lifespan loads the classifier.

    Without `settings` they are those of the environment, and another server than `whisker serve` is taken to run it.
    `tracing` is, by default, what they ask for.
    """
    lifespan = _lifespan if settings else _guest_lifespan
    settings = settings or load_settings(listens=False)
    tracing = tracing or open_tracing(settings)
    metrics = Metrics()
    slots = UploadSlots(settings.max_in_flight, metrics)
    key = KeyCheck(settings.api_key, vertex_health())
    origins = CorsOrigins(chosen_origins(settings))
    handler = problem_handler(metrics)
    app = DescribedApp(
        title="Whisker",
        version=API_VERSION,
        description=_DESCRIPTION,
        license_info=_LICENCE,
        servers=[{"url": "."}],  # relative to the document, so that a proxy may add a path before it
        openapi_url=None,  # it has a route of its own, as the documentation has
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },  # FastAPI's own, looked for each time
        middleware=[  # outermost first
            *([] if tracing is None else [tracing.middleware]),
            Middleware(RequestIdMiddleware),
            Middleware(AccessMiddleware, metrics=metrics, log_all=settings.log_requests == "all"),
            Middleware(HeadMiddleware),
            Middleware(SecurityHeadersMiddleware),
            Middleware(CorsMiddleware, origins=origins),
            Middleware(ProblemMiddleware, metrics=metrics),
            Middleware(IdentityMiddleware, names=chosen_hosts(settings), health=vertex_health()),
            Middleware(CrossSiteMiddleware, origins=origins),
            Middleware(ApiKeyMiddleware, check=key),
            Middleware(EncodedBodyMiddleware, max_bytes=settings.max_body_bytes),
            Middleware(
                BodyLimitMiddleware,
                max_bytes=settings.max_body_bytes,
                max_held_bytes=settings.max_held_bytes,
                max_seconds=settings.receive_seconds,
            ),
            Middleware(UploadSlotMiddleware, slots=slots),
            Middleware(DirectRoutesMiddleware, routes=direct_routes()),
        ],
        exception_handlers={HTTPException: handler, RequestValidationError: handler},
    )
    corrections = None
    if settings.corrections is not None:
        corrections = CorrectionsStore(settings.corrections, settings.max_corrections_bytes)
    keeper = open_keeper(settings, metrics)
    examples = find_examples(settings.examples)
    shadows = Shadows(metrics, None if keeper is None else keeper.consider_disagreement)
    set_state(app, AppState(settings, metrics, slots, key, origins, corrections, shadows, keeper, examples))
    set_turns(app)
    set_tracing(app, tracing)
    app.include_router(models_router)  # before Hugging Face's, where a name may hold slashes
    add_protocols(app, settings)  # before ours: a platform may choose a path that is one of them
    app.include_router(predict_router)
    app.include_router(corrections_router)
    app.include_router(router)
    add_docs(app)
    add_page(app)
    if keeper is not None:
        add_labelling(app)
    redirect_slashes(app.router)
    if settings.api_key is not None:
        ask_for_key(app)
    if settings.allowed_hosts is not None:
        may_answer(app, MisdirectedRequestError)
    return app


def direct_routes() -> list[APIRoute]:
    """List the routes of the hot path, but none whose path a platform has chosen for its protocol."""
    routes = [it for it in predict_router.routes if isinstance(it, APIRoute)]
    return [it for it in routes if it.path != vertex_predict()]


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server first asks for it: importing this module for anything else reads no settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = globals()[name] = create_app()
    return app


@asynccontextmanager
async def _guest_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run in another server's process: log as the settings say, unless that has set up a log for all."""
    if not logging.getLogger().hasHandlers():
        configure_logging(state_of(app).settings)
    for warning in name_warnings(os.environ, _OF_SERVE):
        logger.warning(warning)
    logger.info("Another server than `whisker serve` listens: see docs/how-to/another-server.md for what it lacks")
    for name in _OF_SERVE:
        if getattr(state_of(app).settings, name) != Settings.model_fields[name].default:
            logger.warning("%s has no effect: it is for `whisker serve`", variable(name))
    try:
        async with _lifespan(app):
            yield
    finally:
        flush_log()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = state_of(app)
    try:
        async with (
            running_models(state.settings, state.metrics, begun=state.begun) as state.models,
            nullcontext() if state.keeper is None else state.keeper.running(),
        ):
            yield
    finally:
        await state.shadows.close()
        await reading_process_of(app).close()
        if (tracing := tracing_of(app)) is not None:
            await tracing.close()


def _operation_id(route: APIRoute) -> str:
    return route.name
