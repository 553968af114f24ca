"""KServe's protocol of version 1, which Vertex AI speaks too, on paths that it names in `AIP_*` variables."""

import os
from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from whisker.app.protocols.bodies import JSON, predict_all, read_pictures
from whisker.app.routes.dependencies import LastingServiceDep, ModelsDep, choose_service
from whisker.app.routes.predict import predict as predict_picture
from whisker.app.schemas import DEFAULT_TOP_K
from whisker.app.uploads.reader import media_type

router = APIRouter(include_in_schema=False)

_HEALTH_ROUTE, _PREDICT_ROUTE = "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"


def vertex_health(variables: Mapping[str, str] = os.environ) -> str | None:
    """Give the path at which Vertex AI asks for the health, if it does."""
    return variables.get(_HEALTH_ROUTE)


def vertex_predict(variables: Mapping[str, str] = os.environ) -> str | None:
    """Give the path at which Vertex AI asks for predictions, if it does."""
    return variables.get(_PREDICT_ROUTE)


def vertex_router(variables: Mapping[str, str] = os.environ) -> APIRouter:
    """Make the two routes that Vertex AI asks for; none where it has not."""
    vertex = APIRouter(include_in_schema=False)
    if path := vertex_health(variables):
        vertex.add_api_route(path, _health)
    if path := vertex_predict(variables):
        vertex.add_api_route(path, predict_or_instances, methods=["POST"])
    return vertex


@router.get("/v1/models")
async def list_models(models: ModelsDep) -> dict[str, object]:
    return {"models": [*models.all]}


@router.get("/v1/models/{name}")
async def model_metadata(models: ModelsDep, name: str) -> dict[str, object]:
    models.get(name)
    return {"name": name, "ready": True}


async def predict_or_instances(request: Request) -> Response:
    """Answer JSON with `instances`, and anything else as `/predict` does: the platform's path may be just that."""
    return await (predict_instances(request) if media_type(request) == JSON else predict_picture(request))


async def predict_instances(request: Request) -> Response:
    """Answer `{"instances": [{"b64": ...}]}`, in their order; one that cannot be used fails the request."""
    choice = await choose_service(request, request.path_params.get("name"))
    reading = await read_pictures(request, "instances")
    results = await predict_all(request, choice, reading.pictures, choice.service.options(DEFAULT_TOP_K))
    return JSONResponse({"predictions": [result.prediction for result in results]})


router.add_api_route("/v1/models/{name}:predict", predict_instances, methods=["POST"])


async def _health(_service: LastingServiceDep) -> dict[str, object]:
    return {"status": "ready"}
