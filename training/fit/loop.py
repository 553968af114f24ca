"""The training loop, from the first step to the choice of weights."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.training.config import TrainingConfig
from whisker.training.data.dataset import Split, batched
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.events.event import Epoch, Stage, Step
from whisker.training.fit.augmentation import Augmentation, mix_pairs
from whisker.training.fit.averaging import reestimate_batch_norm, update_average
from whisker.training.fit.distributed import SINGLE_PROCESS, World
from whisker.training.fit.precision import autocast, probe_bf16
from whisker.training.fit.schedule import Schedule, plan
from whisker.training.fit.state import EpochResult, TrainingState, stop_on_signal
from whisker.training.fit.teachers import Lesson, Teacher
from whisker.training.pretrained.weights import Pretrained, apply_pretrained
from whisker.training.progress import Progress, duration

_EVALUATION_BATCH = 64
_BALANCED_RATIO = 1.5  # of the largest class to the smallest, up to which classes count as balanced
_STATISTICS_BATCHES = 50  # for re-estimating batch-norm
_NORMALIZATION_PHOTOS = 1024  # for measuring the mean and deviation of the input
_LEAST_VARIANCE = 1e-6  # of features, on average


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The chosen network, and how it was trained; `averaged` tells whether its weights are the averaged ones."""

    network: nn.Module
    averaged: bool
    bf16: bool
    schedule: Schedule
    history: tuple[EpochResult, ...]
    seconds: float


