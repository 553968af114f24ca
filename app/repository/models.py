"""The models that the service serves: one checkpoint, several, or a folder of models that it follows."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from whisker.app import time_limits
from whisker.app.errors import NotReadyError, RepositoryError, UnknownModelError, quoted
from whisker.app.inference.begun import BegunWorkers
from whisker.app.inference.worker_pool import WorkerPool
from whisker.app.metrics import Metrics
from whisker.app.repository.folder import Refused, VersionFile, find_models, stamp_of
from whisker.app.repository.loaded import Key, LoadedVersions
from whisker.app.repository.model import RepositoryModel
from whisker.app.settings import Settings, chosen_checkpoints, require_one_source
from whisker.model.errors import CheckpointError, ConfigError, WhiskerError

VERSION_DIGITS = 12  # of a single checkpoint's SHA-256, which stand for its version
_FOLLOW_SECONDS = 0.5  # between two looks at the folder
_IDLE_SECONDS = 20.0  # after which the process that loads ends
_ROOMY_MODELS = 4  # from more models on, each answers single pictures: half the memory, a tenth less throughput

logger = logging.getLogger(__name__)


class Models:
    """All models by name, and the default one. Belongs to one event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, pool: WorkerPool) -> None:
        self._settings, self._metrics, self._pool = settings, metrics, pool
        self._root = settings.models
        self._models: dict[str, RepositoryModel] = {}
        self._default = ""
        self._refused: tuple[Refused, ...] = ()
        self._loaded = LoadedVersions(
            pool, metrics, settings.max_model_bytes, is_needed=self._is_needed, max_batch=self._max_batch
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}  # of models that follow their folder at this moment
        self.waiting = 0  # requests, for a version to be loaded

    @property
    def default(self) -> RepositoryModel:
        """Give the model of requests that name none."""
        return self._models[self._default]

    @property
    def all(self) -> Mapping[str, RepositoryModel]:
        """Give all models, the default one first and then by name."""
        names = sorted(self._models, key=lambda name: (name != self._default, name))
        return {name: self._models[name] for name in names}

    @property
    def loaded(self) -> LoadedVersions:
        """Give the versions that are loaded."""
        return self._loaded

    def find(self, name: str) -> RepositoryModel | None:
        """Find a model, which may be gone since it was asked."""
        return self._models.get(name)

    def get(self, name: str) -> RepositoryModel:
        """Find a model; raise `UnknownModelError`."""
        found = self.find(name)
        if found is None:
            others = f", but {quoted(self._default)}" if len(self._models) == 1 else ": `GET /models` lists them"
            raise UnknownModelError(f"There is no model {quoted(name)} here{others}.")
        return found

    @property
    def is_ready(self) -> bool:
        """Tell whether an upload would be answered."""
        return self._pool.is_running

    def is_alive(self, stall_seconds: float) -> bool:
        """Tell whether inference workers that end are replaced; without any, that has to take `stall_seconds`."""
        return not self._pool.is_empty(stall_seconds) and not self._pool.lacks_workers(time_limits.MISSING_SECONDS)

    def is_dead(self, seconds: float) -> bool:
        """Tell whether there has been no inference worker for `seconds`."""
        return self._pool.is_empty(seconds)

    async def start(self) -> None:
        """Load the default model; raise what loading raises, `ConfigError` and `RepositoryError`."""
        require_one_source(self._settings)
        await (self._start_checkpoints() if self._root is None else self._start_folder(self._root))
        _spare_the_collector()

    async def follow(self) -> None:
        """Do once what the folder asks for."""
        if self._root is not None:
            await self._find(self._root)
        for model in [*self._models.values()]:
            if model is self.default or model.is_loaded or self._loaded.has_room:
                self._follow(model)
            else:
                await self._note_unloaded(model)

    def _follow(self, model: RepositoryModel) -> None:
        """Let a model follow its folder, beside the others: one that loads keeps none of them waiting."""
        if model.name in self._tasks:
            return
        task = self._tasks[model.name] = asyncio.create_task(model.follow())
        task.add_done_callback(lambda done: self._followed(model.name, done))

    def _followed(self, name: str, task: "asyncio.Task[None]") -> None:
        del self._tasks[name]
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("The folder of a model cannot be followed", extra={"model": name}, exc_info=exc)

    async def follow_always(self) -> None:
        """Follow the folder until this is cancelled; a defect is logged, and the next look is another try.

        There is nothing to follow if a single checkpoint is served.
        """
        while self._root is not None or len(self._models) > 1:
            try:
                await self.follow()
            except RepositoryError as exc:
                logger.error("The folder of models cannot be followed", extra={"reason": str(exc)})  # noqa: TRY400 - one sentence
            except Exception:
                logger.exception("The folder of models cannot be followed")
            await self._pool.loader.rest_after(_IDLE_SECONDS)
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def close(self) -> None:
        """Stop loading, and wait for what is written."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._loaded.close()
        await asyncio.gather(*(model.close() for model in self._models.values()))

    async def _start_checkpoints(self) -> None:
        files = chosen_checkpoints(self._settings)
        names = [_stem(file) for file in files]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"Two checkpoints are called {twice}: rename one of the files.")
        is_alone = len(files) == 1
        card = await self._pool.start(files[0], goes_on=not is_alone)
        expected = self._settings.checkpoint_sha256
        if expected is not None and card["sha256"] != expected:
            raise CheckpointError(
                f"The checkpoint {files[0]} has the SHA-256 {card['sha256']}, not {expected}: "
                "give the file that WHISKER_CHECKPOINT_SHA256 stands for, or change that setting."
            )
        file = VersionFile(card["sha256"][:VERSION_DIGITS], files[0], stamp_of(files[0]) or (0, 0, 0))
        name = card["name"] if is_alone else names[0]
        self._add(name, None, (file,))
        self.default.serve(file, self._loaded.adopt_first(name, file, card))
        for path, other in zip(files[1:], names[1:], strict=True):
            stamp = stamp_of(path)
            if stamp is None:
                raise CheckpointError(f"There is no checkpoint file {path}.")
            self._add(other, None, (VersionFile(path.name.removesuffix(path.suffix), path, stamp),))
        self._tell()

    async def _start_folder(self, root: Path) -> None:
        await self._find(root)
        if not self._models:
            raise RepositoryError(f"There is no model in {root}: add one with `whisker models add {root}/NAME FILE`.")
        self._default = next((name for name, it in self._models.items() if it.versions), self._default)
        model = self.default
        await model.look()
        failure: WhiskerError | None = None
        for file in model.candidates():
            try:
                card = await self._pool.start(file.path, goes_on=True)
            except WhiskerError as exc:
                model.failures.note(file, exc)
                failure = failure or exc
                continue
            model.serve(file, self._loaded.adopt_first(model.name, file, card))
            self._tell()
            return
        raise failure or RepositoryError(f"The model {model.name} cannot be served. {model.reason}")

    async def _find(self, root: Path) -> None:
        """Add the models that have come, and forget those that are gone, but for the default one."""
        found = await asyncio.to_thread(find_models, root)
        for refused in found.refused:
            if refused not in self._refused:
                logger.warning(
                    "A file in the folder of models is passed over",
                    extra={"path": str(refused.path), "reason": refused.reason},
                )
        self._refused = found.refused
        for name in found.models:
            if name not in self._models:
                self._add(name, root / name, found.models[name])
        there = {*found.models, *(refused.path.name for refused in found.refused), self._default}
        for name in self._models.keys() - there:
            logger.warning("A model is gone from the folder", extra={"model": name})
            model = self._models.pop(name)
            model.retire()
            await model.close()
            for key in self._loaded.of_model(name):
                self._loaded.drop(key)

    def _add(self, name: str, folder: Path | None, versions: tuple[VersionFile, ...]) -> None:
        self._models[name] = model = RepositoryModel(name, folder, self._loaded, self._metrics)
        model.versions = versions
        self._default = self._default or name

    async def _note_unloaded(self, model: RepositoryModel) -> None:
        """Note what a model that is not loaded serves, without loading it."""
        await model.look()
        files = model.candidates()
        if files and files[0] != model.serving:
            model.serve(files[0], None)

    def _tell(self) -> None:
        service = self.default.find()
        assert service is not None  # noqa: S101 - it has just been loaded
        card = service.card
        logger.info(
            "Checkpoint loaded, verified and warmed up",
            extra={
                "checkpoint": service.name,
                "version": service.version,
                "device": card["device"],
                "engine": card["engine"],
                "inference_workers": self._pool.count,
                "max_batch": service.max_batch,
            },
        )

    def _is_needed(self, key: Key) -> bool:
        """Tell whether a version may not give way: the default model's, and all that are tried."""
        model = self._models.get(key[0])
        return model is not None and (model.tries(key) or (model is self.default and model.serves(key)))

    def _max_batch(self, name: str) -> int:
        is_roomy = len(self._models) <= _ROOMY_MODELS or name == self._default
        return self._settings.max_batch if is_roomy else 1


