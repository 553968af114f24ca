"""Shrinking: a network learns to see in smaller pictures, which cost less, what it sees in larger ones."""

from dataclasses import dataclass, replace

from whisker.model import Checkpoint, build_network
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.networks.build import require_trainable
from whisker.model.networks.config import NetworkConfig
from whisker.model.onnx.config import GraphConfig
from whisker.training.calibration.calibrate import calibrate
from whisker.training.calibration.metrics import Measured
from whisker.training.calibration.photos import run_engine
from whisker.training.config import MIN_SIZE, PRESETS, Dtype, Recipe, Stage, TrainingConfig, round_size, training_size
from whisker.training.data.dataset import Dataset, Split, decode_served
from whisker.training.distilling import data_for_student, tried
from whisker.training.errors import TrainingError
from whisker.training.fit.distributed import SINGLE_PROCESS
from whisker.training.fit.loop import Trainer, predict_logits
from whisker.training.fit.teachers import SelfTeacher
from whisker.training.job import Training, check_paths, check_resumable, plan_of, require_free, run_identity
from whisker.training.pipeline import finish, prepare_own_photos, split_config, stoppable
from whisker.training.pretrained.weights import weights_of
from whisker.training.progress import Progress
from whisker.training.provenance import provenance_of, uncalibrated
from whisker.training.transfer.candidates import judge
from whisker.training.transfer.features import open_engine

_DEFAULT_SHARE = 5 / 6  # of the side of its pictures that a network keeps
_TRAINING_SCALE = 0.875  # of the serving size, much as at the end of a training
_TEACHER_STEP = 4  # pixels, that sizes of the teacher's pictures are multiples of


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How a checkpoint is to be shrunk, by the options that users give."""

    size: int | None  # in pixels; five sixths of the checkpoint's unless given
    epochs: int
    learning_rate: float  # at the peak, at batch size 128
    dtype: Dtype

    def config(self, source: Checkpoint) -> TrainingConfig:
        """Configure the training; raise `TrainingError` if it is impossible, and `ConfigError` for a wrong size."""
        network = _shrinkable(source)
        size = round_size(network.size * _DEFAULT_SHARE) if self.size is None else self.size
        if size >= network.size:
            raise TrainingError(
                f"{source.name} takes {network.size} px already, which is not more than {size}: give a smaller --size, "
                f"of {MIN_SIZE} or more."
            )
        return replace(
            split_config(source),
            recipe=_recipe(self.epochs, self.learning_rate),
            network=replace(network, size=size),
            preset="",  # none of them
            dtype=self.dtype,
            pretrained=source.sha256,
        )


def _recipe(epochs: int, learning_rate: float) -> Recipe:
    return replace(
        PRESETS["best"],
        stages=(Stage(_TRAINING_SCALE, epochs),),
        minimum_steps=0,
        peak_learning_rate=learning_rate,
        warmup=0.05,
        averaging_epochs=1.0,
        minimum_crop=0.3,
        mixing=0.4,
    )


def _shrinkable(source: Checkpoint) -> NetworkConfig:
    """Give the network of a checkpoint that can be shrunk; raise `TrainingError` if it cannot."""
    network = source.network
    if isinstance(network, GraphConfig):
        raise TrainingError(f"{source.name} cannot be shrunk: its network was imported, and is of one size.")
    if source.preprocessing.resample != "bilinear":  # as all transferred ones, whose photos are decoded sharper
        raise TrainingError(
            f"{source.name} cannot be shrunk, as it starts from pretrained weights: train again with a smaller --size."
        )
    if network.family == "mlp":
        raise TrainingError(f"{source.name} cannot be shrunk: a fully connected network has weights for each pixel.")
    if source.task != "single-label":
        raise TrainingError(f"{source.name} cannot be shrunk: only checkpoints with one label a photo can.")
    return require_trainable(network)


def run_shrinking(training: Training, source: Checkpoint, progress: Progress) -> Measured:
    """Teach the network of `source` to see at the size of `training.config`; write the checkpoint and its report.

    Raises as `run_calibration` does and, when stopped by a signal, `TrainingInterruptedError`; an interrupted training
    is resumed if `training.resume` says so.
    """
    device = resolve_device(training.device)
    use_available_cores()
    check_paths(training)
    require_free(training, SINGLE_PROCESS)
    with stoppable("preparing the photos"):
        dataset = prepare_own_photos(training, split_config(source), source, progress)
        cache = training.work / "cache-student-validation"
        validation = decode_served(training.photos, dataset.validation, training.config.preprocessing, cache, progress)
        data = data_for_student(training, dataset, validation, progress)
    if training.overwrite:
        training.state_file.unlink(missing_ok=True)
    progress.tell(plan_of(training, dataset))
    trained = _train(training, source, dataset, validation, device=device, progress=progress)
    calibrated = calibrate(trained, data, targets=training.targets, device=device, progress=progress)
    return finish(training, dataset, calibrated, progress)


def _train(
    training: Training, source: Checkpoint, dataset: Dataset, validation: Split, *, device: str, progress: Progress
) -> Checkpoint:
    """Train, and say what it cost; `validation` has the pixels of the new size."""
    config, before = training.config, require_trainable(source.network)
    run = run_identity(training, dataset)
    check_resumable(training, run)
    network = build_network(before, len(source.classes))
    network.load_state_dict(dict(source.state))
    network.eval()
    larger = teacher_size(config, before)
    with stoppable("answering"):
        engine = open_engine(network, before.size, device)
        with progress.task(f"Answering at {before.size} px", len(dataset.validation.rows)) as task:
            logits = run_engine(engine, dataset.validation, task).logits
        teacher = SelfTeacher(open_engine(network, larger, device), larger, config.recipe.label_smoothing)
    start = weights_of(source)
    trainer = Trainer(
        config,
        dataset.train,
        validation,
        classes=dataset.classes,
        device=device,
        progress=progress,
        pretrained=start,
        teacher=teacher,
    )
    fit = trainer.fit(training.state_file, run)
    answers = {0.0: logits, 1.0: predict_logits(fit.network, validation).numpy()}
    old, new = judge(answers, dataset.validation.labels)
    sizes = f"{before.size} px", f"{config.network.size} px"
    progress.say(
        f"Right for {new.accuracy:.2%} of the validation photos at {sizes[1]}, for {old.accuracy:.2%} at {sizes[0]}; "
        f"{config.network.size**2 / before.size**2:.0%} of the pixels."
    )
    provenance = replace(
        provenance_of(training, dataset, fit, start.source),
        method=f"Shrunk from {sizes[0]}",
        candidates=(tried(sizes[0], old), tried(sizes[1], new)),
    )
    return uncalibrated(training, dataset, fit.network.state_dict(), provenance)


def teacher_size(config: TrainingConfig, before: NetworkConfig) -> int:
    """Give the size in pixels at which a crop looks to the teacher as the student's crop of a training does to it."""
    seen = training_size(config.recipe.stages[0], config.network.size)
    return round(seen * before.size / config.network.size / _TEACHER_STEP) * _TEACHER_STEP
