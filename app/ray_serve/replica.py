"""A replica: the whole service in a process that Ray starts, watches, drains and replaces."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import ray
from fastapi import FastAPI

from whisker.app.errors import WorkerError
from whisker.app.logs import configure_logging
from whisker.app.main import create_app
from whisker.app.ray_serve import front
from whisker.app.routes.state import state_of
from whisker.app.settings import Settings, forget_secrets, load_settings

logger = logging.getLogger(__name__)


class Replica:
    """Serve one checkpoint with as many cores as Ray has given to this process.

    Ray calls the methods by their names, which it prescribes.
    """

    def __init__(self, **given: str) -> None:
        """Read the environment; settings that are `given` win over it. Raises `ConfigError`."""
        settings = load_settings(listens=False, **given)
        forget_secrets()
        if not logging.getLogger().hasHandlers():
            configure_logging(settings)
        if not front.is_chosen(os.environ):
            logger.warning(
                "%s is not %s here: where Ray's proxies lack it, a replica that is killed loses its requests, and "
                "uploads that wait have no limits.",
                front.VARIABLE,
                front.PATH,
            )
        resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        self._app = create_app(on_cores(settings, int(resources.get("CPU", 1))))
        self._running = AsyncExitStack()

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """Start the service, so that what keeps it from starting is what Ray's status says."""
        lifespan = self._app.router.lifespan_context
        await self._running.enter_async_context(lifespan(self._app))
        self._app.router.lifespan_context = _already_running
        return self._app

    async def check_health(self) -> None:
        """Raise `WorkerError`, for which Ray replaces this replica, where `/livez` would answer 503."""
        state = state_of(self._app)
        if state.models is None or not state.models.is_alive(state.settings.stall_seconds):
            raise WorkerError("The inference workers have ended and could not be replaced.")

    async def __del__(self) -> None:
        """Stop the service; Ray calls this when the last answer is out."""
        await self._running.aclose()


def on_cores(settings: Settings, cores: int) -> Settings:
    """Use `cores`, at least one, and not all that the machine has, unless the operator has said how many."""
    workers = settings.inference_workers or max(1, cores)
    threads = settings.threads or max(1, cores // workers)
    return settings.model_copy(update={"inference_workers": workers, "threads": threads})


@asynccontextmanager
async def _already_running(_app: FastAPI) -> AsyncIterator[None]:
    yield
