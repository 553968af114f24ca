"""The models that a worker has open or is opening, and what it tells of them."""

import asyncio
import time
from dataclasses import dataclass

from pydantic_core import from_json

from whisker.app.errors import WorkerError
from whisker.app.inference.requests import set_result_if_waiting
from whisker.app.inference.wire import OpenedDocument, Opening, error_from_name
from whisker.model.errors import WhiskerError


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """What a worker has told of a model that it has opened.

    `exported` is what another worker needs to open it without PyTorch: empty if that is impossible.
    """

    document: OpenedDocument
    exported: bytes = b""


class WorkerModels:
    """Follow the models of one worker; `slots` are those of the open ones."""

    def __init__(self) -> None:
        self.slots: set[int] = set()
        self.ready_at: float | None = None  # when the first was open
        self._expected: dict[int, tuple[Opening, asyncio.Future[OpenedModel]]] = {}
        self._loaded: OpenedDocument | None = None  # of a model whose exported classifier is still to come

    @property
    def is_any_expected(self) -> bool:
        """Tell whether a model is being opened."""
        return bool(self._expected)

    @property
    def is_any_loaded(self) -> bool:
        """Tell whether a model is being opened with PyTorch."""
        return any(opening.exported is None for opening, _ in self._expected.values())

    @property
    def is_exported_next(self) -> bool:
        """Tell whether an exported classifier is what comes next."""
        return self._loaded is not None

    def expect(self, opening: Opening) -> asyncio.Future[OpenedModel]:
        """Note that the worker was asked for a model; return what it will tell of it."""
        told: asyncio.Future[OpenedModel] = asyncio.get_running_loop().create_future()
        self._expected[opening.slot] = (opening, told)
        return told

    def take_opened(self, frame: bytes) -> None:
        """Take what became of an opening; an exported classifier follows if the model was loaded.

        Raises `LookupError`, `TypeError` or `ValueError` if the worker was not asked for that.
        """
        document: OpenedDocument = from_json(frame)
        opening, told = self._expected[document["slot"]]
        failed = document.get("failed")
        if failed is not None:
            del self._expected[opening.slot]
            set_result_if_waiting(told, error_from_name(*failed, base=WhiskerError))
        elif document["card"] is not None:
            self._loaded = document
        else:
            self._finish(OpenedModel(document))

    def take_exported(self, frame: bytes) -> None:
        """Take the exported classifier that is next."""
        document, self._loaded = self._loaded, None
        assert document is not None  # noqa: S101 - callers ask whether one is
        self._finish(OpenedModel(document, frame))

    def give_up(self) -> None:
        """Expect nothing more of a worker that has ended."""
        for _, told in self._expected.values():
            if not told.done():
                told.set_exception(WorkerError("An inference worker ended while it was starting."))
                told.exception()  # which nobody may be waiting for
        self._expected.clear()

    def _finish(self, opened: OpenedModel) -> None:
        opening, told = self._expected.pop(opened.document["slot"])
        self.slots.add(opening.slot)
        self.ready_at = self.ready_at or time.perf_counter()
        set_result_if_waiting(told, opened)
