"""The routes for operators and the model's card: thin, each one question to the service."""

from fastapi import APIRouter, Request, Response, status
from prometheus_client import CONTENT_TYPE_LATEST

from whisker import __version__
from whisker.app import errors
from whisker.app.routes.dependencies import (
    LastingServiceDep,
    MaybeLastingServiceDep,
    MetricsDep,
    ServiceDep,
    SettingsDep,
)
from whisker.app.routes.state import state_of
from whisker.app.schemas import AliveAnswer, Answer, HealthAnswer, InputCard, LabelThresholdCard, ModelCard, ReadyAnswer
from whisker.app.web.problems import problem_responses
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.structure.budget import JPEG_PIXELS, WEBP_PIXELS_COUNT
from whisker.model.structure.outline import FORMATS

router = APIRouter()
_NO_HEALTH = HealthAnswer(status="unavailable", model=None, device=None, whisker_version=__version__, uptime_seconds=0)
_STALLED = AliveAnswer(status="stalled")


def _unavailable(kind: type[Answer], description: str, example: Answer) -> dict[int | str, dict[str, object]]:
    content = {"application/json": {"example": example.model_dump()}}
    return {
        status.HTTP_503_SERVICE_UNAVAILABLE: {"model": kind, "description": description, "content": content},
    }


@router.get(
    "/health",
    summary="Whether the service can predict, and with what",
    tags=["operate"],
    responses=_unavailable(HealthAnswer, "It cannot predict.", _NO_HEALTH),
)
async def health(response: Response, service: MaybeLastingServiceDep) -> HealthAnswer:
    if service is None:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return _NO_HEALTH
    return HealthAnswer(
        status="ready",
        model=service.checkpoint_id,
        device=service.card["device"],
        whisker_version=__version__,
        uptime_seconds=service.uptime_seconds,
    )


@router.get(
    "/livez",
    summary="Whether to leave the process running",
    tags=["operate"],
    responses=_unavailable(AliveAnswer, "Restart the process.", _STALLED),
)
async def livez(request: Request, response: Response, settings: SettingsDep) -> AliveAnswer:
    """Not alive: no inference worker for `WHISKER_STALL_SECONDS`, or one that could not be replaced for 10 seconds."""
    models = state_of(request.app).models
    if models is None or models.is_alive(settings.stall_seconds):
        return AliveAnswer(status="alive")
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return _STALLED


@router.get(
    "/readyz",
    summary="Whether to send uploads here",
    tags=["operate"],
    responses=problem_responses(errors.NotReadyError, said={"not_ready": "The service is stopping."}),
)
async def readyz(_service: LastingServiceDep) -> ReadyAnswer:
    """Ready: the checkpoint is loaded, its golden answers are verified, the network is warmed up, no end is near."""
    return ReadyAnswer(status="ready")


@router.get(
    "/model",
    summary="The card of the checkpoint being served",
    tags=["predict"],
    responses=problem_responses(errors.NotReadyError),
)
async def model_card(service: ServiceDep, settings: SettingsDep) -> ModelCard:
    card = service.card
    thresholds = card["label_thresholds"]
    return ModelCard(
        name=service.name,
        version=service.version,
        sha256=card["sha256"],
        device=card["device"],
        engine=card["engine"],
        task=card["task"],
        classes=card["classes"],
        input=InputCard(
            formats=list(FORMATS),
            max_body_bytes=settings.max_body_bytes,
            max_pixels=settings.max_pixels,
            max_jpeg_pixels=settings.max_pixels * JPEG_PIXELS,
            max_webp_pixels=settings.max_pixels // WEBP_PIXELS_COUNT,
            preprocessing=card["preprocessing"],
        ),
        network=card["network"],
        temperature=card["temperature"],
        thresholds={
            "unsure": card["unsure"],
            "shown": card["shown"],
            "unknown": UNKNOWN_SCORE if card["knows_novelty"] else None,
        },
        label_thresholds=None if thresholds is None else [LabelThresholdCard(**given) for given in thresholds],
        metrics=card["metrics"],
        provenance=card["provenance"],
    )


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    tags=["operate"],
    response_class=Response,
    responses={status.HTTP_200_OK: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(collected: MetricsDep) -> Response:
    return Response(collected.render(), media_type=CONTENT_TYPE_LATEST)
