"""From a folder of photos to a checkpoint and its report: the steps of a training, in their order."""

import json
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model import Checkpoint, Classifier, Preprocessing, save_checkpoint, with_golden_answers
from model.checkpoint import Thresholds
from model.engine import resolve_device, use_available_cores
from model.errors import ConfigError
from training.calibration import choose_unsure_threshold, fit_temperature
from training.config import TrainingConfig
from training.dataset import Dataset, prepare_dataset
from training.errors import TrainingError, TrainingInterruptedError
from training.loop import Fit, Side, Trainer, predict_logits
from training.metrics import Evaluation, evaluate_probabilities, wilson_interval
from training.pretrained import read_pretrained
from training.progress import Progress
from training.report import write_report
from training.state import saved_run

_LIBRARIES = ("torch", "pillow", "numpy", "safetensors")


@dataclass(frozen=True, slots=True)
class Training:
    """What to train, and where its files go."""

    photos: Path
    out: Path
    config: TrainingConfig
    device: str = "auto"
    pretrained: Path | None = None
    resume: bool = False
    overwrite: bool = False
    command: str = ""

    @property
    def work(self) -> Path:
        """Name the folder of caches and saved state, beside the checkpoint."""
        return self.out.with_suffix(".run")

    @property
    def state_file(self) -> Path:
        """Name the file of the unfinished training's state."""
        return self.work / "state.safetensors"

    @property
    def report_file(self) -> Path:
        """Name the report, beside the checkpoint."""
        return self.out.with_suffix(".md")


def run_training(training: Training, progress: Progress) -> Evaluation:
    """Train, calibrate, test once, and write the checkpoint and its report; return the test's evaluation.

    Raises `DatasetError`, `TrainingError` or, when stopped by a signal, `TrainingInterruptedError`.
    """
    device = resolve_device(training.device)
    use_available_cores()
    _check_places(training)
    _require_free(training)
    pretrained = None if training.pretrained is None else read_pretrained(training.pretrained)
    try:
        dataset = prepare_dataset(training.photos, training.config, training.work, progress)
    except KeyboardInterrupt as exc:
        raise TrainingInterruptedError(
            "Stopped while preparing the photos: the same command goes on with what is decoded."
        ) from exc
    run = _run_identity(training, dataset)
    if training.overwrite:
        training.state_file.unlink(missing_ok=True)
    _check_resumable(training, run)
    _say_plan(training, dataset, device, progress)
    trainer = Trainer(
        training.config,
        dataset.train,
        dataset.validation,
        classes=len(dataset.classes),
        device=device,
        progress=progress,
        pretrained=pretrained,
    )
    fit = trainer.fit(training.state_file, run)
    checkpoint = _calibrate(_checkpoint(training, dataset, fit), fit.network, dataset.validation)
    evaluation, metrics = _test(checkpoint, dataset.test)
    checkpoint = replace(checkpoint, metrics={**checkpoint.metrics, **metrics})
    save_checkpoint(with_golden_answers(checkpoint), training.out)
    Classifier.load(training.out)  # as every server will: a file that does not pass its own test is not a result
    write_report(training.report_file, checkpoint, dataset, fit, training.command)
    training.state_file.unlink()
    return evaluation


def _check_places(training: Training) -> None:
    """Refuse names that would make files overwrite each other, or become photos."""
    if training.resume and training.overwrite:
        raise ConfigError("--resume goes on with a training and --overwrite drops it: give one of them.")
    if training.out.suffix != ".safetensors" or training.out.is_dir():
        raise ConfigError(f"The checkpoint is a file whose name ends in .safetensors, not {training.out}: see --out.")
    if training.photos.resolve() in training.out.resolve().parents:
        raise ConfigError(
            f"{training.out} would lie among the photos: give --out a place outside of {training.photos.resolve()}."
        )


def _require_free(training: Training) -> None:
    """Refuse to replace a result, or an unfinished training, that nobody asked to replace."""
    if training.overwrite:
        return
    unfinished = training.state_file.exists()
    if unfinished and not training.resume:
        raise TrainingError(
            f"{training.work} holds an unfinished training: go on with --resume, or start again with --overwrite."
        )
    for file in (training.out, training.report_file):
        if file.exists() and not unfinished:
            raise TrainingError(f"{file} exists: choose another name with --out, or replace it with --overwrite.")


