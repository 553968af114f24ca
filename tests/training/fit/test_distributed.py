"""Two processes on one machine, started by `torchrun`, as users start them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pictures import write_folder
from whisker.model import load_checkpoint
from whisker.training.fit.distributed import World, joined_world

SMALL = ("--width", "4", "--depth", "1", "--size", "32", "--dtype", "float32", "--device", "cpu", "--epochs", "16")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "shapes", 60)


def start(*words: str, folder: Path) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "whisker")
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        (*command, *words), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_single_process_is_the_whole_world() -> None:
    with joined_world("cpu") as (world, device):
        assert (world, device) == (World(), "cpu")
        assert world.broadcast(lambda: 7) == 7
        assert [world.any(flag, torch.device("cpu")) for flag in (True, False)] == [True, False]


def test_shares_of_a_batch_make_the_whole() -> None:
    batch = np.arange(10)
    shares = [World(rank, 3).share(batch) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(batch)


@pytest.mark.slow
def test_two_processes_train_as_well_and_one_writes(photos: Path) -> None:
    left_out = min(photos.rglob("*.png")).relative_to(photos)
    (photos.parent / "labels.csv").write_text(f"path,label\n{left_out},\n")
    ended = start("train", "shapes", "--labels", "labels.csv", *SMALL, folder=photos.parent)
    out, _ = ended.communicate(timeout=240)
    assert ended.returncode == 0, out
    assert out.count("Test accuracy: ") == 1  # only the main process prints it
    checkpoint = load_checkpoint(photos.parent / "shapes.safetensors")
    assert checkpoint.metrics["validation"]["accuracy"] >= 0.8
    assert sum(checkpoint.provenance["data"]["photos"].values()) == 60 * len(checkpoint.classes) - 1


@pytest.mark.slow
def test_two_processes_stop_together_and_save(photos: Path) -> None:
    state = photos.parent / "shapes.run" / "state.safetensors"
    process = start("train", "shapes", *SMALL[:-1], "4000", folder=photos.parent)
    patience = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.1)  # until the first save: nothing else shows from outside that training has begun
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert "Stopped and saved" in out
    assert state.exists()
