"""A model that workers have open, or are opening: what they need for it, and what they have told of it."""

from dataclasses import dataclass

from whisker.app.inference.begun import opening_of
from whisker.app.inference.prepared_models import LoadedModel
from whisker.app.inference.wire import Opening
from whisker.app.inference.worker_models import OpenedModel
from whisker.model.errors import CheckpointError
from whisker.model.prepared.cache import PreparedFile


@dataclass(slots=True)
class OpenModel:
    """One model under its slot; `bytes` is what it takes in one worker, as far as the system tells."""

    opening: Opening
    max_batch: int
    bytes: int = 0
    file: PreparedFile | None = None  # kept open: later workers open it, too

    @classmethod
    def of(cls, slot: int, loaded: LoadedModel) -> "OpenModel":
        """Give what workers need to open a model that was loaded."""
        return cls(opening_of(loaded, slot), loaded.max_batch, file=loaded.file)

    def note(self, opened: OpenedModel, *, max_batch_seconds: float) -> None:
        """Limit batches to sizes that are fast enough by a worker's warm-up, and remember what the model takes.

        Raises `CheckpointError` if the worker has loaded another file.
        """
        card = opened.document["card"]
        if card is not None and card["sha256"] != self.opening.sha256:
            raise CheckpointError(f"{self.opening.checkpoint} is another file than when the service was started.")
        seconds = {int(size): taken for size, taken in opened.document["batch_seconds"].items()}
        fast = [size for size in seconds if seconds[size] <= max_batch_seconds]
        if len(fast) < len(seconds):
            self.max_batch = min(self.max_batch, max(fast, default=1))
        self.bytes = self.bytes or opened.document["bytes"]  # a replacement opens several, and tells less exactly
