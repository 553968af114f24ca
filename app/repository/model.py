"""One model of the repository: its versions, the one that answers, and those that are tried beside it."""

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path

from whisker.app.errors import (
    NotReadyError,
    RepositoryUnwritableError,
    RolloutError,
    UnknownVersionError,
    VersionUnusableError,
    quoted,
)
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.metrics import Metrics
from whisker.app.repository.canary_trial import CanaryTrial
from whisker.app.repository.failures import Failures, without_folders
from whisker.app.repository.folder import VersionFile, find_versions
from whisker.app.repository.loaded import Key, LoadedVersions
from whisker.app.repository.rollout import Rollout, Shadow, served_version
from whisker.app.repository.rollout_file import change_rollout, read_rollout
from whisker.app.repository.steps import pin
from whisker.model.errors import WhiskerError

_ASKED_SECONDS = 300.0  # that a version stays loaded after somebody has asked for it by name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that is to answer a request, and whether chance chose it while a canary runs."""

    service: Service
    is_drawn: bool = False


class RepositoryModel:
    """One model. Its `folder` is `None` if it is a single checkpoint, which nothing changes."""

    def __init__(self, name: str, folder: Path | None, loaded: LoadedVersions, metrics: Metrics) -> None:
        self.name = name
        self.versions: tuple[VersionFile, ...] = ()  # oldest first
        self.rollout = Rollout()
        self.serving: VersionFile | None = None
        self.reason = ""  # why nothing is served, or why not what the folder asks for
        self.failures = Failures(name)
        self._folder = folder
        self._loaded = loaded
        self._metrics = metrics
        self.is_known = folder is None  # whether it has been read what is to be served
        self._described: Service | None = None  # in the metrics
        self._previous: VersionFile | None = None
        self._trial = CanaryTrial(name, folder, metrics)
        self._asked: dict[str, float] = {}  # when versions were asked for by name
        self._changing = asyncio.Lock()  # what is served, by the folder or by request

    async def look(self) -> None:
        """Read what lies in the folder; what cannot be read leaves everything as it is, and is logged once."""
        if self._folder is None:
            return
        try:
            self.versions = await asyncio.to_thread(find_versions, self._folder)
            rollout = await asyncio.to_thread(read_rollout, self._folder)
        except WhiskerError as exc:
            reason = without_folders(str(exc))
            if reason != self.reason:
                self.reason = reason
                logger.error("The folder of a model cannot be used", extra={"model": self.name, "reason": str(exc)})  # noqa: TRY400 - one sentence
            return
        self.rollout, self.reason, self.is_known = self._trial.follow(rollout), "", True

    def known(self, version: str | None) -> str | None:
        """Check the name of a version that a protocol's path has; a single checkpoint goes by any.

        Raises `UnknownVersionError`.
        """
        if version is None or self._folder is None:
            return None
        return self._require(version).name

    def candidates(self) -> list[VersionFile]:
        """List what may be served, best first: the pinned version alone, or else the newest, and then older ones."""
        if not self.is_known:
            return []
        versions = list(self.versions)
        found: list[VersionFile] = []
        while (served := served_version(versions, self.rollout)).file is not None:
            if not self.failures.is_failing(served.file):
                found.append(served.file)
            if self.rollout.pinned is not None:
                break
            versions.remove(served.file)
        if not found and served.reason:
            self.reason = served.reason
        return found

    async def follow(self) -> None:
        """Load and serve what the folder asks for; a version that cannot be used leaves the other one serving."""
        async with self._changing:
            await self.look()
            for file in self.candidates():
                if file == self.serving or await self._take_over(file):
                    break
            for name in self._tried():
                tried = self._file(name)
                if tried is not None and tried != self.serving and not self.failures.is_failing(tried):
                    await self._try_load(tried)
        self._forget_the_rest()

    def serve(self, file: VersionFile, service: Service | None) -> None:
        """Answer with a version from now on; without a `service`, it is loaded when somebody asks."""
        old, self.serving = self.serving, file
        self._describe(service)
        if old is None or old == file:
            return
        self._trial.restart()
        self._previous = old if old.name != file.name else None

    def retire(self) -> None:
        """Report nothing of the model any longer."""
        self._describe(None)

    def _describe(self, service: Service | None) -> None:
        """Report the version that is served, and no other."""
        before, self._described = self._described, service
        if before is not None and before is not service:
            before.is_serving = False
            self._metrics.forget_model(name=before.name, version=before.version, device=before.card["device"])
        if service is not None:
            service.is_serving = True
            self._metrics.describe_model(name=service.name, version=service.version, device=service.card["device"])

    def serves(self, key: Key) -> bool:
        """Tell whether a loaded version is the one that is served."""
        return self.serving is not None and key[1:] == (self.serving.name, self.serving.stamp)

    def tries(self, key: Key) -> bool:
        """Tell whether a loaded version is a canary or a shadow."""
        tried = (self._file(name) for name in self._tried())
        return any(file is not None and key[1:] == (file.name, file.stamp) for file in tried)

    @property
    def is_loaded(self) -> bool:
        """Tell whether the version that is served is loaded."""
        return self.serving is not None and self._loaded.peek(self.name, self.serving) is not None

    def find(self) -> Service | None:
        """Give the version that is served, if it is loaded."""
        return None if self.serving is None else self._loaded.find(self.name, self.serving)

    def choose(self, version: str | None, canary: str | None) -> Choice | None:
        """Choose the version for a request: the one asked for, or the canary by its share, or the one that is served.

        `canary` is `always`, `never` or `None`. `None` is returned if the version has to be loaded first. Raises
        `UnknownVersionError`.
        """
        if version is not None:
            found = self._loaded.find(self.name, self._require(version))
            self._asked[version] = time.monotonic()
            return None if found is None else Choice(found)
        trial = None if canary == "never" else self.rollout.canary
        other = None if trial is None else self._find(trial.version)
        served = self.find()
        if trial is None or other is None:
            return None if served is None else Choice(served)
        if canary == "always":
            return Choice(other)
        if random.random() < trial.share:  # noqa: S311 - no secret
            return Choice(other, is_drawn=True)
        return None if served is None else Choice(served, is_drawn=True)

    async def load(self, version: str | None) -> Choice:
        """Load the version asked for, or the one that is served; raise `UnknownVersionError` or `NotReadyError`."""
        if version is None:
            return Choice(await self._load_served())
        file = self._require(version)
        service = None if self.failures.is_failing(file) else await self._try_load(file)
        if service is None:
            raise NotReadyError(f"The version {quoted(version)} cannot be used: see `GET /models`.")
        if file == self.serving:
            self.serve(file, service)
        return Choice(service)

    def note(self, choice: Choice, outcome: PredictionResult | Exception) -> None:
        """Count an answer while a canary runs, and stop the canary if it leaves its bounds."""
        served = None if self.serving is None else self.serving.name
        reason = self._trial.note(choice.service.version, served, outcome) if choice.is_drawn else None
        if reason is not None:
            self.rollout = self._trial.stop(self.rollout, reason)

    @property
    def shadow(self) -> tuple[Service, Shadow] | None:
        """Give the version that answers beside the served one, if it is loaded, and its share."""
        trial = self.rollout.shadow
        service = None if trial is None else self._find(trial.version)
        return None if trial is None or service is None else (service, trial)

    async def take(self, version: str) -> None:
        """Pin and serve a version, once it is loaded.

        Raises `UnknownVersionError`, `VersionUnusableError` and `RepositoryUnwritableError`.
        """
        async with self._changing:
            await self.look()
            file = self._file(version)
            if file is None or self._folder is None:
                raise UnknownVersionError(self._no_version(version))
            self.failures.forget(file)
            is_there = file == self.serving and self.is_loaded
            if not is_there and not await self._take_over(file, is_asked=True):
                raise VersionUnusableError(self.failures.reason(file) or "It cannot be loaded.")
            await self._pin(self._folder, version)

    async def close(self) -> None:
        """Wait for what is written in the background."""
        await self._trial.close()

    async def _pin(self, folder: Path, version: str) -> None:
        try:
            rollout = await asyncio.to_thread(
                change_rollout, folder, lambda rollout: pin(self.versions, rollout, version)
            )
        except RolloutError as exc:
            logger.error("What is served cannot be noted", extra={"model": self.name, "reason": str(exc)})  # noqa: TRY400 - one sentence
            raise RepositoryUnwritableError(
                "The version answers now, but that cannot be noted in the folder, so that it will not last."
            ) from exc
        self.rollout = self._trial.follow(rollout)

    def _forget_the_rest(self) -> None:
        """Forget loaded versions that neither answer nor are tried, are no way back, and were not asked for lately."""
        now = time.monotonic()
        self._asked = {name: at for name, at in self._asked.items() if now - at < _ASKED_SECONDS}
        for key in self._loaded.of_model(self.name):
            is_previous = self._previous is not None and key[1:] == (self._previous.name, self._previous.stamp)
            if not (is_previous or self.serves(key) or self.tries(key) or key[1] in self._asked):
                self._loaded.drop(key)

    async def _load_served(self) -> Service:
        if not self.is_known:
            await self.look()
        if self.serving is None:
            self.serving = next(iter(self.candidates()), None)
        while self.serving is not None:
            file = self.serving
            try:
                service = await self._loaded.get(self.name, file)
            except WhiskerError as exc:
                self.failures.note(file, exc)
                rest = self.candidates()
                self.serving = rest[0] if rest else None
            else:
                self.serve(file, service)
                return service
        raise NotReadyError(f"No version of the model {quoted(self.name)} can be used at the moment.")

    async def _take_over(self, file: VersionFile, *, is_asked: bool = False) -> bool:
        """Load a version and serve it, unless the folder asks for another one by then; tell whether it can be used."""
        service, before = await self._try_load(file), self.serving
        if service is None:
            self._metrics.swaps.labels(self.name, "failed").inc()
            return False
        await self.look()
        if not is_asked and self.candidates()[:1] != [file]:
            return True  # the next look sees to it
        self.serve(file, service)
        if before is not None:
            self._metrics.swaps.labels(self.name, "served").inc()
        logger.info("Model version served", extra={"model": self.name, "version": file.name})
        return True

    async def _try_load(self, file: VersionFile) -> Service | None:
        try:
            return await self._loaded.get(self.name, file)
        except WhiskerError as exc:
            self.failures.note(file, exc)
            return None

    def _tried(self) -> list[str]:
        return [it.version for it in (self.rollout.canary, self.rollout.shadow) if it is not None]

    def _file(self, version: str) -> VersionFile | None:
        return next((file for file in self.versions if file.name == version), None)

    def _find(self, version: str) -> Service | None:
        file = self._file(version)
        return None if file is None else self._loaded.find(self.name, file)

    def _require(self, version: str) -> VersionFile:
        file = self._file(version)
        if file is None:
            raise UnknownVersionError(self._no_version(version))
        return file

    def _no_version(self, version: str) -> str:
        return f"The model {quoted(self.name)} has no version {quoted(version)}: `GET /models` lists them."
