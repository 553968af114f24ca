"""What lies in the folder of models: names, their order, and what is passed over."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from whisker.app.errors import RepositoryError
from whisker.app.repository.folder import find_models, find_versions
from whisker.model.atomic_write import atomic_write


def test_versions_are_ordered_by_the_value_of_their_digits(tmp_path: Path) -> None:
    names = ["v1", "v2", "v10", "2026-11-3", "2026-11-26", "1.9", "1.10", "v01"]
    for name in names:
        (tmp_path / f"{name}.safetensors").touch()
    os.utime(tmp_path / "v1.safetensors", (2e9, 2e9))  # the time of a file says nothing
    found = [it.name for it in find_versions(tmp_path)]
    assert found == ["1.9", "1.10", "2026-11-3", "2026-11-26", "v01", "v1", "v2", "v10"]


def test_only_versions_are_found_and_the_rest_is_named(tmp_path: Path) -> None:
    cats = tmp_path / "cats"
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.safetensors").touch()
    (tmp_path / "a b").mkdir()
    (cats / "folder.safetensors").mkdir(parents=True)
    (cats / "..data").mkdir()
    (cats / "..data" / "v2.safetensors").touch()
    (cats / "v2.safetensors").symlink_to("..data/v2.safetensors")  # as Kubernetes mounts files
    (cats / "lost.safetensors").symlink_to("nothing")
    os.mkfifo(cats / "pipe.safetensors")
    for name in ("v1.safetensors", "rollout.json", ".rollout.lock", "notes.txt", "a b.safetensors", "-v.safetensors"):
        (cats / name).touch()
    with atomic_write(cats / "v3.safetensors") as temporary:
        temporary.touch()
        found = find_models(tmp_path)
    assert {name: [it.name for it in versions] for name, versions in found.models.items()} == {
        "cats": ["v1", "v2"],
        "empty": [],
    }
    reasons = {it.path.name: it.reason for it in found.refused}
    files = ("one", "folder", "lost", "pipe", "a b", "-v")
    assert set(reasons) == {"a b", "notes.txt", *(f"{name}.safetensors" for name in files)}
    assert reasons["one.safetensors"].startswith("belongs into the folder of a model")
    assert reasons["pipe.safetensors"] == "is no regular file"


def test_a_file_that_takes_the_place_of_another_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "v1.safetensors"
    path.write_text("a")
    (before,) = find_versions(tmp_path)
    with atomic_write(path) as temporary:
        temporary.write_text("b")
        os.utime(temporary, ns=(before.stamp[0], before.stamp[0]))
    (after,) = find_versions(tmp_path)
    assert before.path == after.path
    assert before.stamp != after.stamp


def test_a_folder_that_cannot_be_listed_is_said_in_one_sentence(tmp_path: Path, deny: Callable[[Path], None]) -> None:
    with pytest.raises(RepositoryError, match=r"There is no folder .*none: give the folder of the models"):
        find_models(tmp_path / "none")
    (tmp_path / "cats").mkdir()
    deny(tmp_path / "cats")
    found = find_models(tmp_path)
    assert not found.models
    assert "Permission denied" in found.refused[0].reason
    deny(tmp_path)
    with pytest.raises(RepositoryError, match="cannot be listed: Permission denied"):
        find_models(tmp_path)
