"""`/review`: the photos that were kept, for people who label them, and for their programs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import StreamingResponse

from whisker.app import errors
from whisker.app.label.class_names import checked_labels
from whisker.app.label.documents import (
    GivenLabels,
    Labelled,
    ReviewPhoto,
    ReviewProgress,
    ReviewQueue,
    photo_document,
    progress_document,
)
from whisker.app.label.export import LABELS_FILE, labels_csv, zipped
from whisker.app.review.entry import Entry, Labels
from whisker.app.review.progress import Progress
from whisker.app.review.store import ReviewStore
from whisker.app.routes.dependencies import ServiceDep
from whisker.app.routes.openapi import BYTES
from whisker.app.routes.state import state_of
from whisker.app.uploads.reader import read_small
from whisker.app.web.problems import problem_responses

MAX_BODY_BYTES = 65_536
_NO_STORE = {"Cache-Control": "no-store"}  # photos of people, whom no cache may give to others
_JSON_EXAMPLE = '{"labels": ["cat"]}'


async def require_store(request: Request) -> ReviewStore:
    """Return the store of photos for review."""
    keeper = state_of(request.app).keeper
    assert keeper is not None  # noqa: S101 - without one there are no such routes
    return keeper.store


async def _store_nowhere(response: Response) -> None:
    response.headers.update(_NO_STORE)


StoreDep = Annotated[ReviewStore, Depends(require_store)]
_ERRORS = (errors.CrossSiteError, errors.PhotoGoneError, errors.ReviewUnavailableError)

router = APIRouter(
    prefix="/review", tags=["review"], dependencies=[Depends(_store_nowhere)], responses=problem_responses(*_ERRORS)
)


@router.get("", summary="The photos to label next", responses=problem_responses(errors.NotReadyError))
async def review_queue(
    store: StoreDep, service: ServiceDep, count: Annotated[int, Query(ge=1, le=100)] = 20
) -> ReviewQueue:
    """Those from which the model learns most come first: uncertain and novel ones, and no two alike in a row."""
    photos, progress = await store.run(lambda: (store.next(count), store.progress()))
    return ReviewQueue(
        photos=[photo_document(entry) for entry in photos],
        progress=progress_document(progress),
        classes=all_classes(service.card["classes"], progress),
        several=service.is_multi_label,
    )


@router.get(
    "/export.zip",
    summary="All labelled photos, in the folders that training takes",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": BYTES}}}},
)
async def export_photos(store: StoreDep) -> Response:
    """`labelled/CLASS/` is for `whisker train`, `outliers/` for its `--outliers`."""
    entries = await store.run(store.labelled)
    headers = {**_NO_STORE, "Content-Disposition": 'attachment; filename="review.zip"'}
    return StreamingResponse(zipped(store, entries), headers=headers, media_type="application/zip")


@router.get(
    "/labels.csv",
    summary="All labels, as `whisker train --labels` takes them",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_labels(store: StoreDep) -> Response:
    text = await store.run(lambda: labels_csv(store, store.labelled()))
    headers = {**_NO_STORE, "Content-Disposition": f'attachment; filename="{LABELS_FILE}"'}
    return Response(text, headers=headers, media_type="text/csv; charset=utf-8")


@router.get(
    "/{photo}.jpg",
    summary="One photo",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {"schema": BYTES}}}},
)
async def review_photo(photo: str, store: StoreDep) -> Response:
    content = await store.run(store.read, photo)
    return Response(content, headers=_NO_STORE, media_type="image/jpeg")


@router.put(
    "/{photo}/label",
    summary="Label a photo",
    responses=problem_responses(errors.InvalidLabelError, errors.BodyTooLargeError),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": GivenLabels.model_json_schema()}}}
    },
)
async def label_photo(request: Request, photo: str, store: StoreDep, service: ServiceDep) -> Labelled:
    """Send `{"labels": ["cat"]}`; an empty list says that the photo shows none of the classes.

    A name that is no class yet makes a new one. The last of several labellers wins.
    """
    given = await _read_labels(request)
    progress = await store.run(store.progress)
    known = all_classes(service.card["classes"], progress)
    return await _label(store, photo, checked_labels(given, known, several=service.is_multi_label))


@router.delete("/{photo}/label", summary="Take a photo's labels back")
async def unlabel_photo(photo: str, store: StoreDep) -> Labelled:
    return await _label(store, photo, None)


@router.post("/{photo}/skip", summary="Let all others go first")
async def skip_photo(photo: str, store: StoreDep) -> ReviewProgress:
    await store.run(store.skip, photo)
    return progress_document(await store.run(store.progress))


@router.delete("/{photo}", summary="Delete a photo for good")
async def delete_photo(photo: str, store: StoreDep) -> ReviewProgress:
    """Nothing of it is left, but it can come again."""
    await store.run(store.delete, photo)
    return progress_document(await store.run(store.progress))


def all_classes(of_checkpoint: list[str], progress: Progress) -> list[str]:
    """List the checkpoint's classes, and then those that labellers have added."""
    return [*of_checkpoint, *sorted({*progress.classes} - {*of_checkpoint})]


async def _label(store: ReviewStore, photo: str, labels: Labels) -> Labelled:
    def change() -> tuple[Entry, Progress]:
        return store.label(photo, labels), store.progress()

    entry, progress = await store.run(change)
    document: ReviewPhoto = photo_document(entry)
    return Labelled(photo=document, progress=progress_document(progress))


async def _read_labels(request: Request) -> list[str]:
    """Read a body; raise `InvalidLabelError`, or as `read_small` does."""
    body = await read_small(request, max_bytes=MAX_BODY_BYTES)
    try:
        return GivenLabels.model_validate_json(body).labels
    except ValidationError as exc:
        raise errors.InvalidLabelError(f"The body is not the JSON of labels, such as `{_JSON_EXAMPLE}`.") from exc
