"""Which version is served, and the file that says so, with several processes at it."""

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.app.conftest import full_disk
from whisker.app.errors import RolloutError
from whisker.app.repository.folder import VersionFile, find_versions
from whisker.app.repository.rollout import Bounds, Canary, Rollout, Shadow, served_version
from whisker.app.repository.rollout_file import change_rollout, read_rollout, write_rollout

_AT = datetime(2026, 11, 26, 21, 0, tzinfo=UTC)
_FULL = Rollout("v1", Canary("v2", 0.05, Bounds(latency=3)), Shadow("v3", 1)).stop_canary("v2", "It is slow.", _AT)
_PROCESSES = 4


@pytest.fixture
def versions(tmp_path: Path) -> tuple[VersionFile, ...]:
    for name in ("v1", "v2", "v10"):
        (tmp_path / f"{name}.safetensors").touch()
    return find_versions(tmp_path)


@pytest.mark.parametrize(
    ("rollout", "served"),
    [
        (Rollout(), "v10"),
        (Rollout(pinned="v1"), "v1"),
        (Rollout(canary=Canary("v10", 0.05)), "v2"),
        (Rollout(shadow=Shadow("v10", 1)), "v2"),
        (Rollout(canary=Canary("v10", 0.05)).stop_canary("v10", "Why.", _AT), "v2"),
        (Rollout(canary=Canary("v10", 0.05)).stop_canary("v2", "Why.", _AT), "v2"),
        (replace(Rollout(canary=Canary("v10", 0.05)).stop_canary("v10", "Why.", _AT), pinned="v10"), "v10"),
    ],
)
def test_the_pinned_version_is_served_or_else_the_newest(
    versions: tuple[VersionFile, ...], rollout: Rollout, served: str
) -> None:
    file = served_version(versions, rollout).file
    assert file is not None
    assert file.name == served


def test_nothing_takes_the_place_of_a_pinned_version(versions: tuple[VersionFile, ...]) -> None:
    served = served_version(versions, Rollout(pinned="v3"))
    assert served.file is None
    assert served.reason == "The version v3 is pinned, but its file is not in the folder."
    assert served_version((), Rollout()).reason == "There is no version in the folder."
    assert served_version(versions[:1], Rollout(canary=Canary("v1", 1))).reason.startswith("Every version")


def test_a_stopped_canary_is_remembered_with_its_reason() -> None:
    stopped = _FULL.stopped_because("v2")
    assert stopped is not None
    assert (stopped.reason, stopped.at, _FULL.canary) == ("It is slow.", _AT, None)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_rollout(tmp_path) == Rollout()
    write_rollout(tmp_path, _FULL)
    assert read_rollout(tmp_path) == _FULL
    write_rollout(tmp_path, Rollout(pinned="v2"))
    assert read_rollout(tmp_path) == Rollout(pinned="v2")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (b"", "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON: recursion limit"),
        (b"[]", "input should be an object"),
        (b'{"pinnd": "v1"}', "its `pinnd` is wrong: unexpected keyword argument"),
        (b'{"pinned": 3}', "its `pinned` is wrong: input should be a valid string"),
        (b'{"pinned": "../v1"}', "its `pinned` is wrong: string should match"),
        (b'{"shadow": {"version": "v", "share": NaN}}', "its `shadow.share` is wrong"),
        (b'{"canary": {"version": "v", "share": 1.5}}', "its `canary.share` is wrong: input should be less than"),
        (b'{"canary": {"version": "v", "share": 1, "bounds": {"x\\u001b[2J": 1}}}', r"`canary.bounds.x\x1b[2J`"),
        (b'{"stopped": [{"version": "v", "reason": "r", "at": "now"}]}', "its `stopped.0.at` is wrong"),
        (b" " * 1_000_001, "cannot be read: It has more than 1,000,000 bytes"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, document: bytes, complaint: str) -> None:
    (tmp_path / "rollout.json").write_bytes(document)
    with pytest.raises(RolloutError) as caught:
        read_rollout(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "rollout.json"))
    assert complaint in str(caught.value)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    write_rollout(tmp_path, _FULL)
    with pytest.raises(RolloutError, match=r"canary\.share"):
        write_rollout(tmp_path, Rollout(canary=Canary("v2", 5)))
    with full_disk(), pytest.raises(RolloutError, match="cannot be written, so that nothing was changed: No space"):
        write_rollout(tmp_path, Rollout())
    assert read_rollout(tmp_path) == _FULL
    assert [it.name for it in tmp_path.iterdir()] == ["rollout.json"]


def test_a_change_in_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".rollout.lock").symlink_to("no/folder")
    with pytest.raises(RolloutError, match=r"rollout.json cannot be written, so that nothing was changed"):
        change_rollout(tmp_path, lambda _: _FULL)


def test_changes_of_several_processes_do_not_lose_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_stop_ten, args=(tmp_path, number)) for number in range(_PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    stopped = json.loads((tmp_path / "rollout.json").read_text())["stopped"]
    assert len({it["version"] for it in stopped}) == 10 * _PROCESSES


def test_a_change_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    assert change_rollout(tmp_path, lambda it: it.stop_canary("v2", "Why.", _AT)) == Rollout()
    assert not (tmp_path / "rollout.json").exists()


def _stop_ten(folder: Path, number: int) -> None:
    for round_ in range(10):
        change_rollout(folder, partial(_with_stopped, f"v{number}-{round_}"))


def _with_stopped(version: str, rollout: Rollout) -> Rollout:
    return replace(rollout, canary=Canary(version, 1)).stop_canary(version, "Why.", _AT)
