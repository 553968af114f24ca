"""Distillation as a step of a training: a dense network in place of the transferred one, if it loses little.

Both see the same crops, also mixed ones, each at its own size, for many epochs (function matching, Beyer et al. 2022).
"""

from dataclasses import replace
from typing import Any

import torch

from whisker.model import Checkpoint, build_network
from whisker.model.card.provenance import Provenance, TriedCandidate
from whisker.model.networks.build import require_trainable
from whisker.model.networks.config import NetworkConfig
from whisker.training.calibration.calibrate import CalibratedCheckpoint, CalibrationData, calibrate
from whisker.training.calibration.photos import read_training_sample, run_engine
from whisker.training.calibration.thresholds import fit_temperature
from whisker.training.data.dataset import Dataset, Split, decode_served
from whisker.training.data.outliers import read_outliers
from whisker.training.fit.loop import Trainer, predict_logits
from whisker.training.fit.teachers import EngineTeacher
from whisker.training.job import Training
from whisker.training.pretrained.sources import open_pretrained
from whisker.training.progress import Progress
from whisker.training.provenance import provenance_of, uncalibrated
from whisker.training.transfer.candidates import Candidate, judge
from whisker.training.transfer.features import open_engine

MAX_LOSS = 0.01  # of accuracy on the validation split, that a student may cost


def distil(
    training: Training,
    dataset: Dataset,
    data: CalibrationData,
    teacher: Checkpoint,
    student: NetworkConfig,
    *,
    run: dict[str, Any],
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Let `teacher` teach a `student`; calibrate the one that is worth serving.

    That is the student if it loses less than a point of accuracy on the validation split. Both figures are said, and
    kept in the provenance.
    """
    shape = require_trainable(teacher.network)
    network = build_network(shape, len(teacher.classes))
    network.load_state_dict(dict(teacher.state))
    engine = open_engine(network.eval(), teacher.network.size, device)
    with progress.task("Asking the teacher", len(dataset.validation.rows)) as task:
        logits = torch.from_numpy(run_engine(engine, dataset.validation, task).logits)
    temperature = fit_temperature(logits, torch.from_numpy(dataset.validation.labels))
    own = replace(training, config=replace(training.config, network=student, transfer=None))
    served, work = own.config.preprocessing, training.work
    validation = decode_served(training.photos, dataset.validation, served, work / "cache-student-validation", progress)
    start = None if training.student is None else open_pretrained(training.student)
    trainer = Trainer(
        own.config,
        dataset.train,
        validation,
        classes=dataset.classes,
        device=device,
        progress=progress,
        pretrained=start,
        teacher=EngineTeacher(engine, teacher.network.size, temperature),
    )
    fit = trainer.fit(training.state_file, run)
    answers = {0.0: logits.numpy(), 1.0: predict_logits(fit.network, validation).numpy()}
    before, after = judge(answers, dataset.validation.labels)
    sentence = (
        f"The student is right for {after.accuracy:.2%} of the validation photos, its teacher for {before.accuracy:.2%}"
    )
    if before.accuracy - after.accuracy >= MAX_LOSS:
        progress.say(f"{sentence}: kept the teacher.")
        return calibrate(teacher, data, targets=training.targets, device=device, progress=progress)
    progress.say(f"{sentence}: kept the student.")
    past = Provenance.from_json(teacher.provenance)
    provenance = replace(
        provenance_of(own, dataset, fit, "" if start is None else start.source),
        pretrained="" if start is None else start.sha256,
        method=f"Distilled from {shape.family} {shape.variant}",
        candidates=(*(past.candidates or ()), tried("Teacher", before), tried("Student", after)),
    )
    checkpoint = uncalibrated(own, dataset, fit.network.state_dict(), provenance)
    student_data = data_for_student(own, dataset, validation, progress)
    return calibrate(checkpoint, student_data, targets=training.targets, device=device, progress=progress)


def tried(name: str, candidate: Candidate) -> TriedCandidate:
    """Write down a candidate for the provenance."""
    return TriedCandidate(name, round(candidate.accuracy, 4), round(candidate.likelihood, 4))


def data_for_student(training: Training, dataset: Dataset, validation: Split, progress: Progress) -> CalibrationData:
    """Decode what calibrates a student, at its size; `validation` has it already."""
    served, work, root = training.config.preprocessing, training.work, training.photos
    sample = read_training_sample(root, dataset.train, served, work / "cache-student-train", progress)
    test = decode_served(root, dataset.test, served, work / "cache-student-test", progress)
    outliers = None
    if training.outliers is not None:
        cache = work / "cache-student-outliers"
        outliers = read_outliers(training.outliers, served, cache, dataset.digests, progress)
    return CalibrationData(sample, validation, test, outliers, dataset.train.count_classes(len(dataset.classes)))
