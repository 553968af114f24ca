"""The package as users install it: one import name, beside which their own folders keep theirs."""

import base64
import csv
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import whisker
from tests.test_pins import script
from whisker import app, model, training

ROOT = Path(__file__).parents[1]
_FOLDERS = ("app", "model", "training")


class Wheels(NamedTuple):
    """What `pip install .` builds, and the two wheels for the package index."""

    whole: Path
    client: Path
    rest: Path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Build all wheels from copies of the sources, so that nothing is left among them."""
    return Wheels(*script("wheels").build_all(tmp_path_factory.mktemp("wheels")))


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Unpack wheels into one folder, as pip does."""

    def unpack(*built: Path) -> Path:
        folder = tmp_path_factory.mktemp("site")
        for wheel in built:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        return folder

    return unpack


@pytest.fixture(scope="module")
def site(wheels: Wheels, install: Callable[..., Path]) -> Path:
    return install(wheels.client, wheels.rest)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a user's project with folders of the same names as ours."""
    for name in _FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'the user of {name}'\n")
    return tmp_path


def run(site: Path, project: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=project, env=variables, check=check, capture_output=True, text=True)  # noqa: S603 - our own code


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def test_wheel_has_one_import_name_and_all_files(wheels: Wheels) -> None:
    names = files(wheels.whole)
    assert {name.partition("/")[0] for name in names} == {"whisker"}
    sources = {path.relative_to(ROOT) for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    packed = {path for path in sources if not {"__pycache__", "checkpoints"} & {*path.parts}}
    assert {f"whisker/{path.as_posix()}" for path in packed} <= names
    assert {"whisker/model/checkpoints/cats-dogs.safetensors", "whisker/py.typed"} <= names


def test_every_file_belongs_to_exactly_one_distribution(wheels: Wheels) -> None:
    assert files(wheels.client) & files(wheels.rest) == set()
    assert files(wheels.client) | files(wheels.rest) == files(wheels.whole)
    assert f"Requires-Dist: whisker-vision-client=={whisker.__version__}\n" in metadata(wheels.rest)
    assert (
        "whisker-vision-client" not in metadata(wheels.whole).partition("\n\n")[0]
    )  # else a clone could not be installed


def test_record_of_the_index_wheel_is_true(wheels: Wheels) -> None:
    """Pip removes by it, and other installers refuse a wheel that contradicts it."""
    with zipfile.ZipFile(wheels.rest) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        lines = list(csv.reader(archive.read(record).decode().splitlines()))
        assert [line[0] for line in lines] == archive.namelist()
        for name, digest, size in lines[:-1]:
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, size) == (f"sha256={expected}", str(len(content)))


@pytest.mark.parametrize("part", ["whole", "client", "rest"])
def test_metadata_say_licence_version_and_pythons(wheels: Wheels, part: str) -> None:
    wheel: Path = getattr(wheels, part)
    head, _, description = metadata(wheel).partition("\n\n")
    assert {
        f"Name: whisker-vision{'-client' if part == 'client' else ''}",
        f"Version: {whisker.__version__}",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "License-File: NOTICE",
        *(f"Classifier: Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
    } <= set(head.splitlines())
    assert "](" not in description  # neither pictures nor links, which would be relative to the repository
    with zipfile.ZipFile(wheel) as archive:
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_wheel_and_a_users_own_folders_do_not_see_each_other(site: Path, project: Path) -> None:
    script = (
        "import app, model, training, whisker; from whisker import Client, Classifier; "
        "print(whisker.__file__, app.OWNER, model.OWNER, training.OWNER, Client.__module__, sep='|')"
    )
    file, *owners, module = run(site, project, "-c", script).stdout.strip().split("|")
    assert Path(file).is_relative_to(site)
    assert owners == ["the user of app", "the user of model", "the user of training"]
    assert module == "whisker.app.client"


def test_command_runs_in_a_users_project(site: Path, project: Path) -> None:
    assert run(site, project, "-m", "whisker", "--version").stdout == f"whisker {whisker.__version__}\n"


def test_client_alone_needs_no_more_than_its_libraries(
    wheels: Wheels, install: Callable[..., Path], project: Path
) -> None:
    script = (
        "import sys; from whisker import AsyncClient, Client, ProblemError, WhiskerError; print(*sys.modules)\n"
        "try:\n    from whisker import Classifier\nexcept ImportError as exc:\n    print(exc)"
    )
    modules, sentence = run(install(wheels.client), project, "-c", script).stdout.splitlines()
    assert not {"PIL", "fastapi", "numpy", "starlette", "torch", "uvicorn"} & {*modules.split()}
    assert sentence == "Classifier is not part of whisker-vision-client: run `pip install whisker-vision`."


def test_either_distribution_can_be_removed(wheels: Wheels, install: Callable[..., Path], project: Path) -> None:
    left = install(wheels.client, wheels.rest)
    for name in files(wheels.rest):
        (left / name).unlink()
    assert run(left, project, "-c", "from whisker import Client; print(Client.__module__)").stdout
    ended = run(install(wheels.rest), project, "-m", "whisker", "--version", check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "pip install --force-reinstall --no-deps whisker-vision-client" in ended.stderr


def test_client_in_the_sources_is_links_to_the_package() -> None:
    for path in (ROOT / "wheels" / "client" / "whisker").rglob("*.*"):
        assert path.samefile(ROOT / "whisker" / path.relative_to(ROOT / "wheels" / "client" / "whisker"))


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
