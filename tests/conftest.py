"""What all tests share: one checkpoint, really trained, on generated pictures."""

import errno
import io
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from tests.once import make_once
from tests.pictures import CLASSES, write_folder
from whisker.model import Checkpoint, Classifier, NetworkConfig, Preprocessing, build_network, with_golden_answers
from whisker.model.checkpoint.contents import Thresholds
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.events.event import Event
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress

TINY = NetworkConfig(width=4, depth=1, size=32)
_TOLD = "told.pickle"
_MEASURING = "COVERAGE_PROCESS_CONFIG"  # set by coverage for the processes that are started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process is left with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test, nor a process that it starts, find what was prepared elsewhere, or leave anything there.

    All processes that run tests share what is prepared, as most start the same checkpoints.
    """
    folder = make_once(tmp_path_factory, "cache", lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def _unmeasured_processes() -> Iterator[str]:
    """Start processes whose coverage is not measured: measuring makes their many imports half as slow again."""
    with pytest.MonkeyPatch.context() as patch:
        config = os.environ.get(_MEASURING, "")
        patch.delenv(_MEASURING, raising=False)
        yield config


@pytest.fixture(scope="module")
def measured(_unmeasured_processes: str) -> Iterator[None]:
    """Measure the coverage of the processes that a module's tests start, as they run what no test's process does."""
    with pytest.MonkeyPatch.context() as patch:
        if _unmeasured_processes:
            patch.setenv(_MEASURING, _unmeasured_processes)
        yield


@pytest.fixture(autouse=True)
def _restored_log_level() -> Iterator[None]:
    """Let no command that runs in the tests' process decide what later tests hear."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="session")
def quiet() -> Progress:
    """Progress that prints to nowhere."""
    return Progress(Console(file=io.StringIO()))


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let a folder be one that may not be read, even by root, whom no permission stops."""
    scandir, denied = os.scandir, set[Path]()

    def scan(folder: str | Path) -> "Iterator[os.DirEntry[str]]":
        if Path(folder) in denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    return denied.add


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once(tmp_path_factory, "photos", lambda folder: write_folder(folder / "shapes", 60)) / "shapes"


@pytest.fixture(scope="session")
def trained(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Train a tiny checkpoint with the product's own pipeline; `trained.out` is its file."""

    def training(folder: Path) -> Training:
        config = TrainingConfig(recipe_for("quick", TINY, epochs=16), TINY, dtype="float32")
        out = folder / "shapes.safetensors"
        return Training(photo_folder, out, config, device="cpu", command="whisker train shapes")

    def train(folder: Path) -> None:
        told: list[Event] = []
        run_training(training(folder), Progress(Console(file=io.StringIO()), observers=[told.append]))
        (folder / _TOLD).write_bytes(pickle.dumps(told))

    return training(make_once(tmp_path_factory, "trained", train))


@pytest.fixture(scope="session")
def told(trained: Training) -> list[Event]:
    """Give what observers of the training of `trained` were told."""
    events: list[Event] = pickle.loads((trained.out.parent / _TOLD).read_bytes())  # noqa: S301 - written by `trained`
    return events


@pytest.fixture(scope="session")
def classifier(trained: Training) -> Classifier:
    return Classifier.load(trained.out)


@pytest.fixture
def untrained() -> Checkpoint:
    """Make a checkpoint with random weights and golden answers: quick, and as valid as any."""
    torch.manual_seed(0)
    config = NetworkConfig(width=2, depth=1, size=32)
    state = build_network(config, 2).state_dict()
    return with_golden_answers(Checkpoint("untrained", config, Preprocessing(32), CLASSES, state))


@pytest.fixture(scope="session")
def several() -> Checkpoint:
    """Make a multi-label checkpoint whose biases decide: of every picture, bird and cat are labels, and dog is none.

    Their scores are about 0.95, 0.8 and 0.05.
    """
    torch.manual_seed(0)
    config = NetworkConfig(width=2, depth=1, size=32)
    state = build_network(config, 3).state_dict()
    state["fc.bias"] = torch.tensor([3.0, 1.5, -3.0])
    thresholds = Thresholds(labels=(0.9, 0.6, 0.9), guaranteed=(True, True, True))
    return with_golden_answers(
        Checkpoint(
            "several",
            config,
            Preprocessing(32),
            ("bird", "cat", "dog"),
            state,
            thresholds=thresholds,
            task="multi-label",
        )
    )
