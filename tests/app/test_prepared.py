"""Starts from what was prepared before: without PyTorch, and with it as soon as anything is amiss."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from tests.app.conftest import ROOT, Server, Serving, connected, picture
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.errors import WorkerError
from whisker.app.inference.begun import begun_workers, worker_config
from whisker.app.inference.prepared_models import LoadedModel, PreparedModels
from whisker.app.main import create_app
from whisker.app.prepared import open_cache
from whisker.app.settings import Settings
from whisker.model.card.document import CheckpointCard
from whisker.model.prepared.cache import PreparedCache, PreparedFile
from whisker.model.prepared.container import put_together, read_document
from whisker.model.prepared.key import digest_of

FOUND, UNUSABLE = "Found what was prepared of the checkpoint", "A prepared classifier cannot be used"
UPLOAD = {"file": ("a.png", picture())}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def prepared(cache: Path) -> Path:
    (path,) = cache.glob("*.prepared")
    return path


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.name.startswith("whisker")]


def has_pytorch(process: psutil.Process) -> bool:
    return any("libtorch" in it.path for it in process.memory_maps())


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers=2",)], ids=["one", "two"])
def test_second_start_has_pytorch_in_no_process_and_answers_alike(
    tiny: Path, cache: Path, options: tuple[str, ...]
) -> None:
    answers = []
    for start in range(2):
        server = Server(tiny, "--engine=openvino", "--drain-seconds=0", *options, WHISKER_CACHE=str(cache))
        try:
            answers.append(server.client.post("/predict", files=UPLOAD).json()["predictions"])
            found = [line for line in server.lines if line["message"] == FOUND]
            service = psutil.Process(server.process.pid)
            assert bool(found) == bool(start)
            assert not any(map(has_pytorch, [service, *service.children(recursive=True)]))
            assert server.stop()[0] == 0
        finally:
            server.clean_up()
    assert answers[0] == answers[1]
    assert prepared(cache).stat().st_mode & 0o777 == 0o600


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _empty_weights(path: Path) -> None:
    """Write what is whole, but no classifier."""
    document, _ = read_document(path.read_bytes())
    path.write_bytes(put_together(document, {}))


def _arrays(content: bytes) -> dict[str, bytearray]:
    document, begin = read_document(content)
    places = sorted(document["places"].items(), key=lambda it: it[1])
    ends = [*(start for _, start in places[1:]), len(content) - begin]
    return {
        name: bytearray(content[begin + start : begin + end]) for (name, start), end in zip(places, ends, strict=True)
    }


def _lie(path: Path) -> None:
    """Let it demand answers that it does not give."""
    document, _ = read_document(content := path.read_bytes())
    arrays = _arrays(content)
    arrays["golden.probabilities"][:4] = b"\0\0\x80\x3f"  # 1.0
    path.write_bytes(put_together(document, {name: memoryview(it) for name, it in arrays.items()}))


def _hold_no_network(path: Path) -> None:
    """Be whole, with networks that OpenVINO has not compiled."""
    document, _ = read_document(content := path.read_bytes())
    arrays = {name: bytes(len(it)) if name.startswith("model.") else it for name, it in _arrays(content).items()}
    path.write_bytes(put_together(document, {name: memoryview(it) for name, it in arrays.items()}))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_damage, "was changed or damaged after it was written"),
        (_empty_weights, "says too little, or too much"),
        (_lie, "a golden answer differs"),
        (_hold_no_network, "is refused by OpenVINO"),
    ],
)
async def test_unusable_file_is_logged_and_the_checkpoint_is_loaded(
    serving: Serving, cache: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None], reason: str
) -> None:
    changes: dict[str, Any] = {"engine": "openvino", "cache": str(cache), "inference_workers": 2}
    async with serving(**changes) as client:
        expected = (await client.post("/predict", files=UPLOAD)).json()["predictions"]
    sound = prepared(cache).read_bytes()
    harm(prepared(cache))
    async with serving(**changes) as client:
        assert (await client.post("/predict", files=UPLOAD)).json()["predictions"] == expected
    (warning,) = [it for it in caplog.records if it.getMessage() == UNUSABLE]
    assert warning.levelname == "WARNING"
    assert reason in warning.__dict__["reason"]
    assert read_document(prepared(cache).read_bytes()) == read_document(sound)


@pytest.mark.anyio
async def test_workers_that_may_not_open_the_file_of_the_service_get_its_content(
    serving: Serving, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(PreparedFile, "source", cache / "closed")  # as /proc of a process that the system protects
    async with serving(engine="openvino", cache=str(cache)) as client:
        assert (await client.post("/predict", files=UPLOAD)).status_code == 200
    assert "cannot be mapped" in next(it for it in caplog.records if it.getMessage() == UNUSABLE).__dict__["reason"]
    assert prepared(cache).exists()


def test_file_is_not_to_blame_for_a_worker_that_ended_but_is_handed_on_as_bytes(
    settings: Settings, tiny: Path, cache: Path
) -> None:
    models = PreparedModels(PreparedCache(cache), worker_config(settings), "openvino")
    card = cast("CheckpointCard", {"sha256": digest_of(tiny)})
    loaded = LoadedModel(tiny, card, put_together({"card": card}, {"model.1": memoryview(b"weights")}), 4)
    kept = models.keep(loaded)
    assert isinstance(kept.source, Path)
    assert models.refuse(kept, WorkerError("A worker ended."))
    assert models.find(tiny, 4) is None
    assert prepared(cache).exists()
    assert models.keep(loaded).source == loaded.exported


@pytest.mark.parametrize("photos", [1, 3], ids=["threads", "processes"])
def test_prediction_loads_the_checkpoint_if_openvino_refuses_the_file(
    settings: Settings, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: int
) -> None:
    monkeypatch.setattr("whisker.app.batch.local.MIN_PHOTOS_FOR_PROCESSES", 3)
    (tmp_path / "photos").mkdir()
    for number in range(photos):
        (tmp_path / "photos" / f"{number}.png").write_bytes(picture(colour=f"#{number}0{number}080"))
    wanted = settings.model_copy(update={"cache": str(cache), "inference_workers": 2})
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    predict_to_file(Job([tmp_path / "photos"], first, wanted))
    _hold_no_network(prepared(cache))
    predict_to_file(Job([tmp_path / "photos"], second, wanted))
    assert first.read_text() == second.read_text()


@pytest.fixture
def models(tiny: Path, several_file: Path, tmp_path: Path) -> Path:
    for name, file in (("a", tiny), ("b", several_file)):
        (tmp_path / "models" / name).mkdir(parents=True)
        shutil.copy(file, tmp_path / "models" / name / "1.safetensors")
    return tmp_path / "models"


def files(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.rglob("*") if it.is_file())


@pytest.mark.anyio
async def test_models_of_a_folder_are_prepared_and_nothing_is_left_there(
    models: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        models=models,
        cache=str(cache),
        device="cpu",
        engine="openvino",
        threads=1,
        inference_workers=1,
        deadline_seconds=120,  # as loading leaves all time to others
    )
    caplog.set_level(logging.INFO)
    for start in range(2):
        caplog.clear()
        app = create_app(settings)
        async with app.router.lifespan_context(app), connected(app) as client:
            for name in "ab":
                assert (await client.post(f"/models/{name}/predict", files=UPLOAD)).status_code == 200
        assert messages(caplog).count(FOUND) == 2 * start
    assert len(files(cache)) == 2
    assert files(models) == ["1.safetensors"] * 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cache": "off"}, []),
        ({"checkpoint_sha256": "ab" * 32}, ["WHISKER_CHECKPOINT_SHA256 is set"]),
        ({"signed_by": Path("release.pub"), "cache": "anywhere"}, ["WHISKER_SIGNED_BY is set"]),
    ],
)
def test_there_is_no_cache_where_none_is_wanted_or_trusted(
    settings: Settings, changes: dict[str, Any], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert open_cache(settings.model_copy(update=changes)) is None
    assert [it.__dict__["reason"] for it in caplog.records] == told


@pytest.mark.parametrize("variable", ["", "relative"])
def test_cache_of_a_user_is_in_their_home_unless_they_name_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    assert vars(open_cache(settings))["_folder"] == tmp_path / ".cache" / "whisker"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert vars(open_cache(settings))["_folder"] == tmp_path / "elsewhere" / "whisker"


def test_without_a_home_there_is_no_cache(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", none)
    with caplog.at_level(logging.INFO):
        assert open_cache(settings) is None
    assert [it.__dict__["reason"] for it in caplog.records] == ["there is no home folder"]


@pytest.mark.anyio
async def test_workers_that_begin_early_are_as_many_as_wanted_and_end_if_nobody_takes_them(
    serving: Serving, settings: Settings, cache: Path
) -> None:
    wanted = settings.model_copy(update={"engine": "openvino", "cache": str(cache), "inference_workers": 2})
    with begun_workers(wanted) as begun:
        assert begun.take_worker() is None  # as nothing is prepared
    async with serving(**wanted.model_dump(include={"engine", "cache", "inference_workers"})):
        pass
    before = {*psutil.Process().children()}
    with begun_workers(wanted) as begun:
        assert begun.loaded is not None
        started = {*psutil.Process().children()} - before
        assert len(started) == 2
    assert not any(it.is_running() for it in started)


@pytest.mark.slow
@pytest.mark.parametrize("photos", [1, 3], ids=["threads", "processes"])
def test_second_prediction_imports_no_pytorch(tiny: Path, cache: Path, tmp_path: Path, photos: int) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(photos):
        (folder / f"{number}.png").write_bytes(picture(colour=f"#{number}0{number}080"))
    program = (
        "import sys; from whisker.app.batch import local; local.MIN_PHOTOS_FOR_PROCESSES = 3; "
        "from pathlib import Path; from whisker.app.batch.job import Job, predict_to_file; "
        "from whisker.app.settings import Settings; "
        f"settings = Settings(checkpoint={str(tiny)!r}, cache={str(cache)!r}, engine='openvino', device='cpu', "
        f"inference_workers=2); predict_to_file(Job([Path({str(folder)!r})], Path(sys.argv[1]), settings)); "
        "print('torch' in sys.modules)"
    )
    told = [
        subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", program, tmp_path / f"{run}.csv"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for run in range(2)
    ]
    assert told == [["True"], ["False"]]
    assert (tmp_path / "0.csv").read_text() == (tmp_path / "1.csv").read_text()
