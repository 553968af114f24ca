"""The CSV file of `--labels`, and the columns of it that users name."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file of labels; columns that are not named are found by the usual names (`columns`).

    With `replaces`, folders name no classes, whatever they are called.
    """

    path: Path
    path_column: str | None = None
    label_column: str | None = None
    replaces: bool = False

    @classmethod
    def of(cls, file: "Path | LabelFile") -> "LabelFile":
        """Take a path as a file whose columns are to be found."""
        return cls(file) if isinstance(file, Path) else file

    def __str__(self) -> str:
        return str(self.path)
