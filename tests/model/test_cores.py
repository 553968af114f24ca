"""Cores: what this process may use."""

from pathlib import Path

import pytest

import whisker.model.cores as cores_module
from whisker.model.cores import available_cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 64),
        ({"quota": "300000", "period": "100000"}, 3),
        ({"quota": "-1", "period": "100000"}, 64),
        ({}, 64),
    ],
)
def test_cores_follow_the_cgroup_quota(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    quotas = ((tmp_path / "cpu.max", None), (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(cores_module, "_CGROUP_QUOTAS", quotas)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    assert available_cores() == cores
