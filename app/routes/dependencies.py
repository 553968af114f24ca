"""What routes ask for by type. All are coroutines: FastAPI would run a plain function in a thread."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from whisker.app.errors import NotReadyError
from whisker.app.inference.service import Service
from whisker.app.metrics import Metrics
from whisker.app.routes.state import state_of
from whisker.app.settings import Settings


async def _settings(request: Request) -> Settings:
    return state_of(request.app).settings


async def _metrics(request: Request) -> Metrics:
    return state_of(request.app).metrics


def require_service(app: FastAPI) -> Service:
    """Return the service of an application; raise `NotReadyError` if it cannot answer."""
    service = state_of(app).service
    if service is None or not service.is_ready:
        raise NotReadyError("The service is starting or stopping; try again soon.")
    return service


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
ServiceDep = Annotated[Service, Depends(_service)]
LastingServiceDep = Annotated[Service, Depends(_lasting_service)]
MaybeLastingServiceDep = Annotated[Service | None, Depends(_lasting_service_or_none)]
