"""The folder of prepared classifiers: only what is whole, ours and for exactly this is found, and it stays small."""

import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from whisker.model.card.document import CheckpointCard
from whisker.model.prepared import key
from whisker.model.prepared.cache import PreparedCache
from whisker.model.prepared.container import put_together
from whisker.model.prepared.key import PreparedFor, digest_of

SHA256 = "ab" * 32
ASKED = PreparedFor(SHA256, "auto", "cpu", threads=1, max_batch=4)


def content(sha256: str = SHA256, **fields: Any) -> bytes:
    return put_together({"card": {"sha256": sha256, **fields}}, {"model.1": memoryview(b"weights")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "whisker"


@pytest.fixture
def cache(folder: Path) -> PreparedCache:
    return PreparedCache(folder)


def written(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_is_found_with_its_card_and_private(cache: PreparedCache, folder: Path) -> None:
    assert cache.find(ASKED) is None
    cache.keep(ASKED, content(name="cats"))
    found = cache.find(ASKED)
    assert found is not None
    assert found.card == cast("CheckpointCard", {"sha256": SHA256, "name": "cats"})
    assert written(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "other",
    [
        {"sha256": "cd" * 32},
        {"engine": "openvino"},
        {"device": "auto"},
        {"threads": 2},
        {"max_batch": 32},
    ],
)
def test_for_anything_else_there_is_nothing(cache: PreparedCache, other: dict[str, Any]) -> None:
    cache.keep(ASKED, content())
    assert cache.find(replace(ASKED, **other)) is None


def test_found_file_lasts_when_it_is_replaced_or_gone(cache: PreparedCache, folder: Path) -> None:
    cache.keep(ASKED, content(name="first"))
    found = cache.find(ASKED)
    cache.keep(ASKED, content(name="second"))
    written(folder).unlink()
    assert found is not None
    source = found.source
    assert (source.read_bytes() if isinstance(source, Path) else source) == content(name="first")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "was changed or damaged after it was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "is incomplete"),
        (lambda path: path.write_bytes(b""), "is incomplete"),
        (lambda path: path.write_bytes(b"\x80\x04" + path.read_bytes()), "is no prepared classifier of this version"),
        (lambda path: path.write_bytes(content("cd" * 32)), "is of another checkpoint"),
        (lambda path: path.chmod(0o620), "belongs to somebody else, or others may write it"),
    ],
)
def test_unusable_file_is_logged_and_removed(
    cache: PreparedCache, folder: Path, caplog: pytest.LogCaptureFixture, harm: Any, reason: str
) -> None:
    cache.keep(ASKED, content())
    harm(written(folder))
    assert cache.find(ASKED) is None
    assert [(it.levelname, it.__dict__["reason"]) for it in caplog.records] == [("WARNING", reason)]
    assert [*folder.iterdir()] == []


def test_file_of_another_user_does_not_count(
    cache: PreparedCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(ASKED, content())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.find(ASKED) is None
    assert "belongs to somebody else" in caplog.records[0].__dict__["reason"]


def test_refused_file_is_not_found_until_it_is_written_anew(cache: PreparedCache, folder: Path) -> None:
    cache.keep(ASKED, content())
    path = written(folder)
    cache.refuse(path, "its golden answers differ")
    path.write_bytes(content())
    path.chmod(0o600)
    assert cache.find(ASKED) is None
    cache.keep(ASKED, content())
    assert cache.find(ASKED) is not None


def test_folder_that_cannot_be_written_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    cache = PreparedCache(tmp_path / "file" / "whisker")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert cache.find(ASKED) is None
            cache.keep(ASKED, content())
    assert [(it.levelname, it.__dict__["reason"]) for it in caplog.records] == [("INFO", "Not a directory")]


@pytest.mark.parametrize("days", [6, 8])
def test_other_environment_is_another_file_that_replaces_the_first_once_it_is_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: int
) -> None:
    PreparedCache(folder).keep(ASKED, content())
    used_at = time.time() - days * 86_400
    os.utime(written(folder), (used_at, used_at))
    PreparedCache(folder).keep(replace(ASKED, max_batch=32), content())
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("processor\t: 0\nmodel name\t: Another\nflags\t\t: fpu avx512f\n\nprocessor\t: 1\n")
    monkeypatch.setattr(key, "_CPU", cpu)
    elsewhere = PreparedCache(folder)
    assert elsewhere.find(ASKED) is None
    elsewhere.keep(ASKED, content())
    assert elsewhere.find(ASKED) is not None
    assert len([*folder.iterdir()]) == (3 if days < 7 else 2)  # the one for other settings is still there


def test_another_openvino_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key.environment_key()
    monkeypatch.setattr(key, "version", lambda package: f"{package} 1")
    assert key.environment_key() != before


def test_another_source_code_is_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(key, "_SOURCES", tmp_path)
    keys = {key.environment_key()}
    for text in ("a = 1", "a = 2"):
        (tmp_path / "module.py").write_text(text)
        keys.add(key.environment_key())
    assert len(keys) == 3


def test_folder_keeps_the_files_used_last_and_nothing_unfinished(folder: Path) -> None:
    cache = PreparedCache(folder, max_bytes=3 * len(content()))
    asked = [replace(ASKED, max_batch=size) for size in range(1, 6)]
    for age, one in enumerate(asked[:-1]):
        cache.keep(one, content())
        found = cache.find(one)
        assert found is not None
        os.utime(found.path, (1e9 + age, 1e9 + age))
    dead, foreign = folder / f".{next(folder.iterdir()).name}.0123.unfinished", folder / "notes.txt"
    for path in (dead, foreign):
        path.touch()
        os.utime(path, (1e9, 1e9))
    cache.keep(asked[-1], content())
    assert [cache.find(one) is not None for one in asked] == [False] * 2 + [True] * 3
    assert not dead.exists()
    assert foreign.exists()


@pytest.mark.parametrize(("mode", "is_used"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_folder_counts_only_if_nobody_else_may_replace_its_files(
    folder: Path, caplog: pytest.LogCaptureFixture, mode: int, *, is_used: bool
) -> None:
    PreparedCache(folder).keep(ASKED, content())
    folder.chmod(mode)
    cache = PreparedCache(folder)
    with caplog.at_level(logging.INFO):
        assert (cache.find(ASKED) is not None) == is_used
        cache.keep(replace(ASKED, max_batch=32), content())
    assert len([*folder.iterdir()]) == 1 + is_used
    assert len(caplog.records) == (not is_used)


def test_link_does_not_count(cache: PreparedCache, folder: Path, tmp_path: Path) -> None:
    cache.keep(ASKED, content())
    path = written(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.find(ASKED) is None


def test_file_to_blame_for_nothing_stays_and_is_not_used(cache: PreparedCache, folder: Path) -> None:
    cache.keep(ASKED, content())
    cache.refuse(written(folder), "a process ended", remove=False)
    assert cache.find(ASKED) is None
    assert PreparedCache(folder).find(ASKED) is not None


def test_gpu_that_was_not_used_is_tried_again(
    cache: PreparedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key, "_DEVICES", tmp_path)
    monkeypatch.setattr(key, "_DRIVER", tmp_path / "none")
    asked = replace(ASKED, device="auto")
    (tmp_path / "dxg").touch()
    with caplog.at_level(logging.INFO):
        cache.keep(asked, content(device="cpu"))
    assert cache.find(asked) is None
    assert "WHISKER_DEVICE=cpu" in caplog.records[0].__dict__["reason"]
    (tmp_path / "dxg").unlink()
    cache.keep(asked, content(device="cpu"))
    assert cache.find(asked) is not None


def test_file_larger_than_any_checkpoint_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="too large"):
        digest_of(tmp_path / "sparse")