def _run_identity(training: Training, dataset: Dataset) -> dict[str, Any]:
    identity = {"config": asdict(training.config), "data": dataset.fingerprint, "split": dataset.split}
    loaded: dict[str, Any] = json.loads(json.dumps(identity))  # as it will read back: tuples become lists
    return loaded


def _check_resumable(training: Training, run: dict[str, Any]) -> None:
    if training.state_file.exists() and saved_run(training.state_file) != run:
        raise TrainingError(
            f"The unfinished training in {training.work} had other photos or options: "
            "give the same ones to go on, or start again with --overwrite."
        )


def _say_plan(training: Training, dataset: Dataset, device: str, progress: Progress) -> None:
    counts = ", ".join(f"{name} {count:,}" for name, count in zip(dataset.classes, dataset.counts, strict=True))
    sides = [len(side.rows) for side in (dataset.train, dataset.validation, dataset.test)]
    network = training.config.network
    progress.say(f"Photos: {counts}; train {sides[0]:,}, validation {sides[1]:,}, test {sides[2]:,}.")
    progress.say(
        f"Network: {network.family}, {network.activation}, width {network.width}, depth {network.depth}, "
        f"{'colour' if network.channels == 3 else 'grey'}, {network.size} px, on {device} "
        f"with {torch.get_num_threads()} threads."
    )


def _checkpoint(training: Training, dataset: Dataset, fit: Fit) -> Checkpoint:
    config = training.config
    return Checkpoint(
        name=training.out.stem,
        network=config.network,
        preprocessing=Preprocessing(size=config.network.size),
        classes=dataset.classes,
        state={name: tensor.cpu() for name, tensor in fit.network.state_dict().items()},
        provenance={
            "data": {
                "fingerprint": dataset.fingerprint,
                "split": dataset.split,
                "photos": dict(zip(dataset.classes, dataset.counts, strict=True)),
                "train": len(dataset.train.rows),
                "validation": len(dataset.validation.rows),
                "test": len(dataset.test.rows),
                "quarantined": len(dataset.quarantined),
                "duplicates": dataset.duplicates,
            },
            "split_seed": config.seed,
            "preset": config.preset,
            "pretrained": config.pretrained,
            "recipe": asdict(config.recipe),
            "epochs": fit.schedule.epochs,
            "weights": "averaged" if fit.averaged else "last",
            "precision": "bfloat16" if fit.bf16 else "float32",
            "training_minutes": round(fit.seconds / 60, 1),
            "command": training.command,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "python": platform.python_version(),
            "date": datetime.now(UTC).date().isoformat(),
        },
    )


def _calibrate(checkpoint: Checkpoint, network: nn.Module, validation: Side) -> Checkpoint:
    """Fit the temperature and the threshold of "unsure" on the validation side."""
    logits, labels = predict_logits(network, validation), torch.from_numpy(validation.labels)
    temperature = fit_temperature(logits, labels)
    probabilities = torch.softmax(logits / temperature, 1).numpy()
    unsure = choose_unsure_threshold(probabilities, validation.labels)
    metrics = {"validation": evaluate_probabilities(probabilities, validation.labels).to_json()}
    return replace(checkpoint, temperature=temperature, thresholds=Thresholds(unsure=unsure), metrics=metrics)


def _test(checkpoint: Checkpoint, side: Side) -> tuple[Evaluation, dict[str, Any]]:
    """Measure the finished classifier, through the code that serves, on photos that nothing was chosen by."""
    probabilities = Classifier(checkpoint).probabilities([side.pixels[row] for row in side.rows])
    evaluation = evaluate_probabilities(probabilities, side.labels)
    confident = probabilities.max(1) >= checkpoint.thresholds.unsure
    wrong = (probabilities.argmax(1) != side.labels) & confident
    error = wilson_interval(int(wrong.sum()), int(confident.sum())) if confident.any() else (0.0, 1.0)
    metrics = {
        "test": evaluation.to_json(),
        "confident": {
            "answers": int(confident.sum()),
            "of": len(confident),
            "wrong": int(wrong.sum()),
            "error_95_interval": [round(bound, 4) for bound in error],
        },
    }
    return evaluation, metrics
