"""Models by name: a service has one."""

from fastapi import HTTPException, Request

from app.dependencies import require_service
from app.service import Service


def require_name(request: Request, name: str) -> Service:
    """Give the service if it serves a model of that name; raise `NotReadyError`, or an `HTTPException` of 404."""
    service = require_service(request.app)
    if name != service.card["name"]:
        raise HTTPException(404)
    return service