class Trainer:
    """Train one network; `fit` is the loop, and the other methods are its phases.

    Each of several processes has a trainer of its own; their arguments differ in `device` and `world` only.
    """

    def __init__(
        self,
        config: TrainingConfig,
        train: Split,
        validation: Split,
        *,
        classes: Sequence[str],
        device: str,
        progress: Progress,
        pretrained: Pretrained | None = None,
        teacher: Teacher | None = None,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Build the network; a `teacher`, for a single process, says what it should give."""
        self.config = config
        self.recipe = config.recipe
        self.world = world
        self.train = train
        self.validation = validation
        self.device = torch.device(device)
        self.progress = progress
        self.schedule = plan(config.recipe, len(train.rows), config.network.size, world.size)
        # Only the initial weights are drawn from the global generator. All later randomness is derived from the seed
        # and the step: a resumed training needs no generator's state.
        torch.manual_seed(config.seed)
        network = build_network(config.network, len(classes))
        _measure_normalization(network, train)
        if pretrained is not None:
            apply_pretrained(network, pretrained, classes, progress)
        network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state = TrainingState(network, copy.deepcopy(network), self._optimizer(network), bf16=False)
        self._parallel = world.parallel(network)
        self._teacher = teacher
        self._classes = len(classes)
        # The last epochs show photos as they will be served.
        self._mixed_epochs = round(self.schedule.epochs * (1 - config.recipe.unmixed))
        self._odds = _odds(train.labels, config.recipe.balance)
        self._augmentation = Augmentation(config.recipe.minimum_crop, config.recipe.colour)
        self._parity = np.random.default_rng((config.seed, 1)).integers(0, 2, len(train.rows))

    def fit(self, state_file: Path, run: Mapping[str, Any], *, save_seconds: float = 30.0) -> TrainingResult:
        """Train, resuming from `state_file` if it exists; `run` identifies this training in the file.

        The state is saved every `save_seconds`: a kill loses at most these, and the current step or validation. Raises
        `TrainingInterruptedError`, with the state saved, on SIGINT or SIGTERM, and `TrainingError` if the training
        diverges or the state cannot be read or written.
        """
        state, schedule, world = self.state, self.schedule, self.world
        # Start or resume. The main process decides, because all must start at the same step.
        if world.broadcast(state_file.exists):
            state.load(state_file)
            self.progress.say(f"Resuming at step {state.step + 1:,} of {schedule.steps:,}.")
            for result in state.history:
                self._tell(result)
        else:
            state.bf16 = world.broadcast(self._wants_bf16)
        # Steps on small pictures are cheap, so the remaining time is estimated from their cost.
        work = sum(schedule.cost(step) for step in range(state.step, schedule.steps))
        with stop_on_signal() as stopped, self.progress.task("Training", work) as task:
            saved = time.monotonic()
            while state.step < schedule.steps:
                # Train on one batch.
                started = time.monotonic()
                epoch, position = divmod(state.step, schedule.epoch_steps)
                loss = self.step(*self.batch(state.step, epoch, position))
                state.loss_sum += loss
                taken = Step(epoch + 1, schedule.epochs, loss, schedule.learning_rate(state.step))
                task.advance(schedule.cost(state.step), schedule.batch_size, step=taken)
                state.step += 1
                state.epoch_seconds += time.monotonic() - started
                # Validate before saving: a training resumed after an epoch's last step would miss its validation.
                if position + 1 == schedule.epoch_steps:
                    self._finish_epoch(epoch)
                # Save also after the last step: an interrupted calibration must not cost the training.
                # A signal to one process stops all, which would otherwise wait for its gradients.
                stop = world.any(stopped(), self.device)
                due = stop or state.step == schedule.steps or time.monotonic() - saved >= save_seconds
                if due and world.is_main:
                    state.save(state_file, run)
                    saved = time.monotonic()
                if stop:
                    raise TrainingInterruptedError(
                        f"Stopped and saved in epoch {epoch + 1} of {schedule.epochs}: "
                        "give the same command with --resume to continue."
                    )
        network, averaged = self._choose_weights()
        seconds = sum(result.seconds for result in state.history)
        return TrainingResult(network, averaged, state.bf16, schedule, state.history, seconds)

    def _wants_bf16(self) -> bool:
        """Tell whether to compute in bfloat16."""
        if self.config.dtype != "auto":
            return self.config.dtype == "bfloat16"
        self.progress.tell(Stage("Probing precision"))
        # Of the last epoch: its pictures are the largest, and take most of the time.
        x, lesson = self.batch(0, self.schedule.epochs - 1, 0)
        return probe_bf16(self.state.network, x, lesson.answers, self.progress)

    def batch(self, step: int, epoch: int, position: int) -> tuple[Tensor, Lesson]:
        """Gather and augment this process's part of one batch, the `position`-th of its epoch.

        Equal arguments give equal batches: a resumed training sees what it would have seen. Returns photos, float32
        `[N, 3, size, size]`, and what to give for them: labels or, of mixed photos or by a teacher, class shares.
        """
        pass_, position = divmod(position, self.schedule.pass_steps)
        pass_ += epoch * self.schedule.passes
        whole = self.order(pass_)[position * self.schedule.batch_size :][: self.schedule.batch_size]
        picked = self.world.share(whole)
        seed = np.random.SeedSequence((self.config.seed, 3, step, self.world.rank)).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        # Every two passes show each photo both as it is and mirrored (Jordan 2024).
        flipped = (self._parity[picked] + pass_) % 2 == 1
        size = self.schedule.sizes[min(epoch, self.schedule.epochs - 1)]  # `_choose_weights` asks for one more epoch
        # A teacher that saw what a smaller student sees would know less: its answers lost a point of accuracy.
        cut = size if self._teacher is None else max(size, self._teacher.size)
        x = self._augmentation(self.train.pixels, self.train.rows[picked], flipped, cut, generator)
        labels = torch.from_numpy(self.train.labels[picked])
        lesson = Lesson(labels)
        rng = np.random.default_rng((self.config.seed, 4, step, self.world.rank))
        if epoch < self._mixed_epochs and rng.random() < self.recipe.mixing:
            x, shares = mix_pairs(x, labels, self._classes, rng)
            lesson = Lesson(shares)
        if self._teacher is not None:
            lesson = self._teacher(_scale(x, self._teacher.size), lesson.shares(self._classes))
            x = _scale(x, size)
        return x.to(self.device), lesson.to(self.device)

    def step(self, x: Tensor, lesson: Lesson) -> float:
        """Take one optimisation step on a batch, update the averaged weights, and return the loss.

        Raises `TrainingError` if the gradients are not finite, even in float32.
        """
        network, optimizer, step = self.state.network, self.state.optimizer, self.state.step
        network.train()
        loss = self.backward(x, lesson)
        # Clip: the norm is that of all gradients together, so one number also tells whether all of them are finite.
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.recipe.gradient_norm)
        # PyTorch's emulated bfloat16 gives NaN for some shapes: repeat the step in float32, and stay there.
        if not torch.isfinite(norm) and self.state.bf16:
            self.progress.say(f"Step {step + 1:,} gave no finite gradients in bfloat16: continuing in float32.")
            self.state.bf16 = False
            loss = self.backward(x, lesson)
            norm = nn.utils.clip_grad_norm_(network.parameters(), self.recipe.gradient_norm)
        if not torch.isfinite(norm):
            raise TrainingError(f"The training diverged in step {step + 1:,}: its gradients are no longer finite.")
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(step)
        optimizer.step()
        horizon = max(1.0, self.recipe.averaging_epochs * self.schedule.epoch_steps)
        # The average is over fewer steps at first, to forget the random initial weights soon.
        update_average(self.state.averaged, network, min(1 - 1 / horizon, (1 + step) / (10 + step)))
        return loss

    def backward(self, x: Tensor, lesson: Lesson) -> float:
        """Compute new gradients of the loss, averaged over all processes, and return the loss."""
        self.state.optimizer.zero_grad()
        with autocast(self.device.type, bf16=self.state.bf16):
            features = None if lesson.features is None else self.state.network.embed(x)
            logits = self._parallel(x) if features is None else self.state.network.fc(features)
        # In float32: bfloat16 has too few digits for a softmax and its logarithm.
        smoothing = 0.0 if self._teacher is not None else self.recipe.label_smoothing  # a teacher knows its doubts
        loss = functional.cross_entropy(logits.float(), lesson.answers, label_smoothing=smoothing)
        if features is not None and lesson.features is not None:
            loss = loss + _feature_loss(features.float(), lesson.features)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _finish_epoch(self, epoch: int) -> None:
        """Validate the averaged weights, and report the epoch."""
        state, schedule, started = self.state, self.schedule, time.monotonic()
        # The accuracy is only reported, nothing is chosen by it: one process is enough.
        accuracy = self._accuracy(state.averaged, bf16=state.bf16) if self.world.is_main else 0.0
        state.epoch_seconds += time.monotonic() - started
        loss = state.loss_sum / schedule.epoch_steps
        result = EpochResult(epoch + 1, schedule.sizes[epoch], loss, accuracy, state.epoch_seconds)
        state.history += (result,)
        state.loss_sum = state.epoch_seconds = 0.0
        self.progress.say(
            f"Epoch {result.epoch}/{schedule.epochs} at {result.size} px: loss {loss:.3f}, "
            f"validation accuracy {accuracy:.1%}, {duration(result.seconds)}"
        )
        self._tell(result)

    def _tell(self, result: EpochResult) -> None:
        schedule = self.schedule
        self.progress.tell(
            Epoch(
                series="Training",
                number=result.epoch,
                epochs=schedule.epochs,
                loss=result.loss,
                learning_rate=schedule.learning_rate(result.epoch * schedule.epoch_steps - 1),
                accuracy=result.validation_accuracy,
                size=result.size,
                seconds=result.seconds,
            )
        )

    def _choose_weights(self) -> tuple[nn.Module, bool]:
        """Choose the last or the averaged weights by their validation accuracy.

        Returns the network, and whether its weights are the averaged ones. Of several processes, the main one's count.
        """
        state, schedule = self.state, self.schedule
        batches = min(_STATISTICS_BATCHES, schedule.epoch_steps)
        # Averaged statistics of batch-norm do not fit averaged weights: measure them on batches of one more epoch.
        inputs = (self.batch(schedule.steps + i, schedule.epochs, i)[0] for i in range(batches))
        reestimate_batch_norm(state.averaged, inputs)
        last, mean = self._accuracy(state.network), self._accuracy(state.averaged)
        self.progress.say(
            f"Validation accuracy: last weights {last:.2%}, averaged weights {mean:.2%}; "
            f"keeping the {'averaged' if mean >= last else 'last'} weights."
        )
        return (state.averaged, True) if mean >= last else (state.network, False)

    def _accuracy(self, network: nn.Module, *, bf16: bool = False) -> float:
        """Measure the validation accuracy; bfloat16 is faster, and accurate enough for a curve."""
        with autocast(self.device.type, bf16=bf16):
            logits = predict_logits(network, self.validation)
        return float((logits.argmax(1).numpy() == self.validation.labels).mean())

    def order(self, pass_: int) -> NDArray[np.int64]:
        """Shuffle the positions of the training photos, differently in every pass.

        In unbalanced data, photos of small classes are repeated, and some of large classes left out. Systematic
        sampling takes each photo as often as its odds say, rounded down or up.
        """
        rng = np.random.default_rng((self.config.seed, 2, pass_))
        order = rng.permutation(len(self.train.rows))
        if self._odds is None:
            return order
        # Lay the shuffled photos, as wide as their odds, end to end; take those under N equally spaced points.
        edges = np.cumsum(self._odds[order])
        picked = np.searchsorted(edges, (np.arange(len(order)) + rng.random()) / len(order) * edges[-1], side="right")
        return rng.permutation(order[picked])

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        # Decay pulls weights to zero, but batch-norm's scales and the biases have no reason to be small.
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": self.recipe.weight_decay}]
        groups.append({"params": others})
        return torch.optim.SGD(groups, lr=0.0, momentum=self.recipe.momentum, nesterov=True)


@torch.no_grad()
def predict_logits(network: nn.Module, split: Split) -> Tensor:
    """Compute float32 logits `[N, classes]`, on the CPU, for the unaugmented photos of a split."""
    device = next(network.parameters()).device
    network.eval()
    batches = (_inputs(split, rows).to(device) for rows in batched(split.rows, _EVALUATION_BATCH))
    return torch.cat([network(x).float().cpu() for x in batches])


def _scale(x: Tensor, size: int) -> Tensor:
    """Scale photos `[N, 3, H, W]` to `[N, 3, size, size]`, antialiased."""
    return x if x.shape[2] == size else functional.interpolate(x, (size, size), mode="bilinear", antialias=True)


def _feature_loss(features: Tensor, taught: Tensor) -> Tensor:
    """Measure how far features `[N, F]` are from those taught: squared, in units of the latter's variance."""
    return functional.mse_loss(features, taught) / (taught.var(0, unbiased=False).mean() + _LEAST_VARIANCE)


def _odds(labels: NDArray[np.int64], balance: float) -> NDArray[np.float64] | None:
    """Weight each photo `[N]` by its class's size to the power `-balance`; `None` for balanced classes."""
    counts = np.bincount(labels)
    present = counts[counts > 0]
    if present.max() <= _BALANCED_RATIO * present.min():
        return None
    return counts[labels].astype(np.float64) ** -balance


def _inputs(split: Split, rows: NDArray[np.int64]) -> Tensor:
    """Convert rows to float32 `[N, 3, H, W]` RGB in 0..1, channels last."""
    return torch.from_numpy(split.pixels[rows]).permute(0, 3, 1, 2).float() / 255


def _measure_normalization(network: Network, train: Split) -> None:
    """Set the first layer's mean and deviation to those of a sample of the training photos."""
    normalization = network.normalization
    photos = min(len(train.rows), _NORMALIZATION_PHOTOS)
    rows = train.rows[np.linspace(0, len(train.rows) - 1, photos).astype(np.int64)]
    moments = []  # of single photos, in batches: all at once would take gigabytes for large pictures
    for piece in batched(rows, _EVALUATION_BATCH):
        x = normalization.select(_inputs(train, piece))
        moments.append(torch.stack([x.mean((2, 3)), x.square().mean((2, 3))]))  # [2, N, channels]
    mean, square = torch.cat(moments, dim=1).mean(1)
    normalization.mean.copy_(mean)
    normalization.std.copy_((square - mean**2).clamp(min=1e-6).sqrt())
