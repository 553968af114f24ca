"""The package as users install it: one import name, beside which their own folders keep theirs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import whisker
from whisker import app, model, training

ROOT = Path(__file__).parents[1]
_FOLDERS = ("app", "model", "training")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the sources, so that nothing is left among them."""
    source = tmp_path_factory.mktemp("source")
    for name in ("whisker", *_FOLDERS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "NOTICE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)  # noqa: S603 - our own code
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a user's project with folders of the same names as ours."""
    for name in _FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'the user of {name}'\n")
    return tmp_path


def run(site: Path, project: Path, *arguments: str) -> str:
    variables = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=project, env=variables, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own code


def test_wheel_has_one_import_name_and_all_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"whisker"}
    sources = {path.relative_to(ROOT) for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    packed = {path for path in sources if not {"__pycache__", "checkpoints"} & {*path.parts}}
    assert {f"whisker/{path.as_posix()}" for path in packed} <= set(names)
    assert "whisker/model/checkpoints/cats-dogs.safetensors" in names
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in names)


def test_wheel_and_a_users_own_folders_do_not_see_each_other(site: Path, project: Path) -> None:
    script = (
        "import app, model, training, whisker; from whisker import Client, Classifier; "
        "print(whisker.__file__, app.OWNER, model.OWNER, training.OWNER, Client.__module__, sep='|')"
    )
    file, *owners, module = run(site, project, "-c", script).strip().split("|")
    assert Path(file).is_relative_to(site)
    assert owners == ["the user of app", "the user of model", "the user of training"]
    assert module == "whisker.app.client"


def test_command_runs_in_a_users_project(site: Path, project: Path) -> None:
    assert "whisker train" in run(site, project, "-m", "whisker", "--help")


def test_links_lead_to_the_folders_at_the_top() -> None:
    for package in (app, model, training):
        assert package.__file__ is not None
        assert Path(package.__file__).resolve().parent == ROOT / package.__name__.removeprefix("whisker.")


def test_public_names_exist() -> None:
    assert all(getattr(whisker, name) is not None for name in whisker.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = whisker.nonsense


def test_public_names_of_a_checkout_are_those_of_the_package() -> None:
    """`from model import Classifier`, in the repository's folder, is not a second class."""
    script = "import model, whisker; assert model.Classifier is whisker.Classifier"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)  # noqa: S603 - our own code
