"""A real cluster of this machine's processes. Its tests come one after the other: the first one deploys."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil
import pytest
import torch
from pydantic import SecretStr

from tests.app.conftest import connected, picture
from tests.deploy.load import Load
from tests.starting_ray import start_ray
from whisker.app.main import create_app
from whisker.app.ray_serve import front
from whisker.app.settings import Settings
from whisker.model import (
    Checkpoint,
    NetworkConfig,
    Preprocessing,
    build_network,
    save_checkpoint,
    with_golden_answers,
)

yaml = pytest.importorskip("yaml", reason="comes with the extra `ray-serve`")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PORT = 18_437
_ASKED = "TEST_RAY_SERVE"
KEY = "a-key-of-the-test"
PICTURES = [picture(colour=f"#{200 - 40 * number:02x}80{60 * number:02x}") for number in range(4)]
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "image/png"}
VARIABLES = {
    front.VARIABLE: front.PATH,
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.2",
    "WHISKER_API_KEY": KEY,
    "WHISKER_DEVICE": "cpu",
    "WHISKER_ENGINE": "torch",
    "WHISKER_STALL_SECONDS": "60",  # nothing but an end is to end what hangs
    "WHISKER_DEADLINE_SECONDS": "60",
}
State = Literal["RUNNING", "DEPLOY_FAILED"]


class Cluster:
    """The application of `deploy/ray/whisker.yaml`, with few cores and quick decisions."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "session_latest" / "logs"
        self._config = yaml.safe_load((ROOT / "deploy" / "ray" / "whisker.yaml").read_text())
        self._config["http_options"] = {"host": "127.0.0.1", "port": PORT}
        (application,) = self._config["applications"]
        (options,) = application["deployments"]
        options["ray_actor_options"]["num_cpus"] = 1
        options["autoscaling_config"] |= {
            "min_replicas": 1,
            "max_replicas": 2,
            "target_ongoing_requests": 1,
            "look_back_period_s": 1,
            "upscale_delay_s": 0.1,
        }
        options |= {"rolling_update_percentage": 1, "max_surge_percent": 100, "health_check_period_s": 1}

    def deploy(self, checkpoint: Path, *, waits: bool = False) -> None:
        """Do what `serve deploy` has the cluster do, and wait until it is done or not."""
        from ray.serve.context import _get_global_client  # noqa: PLC0415
        from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415

        self._config["applications"][0]["args"] = {"checkpoint": str(checkpoint)}
        schema = ServeDeploySchema.model_validate(self._config)
        client: Any = _get_global_client()
        client.deploy_apps(schema, _blocking=waits)

    def is_(self, state: State, *, replicas: int) -> bool:
        """Tell whether the application has come to a state, with so many replicas and none that come or go."""
        from ray import serve  # noqa: PLC0415

        application = serve.status().applications["whisker"]
        found = application.deployments.get("whisker")
        return application.status == state and found is not None and found.replica_states == {"RUNNING": replicas}

    def message(self) -> str:
        from ray import serve  # noqa: PLC0415

        return str(serve.status().applications["whisker"].deployments["whisker"].message)


