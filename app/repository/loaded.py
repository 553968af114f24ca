"""The versions of models that are loaded, within a bound of memory: the least recently used give way."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator

from whisker.app.errors import WorkerError
from whisker.app.inference.begun import FIRST_SLOT
from whisker.app.inference.service import Service
from whisker.app.inference.worker_pool import WorkerPool
from whisker.app.metrics import Metrics
from whisker.app.repository.folder import Stamp, VersionFile
from whisker.model.card.document import CheckpointCard
from whisker.model.errors import WhiskerError

Key = tuple[str, str, Stamp]  # the names of a model and of a version, and the stamp of the version's file

logger = logging.getLogger(__name__)


class LoadedVersions:
    """Load versions and keep them. Belongs to one event loop.

    All may take `max_bytes`, in all inference workers together; one that is needed, as `is_needed` tells of its key,
    never gives way. `max_batch` is told how large the batches of a model may be.
    """

    def __init__(
        self,
        pool: WorkerPool,
        metrics: Metrics,
        max_bytes: int,
        *,
        is_needed: Callable[[Key], bool],
        max_batch: Callable[[str], int],
    ) -> None:
        self._pool, self._metrics, self.max_bytes = pool, metrics, max_bytes
        self._is_needed, self._max_batch = is_needed, max_batch
        self._services: OrderedDict[Key, Service] = OrderedDict()  # least recently used first
        self._loading: dict[Key, asyncio.Task[Service]] = {}

    def find(self, model: str, file: VersionFile) -> Service | None:
        """Give a version if it is loaded, and remember that it was used."""
        key = _key(model, file)
        found = self._services.get(key)
        if found is not None:
            self._services.move_to_end(key)
        return found

    def peek(self, model: str, file: VersionFile) -> Service | None:
        """Give a version if it is loaded, for anything but an answer."""
        return self._services.get(_key(model, file))

    def is_loading(self, model: str, file: VersionFile) -> bool:
        """Tell whether a version is being loaded."""
        return _key(model, file) in self._loading

    async def get(self, model: str, file: VersionFile) -> Service:
        """Give a version, and load it first if it is not loaded, once for all who wait for it.

        Raises what `Classifier.load` raises, and `WorkerError`.
        """
        found = self.find(model, file)
        if found is not None:
            return found
        key = _key(model, file)
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(model, file))
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def adopt_first(self, model: str, file: VersionFile, card: CheckpointCard) -> Service:
        """Keep the version with which the pool has started."""
        service = Service(self._pool, FIRST_SLOT, card, self._metrics, name=model, version=file.name)
        self._keep(_key(model, file), service)
        return service

    def drop(self, key: Key) -> None:
        """Forget a version; the requests that it answers keep it until they are answered."""
        if self._services.pop(key, None) is not None:
            self._report()

    def of_model(self, model: str) -> Iterator[Key]:
        """List the loaded versions of a model."""
        return iter([key for key in self._services if key[0] == model])

    @property
    def bytes(self) -> int:
        """Count the memory of all, in all processes."""
        return sum(service.memory for service in self._services.values())

    @property
    def has_room(self) -> bool:
        """Tell whether one more, as large as the largest, would not make another give way."""
        return self.bytes + self._largest <= self.max_bytes

    async def close(self) -> None:
        """Stop loading."""
        for task in self._loading.values():
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def _load(self, model: str, file: VersionFile) -> Service:
        loaded = await self._pool.loader.load(file.path, self._max_batch(model))
        self._make_room(self._largest)
        try:
            slot = await self._pool.open(loaded)
        except WorkerError:  # raised again: one that ended, or came too late, says nothing of what it was to open
            raise
        except WhiskerError as exc:
            if not self._pool.loader.prepared.refuse(loaded, exc):
                raise
            loaded = await self._pool.loader.load(file.path, self._max_batch(model))
            slot = await self._pool.open(loaded)
        service = Service(self._pool, slot, loaded.card, self._metrics, name=model, version=file.name)
        del loaded
        self._keep(_key(model, file), service)
        self._make_room(0)
        return service

    @property
    def _largest(self) -> int:
        return max((service.memory for service in self._services.values()), default=0)

    def _keep(self, key: Key, service: Service) -> None:
        self._services[key] = service
        self._services.move_to_end(key)
        self._report()

    def _make_room(self, needed: int) -> None:
        while self.bytes + needed > self.max_bytes:
            latest = next(reversed(self._services), None)
            victim = next((key for key in self._services if key != latest and not self._is_needed(key)), None)
            if victim is None:
                return
            logger.info("Model unloaded, to make room", extra={"model": victim[0], "version": victim[1]})
            self.drop(victim)

    def _report(self) -> None:
        self._metrics.models_loaded.set(len(self._services))
        self._metrics.model_bytes.set(self.bytes)

    def _ended(self, key: Key, task: "asyncio.Task[Service]") -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; perhaps nobody does any more


def _key(model: str, file: VersionFile) -> Key:
    return model, file.name, file.stamp
