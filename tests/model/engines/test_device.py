import logging
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from whisker.model import Checkpoint, Classifier, save_checkpoint
from whisker.model.engines.device import Cuda, find_cuda, gpu_errors_named, resolve_device
from whisker.model.errors import DeviceError

OLD_DRIVER = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."
WITHOUT_CUDA, WITHOUT_GPU, TWO_GPUS = Cuda(None, 0), Cuda("13.0", 0), Cuda("13.0", 2)
UNUSABLE = Cuda("13.0", 0, (OLD_DRIVER,))
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nSee the documentation.")


def test_auto_device_is_always_there() -> None:
    assert resolve_device("auto") in ("cpu", "cuda")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99", ""])
def test_absent_or_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="device"):
        resolve_device(name)


def test_pytorch_is_asked_for_what_it_was_built_for() -> None:
    found = find_cuda()
    assert found.built_for == torch.version.cuda
    assert found.gpus == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


@pytest.mark.parametrize(
    ("name", "cuda", "reason"),
    [
        ("cuda", WITHOUT_CUDA, "was built without CUDA, so install a build for NVIDIA GPUs."),
        ("cuda", WITHOUT_GPU, "which was built for CUDA 13.0, finds no NVIDIA GPU"),
        ("cuda:0", UNUSABLE, "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."),
        ("cuda:2", TWO_GPUS, "this PyTorch sees 2 CUDA GPUs, counted from cuda:0."),
        ("cuda:1", Cuda("13.0", 1), "this PyTorch sees 1 CUDA GPU, counted from cuda:0."),
    ],
)
def test_absent_gpu_is_refused_with_the_reason(name: str, cuda: Cuda, reason: str) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device(name, lambda: cuda)
    assert str(caught.value).startswith(f"The device {name} is not available: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_gpu_that_is_there_is_taken_as_named(name: str) -> None:
    assert resolve_device(name, lambda: TWO_GPUS) == name


def test_cpu_that_is_asked_for_needs_no_look_at_gpus() -> None:
    def look() -> NoReturn:
        raise AssertionError

    assert resolve_device("cpu", look) == "cpu"


@pytest.mark.parametrize(
    ("cuda", "device", "level", "reason"),
    [
        (TWO_GPUS, "cuda", None, ""),
        (WITHOUT_CUDA, "cpu", None, ""),
        (WITHOUT_GPU, "cpu", logging.INFO, "finds no NVIDIA GPU"),
        (UNUSABLE, "cpu", logging.WARNING, "driver on your system is too old"),
    ],
)
def test_automatic_fallback_to_the_cpu_is_logged_where_a_gpu_was_meant(
    caplog: pytest.LogCaptureFixture, cuda: Cuda, device: str, level: int | None, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    assert resolve_device("auto", lambda: cuda) == device
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])
    assert all(reason in vars(record)["reason"] for record in caplog.records)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FULL,
            r"The GPU's memory is full: .*fewer workers \(CUDA out of memory. Tried to allocate 20.00 MiB\)\.$",
        ),
        (
            torch.AcceleratorError(
                "CUDA error: no kernel image is available for execution on the device\nCompile with"
            ),
            "was not built for this GPU: install a build",
        ),
        (
            torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with"),
            r"The GPU has failed: CUDA error: an illegal memory access was encountered\.$",
        ),
    ],
)
def test_failure_of_a_gpu_is_one_sentence(error: Exception, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught, gpu_errors_named():
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), gpu_errors_named():
        raise RuntimeError("shapes differ")


def test_gpu_that_is_full_when_a_checkpoint_is_loaded_is_named(untrained: Checkpoint, tmp_path: Path) -> None:
    class OnFullGpu(Classifier):
        def verify(self) -> NoReturn:
            raise FULL

    save_checkpoint(untrained, tmp_path / "any.safetensors")
    with pytest.raises(DeviceError, match="memory is full"):
        OnFullGpu.load(tmp_path / "any.safetensors")
