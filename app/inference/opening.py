"""How an inference worker opens a model: from an exported classifier or, with PyTorch, from its checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from whisker.app.inference.wire import Opening, WorkerConfig
from whisker.model.card.document import CheckpointCard
from whisker.model.engines.base import Prepare
from whisker.model.errors import PreparedError
from whisker.model.predictor import Predictor
from whisker.model.prepared.contents import map_content, open_prepared

_STATISTICS = Path("/proc/self/statm")  # in pages, on Linux alone
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Opened:
    """A predictor that is ready, the seconds that a batch of each size takes and, if it was loaded, its card.

    `memory` is how many bytes it takes of this process alone, as far as the system tells. `exported` is what another
    worker needs to be like this one without PyTorch; empty if that is impossible.
    """

    predictor: Predictor
    batch_seconds: dict[int, float]
    memory: int
    card: CheckpointCard | None = None
    exported: bytes = b""


def open_model(config: WorkerConfig, opening: Opening, *, prepare: Prepare | None = None) -> Opened:
    """Open a model, verify its golden answers and warm it up; raise what `Classifier.load` raises.

    `prepare` as for `ExportedClassifier.open`.
    """
    if opening.exported is None:
        return _load(config, opening)
    from whisker.model.engines.openvino_engine import start_runtime  # noqa: PLC0415 - an optional dependency

    start_runtime()
    before = _own_bytes()
    try:
        content = map_content(opening.exported) if isinstance(opening.exported, Path) else opening.exported
        predictor, seconds = open_prepared(content, threads=config.threads, largest=opening.max_batch, prepare=prepare)
    except PreparedError as exc:
        raise PreparedError(f"What was prepared of {opening.checkpoint} {exc}.") from exc
    return Opened(predictor, seconds, max(0, _own_bytes() - before))


def _own_bytes() -> int:
    """Count the memory of this process alone: mapped files, such as the weights, are shared by all workers."""
    if not _STATISTICS.exists():
        return 0
    _, resident, shared, *_ = _STATISTICS.read_text().split()
    return (int(resident) - int(shared)) * _PAGE_BYTES


def _load(config: WorkerConfig, opening: Opening) -> Opened:
    """Load the checkpoint with PyTorch, and choose its engine."""
    import torch  # noqa: PLC0415 - most workers do without

    from whisker.app.logs import configure_logging, flush_log  # noqa: PLC0415
    from whisker.model.classifier import Classifier  # noqa: PLC0415
    from whisker.model.prepared.preparing import prepare  # noqa: PLC0415

    before = _own_bytes()
    configure_logging(config, http_worker=config.http_worker)
    torch.set_num_threads(config.threads)
    try:
        classifier = Classifier.load(
            opening.checkpoint, config.device, engine=opening.engine, signed_by=config.signed_by
        )
    finally:
        flush_log()  # the service may end this process as soon as it has told
    card, packed = prepare(classifier, threads=config.threads, largest=opening.max_batch)
    used = max(0, _own_bytes() - before)
    return Opened(classifier, dict(classifier.batch_seconds), used, card, packed)
