"""`python -m benchmarks.gpu PHOTOS [CHECKPOINT]`: measure everything that a GPU changes, in one command."""

import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.connections import Target
from benchmarks.gpu.passes import Subject, measure_variant, variants
from benchmarks.gpu.results import Results, ServiceResult, describe
from benchmarks.http import form_request
from benchmarks.limit import measure_limit
from benchmarks.load import run_closed
from benchmarks.machine import describe_machine
from benchmarks.photos import read_photos
from benchmarks.process import running
from benchmarks.results import Point
from benchmarks.servers import ROOT, WHISKER
from whisker.model import BUNDLED_CHECKPOINT, Checkpoint, Classifier, load_checkpoint
from whisker.model.cores import available_cores
from whisker.model.engines.cuda_engine import half_precision
from whisker.model.engines.device import gpu_errors_named, resolve_device
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.errors import ConfigError, WhiskerError
from whisker.model.networks.build import require_trainable

_CONNECTIONS = (1, 16, 64)
_MANY = 64  # connections that keep several HTTP workers busy
_INFERENCE_WORKERS = 4  # that the service starts at most for each HTTP worker, on a GPU
_CORES_A_WORKER = 4  # of `--workers auto`
_RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds for a batch size, and for a load after its warm-up."""

    pass_seconds: float
    warm_up: float
    seconds: float


_FULL, _QUICK = Plan(1.0, 3.0, 10.0), Plan(0.2, 2.0, 3.0)


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are used.")],
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint file.")] = BUNDLED_CHECKPOINT,
    *,
    device: Annotated[str, typer.Option(help="The GPU: cuda or cuda:N.")] = "cuda",
    quick: Annotated[bool, typer.Option("--quick", help="3 seconds a load instead of 10, 0.2 a batch size.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the figures, as JSON.")] = _RESULTS,
) -> None:
    """Measure passes, answers, service, start and memory on one GPU; without one, say so and end with exit code 1."""
    # As Ctrl-C does: the service under test must end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    sent, loaded = read_photos(photos), load_checkpoint(checkpoint)
    require_trainable(loaded.network)
    require_gpu(device)
    with gpu_errors_named():
        results = measure(checkpoint, loaded, sent, device, _QUICK if quick else _FULL)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"gpu-{results.date.replace(':', '-')}.json"
    file.write_text(results.to_json())
    typer.echo(describe(results))
    typer.echo(f"\nFigures: {file}")


def require_gpu(device: str) -> None:
    """Raise `ConfigError` or `DeviceError` unless the device is a GPU that PyTorch can use."""
    if not device.startswith("cuda"):
        raise ConfigError(f"--device is cuda or cuda:N, a GPU, not {device!r}.")
    resolve_device(device)


def measure(checkpoint: Path, loaded: Checkpoint, photos: Sequence[bytes], device: str, plan: Plan) -> Results:
    """Measure everything."""
    machine = describe_machine() | describe_gpu(device)
    classifier = Classifier(loaded)  # on the CPU: what is right
    classifier.verify()
    assert loaded.golden is not None  # noqa: S101 - verified
    decode, used = classifier.preprocessing.decode, lambda: used_bytes(device)
    subject = Subject(
        pixels=[decode(photo) for photo in photos],
        golden=[decode(picture) for picture in loaded.golden.pictures],
        rule=loaded.decision_rule,
        expected=TorchEngine(classifier.network, "cpu"),
        used_bytes=used,
    )
    half = half_precision(torch.cuda.get_device_capability(device))
    engines = []
    for variant in variants(classifier.network, device, half, loaded.preprocessing.size):
        _say(f"{variant.precision}, {'with' if variant.has_graphs else 'without'} graphs")
        engines.append(measure_variant(variant, subject, seconds=plan.pass_seconds))
        torch.cuda.empty_cache()
    _say("In-process limit")
    processes = min(available_cores(), _INFERENCE_WORKERS)
    limit = measure_limit(
        checkpoint, photos, warm_up=plan.warm_up, seconds=plan.seconds, device=device, processes=processes
    )
    return Results(
        date=datetime.now(UTC).astimezone().isoformat(timespec="minutes")[:16],
        machine=machine,
        checkpoint={"Checkpoint": loaded.name, "SHA-256": sha256(checkpoint.read_bytes()).hexdigest()},
        engine=Classifier.load(checkpoint, device).engine,
        limit=limit,
        limit_processes=processes,
        engines=engines,
        services=[
            measure_service(checkpoint, photos, device, plan, workers=workers, connections=connections)
            for workers, connections in loads(available_cores())
        ],
    )


def loads(cores: int) -> list[tuple[int, int]]:
    """List HTTP workers and connections to measure: one worker, then what `--workers auto` starts on so many cores."""
    auto = math.ceil(cores / _CORES_A_WORKER)
    return [(1, connections) for connections in _CONNECTIONS] + ([(auto, _MANY)] if auto > 1 else [])


def measure_service(
    checkpoint: Path, photos: Sequence[bytes], device: str, plan: Plan, *, workers: int, connections: int
) -> ServiceResult:
    """Measure one service of its own."""
    server = replace(WHISKER, command=(*WHISKER.command, "--device", device, "--workers", str(workers)))
    before = used_bytes(device)
    with running(server, sys.executable, checkpoint, photos[0]) as it:
        target = Target(it.port, [form_request(WHISKER.path, photo) for photo in photos])
        load = run_closed(target, connections, warm_up=plan.warm_up, seconds=plan.seconds, server_cpu=it.cpu_seconds)
        point = Point.of(load, rss_mb=it.rss_mb(), connections=connections)
        memory = (used_bytes(device) - before) / 1e6
        start_up = it.start_up_seconds
    _say(f"{workers} HTTP workers, {point}")
    return ServiceResult(workers, point, start_up, memory)


def used_bytes(device: str) -> int:
    """Read how much of the device's memory is in use, by any process; 0 for a CPU."""
    if not device.startswith("cuda"):
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def describe_gpu(device: str) -> dict[str, str]:
    """Describe the GPU and its libraries, as terms and their values."""
    found = torch.cuda.get_device_properties(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "GPU": f"{found.name}, {found.total_memory / 1e9:.0f} GB, compute capability {found.major}.{found.minor}",
        "CUDA": f"{torch.version.cuda}, cuDNN {cudnn}, driver {driver_version()}",
    }


def driver_version() -> str:
    """Ask NVIDIA's own tool, which comes with the driver."""
    tool = shutil.which("nvidia-smi")
    command = [tool or "", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, check=False, capture_output=True, text=True) if tool else None  # noqa: S603
    return done.stdout.partition("\n")[0] if done is not None and done.returncode == 0 else "unknown"


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
