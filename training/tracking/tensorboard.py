"""Event files for TensorBoard, by PyTorch's own writer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whisker.model.errors import ConfigError
from whisker.training.events.event import Epoch, Finished, Plan
from whisker.training.tracking.tracker import Tracker, figures_of


class TensorBoard(Tracker):
    """Writes each training into a folder of its own below one that TensorBoard is pointed to."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        """Load the library; raise `ConfigError` if it is missing, or the folder cannot be made."""
        self._make_writer = _load()
        self._folder, self.place = folder, str(folder.resolve())
        self._writer: Any = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(f"The folder {folder} of --tensorboard cannot be made: {exc.strerror}.") from exc

    def begin(self, plan: Plan, earlier: str | None) -> str:
        run = self._folder / (earlier or self._free_name(plan.name))
        # All epochs before a resume are told again: whatever an earlier writer has left of them does not count.
        self._writer = self._make_writer(log_dir=str(run), purge_step=1 if earlier else None)
        settings = {"command": plan.command, **plan.settings}
        self._writer.add_text("settings", f"```json\n{json.dumps(settings, indent=2, default=str)}\n```")
        self._writer.flush()
        return run.name

    def log_epoch(self, epoch: Epoch) -> None:
        for name, value in figures_of(epoch).items():
            self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def finish(self, finished: Finished) -> None:
        for name, value in finished.metrics.items():
            self._writer.add_scalar(f"test/{name}", value, 1)

    def close(self, *, failed: bool) -> None:
        del failed  # event files do not tell
        self._writer.close()

    def _free_name(self, name: str) -> str:
        """Name a folder that no other training has written to."""
        number, free = 1, name
        while (self._folder / free).exists():
            number += 1
            free = f"{name}-{number}"
        return free


def _load() -> Callable[..., Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow, and an extra
    except ImportError as exc:
        raise ConfigError("--tensorboard needs TensorBoard: pip install 'whisker-vision[tensorboard]'.") from exc
    return SummaryWriter
