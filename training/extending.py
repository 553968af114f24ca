"""Extensions as steps: from a checkpoint and photos of new classes to a checkpoint that knows them, too."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Checkpoint, build_network
from whisker.model.answers.head import Head
from whisker.model.card.metrics import TestMetrics
from whisker.model.card.provenance import DataCounts, Extension, Provenance
from whisker.model.card.wording.extension import describe_extension
from whisker.model.checkpoint.statistics import MIN_PHOTOS, ClassStatistics
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.training.calibration.calibrate import CalibratedCheckpoint
from whisker.training.calibration.metrics import Measured
from whisker.training.errors import TrainingError
from whisker.training.events.event import Stage
from whisker.training.extend.last_layer import HeldOutAnswers, LastLayer, Replayed
from whisker.training.extend.photos import NewPhotos, read_new_photos
from whisker.training.extend.verdicts import Extended, calibrate_extended
from whisker.training.fit.distributed import SINGLE_PROCESS
from whisker.training.job import Training, check_paths, plan_of, require_free, result_of
from whisker.training.progress import Progress
from whisker.training.provenance import today
from whisker.training.replay.statistics import extend_statistics
from whisker.training.report.publish import publish
from whisker.training.transfer.cross_validation import count_folds
from whisker.training.transfer.features import extract_features, open_engine
from whisker.training.transfer.probe import ProbeData


def run_extension(training: Training, source: Checkpoint, progress: Progress) -> Measured:
    """Add the classes in `training.photos` to `source`, and write the checkpoint and its report.

    Its network stays as it is, but for the last layer. Raises `DatasetError`, or `TrainingError` if `source` cannot be
    extended.
    """
    device = resolve_device(training.device)
    use_available_cores()
    check_paths(training)
    require_free(training, SINGLE_PROCESS)
    statistics = require_statistics(source)
    photos = read_new_photos(training.photos, source, training.work, progress, training.labels)
    _require_all(source, statistics, photos)
    progress.tell(plan_of(training, photos.dataset))
    calibrated = _Extension(training, source, photos, device=device, progress=progress).run()
    progress.tell(Stage("Writing the checkpoint and the report"))
    publish(calibrated, photos.dataset, training.out, training.report_file)
    progress.tell(result_of(training, calibrated.evaluation))
    extension = TestMetrics.from_json(calibrated.checkpoint.metrics).extension
    for sentence in describe_extension(extension) if extension else ():
        progress.say(sentence)
    return calibrated.evaluation


def require_statistics(source: Checkpoint) -> ClassStatistics:
    """Give the statistics of a checkpoint's training photos; raise `TrainingError` if classes cannot be added to it."""
    if source.task != "single-label":
        raise TrainingError(
            f"{source.name} is a multi-label checkpoint, which --extend cannot add classes to: train anew."
        )
    if source.statistics is None:
        raise TrainingError(
            f"{source.name} holds no statistics of its training photos, as checkpoints of older versions or of fewer "
            f"than {MIN_PHOTOS} photos a class: train on the photos of all classes instead."
        )
    return source.statistics


def _require_all(source: Checkpoint, statistics: ClassStatistics, photos: NewPhotos) -> None:
    """Refuse a class of which there is nothing: neither photos nor statistics."""
    given = photos.counts[photos.old]
    for name, count, photos_given in zip(source.classes, statistics.counts, given, strict=True):
        if not count and not photos_given:
            raise TrainingError(
                f"{source.name} was trained on fewer than {MIN_PHOTOS} different photos of the class {name!r}, too few "
                "to keep statistics of: give its photos, too."
            )


class _Extension:
    """The steps between the photos and the checkpoint."""

    def __init__(
        self, training: Training, source: Checkpoint, photos: NewPhotos, *, device: str, progress: Progress
    ) -> None:
        self.training, self.source, self.photos = training, source, photos
        self.device, self.progress = device, progress
        statistics = require_statistics(source)
        weight, bias = (source.state[f"fc.{name}"].numpy() for name in ("weight", "bias"))
        # Photos of an old class that are given may be those of its training: they replace as many of the statistics'.
        counts = np.maximum(statistics.counts - photos.counts[photos.old], 0)
        self.replayed = Replayed(statistics, Head(weight, bias), photos.old, counts)

    def run(self) -> CalibratedCheckpoint:
        features = np.asarray(self._extract())
        data = ProbeData(features, self.photos.photos.labels, len(self.photos.dataset.classes))
        layer = LastLayer(data, self.photos.photos.groups, self.replayed, self.training.config.seed)
        head = layer.fit()
        answers = layer.cross_validate(self._count_folds(), self.progress)
        extended = Extended(
            self.source,
            self._checkpoint(head, features[0], answers),
            self.photos.photos,
            features[0],
            self.replayed,
            answers,
        )
        return calibrate_extended(extended, targets=self.training.targets, device=self.device, progress=self.progress)

    def _extract(self) -> NDArray[np.float32]:
        network = build_network(self.source.network, len(self.source.classes))
        network.load_state_dict(dict(self.source.state))
        engine = open_engine(network.eval(), self.source.network.size, self.device)
        key = {"weights": self.source.sha256, "photos": self.photos.dataset.fingerprint}
        return extract_features(
            engine, self.photos.photos, self.training.work / "cache-features-train", key, self.progress
        )

    def _count_folds(self) -> int:
        """Choose how many folds the photos that are given allow; raise `DatasetError` if a class has too few."""
        photos = self.photos.photos
        given, labels = np.unique(photos.labels, return_inverse=True)
        return count_folds(labels, photos.groups, [self.photos.dataset.classes[label] for label in given])

    def _checkpoint(self, head: Head, features: NDArray[np.float32], answers: HeldOutAnswers) -> Checkpoint:
        """Put the new last layer into the checkpoint; what was measured or fitted with the old one is left out."""
        layer = {"fc.weight": torch.from_numpy(head.weight), "fc.bias": torch.from_numpy(head.bias)}
        return replace(
            self.source,
            name=self.training.title,
            classes=self.photos.dataset.classes,
            state={**self.source.state, **layer},
            provenance=self._provenance().to_json(),
            quantization=None,
            held_out=None,
            golden=None,
            sha256="",
            statistics=extend_statistics(
                self.replayed.statistics,
                self.photos.old,
                features,
                self.photos.photos.labels,
                self.photos.photos.groups,
                kept=self.replayed.counts > 0,
                logits=answers.logits[0],
                answered=answers.labels,
            ),
        )

    def _provenance(self) -> Provenance:
        before, photos = Provenance.from_json(self.source.provenance), self.photos
        given = dict(zip(photos.dataset.classes, photos.counts.tolist(), strict=True))
        data = before.data or DataCounts()
        known = data.photos or {}
        step = Extension(
            extended_from=self.source.sha256,
            name=self.source.name,
            added=photos.new,
            photos={name: count for name, count in given.items() if count},
            missing=int(self.replayed.counts.sum()),
            fingerprint=photos.dataset.fingerprint,
            command=self.training.command,
            date=today(),
        )
        totals = {name: max(known.get(name, 0), count) for name, count in given.items()}
        return replace(before, data=replace(data, photos=totals), extensions=(*(before.extensions or ()), step))