@pytest.fixture(scope="module")
def ray() -> Any:
    """Import Ray when a test needs it: for every process that only collects tests, it would take seconds."""
    pytest.importorskip("ray.serve", reason="needs the extra `ray-serve`")
    return pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if _ASKED not in os.environ:
        pytest.skip(f"takes minutes, and a machine with nothing else to do: `make cluster`, which sets {_ASKED}")
    ray = request.getfixturevalue("ray")
    from ray import serve  # noqa: PLC0415

    short = "/tmp"  # noqa: S108 - the path of a socket has 107 letters at most
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-", dir=short) as folder:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        previous = signal.getsignal(signal.SIGTERM)  # Ray leaves a handler of its own
        start_ray(ray, "local", num_cpus=4, _temp_dir=folder)
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        yield Cluster(Path(folder))
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
        signal.signal(signal.SIGTERM, previous)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write two checkpoints that know different classes."""
    folder = tmp_path_factory.mktemp("versions")
    old, new = folder / "old.safetensors", folder / "new.safetensors"
    return _write(old, ("bird", "cat")), _write(new, ("cup", "hat", "key"))


def test_nothing_is_lost(cluster: Cluster, versions: tuple[Path, Path], tmp_path: Path) -> None:
    """Under load replicas are added; one is killed; a version is rolled out; and one that cannot start is given up."""
    old, new = versions
    right = {path: _answers(path) for path in versions}
    assert right[old] != right[new]
    cluster.deploy(old, waits=True)
    with Load(f"http://127.0.0.1:{PORT}", PICTURES, clients=4, headers=HEADERS) as load:
        load.wait(lambda: cluster.is_("RUNNING", replicas=2))
        load.passes(50)  # of both replicas
        _kill_busy_replica(load)
        load.wait(lambda: load.hanging(2) == 0)
        load.wait(lambda: cluster.is_("RUNNING", replicas=2))
        rolled_after = len(load.answers)
        cluster.deploy(new)
        load.wait(lambda: _last(load) == right[new][0]["model"] and cluster.is_("RUNNING", replicas=2))
        load.passes(12)
        failed_after = len(load.answers)
        cluster.deploy(tmp_path / "none.safetensors")
        load.wait(lambda: cluster.is_("DEPLOY_FAILED", replicas=2))
        assert "There is no checkpoint file" in cluster.message()
        load.passes(12)
    assert len(load.answers) == load.sent
    assert [(number, it.document) for number, it in enumerate(load.answers) if it.status != 200] == []
    known = {path: rights[0]["model"] for path, rights in right.items()}
    for number, answer in enumerate(load.answers):
        document = {name: value for name, value in answer.document.items() if name != "timing_ms"}
        possible = [old] if number < rolled_after else [new] if number >= failed_after else [old, new]
        (version,) = [path for path in possible if known[path] == document["model"]]
        assert document == right[version][answer.picture]
    lost = sum(path.read_text().count("A replica has ended") for path in cluster.logs.glob("worker-*.err"))
    assert lost > 0


@pytest.mark.usefixtures("cluster")
def test_defences_hold_behind_rays_proxy() -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers=HEADERS, trust_env=False) as client:
        refused = {
            "unauthorized": client.post("/predict", content=PICTURES[0], headers={"Authorization": "Bearer none"}),
            "body_too_large": client.post("/predict", content=bytes(50_000_001)),
            "undecodable_picture": client.post("/predict", content=PICTURES[0][:80]),
            "invalid_request": client.post("/predict?top_k=0", content=PICTURES[0]),
            "not_found": client.get("/nothing"),
        }
        for code, response in refused.items():
            assert response.headers["content-type"] == "application/problem+json", response.text
            assert response.json()["code"] == code
        assert client.get("/health").json()["status"] == "ready"


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(("cores", "given", "used"), [(4, {}, (4, 1)), (0, {}, (1, 1)), (4, {"threads": 2}, (4, 2))])
def test_replica_uses_the_cores_it_was_given(cores: int, given: dict[str, int], used: tuple[int, int]) -> None:
    from whisker.app.ray_serve.replica import on_cores  # noqa: PLC0415 - it needs Ray

    settings = on_cores(Settings(**given), cores)  # type: ignore[arg-type]  # settings of numbers alone
    assert (settings.inference_workers, settings.threads) == used


def _kill_busy_replica(load: Load) -> None:
    """Stop the inference workers of a replica; when requests hang there, kill it, and them."""
    replica = next(it for it in psutil.Process().children(recursive=True) if "ServeReplica" in " ".join(it.cmdline()))
    workers = replica.children()
    for worker in workers:
        worker.suspend()
    load.wait(lambda: load.hanging(2) > 0)
    os.kill(replica.pid, signal.SIGKILL)
    for worker in workers:
        worker.kill()


def _write(path: Path, classes: tuple[str, ...]) -> Path:
    torch.manual_seed(len(classes))
    config = NetworkConfig(width=2, depth=1, size=32)
    state = build_network(config, len(classes)).state_dict()
    save_checkpoint(with_golden_answers(Checkpoint(path.stem, config, Preprocessing(32), classes, state)), path)
    return path


def _answers(checkpoint: Path) -> list[dict[str, Any]]:
    """Give what the service answers without Ray, but for the time it takes."""

    async def ask() -> list[dict[str, Any]]:
        settings = Settings(checkpoint=checkpoint, device="cpu", engine="torch", threads=1, inference_workers=1)
        app = create_app(settings.model_copy(update={"api_key": SecretStr(KEY)}))
        async with app.router.lifespan_context(app), connected(app) as client:
            answers = [(await client.post("/predict", content=it, headers=HEADERS)).json() for it in PICTURES]
        return [{name: value for name, value in answer.items() if name != "timing_ms"} for answer in answers]

    return asyncio.run(ask())


def _last(load: Load) -> dict[str, str] | None:
    model: dict[str, str] | None = load.answers[-1].document.get("model") if load.answers else None
    return model
