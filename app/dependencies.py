"""What routes ask for by type. All are coroutines: FastAPI would run a plain function in a thread."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.errors import NotReadyError
from app.metrics import Metrics
from app.service import Service
from app.settings import Settings


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


def _ready_service(app: FastAPI) -> Service | None:
    service: Service | None = app.state.service
    return service if service is not None and service.is_ready else None


def require_service(app: FastAPI) -> Service:
    """Give the service of an application; raise `NotReadyError` if it cannot answer."""
    service = _ready_service(app)
    if service is None:
        raise NotReadyError("The service is starting or stopping; try again soon.")
    return service


async def _service_or_none(request: Request) -> Service | None:
    return _ready_service(request.app)


MaybeServiceDep = Annotated[Service | None, Depends(_service_or_none)]


async def _service(request: Request) -> Service:
    return require_service(request.app)


SettingsDep = Annotated[Settings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
ServiceDep = Annotated[Service, Depends(_service)]
