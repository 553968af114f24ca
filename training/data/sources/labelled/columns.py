"""The columns of a table that hold the photos and the labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from whisker.training.data.folders.columns import MAX_NAMED, label_columns, list_columns
from whisker.training.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["image", "bytes", "label", "labels", "other"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it may hold, the names of its classes if it has numbers for them, and whether it says its kind."""

    name: str
    kind: Kind
    names: tuple[str, ...] = ()
    declared: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read: of photos, of labels unless none are needed, and others that hold plain values."""

    photo: Column
    label: Column | None
    others: tuple[str, ...] = ()

    @property
    def read(self) -> list[str]:
        """List the names of all of them."""
        return [self.photo.name, *([self.label.name] if self.label else ()), *self.others]


def find_columns(
    source: str, columns: Sequence[Column], photo: str | None, label: str | None, *, labelled: bool
) -> Columns:
    """Find the columns by options, by what they declare, or by their names; raise `DatasetError` that names them."""
    found = _Finder(source, columns)
    at_photo = found.photo(photo)
    at_label = found.label(label) if labelled else None
    used = {at_photo.name, at_label.name if at_label else ""} | {"path", "label"}
    plain = tuple(column.name for column in columns if column.kind == "label" and column.name not in used)
    return Columns(at_photo, at_label, plain if labelled else ())


def describe_columns(schema: "pa.Schema") -> list[Column]:
    """Tell what each column of a table may hold, by its type and by what Hugging Face's `datasets` wrote beside it."""
    features = _features((schema.metadata or {}).get(b"huggingface", b"{}"))
    return [_describe(name, kind, features.get(name)) for name, kind in zip(schema.names, schema.types, strict=True)]


def class_names(feature: object) -> tuple[str, ...] | None:
    """Read the names of the classes of a feature; `None` if it is no class label."""
    if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        return tuple(map(str, names)) if isinstance(names, list) else ()
    return None


@dataclass(frozen=True, slots=True)
class _Finder:
    """The search for columns in a table."""

    source: str
    columns: Sequence[Column]

    def photo(self, name: str | None) -> Column:
        if name is not None:
            return self._named(name, ("image", "bytes"), "photos", "--path-column")
        images = [column for column in self.columns if column.kind == "image"]
        declared = [column for column in images if column.declared]
        found = declared or images or [column for column in self.columns if column.kind == "bytes"]
        return self._only(found, "photos", "--path-column")

    def label(self, name: str | None) -> Column:
        if name is not None:
            return self._named(name, ("label", "labels"), "labels", "--label-column")
        plain = [column for column in self.columns if column.kind in {"label", "labels"}]
        declared = [column for column in plain if column.declared]
        usual = [plain[index] for index in label_columns([column.name for column in plain])]
        return self._only(declared or usual or plain, "labels", "--label-column")

    def _named(self, name: str, kinds: Sequence[Kind], what: str, option: str) -> Column:
        found = next((column for column in self.columns if column.name.lower() == name.strip().lower()), None)
        if found is None or found.kind not in kinds:
            problem = f"there is no column {name!r}" if found is None else f"the column {name!r} holds no {what}"
            self._refuse(f"{problem}, which {option} names")
        return found

    def _only(self, found: Sequence[Column], what: str, option: str) -> Column:
        if len(found) > 1:
            named = " and ".join(repr(column.name) for column in found[:MAX_NAMED])
            self._refuse(f"the columns {named} may all hold the {what}: choose one with {option}")
        if not found:
            self._refuse(f"no column holds {what}")
        return found[0]

    def _refuse(self, problem: str) -> NoReturn:
        listed = list_columns([column.name for column in self.columns])
        columns = f"; the columns are {listed}" if self.columns else ""
        raise DatasetError(f"{self.source}: {problem}{columns}.")


def _describe(name: str, kind: "pa.DataType", feature: object) -> Column:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra

    types = pa.types
    if types.is_struct(kind):
        fields = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
        is_image = "bytes" in fields and _is_binary(fields["bytes"])
        declared = isinstance(feature, Mapping) and feature.get("_type") == "Image"
        return Column(name, "image" if is_image else "other", declared=declared)
    if _is_binary(kind):
        return Column(name, "bytes")
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = _inner(feature)
        names = class_names(inner)
        is_label = _is_plain(kind.value_type)
        return Column(name, "labels" if is_label else "other", names or (), declared=names is not None)
    names = class_names(feature)
    return Column(name, "label" if _is_plain(kind) else "other", names or (), declared=names is not None)


def _inner(feature: object) -> object:
    """Give the feature of a list's items, as the versions of `datasets` write it."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, Mapping) else None


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_plain(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra

    types = pa.types
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(texts or types.is_integer(kind) or types.is_boolean(kind))


def _features(document: bytes) -> Mapping[str, Any]:
    try:
        features = json.loads(document).get("info", {}).get("features", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}
