"""What a lane makes of a batch: decoded pictures, answers as JSON can hold them, heat maps and renderings."""

import base64
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from whisker.model.answers.decision_rule import HeatMap, Prediction
from whisker.model.answers.heat_map import NOTHING, overlay
from whisker.model.errors import PictureError
from whisker.model.predictor import Predictor
from whisker.model.preprocessing import Picture, Preprocessing

NO_RENDERING = -1.0
_RENDERED_SIDE = 800  # pixels of a rendering's longer side, at most
_LIGHT_BYTES = 64_000_000  # that decoding may take while other lanes decode, too
_HEAT_DECIMALS = 4
_COMPRESSION = 1  # of 9: photos under colours hardly get smaller with more
_QUALITY = 92  # of a JPEG, in percent

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a picture: how many classes, a heat map for a class, and a rendering.

    `explain` is a class's number, `TOP` or `NOTHING`. A rendering is the picture upright, as JPEG, or with the heat map
    over it, at an opacity `render` of 0 to 1, as PNG.
    """

    top_k: int
    explain: int = NOTHING
    render: float = NO_RENDERING


@dataclass(frozen=True, slots=True)
class Task:
    """A picture to answer for."""

    data: bytes
    may_be_heavy: bool
    ask: Ask


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A picture as the network sees it and, if it is wanted, as people do."""

    picture: Picture
    view: Image.Image | None


def answer(predictor: Predictor, batch: Sequence[Task], max_pixels: int) -> Document:
    """Decode a batch, and compute answers for what could be decoded."""
    read = [_decode(predictor.preprocessing, task, max_pixels) for task in batch]
    usable = [(found, task) for (found, _), task in zip(read, batch, strict=True) if isinstance(found, _Decoded)]
    started = time.perf_counter()
    outcomes: Iterator[Prediction | Exception] = iter(
        predictor.predict_each([found.picture.pixels for found, _ in usable], [task.ask.explain for _, task in usable])
    )
    seconds = time.perf_counter() - started
    answers = []
    for task, (found, decode_seconds) in zip(batch, read, strict=True):
        document = _finish(next(outcomes), found, task.ask) if isinstance(found, _Decoded) else found
        answers.append(document | {"decode_seconds": decode_seconds})
    return {"answers": answers, "inference_seconds": seconds}


def _decode(preprocessing: Preprocessing, task: Task, max_pixels: int) -> tuple[_Decoded | Document, float]:
    started = time.perf_counter()
    light_bytes = None if task.may_be_heavy else _LIGHT_BYTES
    try:
        picture = preprocessing.read(task.data, max_pixels=max_pixels, light_bytes=light_bytes)
        view = None
        if task.ask.render != NO_RENDERING:
            view = preprocessing.view(task.data, longest=_RENDERED_SIDE, max_pixels=max_pixels, light_bytes=light_bytes)
        found: _Decoded | Document = _Decoded(picture, view)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is this picture's alone
        found = _describe(exc)  # and not kept itself: it holds on to what was decoded
    return found, time.perf_counter() - started


def _describe(exc: Exception) -> Document:
    """Write down what went wrong: for errors of our own their name and sentence."""
    if isinstance(exc, PictureError):
        return {"refused": [type(exc).__name__, str(exc)]}
    return {"failure": "".join(traceback.format_exception(exc))}


def _finish(outcome: Prediction | Exception, found: _Decoded, ask: Ask) -> Document:
    """Write an answer, or what went wrong with it."""
    try:
        return _describe(outcome) if isinstance(outcome, Exception) else _document(outcome, found, ask)
    except Exception as exc:  # noqa: BLE001 - a rendering that fails is this picture's alone, too
        return _describe(exc)


def _document(outcome: Prediction, found: _Decoded, ask: Ask) -> Document:
    """Write an answer as it goes to the client, and the rendering beside it."""
    picture, heat_map = found.picture, outcome.heat_map
    prediction = {
        "label": outcome.label,
        "score": outcome.score,
        "verdict": outcome.verdict,
        "unknown_score": outcome.unknown_score,
        "predictions": [{"label": it.label, "score": it.score} for it in outcome.predictions[: ask.top_k]],
        "image": {"width": picture.width, "height": picture.height, "format": picture.format},
    }
    if heat_map is not None:
        prediction["heat_map"] = {"label": heat_map.label, "rows": heat_map.heat.round(_HEAT_DECIMALS).tolist()}
    if found.view is None:
        return {"prediction": prediction}
    return {"prediction": prediction, "rendering": _render(found.view, heat_map, ask.render)}


def _render(view: Image.Image, heat_map: HeatMap | None, opacity: float) -> str:
    """Encode a picture, with a heat map over it if there is one; give the file in Base64."""
    buffer = BytesIO()
    if heat_map is None:
        view.save(buffer, "JPEG", quality=_QUALITY)
    else:
        overlay(view, heat_map.heat, opacity=opacity).save(buffer, "PNG", compress_level=_COMPRESSION)
    return base64.b64encode(buffer.getvalue()).decode()
