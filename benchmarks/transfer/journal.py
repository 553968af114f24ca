"""The journal of a comparison: a JSON file with a row for each contender and seed that is done."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from whisker.model.atomic_write import atomic_write
from whisker.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """What a contender reached with a seed. Seconds are those of the training; `load` is the machine's at its start.

    `epochs` are those run of the `documented` ones. Counts of confident answers are Whisker's alone.
    """

    name: str
    seed: int
    accuracy: float
    photos: int
    seconds: float
    cpu_seconds: float
    epochs: int | None = None
    documented: int | None = None
    confident: int | None = None
    confident_wrong: int | None = None
    load: float = 0.0


@dataclass(slots=True)
class Journal:
    """Rows that are done, under the settings that they were made with."""

    path: Path
    settings: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any]) -> Self:
        """Read a journal, or begin one; raise `ConfigError` if it is of other settings or cannot be read."""
        if not path.exists():
            return cls(path, settings)
        try:
            document = json.loads(path.read_text())
            rows = [Row(**row) for row in document["rows"]]
        except (ValueError, LookupError, TypeError, OSError) as exc:
            raise ConfigError(f"{path} is not a journal of this benchmark: give another --out.") from exc
        if document["settings"] != settings:
            raise ConfigError(f"{path} was begun with other photos or options: give the same, or another --out.")
        return cls(path, settings, rows)

    def has(self, name: str, seed: int) -> bool:
        return any((row.name, row.seed) == (name, seed) for row in self.rows)

    def add(self, row: Row) -> None:
        """Add a row, and write the file."""
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as temporary:
            document = {"settings": self.settings, "rows": [asdict(row) for row in self.rows]}
            temporary.write_text(json.dumps(document, indent=1))
