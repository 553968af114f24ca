"""Files that are no checkpoint any more: every one is refused, in one sentence, and none is executed."""

from pathlib import Path

import pytest

from benchmarks.reliability.checkpoints import bad_checkpoints
from whisker.model import load_checkpoint
from whisker.model.errors import CheckpointError
from whisker.training.job import Training


def test_every_bad_checkpoint_is_refused(trained: Training, tmp_path: Path) -> None:
    good, trap, bad = tmp_path / "good.safetensors", tmp_path / "executed", tmp_path / "bad.safetensors"
    good.write_bytes(trained.out.read_bytes())
    load_checkpoint(good)
    names = []
    for name, data in bad_checkpoints(good, trap):
        bad.write_bytes(data)
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(bad)
        assert "\n" not in str(raised.value), name
        names.append(name)
    assert len(names) == len(set(names)) == 13
    assert not trap.exists()
