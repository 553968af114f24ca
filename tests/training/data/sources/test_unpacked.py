"""A source is unpacked once, whole or not at all, and by one command at a time."""

import fcntl
import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from tests.training.data.sources.making import files_of, zip_of
from whisker.training.data.sources.source import open_source
from whisker.training.errors import DatasetError, TrainingError, TrainingInterruptedError
from whisker.training.progress import Progress

FILES = {"cat/1.jpg": b"\xff\xd8\xffc", "dog/1.jpg": b"\xff\xd8\xffd"}


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def unpack(source: Path, *places: Path) -> tuple[Path, str]:
    said = io.StringIO()
    root = open_source(source, places, Progress(Console(file=said, width=1_000))).root
    return root, said.getvalue()


def test_source_is_unpacked_once_and_again_when_it_changes(tmp_path: Path) -> None:
    source, work = zip_of(FILES, tmp_path / "pets.zip"), tmp_path / "pets.run"
    root, said = unpack(source, work)
    assert f"pets.zip: a zip archive of 2 class folders, 2 photos; unpacked once to {work}/pets-" in said
    stamp = (root / "cat/1.jpg").stat().st_mtime_ns
    assert stamp == source.stat().st_mtime_ns  # pixels that were decoded from an earlier copy are found again
    again, said = unpack(source, tmp_path / "other.run", work)
    assert again == root
    assert f"2 photos; unpacked earlier to {work}/pets-" in said
    zip_of({**FILES, "newt/1.jpg": b"\xff\xd8\xffn"}, source)
    changed, said = unpack(source, work)
    assert {*files_of(changed)} == {*FILES, "newt/1.jpg"}
    assert f"pets.zip has changed: {root.parent} is replaced." in said
    assert not root.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"pets.zip", "pets.run"}


def test_what_a_killed_command_left_is_removed(tmp_path: Path) -> None:
    source, work = zip_of(FILES, tmp_path / "pets.zip"), tmp_path / "pets.run"
    root, _ = unpack(source, work)
    folder = root.parent
    folder.rename(folder.with_name(f"{folder.name}.unfinished"))
    (folder.with_name(f"{folder.name}.unfinished") / "source.json").unlink()
    (folder / "photos").mkdir(parents=True)
    assert files_of(unpack(source, work)[0]) == FILES
    assert [path.name for path in work.iterdir() if path.is_dir()] == [folder.name]


@contextmanager
def _stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Ctrl-C come while the second file is written."""
    utime, calls = os.utime, list[object]()

    def stop(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        utime(*arguments, **options)  # type: ignore[arg-type]  # as they came

    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", stop)
        yield


def test_interrupted_unpacking_leaves_nothing_and_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, work = zip_of(FILES, tmp_path / "pets.zip"), tmp_path / "pets.run"
    with _stopped(monkeypatch), pytest.raises(TrainingInterruptedError, match=r"The same command starts that again"):
        unpack(source, work)
    assert not work.exists()
    assert files_of(unpack(source, work)[0]) == FILES


def test_full_disk_is_said_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, work = zip_of({**FILES, "cat/2.jpg": bytes(3_000_000)}, tmp_path / "pets.zip"), tmp_path / "pets.run"
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: Usage(9, 9, 1_500_000))
        with pytest.raises(
            TrainingError, match=r"unpacks to 3\.0 MB, and the disk of .* has 1\.5 MB free: make room, or"
        ):
            unpack(source, work)
    assert not work.exists()


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    source = zip_of(FILES, tmp_path / "pets.zip")
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"pets\.zip cannot be unpacked to .*/file/sources: Not a directory"):
        unpack(source, tmp_path / "file" / "sources")


def test_second_command_waits_for_the_first(tmp_path: Path) -> None:
    source, work, said = zip_of(FILES, tmp_path / "pets.zip"), tmp_path / "pets.run", io.StringIO()
    work.mkdir()
    waits = threading.Event()

    class Told(io.StringIO):
        def write(self, text: str) -> int:
            if "Waiting for another command that unpacks into" in text:
                waits.set()
            return said.write(text)

    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(
            target=open_source, args=(source, [work], Progress(Console(file=Told(), width=1_000)))
        )
        second.start()
        assert waits.wait(30)
        assert [*files_of(work)] == ["lock"]
    second.join(30)
    assert "unpacked once to" in said.getvalue()


def test_folders_and_what_is_not_there_are_opened_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "results.parquet").touch()
    (tmp_path / "photos" / "cat" / "1.jpg").touch()
    for name in ("photos", "missing"):
        assert unpack(tmp_path / name, tmp_path / "run") == (tmp_path / name, "")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="is neither a folder nor a file"):
        unpack(tmp_path / "pipe", tmp_path / "run")
    assert not (tmp_path / "run").exists()
