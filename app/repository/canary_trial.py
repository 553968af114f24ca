"""The canary of one model: its answers are counted and judged, and it is stopped when it leaves its bounds."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import labels_of
from whisker.app.metrics import Metrics
from whisker.app.repository.canary_watch import CanaryWatch
from whisker.app.repository.rollout import Canary, Rollout
from whisker.app.repository.rollout_file import change_rollout
from whisker.model.errors import WhiskerError

logger = logging.getLogger(__name__)


class CanaryTrial:
    """Judge the canary that a rollout asks for. Belongs to one event loop."""

    def __init__(self, model: str, folder: Path | None, metrics: Metrics) -> None:
        self._model, self._folder, self._metrics = model, folder, metrics
        self._canary: Canary | None = None
        self._watch: CanaryWatch | None = None
        self._stopped: Canary | None = None
        self._writing: set[asyncio.Task[None]] = set()

    def follow(self, rollout: Rollout) -> Rollout:
        """Take over what the folder says, and return what holds here: a canary that was stopped stays so.

        That it was stopped may not be written yet, or cannot be.
        """
        if rollout.canary is None or rollout.canary != self._stopped:
            self._stopped = None
        else:
            rollout = replace(rollout, canary=None)
        if rollout.canary != self._canary:
            self._canary = rollout.canary
            self._watch = None if rollout.canary is None else CanaryWatch(rollout.canary.bounds)
        return rollout

    def restart(self) -> None:
        """Begin anew: what the canary is compared with is another version from now on."""
        self._watch = None if self._canary is None else CanaryWatch(self._canary.bounds)

    def note(self, version: str, served: str | None, outcome: PredictionResult | Exception) -> str | None:
        """Count the answer of a version that chance has drawn; return why the canary has to be stopped, if it has.

        The verdict `unknown` counts as a refusal, too: nobody can use the answer.
        """
        canary, watch = self._canary, self._watch
        if canary is None or watch is None or version not in (canary.version, served):
            return None  # late, of versions that were tried or served before
        is_canary = version == canary.version
        prediction = outcome.prediction if isinstance(outcome, PredictionResult) else None
        refused = prediction is None or prediction["verdict"] == "unknown"
        track = "canary" if is_canary else "serving"
        self._metrics.canary_answers.labels(self._model, track, "refused" if refused else "answered").inc()
        seconds = outcome.decode_seconds + outcome.inference_seconds if isinstance(outcome, PredictionResult) else 0.0
        labels = () if prediction is None else labels_of(prediction)
        score = 0.0 if prediction is None else prediction["score"]
        watch.record(is_canary=is_canary, refused=refused, seconds=seconds, labels=labels, score=score)
        return watch.reason()

    def stop(self, rollout: Rollout, reason: str) -> Rollout:
        """Stop the canary here and now, and soon in the folder; return what holds from now on."""
        canary, at = self._canary, datetime.now(UTC)
        assert canary is not None  # noqa: S101 - there is a reason to stop it
        logger.error("Canary stopped", extra={"model": self._model, "version": canary.version, "reason": reason})
        self._metrics.canary_stops.labels(self._model).inc()
        self._stopped, self._canary, self._watch = canary, None, None
        if self._folder is not None:
            task = asyncio.create_task(self._write(self._folder, canary.version, reason, at))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return rollout.stop_canary(canary.version, reason, at)

    async def close(self) -> None:
        """Wait for what is written."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _write(self, folder: Path, version: str, reason: str, at: datetime) -> None:
        try:
            await asyncio.to_thread(change_rollout, folder, lambda rollout: rollout.stop_canary(version, reason, at))
        except WhiskerError as exc:
            logger.error("The stop of a canary cannot be written", extra={"model": self._model, "reason": str(exc)})  # noqa: TRY400 - one sentence
