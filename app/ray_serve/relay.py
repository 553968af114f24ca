"""Requests relayed to replicas; what changes nothing is asked for again if the replica ends before its answer."""

import logging
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from whisker.app.errors import NotReadyError, OverloadedError, ServiceError
from whisker.app.ray_serve.held import HeldAnswer, HeldRequest

_ATTEMPTS = 2  # a third one would only help if two replicas ended, for which the request may be to blame
_HARMLESS = ("GET", "HEAD", "OPTIONS")
# Predictions, in our protocol and in others'. What is not known to change nothing is asked for once.
_PREDICTION = re.compile(
    r"/|.*/predict|.*/predict/batch|.*/explain|.*/invocations|.*/models/[^/]+:predict|.*/v2/models/.+/infer|/models/[^/]+"
)
_BUSY = 429  # Ray's own answer, as deploy/ray/whisker.yaml has it, if too many requests wait
_LOST = "The replica that was to answer has ended; try again."

logger = logging.getLogger(__name__)


class Relay:
    """Hold each request while `app`, Ray's proxy, has replicas answer it, `seconds` long at most."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise a `ServiceError`."""
        request = await HeldRequest.read(receive, self._seconds)
        for further in reversed(range(_ATTEMPTS if is_repeatable(scope) else 1)):
            answer = HeldAnswer(send)
            await self._app(dict(scope), request.attempt(), answer.take)
            if answer.is_sent:
                return
            if answer.refused_with:
                raise _refusal(answer.refused_with)
            request.require_time()
            logger.warning("A replica has ended before its answer", extra={"asks_another": further > 0})
        raise NotReadyError(_LOST)


def _refusal(status: int) -> ServiceError:
    """Say in the service's words what Ray says with a status of its own."""
    if status == _BUSY:
        return OverloadedError("As many requests as may are waiting for a replica; try again soon.")
    return NotReadyError("No replica can answer at the moment; try again soon.")


def is_repeatable(scope: Scope) -> bool:
    """Tell whether a request may be answered twice without anything being changed twice."""
    return scope["method"] in _HARMLESS or (scope["method"] == "POST" and bool(_PREDICTION.fullmatch(scope["path"])))
