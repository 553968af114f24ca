"""Photos that people send with their right label, for the model to learn from: off unless a folder is named.

A photo becomes `FOLDER/<label>/<sha256>.jpg`, drawn anew so that nothing of the upload but its pixels is kept (no place
where it was taken, nothing hostile), and a line in `FOLDER/corrections.jsonl`. `whisker train FOLDER` can take it.
"""

import asyncio
import hashlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request, status

from app import errors
from app.dependencies import require_service
from app.predict import PICTURE_ERRORS, REQUEST_ERRORS
from app.problems import problem_responses
from app.schemas import CorrectionAnswer
from app.settings import Settings
from app.uploads import FIELD, FORM, read_correction

router = APIRouter(tags=["predict"])
logger = logging.getLogger(__name__)

_LINES = "corrections.jsonl"
_one_at_a_time = Lock()  # in this process; several can overshoot the limit by a photo each
_AGREED = "yes"
_TEXT = {"type": "string"}
_FORM = {
    "type": "object",
    "required": [FIELD, "label", "consent"],
    "properties": {FIELD: {"type": "string", "format": "binary"}, "label": _TEXT, "consent": {"const": _AGREED}},
}


@router.post(
    "/corrections",
    summary="Leave a photo with its right label",
    status_code=status.HTTP_201_CREATED,
    openapi_extra={"requestBody": {"required": True, "content": {FORM: {"schema": _FORM}}}},
    responses=problem_responses(
        errors.CorrectionsOffError,
        errors.CorrectionsFullError,
        errors.UnknownClassError,
        *REQUEST_ERRORS,
        *PICTURE_ERRORS,
    ),
)
async def correct(request: Request) -> CorrectionAnswer:
    """Send the photo, one of the classes as `label`, and `consent=yes`: a copy is kept in the operator's folder.

    Without a folder (`WHISKER_CORRECTIONS`) nothing is ever kept, and this is 404.
    """
    settings: Settings = request.app.state.settings
    if settings.corrections is None:
        raise errors.CorrectionsOffError("This service keeps no photos: its operator has named no folder for them.")
    service = require_service(request.app)
    data, fields = await read_correction(request)
    label = fields.get("label", "")
    if label not in service.card["classes"]:
        raise errors.UnknownClassError("There is no such class: give one that /model lists.")
    if fields.get("consent") != _AGREED:
        raise errors.InvalidUploadError("A photo is kept only with the field `consent=yes`.")
    outcome = await service.predict(data, ask=service.ask(1, render=0), receive=request.receive)
    answered = {name: outcome.prediction[name] for name in ("label", "score", "verdict")}
    line = {"label": label, "answered": answered, "model": service.version}
    photo = await asyncio.to_thread(keep, settings.corrections, outcome.rendering, line, settings.max_corrections_bytes)
    return CorrectionAnswer(label=label, photo=photo)


def keep(folder: Path, photo: bytes, line: dict[str, Any], most_bytes: int) -> str:
    """Store a JPEG under its label, with its line, and return its name; what fails leaves neither.

    Raises `CorrectionsFullError` if the folder has no room for it, by its limit or its disk.
    """
    label = str(line["label"])
    if Path(label).name != label or label.startswith("."):  # of a checkpoint that someone has made up
        raise errors.CorrectionsFullError("There can be no folder of this class's name.")
    name = f"{hashlib.sha256(photo).hexdigest()}.jpg"
    path = folder / label / name
    try:
        with _one_at_a_time:
            if not path.exists():
                if _bytes_in(folder) + len(photo) > most_bytes:
                    raise errors.CorrectionsFullError("The folder for corrections is full.")
                _store(path, photo)
                _note(folder / _LINES, path, line)
    except OSError as exc:
        logger.error("A correction cannot be kept", extra={"reason": exc.strerror})  # noqa: TRY400 - the traceback says nothing
        raise errors.CorrectionsFullError("The correction cannot be kept at the moment.") from exc
    return name


def _store(path: Path, photo: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(photo)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _note(lines: Path, photo: Path, line: dict[str, Any]) -> None:
    """Add a photo's line, or take the photo away again."""
    said = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "photo": f"{photo.parent.name}/{photo.name}",
        **line,
    }
    try:
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
    except OSError:
        photo.unlink()
        raise


def _bytes_in(folder: Path) -> int:
    """Count the bytes of the photos in all classes' folders."""
    return sum(photo.stat().st_size for photo in folder.glob("*/*.jpg"))
