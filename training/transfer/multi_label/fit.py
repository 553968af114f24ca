"""A transfer to photos with any number of labels: a linear probe, cross-validated if no photos are set aside."""

import time

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import HeldOut
from whisker.training.transfer.cross_validation import count_repeats, cross_validate
from whisker.training.transfer.features import extract_features, open_engine
from whisker.training.transfer.fine_tuning.tail import set_head
from whisker.training.transfer.fit import TransferJob, TransferResult
from whisker.training.transfer.multi_label.folds import count_label_folds, divide_labels
from whisker.training.transfer.multi_label.probe import LabelProbeData, fit_label_probe, label_probe_runner
from whisker.training.transfer.trials import hold_out


def transfer_labels(job: TransferJob) -> TransferResult:
    """Fit the last layer of the pretrained network to the labels of all training photos.

    Raises `DatasetError` if a label has too few photos to be held out in turn.
    """
    started, data = time.monotonic(), job.data
    fold_of = None if data.validation is not None else _divide(job)  # first, as too few photos are refused by it
    engine = open_engine(job.network.eval(), job.size, job.device)
    features = extract_features(engine, data.served, job.work / "cache-features-train", job.key, job.progress)
    photos = LabelProbeData(features, data.served.require_present())
    set_head(job.network.fc, fit_label_probe(photos, penalty=job.recipe.penalty, balance=job.recipe.balance))
    return TransferResult(
        network=job.network,
        method="Linear probe of each label",
        candidates=(),
        features=np.asarray(features[0]),
        held_out=None if fold_of is None else _cross_validate(job, photos, fold_of),
        curve=None,
        plan=None,
        seconds=time.monotonic() - started,
    )


def _divide(job: TransferJob) -> NDArray[np.int64]:
    """Assign a fold to each of N photos in every repeat: `[repeats, N]`."""
    present, groups = job.data.served.require_present(), job.data.served.groups
    folds, repeats = count_label_folds(present, groups, job.data.classes), count_repeats(len(groups))
    return divide_labels(present, groups, folds=folds, repeats=repeats, seed=job.seed)


def _cross_validate(job: TransferJob, photos: LabelProbeData, fold_of: NDArray[np.int64]) -> HeldOut:
    run = label_probe_runner(photos, penalty=job.recipe.penalty, balance=job.recipe.balance)
    return hold_out(cross_validate(fold_of, run, "Cross-validating", job.progress)[0], fold_of)
