"""A transfer to photos with any number of labels: a linear probe, cross-validated if no photos are set aside."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from whisker.model.checkpoint.contents import HeldOut
from whisker.model.networks.base import Network
from whisker.training.config import TransferRecipe
from whisker.training.progress import Progress
from whisker.training.transfer.cross_validation import count_repeats, cross_validate
from whisker.training.transfer.features import extract_features, open_engine
from whisker.training.transfer.fine_tuning.tail import set_head
from whisker.training.transfer.fit import TransferData, TransferResult
from whisker.training.transfer.multi_label.folds import count_label_folds, divide_labels
from whisker.training.transfer.multi_label.probe import LabelProbeData, fit_label_probe, label_probe_runner
from whisker.training.transfer.trials import hold_out


def transfer_labels(
    network: Network,
    data: TransferData,
    recipe: TransferRecipe,
    *,
    size: int,
    seed: int,
    work: Path,
    key: Mapping[str, object],
    device: str,
    progress: Progress,
) -> TransferResult:
    """Fit the last layer of pretrained `network` to the labels of all training photos.

    `key` names the weights and the photos: features in `work` are used again if it is the same. Raises `DatasetError`
    if a label has too few photos to be held out in turn.
    """
    started = time.monotonic()
    engine = open_engine(network.eval(), size, device)
    features = extract_features(engine, data.served, work / "cache-features-train", key, progress)
    photos = LabelProbeData(features, data.served.require_present())
    set_head(network.fc, fit_label_probe(photos, penalty=recipe.penalty, balance=recipe.balance))
    held_out = None
    if data.validation is None:
        held_out = _cross_validate(photos, data, recipe, seed=seed, progress=progress)
    return TransferResult(
        network=network,
        method="Linear probe of each label",
        candidates=(),
        features=np.asarray(features[0]),
        held_out=held_out,
        curve=None,
        plan=None,
        seconds=time.monotonic() - started,
    )


def _cross_validate(
    photos: LabelProbeData, data: TransferData, recipe: TransferRecipe, *, seed: int, progress: Progress
) -> HeldOut:
    groups = data.served.groups
    folds, repeats = count_label_folds(photos.present, groups, data.classes), count_repeats(len(groups))
    fold_of = divide_labels(photos.present, groups, folds=folds, repeats=repeats, seed=seed)
    run = label_probe_runner(photos, penalty=recipe.penalty, balance=recipe.balance)
    return hold_out(cross_validate(fold_of, run, "Cross-validating", progress)[0], fold_of)
