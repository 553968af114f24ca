"""Tables of photos and labels: Parquet files, as on the Hugging Face Hub, and the Arrow files of `datasets` on disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisker.training.data.sources.labelled.class_names import distinct_names, label_text
from whisker.training.data.sources.labelled.columns import Column, Columns, describe_columns, find_columns
from whisker.training.data.sources.labelled.photos import LabelledFolder, LabelledPhoto, metered
from whisker.training.data.sources.labelled.shards import Shard
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 32  # rows, which memory holds at a time


def require_library(source: Path) -> None:
    """Raise `DatasetError` without the library that reads tables."""
    try:
        import pyarrow  # noqa: F401, ICN001, PLC0415 - an optional extra
    except ImportError as exc:
        raise DatasetError(
            f"{source} is read with PyArrow, which is not installed: run `pip install 'whisker-vision[parquet]'`."
        ) from exc


def find_table_columns(
    source: Path, shards: Sequence[Shard], photo: str | None, label: str | None, *, labelled: bool
) -> tuple[Columns, list[str]]:
    """Find the columns of a source's tables, all of which have the same; say which names of classes are changed."""
    found: list[Column] | None = None
    for shard in shards:
        with _translated(shard.file), _opened(shard.file) as table:
            described = describe_columns(table.schema)
        if found is not None and described != found:
            raise DatasetError(
                f"{source} holds tables with different columns, {shards[0].file.name} and {shard.file.name}: give a "
                "folder of one data set alone."
            )
        found = described
    columns = find_columns(str(source), found or [], photo, label, labelled=labelled)
    if columns.label is None:
        return columns, []
    names, sentences = distinct_names(columns.label.names, str(source))
    return replace(columns, label=replace(columns.label, names=names)), sentences


def unpack_tables(shards: Sequence[Shard], columns: Columns, folder: LabelledFolder, progress: Progress) -> None:
    """Write the photos of tables into a folder."""
    with progress.task("Unpacking the photos", sum(shard.size for shard in shards)) as task:
        for shard in shards:
            with _translated(shard.file), _opened(shard.file) as table, metered(task, shard) as meter:
                for row in table.rows(columns.read):
                    photo = _photo(row, columns)
                    folder.add(photo, shard.side)
                    meter.add(photo)


class _Table:
    """An open table; rows are read a few at a time."""

    def __init__(self, schema: "pa.Schema", batches: "Iterator[pa.RecordBatch] | pa.parquet.ParquetFile") -> None:
        self.schema, self._batches = schema, batches

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield rows, of which only some columns are read."""
        if hasattr(self._batches, "iter_batches"):
            batches = self._batches.iter_batches(batch_size=_BATCH, columns=list(columns))
        else:
            batches = (batch.select(list(columns)) for batch in self._batches)
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH):
                yield from batch.slice(start, _BATCH).to_pylist()


@contextmanager
def _opened(file: Path) -> Iterator[_Table]:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra
    from pyarrow import ipc, parquet  # noqa: PLC0415

    with file.open("rb") as start:
        is_parquet = start.read(4) == b"PAR1"
    if is_parquet:
        with parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as opened:
            yield _Table(opened.schema_arrow, opened)
        return
    with pa.memory_map(str(file)) as mapped:
        if mapped.read(6) == b"ARROW1":
            random = ipc.open_file(mapped)
            yield _Table(random.schema, (random.get_batch(at) for at in range(random.num_record_batches)))
            return
        mapped.seek(0)
        stream = ipc.open_stream(mapped)
        yield _Table(stream.schema, iter(stream))


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        reason = str(exc).partition("\n")[0].rstrip(".") or type(exc).__name__
        raise DatasetError(f"{file} is damaged, or no table that PyArrow reads ({reason}): get it again.") from exc


def _photo(row: dict[str, Any], columns: Columns) -> LabelledPhoto:
    """Make a photo of a row; it has no bytes if these are not in the table."""
    cell = row[columns.photo.name]
    data, name = (cell.get("bytes"), cell.get("path") or "") if isinstance(cell, dict) else (cell, "")
    labels: tuple[str, ...] | None = ()
    if columns.label is not None:
        labels = _labels(row[columns.label.name], columns.label)
    others = tuple("" if row[other] is None else str(row[other]) for other in columns.others)
    return LabelledPhoto(name, data or b"", labels, others)


def _labels(value: Any, column: Column) -> tuple[str, ...] | None:
    """Name the classes of a cell; `None` if it is empty or, as -1, says that they are unknown."""
    if column.kind == "label":
        name = _class(value, column)
        return None if not name else (name,)
    if value is None:
        return None
    names = [_class(item, column) for item in value]
    return None if "" in names else tuple(sorted({*names}))


def _class(value: Any, column: Column) -> str:
    text = label_text(value)
    if not text or not column.names or isinstance(value, str):
        return text
    if not 0 <= value < len(column.names):
        raise DatasetError(f"The column {column.name!r} has the class {value}, of which it gives no name.")
    name: str = column.names[value]
    return name
