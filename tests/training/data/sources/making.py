"""Sources made of a folder of photos, as people and programs make them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc, parquet

from tests.pictures import CLASSES

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"names": [*CLASSES], "_type": "ClassLabel"}}


def zip_of(files: Mapping[str, bytes], target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def tar_of(files: Mapping[str, bytes], target: Path, mode: str = "w") -> Path:
    with tarfile.open(target, mode) as archive:  # type: ignore[call-overload]  # whatever the mode
        for name, data in files.items():
            add(archive, name, data)
    return target


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    """Add a member with any fields of a header."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def files_of(root: Path, prefix: str = "") -> dict[str, bytes]:
    """Read a folder's files by their paths."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {f"{prefix}{path.relative_to(root).as_posix()}": path.read_bytes() for path in files}


def photos_of(root: Path) -> list[tuple[str, bytes, int]]:
    """List the name, bytes and class of each photo in a folder of class folders."""
    return [(Path(name).name, data, CLASSES.index(name.split("/")[0])) for name, data in files_of(root).items()]


def table_of(photos: Sequence[tuple[str, bytes, int]]) -> pa.Table:
    """Make a table as the Hugging Face Hub has it: a struct for the photo, a number for the class."""
    cells = [{"bytes": data, "path": name} for name, data, _ in photos]
    table = pa.table({"image": pa.array(cells, IMAGE), "label": pa.array([label for _, _, label in photos])})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})


def saved(table: pa.Table, folder: Path) -> Path:
    """Save a table as `datasets` does, with a cache beside it that is no part of the data set."""
    folder.mkdir(parents=True)
    for name in ("data-00000-of-00001.arrow", "cache-0a1b.arrow"):
        with ipc.new_stream(str(folder / name), table.schema) as file:
            file.write_table(table, max_chunksize=5)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return folder


def shards_of(root: Path, folder: Path, side: str = "train") -> Path:
    """Make two WebDataset shards."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = photos_of(root)
    for shard in range(2):
        files: dict[str, bytes] = {}
        for number, (_, data, label) in enumerate(photos[shard::2]):
            files |= {f"{number:04}.png": data, f"{number:04}.cls": str(label).encode()}
        tar_of(files, folder / f"{side}-{shard:06}.tar")
    return folder


def _zipped(root: Path, target: Path) -> Path:
    left_behind = {"__MACOSX/wrap/rings/._000.png": b"?", "wrap/.DS_Store": b"?", "wrap/rings/Thumbs.db": b"?"}
    return zip_of(left_behind | files_of(root, "wrap/"), target / "a.zip")


def _with_labels(root: Path, target: Path) -> Path:
    rows = [f"{index:03}.png,{CLASSES[label]}" for index, (_, _, label) in enumerate(photos_of(root))]
    photos = {f"a/images/{index:03}.png": data for index, (_, data, _) in enumerate(photos_of(root))}
    return zip_of(photos | {"a/labels.csv": "\n".join(["file,class", *rows]).encode()}, target / "a.zip")


def _zstandard(root: Path, target: Path) -> Path:
    plain = tar_of(files_of(root, "./"), target / "plain.tar")
    with pa.CompressedOutputStream(str(target / "a.tar.zst"), "zstd") as file:
        file.write(plain.read_bytes())
    return target / "a.tar.zst"


def _plain_parquet(root: Path, target: Path) -> Path:
    photos = photos_of(root)
    columns = {"photo": [data for _, data, _ in photos], "species": [CLASSES[label] for _, _, label in photos]}
    parquet.write_table(pa.table(columns | {"height": [0.5] * len(photos)}), target / "one.parquet", row_group_size=5)
    return target / "one.parquet"


def _webdataset(root: Path, target: Path) -> Path:
    (shards_of(root, target / "shards") / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return target / "shards"


SOURCES: Mapping[str, Callable[[Path, Path], Path]] = {
    "zip, wrapped, as macOS makes it": _zipped,
    "zip with photos and a file of labels": _with_labels,
    "tar.gz": lambda root, target: tar_of(files_of(root), target / "a.tar.gz", "w:gz"),
    "tar.xz, named as nothing": lambda root, target: tar_of(files_of(root, "a/b/"), target / "download", "w:xz"),
    "tar.zst": _zstandard,
    "Hugging Face data set": lambda root, target: saved(table_of(photos_of(root)), target / "hf"),
    "Parquet of binaries and texts": _plain_parquet,
    "WebDataset": _webdataset,
}


def _side_tables(root: Path, target: Path) -> Path:
    (target / "data").mkdir()
    for side in ("train", "test"):
        table = table_of(photos_of(root / side))
        for shard, rows in enumerate((table.slice(0, 3), table.slice(3))):
            parquet.write_table(rows, target / "data" / f"{side}-{shard:05}-of-00002.parquet")
    return target


def _saved_sides(root: Path, target: Path) -> Path:
    (target / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for side in ("train", "test"):
        saved(table_of(photos_of(root / side)), target / side)
    return target


def _side_shards(root: Path, target: Path) -> Path:
    for side in ("train", "test"):
        shards_of(root / side, target, side)
    (target / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return target


SIDED: Mapping[str, Callable[[Path, Path], Path]] = {
    "zip": lambda root, target: zip_of(files_of(root, "deep/down/"), target / "a.zip"),
    "Parquet shards": _side_tables,
    "Hugging Face data set": _saved_sides,
    "WebDataset shards": _side_shards,
}
