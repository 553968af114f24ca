"""What routes ask for by type. All are coroutines: FastAPI would run a plain function in a thread."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError

from whisker.app.errors import NotReadyError
from whisker.app.inference.service import Service
from whisker.app.metrics import Metrics
from whisker.app.repository.model import Choice
from whisker.app.repository.models import Models, require_ready
from whisker.app.routes.state import state_of
from whisker.app.settings import Settings

MODEL = "model"  # in a path: the name of the model that is to answer
CANARY_HEADER = "whisker-canary"
_WAITING_SHARE = 4  # one of so many upload slots may be held by requests that wait for a model
CANARY_VALUES = ("always", "never")


async def _settings(request: Request) -> Settings:
    return state_of(request.app).settings


async def _metrics(request: Request) -> Metrics:
    return state_of(request.app).metrics


def require_models(app: FastAPI) -> Models:
    """Return the models of an application; raise `NotReadyError` if it cannot answer."""
    return require_ready(state_of(app).models)


def require_service(app: FastAPI) -> Service:
    """Return what is served of the default model, which is always loaded; raise `NotReadyError` if it cannot answer."""
    service = require_models(app).default.find()
    if service is None:
        raise NotReadyError("The model is not loaded at the moment; try again soon.")
    return service


async def choose_service(request: Request, name: str | None = None, version: str | None = None) -> Choice:
    """Choose the model, which the path may name, and the version that is to answer the request.

    Raises `UnknownModelError`, `UnknownVersionError`, `NotReadyError`, and `RequestValidationError`.
    """
    models = require_models(request.app)
    name = name or request.path_params.get(MODEL)
    model = models.default if name is None else models.get(name)
    if version is None and request.scope["query_string"]:
        version = request.query_params.get("version") or None
    choice = model.choose(version, _read_canary(request))
    if choice is not None:
        return choice
    settings = state_of(request.app).settings
    if models.waiting >= max(1, settings.max_in_flight // _WAITING_SHARE):
        raise NotReadyError("Many requests wait for models to be loaded; try again soon.")
    models.waiting += 1
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            return await model.load(version)
    except TimeoutError as exc:
        raise NotReadyError("The model is being loaded; try again soon.") from exc
    finally:
        models.waiting -= 1


def _read_canary(request: Request) -> str | None:
    given = request.headers.get(CANARY_HEADER)
    if given in (None, *CANARY_VALUES):
        return given
    raise RequestValidationError(
        [{"type": "value_error", "loc": ("header", CANARY_HEADER), "msg": "must be always or never", "input": given}]
    )


async def _models(request: Request) -> Models:
    return require_models(request.app)


async def _service(request: Request) -> Service:
    return require_service(request.app)


async def _lasting_service(request: Request) -> Service:
    """Return the service to clients that ask whether to send more; a draining one still answers, but wants no more."""
    if state_of(request.app).draining:
        raise NotReadyError("The service is stopping.")
    return require_service(request.app)


async def _lasting_service_or_none(request: Request) -> Service | None:
    try:
        return await _lasting_service(request)
    except NotReadyError:
        return None


SettingsDep = Annotated[Settings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
ModelsDep = Annotated[Models, Depends(_models)]
ServiceDep = Annotated[Service, Depends(_service)]
LastingServiceDep = Annotated[Service, Depends(_lasting_service)]
MaybeLastingServiceDep = Annotated[Service | None, Depends(_lasting_service_or_none)]
