"""Records: frozen dataclasses that read any JSON document without raising, and write it back with nothing lost."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import UnionType
from typing import Any, Self, TypeAlias, TypeVar, Union, get_args, get_origin

from whisker.model.card.document import JsonValue

JsonObject: TypeAlias = Mapping[str, JsonValue]

NULL: Mapping[str, bool] = {"null": True}
_SCALARS: Mapping[type, frozenset[type]] = {
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({float, int}),
    str: frozenset({str}),
}


R = TypeVar("R", bound="Record")


class _MisfitError(Exception):
    """A value is not of the type that its field declares."""


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object with a field for each known key; a field without a default is required.

    A field's metadata may hold its `key` in JSON, if that is not its name. New records leave out a field that is
    `None`, or write it as null if its metadata is `NULL`.

    `rest` keeps what an object that was read has beside its fields: unknown keys, and known ones whose value is null
    or of another type. It is `None` in a record that was not read from JSON.
    """

    rest: JsonObject | None = field(default=None, kw_only=True, repr=False, compare=False)

    @classmethod
    def from_json(cls, document: object) -> Self | None:
        """Read a JSON object; `None` if `document` is something else or lacks a required field."""
        return read_record(cls, document)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the object that `from_json` reads: after reading, what was read."""
        document: dict[str, JsonValue] = dict(self.rest or {})
        for entry in _entries(type(self)):
            value = getattr(self, entry.name)
            if value is not None:
                document[_key(entry)] = _write(value)
            elif self.rest is None and entry.metadata.get("null"):
                document[_key(entry)] = None
        return document

    def unread(self) -> Iterator[str]:
        """Name the known keys, here and in the parts, that hold a value of another type; empty values do not count."""
        for entry in _entries(type(self)):
            key, value = _key(entry), getattr(self, entry.name)
            if self.rest and self.rest.get(key):
                yield key
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Record):
                    yield from (f"{key}.{name}" for name in part.unread())


def read_record(record: type[R], document: object) -> R | None:
    """Read a JSON object as a `record`, as `Record.from_json` does."""
    if not isinstance(document, Mapping):
        return None
    rest, values = dict(document), {}
    for entry in _entries(record):
        try:
            values[entry.name] = _read(document.get(_key(entry)), entry.type)
        except _MisfitError:
            if entry.default is MISSING:
                return None
        else:
            del rest[_key(entry)]
    return record(**values, rest=rest)


def _entries(record: type[Record]) -> Iterator[Field[Any]]:
    return (entry for entry in fields(record) if entry.name != "rest")


def _key(entry: Field[Any]) -> str:
    return entry.metadata.get("key") or entry.name


def _read(value: Any, kind: Any) -> Any:
    """Read a JSON value as a field's type; raise `_MisfitError` if it is of another one."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind == JsonValue:
        return value
    if origin in (Union, UnionType):  # `X | None`: null is no X, and so it stays in `rest`
        return _read(value, parts[0])
    if origin is tuple:
        return _read_list(value, parts)
    if origin is Mapping:
        _require(isinstance(value, Mapping))
        return {key: _read(item, parts[1]) for key, item in value.items()}
    if kind in _SCALARS:
        _require(type(value) in _SCALARS[kind])
        return value
    part = kind.from_json(value)
    _require(part is not None)
    return part


def _read_list(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    _require(isinstance(value, list | tuple))
    if kinds[-1] is not Ellipsis:
        _require(len(value) == len(kinds))
        return tuple(map(_read, value, kinds))
    if kinds[0] in _SCALARS:  # at once: the confusion matrix of 1,000 classes has a million numbers
        _require({type(item) for item in value} <= _SCALARS[kinds[0]])
        return tuple(value)
    return tuple(_read(item, kinds[0]) for item in value)


def _require(fits: bool) -> None:  # noqa: FBT001 - a condition
    if not fits:
        raise _MisfitError


def _write(value: Any) -> JsonValue:
    if isinstance(value, Mapping):
        return {key: _write(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return list(value) if value and type(value[0]) in _SCALARS else [_write(item) for item in value]
    document: JsonValue = value.to_json() if hasattr(value, "to_json") else value
    return document
