"""A checkpoint fresh from its training, with its provenance and without any verdict yet."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from torch import Tensor

from whisker import __version__
from whisker.model import Checkpoint
from whisker.model.card.provenance import (
    DataCounts,
    Epoch,
    Noticed,
    Provenance,
    Shares,
    SplitGroups,
    TriedCandidate,
)
from whisker.training.config import Grouping
from whisker.training.data.dataset import Dataset
from whisker.training.fit.loop import TrainingResult
from whisker.training.job import Training
from whisker.training.pretrained.weights import Pretrained
from whisker.training.transfer.fit import TransferResult

_LIBRARIES = ("torch", "pillow", "numpy", "safetensors")
_MAX_NOTICED = 20  # files, and groups of files, named in the checkpoint


def uncalibrated(
    training: Training, dataset: Dataset, state: Mapping[str, Tensor], provenance: Provenance
) -> Checkpoint:
    """Put trained weights and their provenance into a checkpoint.

    The weights of a transfer are rounded to half precision, which halves the file and changes no answer that matters.
    """
    if training.config.transfer is not None:
        state = {name: value.half().float() if value.dim() > 1 else value for name, value in state.items()}
    return Checkpoint(
        name=training.title,
        network=training.config.network,
        preprocessing=training.config.preprocessing,
        classes=dataset.classes,
        state={name: tensor.detach().cpu() for name, tensor in state.items()},
        provenance=provenance.to_json(),
        task="multi-label" if training.config.multi_label else "single-label",
    )


def provenance_of(training: Training, dataset: Dataset, fit: TrainingResult, start: str) -> Provenance:
    config = training.config
    return replace(
        _common_provenance(training, dataset),
        preset=config.preset,
        pretrained=config.pretrained,
        pretrained_source=start,
        recipe=asdict(config.recipe),
        epochs=fit.schedule.epochs,
        history=tuple(Epoch(**asdict(result)) for result in fit.history),
        weights="averaged" if fit.averaged else "last",
        precision="bfloat16" if fit.bf16 else "float32",
        training_minutes=round(fit.seconds / 60, 1),
    )


def provenance_of_transfer(
    training: Training, dataset: Dataset, result: TransferResult, start: Pretrained
) -> Provenance:
    recipe = training.config.transfer
    return replace(
        _common_provenance(training, dataset),
        pretrained=start.sha256,
        pretrained_source=start.source,
        recipe=None if recipe is None else asdict(recipe),
        method=result.method,
        candidates=tuple(
            TriedCandidate(tried.name, round(tried.accuracy, 4), round(tried.likelihood, 4))
            for tried in result.candidates
        ),
        epochs=None if result.plan is None else result.plan.epochs,
        training_minutes=round(result.seconds / 60, 1),
    )


def provenance_of_imported(training: Training, dataset: Dataset, provenance: Provenance) -> Provenance:
    """Add the photos that calibrate an imported checkpoint; which ones trained it, nobody knows."""
    return replace(_common_provenance(training, dataset), imported=provenance.imported)


def _common_provenance(training: Training, dataset: Dataset) -> Provenance:
    config = training.config
    return Provenance(
        data=_data_counts(dataset),
        noticed=Noticed(
            quarantined=tuple((item.path, item.reason) for item in dataset.quarantined[:_MAX_NOTICED]),
            conflicts=dataset.conflicts[:_MAX_NOTICED],
        ),
        split_seed=config.seed,
        shares=None if config.cross_validated else Shares(config.validation, config.test),
        groups=_split_groups(config.groups, dataset),
        sides=dataset.sides or None,
        command=training.command,
        libraries={"whisker": __version__, **{name: version(name) for name in _LIBRARIES}},
        python=platform.python_version(),
        date=today(),
    )


def _split_groups(grouping: Grouping | None, dataset: Dataset) -> SplitGroups | None:
    if grouping is None or dataset.groups is None:
        return None
    return SplitGroups(
        column=grouping.column,
        folder_level=grouping.folder_level,
        count=dataset.groups.count,
        largest=dataset.groups.largest,
        test=len(np.unique(dataset.test.groups)),
    )


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def _data_counts(dataset: Dataset) -> DataCounts:
    cross_validated = dataset.test is dataset.served
    return DataCounts(
        fingerprint=dataset.fingerprint,
        split=dataset.split,
        photos=dict(zip(dataset.classes, dataset.counts, strict=True)),
        train=len(dataset.train.rows),
        validation=None if cross_validated else len(dataset.validation.rows),
        test=None if cross_validated else len(dataset.test.rows),
        quarantined=len(dataset.quarantined),
        duplicates=dataset.duplicates,
    )
