"""What is compared: documented recipes, a linear probe, and Whisker by its commands."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.transfer.journal import Row
from benchmarks.transfer.photos import Photo, Task, copy_photos
from benchmarks.transfer.recipes import RECIPES
from benchmarks.transfer.training import Tuner
from whisker.model import Preprocessing, build_network
from whisker.model.cores import available_cores
from whisker.model.networks.base import Network
from whisker.training.pretrained.installed import read_installed
from whisker.training.pretrained.weights import apply_pretrained
from whisker.training.progress import Progress, silent
from whisker.training.transfer.probe import ProbeData, fit_probe

WHISKER, PROBE = "whisker", "linear-probe"
TITLES = {WHISKER: "`whisker train`", PROBE: "linear probe"} | {recipe.name: recipe.title for recipe in RECIPES}
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all: the pictures' side in pixels, the time, and a folder for files."""

    size: int
    minutes: float
    work: Path
    progress: Progress

    @property
    def cpu_seconds(self) -> float:
        """Give the processor time that the cores have in those minutes."""
        return 60 * self.minutes * available_cores()


def compete(name: str, task: Task, seed: int, conditions: Conditions) -> Row:
    """Train one contender on a task, and test it."""
    if name == WHISKER:
        return _run_whisker(task, seed, conditions)
    network = pretrained_network(task.classes)
    if name == PROBE:
        return _run_probe(network, task, seed, conditions)
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    tuner = Tuner(recipe, network, task, size=conditions.size, seed=seed, progress=conditions.progress)
    tuned = tuner.run(conditions.cpu_seconds)
    return Row(
        name,
        seed,
        accuracy=float(tuned.right.mean()),
        photos=len(tuned.right),
        seconds=tuned.seconds,
        cpu_seconds=tuned.cpu_seconds,
        epochs=tuned.plan.epochs,
        documented=tuned.plan.documented,
    )


def pretrained_network(classes: Sequence[str]) -> Network:
    """Build EfficientNet-Lite0 with its ImageNet weights, and a new last layer."""
    start = read_installed("lite0")
    network = build_network(start.network, len(classes))
    apply_pretrained(network, start, classes, silent())
    return network


def _run_probe(network: Network, task: Task, seed: int, conditions: Conditions) -> Row:
    """Fit a logistic regression to frozen features of the photos, as they are and mirrored."""
    started, cpu_started = time.monotonic(), time.process_time()
    network.eval()
    pixels = _decode(task.train, conditions.size)
    features = np.stack([_embed(network, view) for view in (pixels, pixels[:, :, ::-1])])
    labels = np.array([photo.label for photo in task.train])
    head = fit_probe(ProbeData(features, labels, len(task.classes)))
    seconds, used = time.monotonic() - started, time.process_time() - cpu_started
    logits = _embed(network, _decode(task.test, conditions.size)) @ head.weight.T + head.bias
    right = logits.argmax(1) == np.array([photo.label for photo in task.test])
    return Row(PROBE, seed, float(right.mean()), len(right), seconds, used)


def _decode(photos: Sequence[Photo], size: int) -> NDArray[np.uint8]:
    preprocessing = Preprocessing(size, resample="bicubic")
    return np.stack([preprocessing.decode(photo.path.read_bytes()) for photo in photos])


@torch.inference_mode()
def _embed(network: Network, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    batches = (pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH))
    parts = [network.embed(torch.from_numpy(part.copy()).permute(0, 3, 1, 2).float() / 255).numpy() for part in batches]
    return np.concatenate(parts)


def _run_whisker(task: Task, seed: int, conditions: Conditions) -> Row:
    """Run `whisker train` and `whisker evaluate`; verdicts are counted, too."""
    folder = conditions.work / f"whisker-{seed}"
    train = copy_photos(task.train, task.classes, folder / "train")
    test = copy_photos(task.test, task.classes, folder / "test")
    checkpoint = folder / "whisker.safetensors"
    options = ["--minutes", f"{conditions.minutes:g}", "--size", str(conditions.size), "--seed", str(seed)]
    started, cpu_started = time.monotonic(), _cpu_of_children()
    _whisker("train", str(train), "--out", str(checkpoint), "--overwrite", *options)
    seconds, used = time.monotonic() - started, _cpu_of_children() - cpu_started
    result = _whisker("evaluate", str(checkpoint), str(test))
    confident = result["verdicts"]["confident"]
    return Row(
        WHISKER,
        seed,
        accuracy=result["accuracy"],
        photos=result["photos"],
        seconds=seconds,
        cpu_seconds=used,
        confident=confident["answers"],
        confident_wrong=confident["wrong"],
    )


def _whisker(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "whisker", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise BenchmarkError(f"`whisker {words[0]}` failed with exit status {done.returncode}: see its message above.")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
