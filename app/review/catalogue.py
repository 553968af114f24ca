"""The catalogue of the review folder: what is known of each photo, in an SQLite file that several processes share.

A transaction that writes locks out all others that write, so that it also guards the photos' files.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path

from whisker.app.review.entry import Entry, Labels
from whisker.app.review.rated import Rated

_WAIT_SECONDS, _READ_WAIT_SECONDS = 10.0, 2.0  # for another process
_TABLE = """CREATE TABLE IF NOT EXISTS photos (
    id TEXT PRIMARY KEY, upload TEXT NOT NULL, bytes INTEGER NOT NULL, kept_at TEXT NOT NULL, model TEXT NOT NULL,
    answer TEXT NOT NULL, interest REAL NOT NULL, worth REAL NOT NULL, descriptor BLOB NOT NULL,
    labels TEXT, labelled_at TEXT, skips INTEGER NOT NULL DEFAULT 0
)"""
_BORN = "CREATE TABLE IF NOT EXISTS born AS SELECT CAST(strftime('%s', 'now') AS INTEGER) AS second"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS uploads ON photos (upload)",
    "CREATE INDEX IF NOT EXISTS sizes ON photos (bytes)",
    "CREATE INDEX IF NOT EXISTS waiting ON photos (worth, kept_at, id) WHERE labels IS NULL",
)
_NAMES = [field.name for field in fields(Entry)]
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO photos ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"  # noqa: S608 - ours


class Catalogue:
    """Open transactions; raise `sqlite3.Error` if the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def reading(self) -> Iterator["Transaction"]:
        with self._connected(_READ_WAIT_SECONDS) as connection:
            yield Transaction(connection)

    @contextmanager
    def writing(self) -> Iterator["Transaction"]:
        """Let one process at a time write; if the block fails, nothing is written, and its `undo` is done."""
        with self._connected(_WAIT_SECONDS) as connection:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection)
            with transaction.undo:  # while no other process can write; to close the connection takes back the rest
                yield transaction
                connection.commit()
                transaction.undo.pop_all()

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=seconds, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            for statement in (_TABLE, _BORN, *_INDEXES):
                connection.execute(statement)
            yield connection
        finally:
            connection.close()


class Transaction:
    """What can be asked and changed in a transaction; `undo` takes back what else was done if it fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.undo = ExitStack()
        self._connection = connection

    def born(self) -> int:
        """Tell when the catalogue was made, in seconds since 1970."""
        second: int = self._connection.execute("SELECT second FROM born").fetchone()[0]
        return second

    def find(self, photo: str) -> Entry | None:
        return next(self._select("WHERE id = ?", photo), None)

    def has(self, photo: str, upload: str) -> bool:
        """Tell whether a photo, or the upload that it came as, is there."""
        return next(self._select("WHERE id = ? OR upload = ?", photo, upload), None) is not None

    def waiting(self) -> dict[str, Rated]:
        """Map the photos that wait to what their order depends on, the latest first."""
        rows = self._connection.execute(
            "SELECT id, interest, descriptor, model, skips FROM photos WHERE labels IS NULL ORDER BY kept_at DESC, id"
        )
        return {photo: Rated(*rest) for photo, *rest in rows}

    def done(self, count: int) -> list[Rated]:
        """List the photos that were labelled last, as `waiting` does."""
        rows = self._connection.execute(
            "SELECT interest, descriptor, model, skips FROM photos WHERE labels IS NOT NULL "
            "ORDER BY labelled_at DESC, id LIMIT ?",
            (count,),
        )
        return [Rated(*row) for row in rows]

    def labelled(self) -> Iterator[Entry]:
        """Yield the photos that have labels, or none of the classes, the one labelled last first."""
        return self._select("WHERE labels IS NOT NULL ORDER BY labelled_at DESC, id")

    def cheapest(self) -> Iterator[Entry]:
        """Yield the photos that wait, the one least worth a label first."""
        return self._select("WHERE labels IS NULL ORDER BY worth, kept_at, id")

    def all(self) -> Iterator[Entry]:
        return self._select("")

    def rated(self, model: str) -> list[Rated]:
        """List what a new photo of a model is compared with."""
        rows = self._connection.execute("SELECT interest, descriptor FROM photos WHERE model = ?", (model,))
        return [Rated(interest, descriptor, model) for interest, descriptor in rows]

    def used_bytes(self) -> int:
        total: int = self._connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM photos").fetchone()[0]
        return total

    def usual_bytes(self) -> float:
        """Average the bytes of a photo."""
        mean: float = self._connection.execute("SELECT COALESCE(AVG(bytes), 0) FROM photos").fetchone()[0]
        return mean

    def counts(self) -> list[tuple[Labels, int]]:
        """Count the photos by their labels."""
        rows = self._connection.execute("SELECT labels, COUNT(*) FROM photos GROUP BY labels")
        return [(_read(labels), count) for labels, count in rows]

    def add(self, entry: Entry) -> None:
        values = {name: getattr(entry, name) for name in _NAMES}
        values |= {"answer": json.dumps(entry.answer, ensure_ascii=False), "labels": _written(entry.labels)}
        self._connection.execute(_INSERT, values)

    def label(self, photo: str, labels: Labels, *, at: str | None, size: int) -> None:
        self._connection.execute(
            "UPDATE photos SET labels = ?, labelled_at = ?, bytes = ? WHERE id = ?", (_written(labels), at, size, photo)
        )

    def skip(self, photo: str) -> None:
        self._connection.execute("UPDATE photos SET skips = skips + 1 WHERE id = ?", (photo,))

    def delete(self, photo: str) -> None:
        self._connection.execute("DELETE FROM photos WHERE id = ?", (photo,))

    def _select(self, where: str, *values: str) -> Iterator[Entry]:
        for row in self._connection.execute(f"SELECT {_COLUMNS} FROM photos {where}", values):  # noqa: S608 - ours
            entry = dict(zip(_NAMES, row, strict=True))
            yield Entry(**{**entry, "answer": json.loads(entry["answer"]), "labels": _read(entry["labels"])})


def _written(labels: Labels) -> str | None:
    return None if labels is None else json.dumps([*labels], ensure_ascii=False)


def _read(written: str | None) -> list[str] | None:
    return None if written is None else [str(label) for label in json.loads(written)]
