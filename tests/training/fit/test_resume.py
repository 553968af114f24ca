"""Interrupted trainings: the cost of a signal or a kill, and the work that is never lost."""

import io
import signal
from dataclasses import replace
from functools import partialmethod

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.pictures import draw
from whisker.model import Classifier
from whisker.training.config import Grouping
from whisker.training.errors import DatasetError, TrainingError, TrainingInterruptedError
from whisker.training.events.event import Epoch, Event
from whisker.training.fit.loop import Trainer
from whisker.training.fit.teachers import Lesson
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress


def signal_in_step(patched: pytest.MonkeyPatch, step: int, number: int) -> None:
    """Let this process send itself a signal in the given training step."""
    original = Trainer.step

    def stepping(trainer: Trainer, x: torch.Tensor, lesson: Lesson) -> float:
        loss = original(trainer, x, lesson)
        if trainer.state.step == step:
            signal.raise_signal(number)
        return loss

    patched.setattr(Trainer, "step", stepping)


@pytest.fixture
def unfinished(training: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch) -> Training:
    """Interrupt a training in its third step."""
    with monkeypatch.context() as patched:
        signal_in_step(patched, 2, signal.SIGINT)
        with pytest.raises(TrainingInterruptedError):
            run_training(training, quiet)
    return training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("step", "mixing"), [(1, 0.0), (3, 0.0), (3, 0.7), (5, 0.0)])
def test_resumed_training_gives_the_same_weights(
    training: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch, *, number: int, step: int, mixing: float
) -> None:
    recipe = replace(training.config.recipe, mixing=mixing)
    training = replace(training, config=replace(training.config, recipe=recipe))
    run_training(training, quiet)
    whole = load_file(training.out)
    interrupted = replace(training, out=training.out.with_stem("interrupted"))
    with monkeypatch.context() as patched:
        signal_in_step(patched, step, number)
        with pytest.raises(TrainingInterruptedError, match="--resume"):
            run_training(interrupted, quiet)
    assert not interrupted.out.exists()
    told: list[Event] = []
    run_training(replace(interrupted, resume=True), Progress(Console(file=io.StringIO()), observers=[told.append]))
    assert [event.number for event in told if isinstance(event, Epoch)] == [1, 2, 3]  # also those before the resume
    resumed = load_file(interrupted.out)
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_kill_loses_at_most_the_time_since_the_last_save(
    training: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", partialmethod(Trainer.fit, save_seconds=0.0))  # saves after every step
    original = Trainer.step

    def killed(trainer: Trainer, x: torch.Tensor, lesson: Lesson) -> float:
        if trainer.state.step == 4:
            raise KeyboardInterrupt  # unlike a signal, it leaves no time to save
        return original(trainer, x, lesson)

    monkeypatch.setattr(Trainer, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        run_training(training, quiet)
    steps: list[int] = []

    def noting(trainer: Trainer, x: torch.Tensor, lesson: Lesson) -> float:
        steps.append(trainer.state.step)
        return original(trainer, x, lesson)

    monkeypatch.setattr(Trainer, "step", noting)
    run_training(replace(training, resume=True), quiet)
    assert steps[0] == 4


def test_unfinished_training_is_not_dropped_unasked(unfinished: Training, quiet: Progress) -> None:
    with pytest.raises(TrainingError, match="unfinished training: go on with --resume"):
        run_training(unfinished, quiet)
    other = replace(unfinished, config=replace(unfinished.config, seed=5), resume=True)
    with pytest.raises(TrainingError, match="other photos or options"):
        run_training(other, quiet)
    draw("rings", 77).save(unfinished.photos / "rings" / "new.png")
    with pytest.raises(TrainingError, match="other photos or options"):
        run_training(replace(unfinished, resume=True), quiet)
    run_training(replace(unfinished, overwrite=True), quiet)
    assert unfinished.out.exists()


def test_resume_with_other_groups_is_refused(
    training: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted(training.photos.rglob("*.png")):
        camera = path.parent / f"camera {int(path.stem) % 5}" / f"day {int(path.stem) % 4}"
        camera.mkdir(parents=True, exist_ok=True)
        path.rename(camera / path.name)
    cameras = replace(training, config=replace(training.config, groups=Grouping(folder_level=1)))
    with monkeypatch.context() as patched:
        signal_in_step(patched, 2, signal.SIGINT)
        with pytest.raises(TrainingInterruptedError):
            run_training(cameras, quiet)
    for groups in (None, Grouping(folder_level=2)):
        other = replace(cameras, config=replace(cameras.config, groups=groups), resume=True)
        with pytest.raises(TrainingError, match="other photos or options"):
            run_training(other, quiet)
    run_training(replace(cameras, resume=True), quiet)
    assert cameras.out.exists()


class InterruptedProgress(Progress):
    """Interrupt the preparation, as Ctrl-C does, when it begins to look for duplicates."""

    def say(self, text: str) -> None:
        if text.startswith("Looking for duplicates"):
            raise KeyboardInterrupt


def test_interrupted_preparation_says_how_to_continue(training: Training, quiet: Progress) -> None:
    with pytest.raises(TrainingInterruptedError, match="The same command goes on"):
        run_training(training, InterruptedProgress(Console(file=io.StringIO())))
    run_training(training, quiet)
    assert training.out.exists()


def test_renamed_photo_that_would_change_the_split_stops_a_resume(unfinished: Training, quiet: Progress) -> None:
    """The fingerprint of the data is the same, but a photo trained on could now be tested with."""
    (unfinished.photos / "rings" / "000.png").rename(unfinished.photos / "rings" / "zzz.png")
    with pytest.raises(TrainingError, match="other photos or options"):
        run_training(replace(unfinished, resume=True), quiet)


def test_overwriting_with_a_wrong_folder_keeps_the_unfinished_training(unfinished: Training, quiet: Progress) -> None:
    with pytest.raises(DatasetError, match="There is no folder"):
        run_training(replace(unfinished, photos=unfinished.photos / "typo", overwrite=True), quiet)
    assert unfinished.state_file.exists()


def test_damaged_state_is_one_sentence(unfinished: Training, quiet: Progress) -> None:
    unfinished.state_file.write_bytes(unfinished.state_file.read_bytes()[:-50])
    with pytest.raises(TrainingError, match="damaged: start again with --overwrite"):
        run_training(replace(unfinished, resume=True), quiet)


def test_resume_without_anything_to_resume_starts(training: Training, quiet: Progress) -> None:
    run_training(replace(training, resume=True), quiet)
    assert Classifier.load(training.out).classes == ("rings", "stripes")
