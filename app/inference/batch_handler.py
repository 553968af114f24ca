"""What an inference worker does with a batch: decode, predict, and draw heat maps."""

import time
import traceback
from collections.abc import Iterator, Sequence
from io import BytesIO

from PIL import Image

from whisker.app.inference.wire import (
    AnswerDocument,
    BatchDocument,
    ClassScoreDocument,
    PredictionDocument,
    PredictionOptions,
    WorkItem,
)
from whisker.model.answers.decision_rule import ClassScore, HeatMap, Prediction
from whisker.model.answers.descriptor import describe_features
from whisker.model.answers.heat_map import overlay
from whisker.model.errors import PictureError
from whisker.model.predictor import Predictor
from whisker.model.preprocessing import Picture, Preprocessing
from whisker.model.structure.budget import Light

_DRAWING_SIDE = 800  # pixels of a drawing's longer side, at most
_LIGHT_BYTES = 64_000_000  # that decoding may take while other workers decode, too
# Time that decoding may take while others wait: little more than for an ordinary photo, and, up to the last, what is
# usual for each of the file's bytes.
_LIGHT_NS, _LIGHT_BYTE_NS, _MAX_LIGHT_NS = 8_000_000, 75, 200_000_000
_HEAT_DECIMALS = 4
_PNG_COMPRESSION = 1  # of 9: photos under colours hardly get smaller with more
_JPEG_QUALITY = 92  # percent


def answer_batch(
    predictor: Predictor, batch: Sequence[WorkItem], max_pixels: int, *, is_lone: bool
) -> tuple[BatchDocument, list[bytes]]:
    """Decode a batch and answer for every picture that can be decoded; `is_lone` as for `predict_pixels`.

    Returns the answers, and the drawings that were asked for: empty where there is none.
    """
    decoded = [_decode(predictor.preprocessing, item, max_pixels) for item in batch]
    usable = [(found, item) for (found, _), item in zip(decoded, batch, strict=True) if isinstance(found, Picture)]
    started = time.perf_counter()
    results: Iterator[Prediction | Exception] = iter(
        predictor.predict_each(
            [found.pixels for found, _ in usable],
            [item.options.explain for _, item in usable],
            with_features=any(item.options.wants_descriptor for _, item in usable),
            is_lone=is_lone,
        )
    )
    seconds = time.perf_counter() - started
    answers, drawings = list[AnswerDocument](), list[bytes]()
    for item, (found, decode_seconds) in zip(batch, decoded, strict=True):
        answer, drawing = _finish(next(results), found, item.options) if isinstance(found, Picture) else (found, b"")
        answers.append({**answer, "decode_seconds": decode_seconds})
        if item.options.wants_drawing:
            drawings.append(drawing)
    return {"answers": answers, "inference_seconds": seconds}, drawings


def _light(length: int) -> Light:
    """Say what decoding a file of so many bytes may take without waiting for others."""
    return Light(_LIGHT_BYTES, min(_LIGHT_NS + _LIGHT_BYTE_NS * length, _MAX_LIGHT_NS))


def _decode(preprocessing: Preprocessing, item: WorkItem, max_pixels: int) -> tuple[Picture | AnswerDocument, float]:
    started = time.perf_counter()
    try:
        found: Picture | AnswerDocument = preprocessing.read(
            item.data,
            max_pixels=max_pixels,
            light=None if item.may_be_heavy else _light(len(item.data)),
            view_side=_DRAWING_SIDE if item.options.wants_drawing else None,
        )
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is this picture's alone
        found = _describe(exc)  # the error itself would hold on to what was decoded
    return found, time.perf_counter() - started


def _finish(
    result: Prediction | Exception, picture: Picture, options: PredictionOptions
) -> tuple[AnswerDocument, bytes]:
    """Write the answer for a picture, and draw what was asked for; any error is this picture's alone."""
    try:
        if isinstance(result, Exception):
            return _describe(result), b""
        drawing = b"" if picture.view is None else _draw(picture.view, result.heat_map, options.opacity)
        answer: AnswerDocument = {"prediction": _document(result, picture, options.top_k)}
        if options.wants_descriptor and result.features is not None:
            answer["descriptor"] = describe_features(result.features).hex()
        return answer, drawing  # noqa: TRY300 - all of it is this picture's
    except Exception as exc:  # noqa: BLE001 - as above
        return _describe(exc), b""


def _describe(exc: Exception) -> AnswerDocument:
    """Write down an error: one of ours by its name and sentence, any other with its traceback."""
    if isinstance(exc, PictureError):
        return {"refused": (type(exc).__name__, str(exc))}
    return {"failure": "".join(traceback.format_exception(exc))}


def _document(result: Prediction, picture: Picture, top_k: int) -> PredictionDocument:
    document: PredictionDocument = {
        "label": result.label,
        "score": result.score,
        "verdict": result.verdict,
        "unknown_score": result.unknown_score,
        "predictions": _class_scores(result.predictions[:top_k]),
        "image": {"width": picture.width, "height": picture.height, "format": picture.format},
    }
    if result.labels is not None:
        document["labels"] = _class_scores(result.labels)
    if result.reason:
        document["reason"] = result.reason
    if result.heat_map is not None:
        rows = result.heat_map.heat.round(_HEAT_DECIMALS).tolist()
        document["heat_map"] = {"label": result.heat_map.label, "rows": rows}
    return document


def _class_scores(entries: Sequence[ClassScore]) -> list[ClassScoreDocument]:
    return [{"label": it.label, "score": it.score} for it in entries]


def _draw(view: Image.Image, heat_map: HeatMap | None, opacity: float) -> bytes:
    """Encode a picture, with a heat map over it if there is one."""
    buffer = BytesIO()
    if heat_map is None:
        view.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    else:
        overlay(view, heat_map.heat, opacity=opacity).save(buffer, "PNG", compress_level=_PNG_COMPRESSION)
    return buffer.getvalue()