@asynccontextmanager
async def running_models(
    settings: Settings, metrics: Metrics, *, begun: BegunWorkers | None = None
) -> AsyncIterator[Models]:
    """Load the default model, and follow the folder of models within the context.

    `begun` are inference workers that are there already. Raises what `Classifier.load` raises, `ConfigError`, and
    `CheckpointError` if the file is not the one the settings ask for.
    """
    if find_spec("cykooz_resizer") is None:  # inference workers import it, and NumPy with it
        logger.warning("Pictures are resized without SIMD instructions, in three times the time: see docs/adr/0035")
    pool = WorkerPool(settings, metrics, begun=begun)
    models = Models(settings, metrics, pool)
    following: asyncio.Task[None] | None = None
    try:
        await models.start()
        following = asyncio.create_task(models.follow_always())
        yield models
    finally:
        if following is not None:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        await models.close()
        await pool.close()


def require_ready(models: Models | None) -> Models:
    """Give the models; raise `NotReadyError` if they cannot answer."""
    if models is None or not models.is_ready:
        raise NotReadyError("The service is starting or stopping; try again soon.")
    return models


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix)


def _spare_the_collector() -> None:
    """Keep what start-up has made out of every later search for garbage: a tenth of a second each, at any moment."""
    gc.collect()
    gc.freeze()
