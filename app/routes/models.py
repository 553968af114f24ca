"""`/models`: what is served, predictions by a model's name, and, if the operator allows it, what is to be served."""

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError

from whisker.app import errors
from whisker.app.errors import ModelControlOffError
from whisker.app.repository.folder import VersionFile
from whisker.app.repository.model import RepositoryModel
from whisker.app.repository.models import Models
from whisker.app.routes import predict as routes
from whisker.app.routes.dependencies import MODEL, ModelsDep, SettingsDep
from whisker.app.schemas import (
    BatchAnswer,
    CanaryCard,
    ModelsAnswer,
    PredictionAnswer,
    RepositoryModelCard,
    ShadowCard,
    StoppedCard,
    VersionCard,
    VersionState,
)
from whisker.app.web.problems import problem_responses

router = APIRouter(prefix="/models", tags=["models"])
_PATH = {"name": MODEL, "in": "path", "required": True, "schema": {"type": "string"}}


@router.get(
    "", summary="The models that are served, and their versions", responses=problem_responses(errors.NotReadyError)
)
async def list_models(models: ModelsDep) -> ModelsAnswer:
    """List the models, first the default one, which answers `POST /predict`."""
    return ModelsAnswer(
        models=[_describe(models, it) for it in models.all.values()],
        loaded_bytes=models.loaded.bytes,
        max_loaded_bytes=models.loaded.max_bytes,
    )


# Not described: at the same path Hugging Face's protocol has a POST, which is not ours to describe.
@router.get(f"/{{{MODEL}}}", include_in_schema=False)
async def describe_model(request: Request, models: ModelsDep) -> RepositoryModelCard:
    return _describe(models, models.get(request.path_params[MODEL]))


@router.post(
    f"/{{{MODEL}}}/predict",
    summary="Say what a picture shows, with a model of your choice",
    response_model=PredictionAnswer,
    openapi_extra={"parameters": [_PATH, *routes.PARAMETERS], "requestBody": routes.ONE_PICTURE},
    responses=problem_responses(
        *routes.REQUEST_ERRORS, *routes.QUERY_ERRORS, *routes.PICTURE_ERRORS, errors.UnknownModelError
    ),
)
async def predict_with_model(request: Request) -> Response:
    """As `POST /predict`."""
    return await routes.predict(request)


@router.post(
    f"/{{{MODEL}}}/predict/batch",
    summary="Say what several pictures show, with a model of your choice",
    response_model=BatchAnswer,
    openapi_extra={"parameters": [_PATH, *routes.PARAMETERS], "requestBody": routes.PICTURES},
    responses=problem_responses(
        *routes.REQUEST_ERRORS, *routes.QUERY_ERRORS, errors.UnknownModelError, said=routes.SAID_OF_SEVERAL
    ),
)
async def predict_batch_with_model(request: Request) -> Response:
    """As `POST /predict/batch`."""
    return await routes.predict_batch(request)


@router.post(
    f"/{{{MODEL}}}/explain",
    summary="Show which parts of a picture are evidence for a class, with a model of your choice",
    response_class=Response,
    openapi_extra={"parameters": [_PATH, *routes.OVERLAY_PARAMETERS], "requestBody": routes.ONE_PICTURE},
    responses=routes.PNG
    | problem_responses(
        *routes.REQUEST_ERRORS,
        *routes.QUERY_ERRORS,
        *routes.PICTURE_ERRORS,
        errors.UnknownModelError,
        said=routes.SAID_OF_OPACITY,
    ),
)
async def explain_with_model(request: Request) -> Response:
    """As `POST /explain`."""
    return await routes.explain(request)


@router.post(
    f"/{{{MODEL}}}/load",
    summary="Serve a version from now on",
    responses=problem_responses(
        RequestValidationError,
        errors.NotReadyError,
        errors.ModelControlOffError,
        errors.VersionUnusableError,
        errors.RepositoryUnwritableError,
        errors.UnknownModelError,
        errors.UnknownVersionError,
    ),
)
async def load_version(models: ModelsDep, settings: SettingsDep, model: str, version: str) -> RepositoryModelCard:
    """Load a version, verify its golden answers, and let it answer; if it cannot be used, the other one goes on.

    Only if the operator has allowed it with `WHISKER_MODEL_CONTROL`. The choice is kept in the folder of the model, so
    that it lasts, and all processes that serve the folder follow it. The same request, with the version before, rolls
    back.
    """
    if settings.model_control == "off":
        raise ModelControlOffError("Clients may not change what is served here: see WHISKER_MODEL_CONTROL.")
    found = models.get(model)
    await found.take(version)
    return _describe(models, found)


def _describe(models: Models, model: RepositoryModel) -> RepositoryModelCard:
    rollout = model.rollout
    canary, shadow = rollout.canary, rollout.shadow
    return RepositoryModelCard(
        name=model.name,
        default=model is models.default,
        serving=None if model.serving is None else model.serving.name,
        pinned=rollout.pinned,
        reason=model.reason or None,
        canary=None if canary is None else CanaryCard(version=canary.version, share=canary.share),
        shadow=None if shadow is None else ShadowCard(version=shadow.version, share=shadow.share),
        stopped=[StoppedCard(version=it.version, reason=it.reason, at=it.at) for it in rollout.stopped],
        versions=[_describe_version(models, model, file) for file in model.versions],
    )


def _describe_version(models: Models, model: RepositoryModel, file: VersionFile) -> VersionCard:
    service = models.loaded.peek(model.name, file)
    return VersionCard(
        version=file.name,
        state=_state(models, model, file),
        reason=model.failures.reason(file),
        sha256=None if service is None else service.card["sha256"],
        classes=None if service is None else service.card["classes"],
        bytes=None if service is None else service.memory,
        answers=0 if service is None else service.answers,
    )


def _state(models: Models, model: RepositoryModel, file: VersionFile) -> VersionState:
    if model.failures.reason(file) is not None:
        return "failed"
    if models.loaded.is_loading(model.name, file):
        return "loading"
    if models.loaded.peek(model.name, file) is None:
        return "unloaded"
    canary, shadow = model.rollout.canary, model.rollout.shadow
    roles: dict[VersionState, str | None] = {
        "serving": None if model.serving is None else model.serving.name,
        "canary": None if canary is None else canary.version,
        "shadow": None if shadow is None else shadow.version,
    }
    return next((role for role, version in roles.items() if version == file.name), "loaded")
