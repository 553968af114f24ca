"""SageMaker's container contract: `/ping` and `/invocations`."""

from fastapi import APIRouter
from starlette.responses import Response

from whisker.app.protocols.kserve import predict_or_instances
from whisker.app.routes.dependencies import LastingServiceDep

router = APIRouter(include_in_schema=False)


@router.get("/ping")
async def ping(_service: LastingServiceDep) -> Response:
    return Response()


router.add_api_route("/invocations", predict_or_instances, methods=["POST"])
