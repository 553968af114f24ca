"""A worker's answer to a batch, read into a result for each upload."""

import logging
import time
from collections.abc import Sequence

from whisker.app.errors import InferenceFailedError
from whisker.app.inference.requests import PendingPrediction, PredictionResult
from whisker.app.inference.wire import AnswerDocument, BatchDocument, error_from_name
from whisker.model.errors import HeavyPictureError, PictureError

logger = logging.getLogger(__name__)


def read_results(
    batch: Sequence[PendingPrediction], document: BatchDocument, drawings: Sequence[bytes]
) -> list[PredictionResult | Exception]:
    """Read a worker's answer to a batch; raise `LookupError`, `TypeError` or `ValueError` if it is none."""
    seconds, now, remaining = document["inference_seconds"], time.perf_counter(), iter(drawings)
    return [
        _result(pending, answer, seconds, now, next(remaining) if pending.options.wants_drawing else b"")
        for pending, answer in zip(batch, document["answers"], strict=True)
    ]


def _result(
    pending: PendingPrediction, answer: AnswerDocument, inference_seconds: float, now: float, drawing: bytes
) -> PredictionResult | Exception:
    if "prediction" in answer:
        decode_seconds = answer["decode_seconds"]
        queue_seconds = max(0.0, now - pending.since - decode_seconds - inference_seconds)
        descriptor = bytes.fromhex(answer.get("descriptor", ""))
        return PredictionResult(
            answer["prediction"], decode_seconds, queue_seconds, inference_seconds, drawing, descriptor
        )
    if "refused" in answer:
        name, sentence = answer["refused"]
        refusal = error_from_name(name, sentence, base=PictureError)
        if pending.is_heavy and isinstance(refusal, HeavyPictureError):
            raise ValueError("A picture that may be heavy was refused for that.")
        return refusal
    logger.error("Inference failed", extra={"failure": answer["failure"]})
    return InferenceFailedError("The network could not answer for this picture.")
