"""The servers that are compared: how each is started, asked and installed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from whisker.model.cores import available_cores

ROOT = Path(__file__).parents[1]
_CORES, _PORT = "{cores}", "{port}"  # stand-ins in a command
_WORKERS = ("--workers", _CORES)
_BENTOML = ("--host", "127.0.0.1", "--working-dir", str(ROOT))


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve the checkpoint; `command` follows the interpreter, `install` is what pip must be given."""

    name: str
    title: str
    setting: str
    command: tuple[str, ...]
    install: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # that `install` brings
    programs: tuple[str, ...] = ()  # that must be there beside Python
    path: str = "/predict"
    field: str = "file"

    def arguments(self, python: str, port: int) -> list[str]:
        """Write out the command."""
        values = {_CORES: str(available_cores()), _PORT: str(port)}
        return [python, *(values.get(word, word) for word in self.command)]

    def missing(self, python: str) -> str:
        """Say how to install what is missing; empty if nothing is."""
        program = next((program for program in self.programs if shutil.which(program) is None), "")
        look = f"import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, {self.modules!r})))"
        absent = subprocess.run([python, "-c", look], check=False, capture_output=True).returncode != 0  # noqa: S603
        needs = [f"pip install {' '.join(self.install)}"] if absent else []
        return " and ".join(needs + ([f"the program {program}"] if program else []))


WHISKER = Server("whisker", "Whisker", "default settings", ("-m", "whisker", "serve"))
PEERS = (
    Server(
        "fastapi",
        "FastAPI, as in tutorials",
        "async def, PyTorch's own threads",
        ("-m", "uvicorn", "benchmarks.peers.fastapi_tutorial:app", "--port", _PORT, "--no-access-log"),
    ),
    Server(
        "fastapi-tuned",
        "FastAPI, tuned",
        "def, a process a core, 1 thread each",
        ("-m", "uvicorn", "benchmarks.peers.fastapi_tuned:app", "--port", _PORT, "--no-access-log", *_WORKERS),
    ),
    Server(
        "litserve",
        "LitServe",
        "a worker a core, batch 8, 5 ms",
        ("-m", "benchmarks.peers.litserve_server", _PORT),
        install=("litserve",),
        modules=("litserve",),
        field="request",
    ),
    Server(
        "bentoml",
        "BentoML",
        "a worker a core, adaptive batches up to 8",
        ("-m", "bentoml", "serve", "benchmarks.peers.bentoml_service:Photos", "--port", _PORT, *_BENTOML),
        install=("bentoml",),
        modules=("bentoml",),
    ),
    Server(
        "ray-serve",
        "Ray Serve",
        "FastAPI ingress, a replica a core, batch 8, 5 ms",
        ("-m", "benchmarks.peers.ray_serve", _PORT),
        install=("'ray[serve]'",),
        modules=("ray", "ray.serve"),
    ),
    Server(
        "torchserve",
        "TorchServe",
        "a worker a core, batch 8, 5 ms",
        ("-m", "benchmarks.peers.torchserve_server", _PORT),
        install=("torchserve", "torch-model-archiver"),
        modules=("ts", "model_archiver"),
        programs=("java",),
        path="/predictions/classifier",
        field="data",
    ),
)
