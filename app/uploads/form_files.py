"""Which parts of a form are the pictures: those of the field that is documented, or else what can be meant."""

import re
from collections.abc import Sequence

from whisker.app.errors import InvalidUploadError, quoted
from whisker.app.uploads.part import Part
from whisker.app.uploads.signature import is_picture

FIELD = "file"
_NAMED = 6  # parts in a sentence
_INDEX = re.compile(r"\[[^\]]*\]$")  # of a field of several files: `file[]`, `file[0]`


def only_picture(parts: Sequence[Part]) -> bytes:
    """Give the one picture of a form: in the field `file`, or in any field if the form has no other picture.

    Raises `InvalidUploadError`, which names the parts.
    """
    files = _files(parts)
    for found in (
        [part for part in files if part.field_name == FIELD],
        [part for part in files if is_picture(part.start)],
        files,
    ):
        if len(found) == 1:
            return found[0].content
        if found:
            break
    raise InvalidUploadError(
        f"The form must hold exactly one picture, best in the field `{FIELD}`, but {_came(parts)}."
    )


def all_pictures(parts: Sequence[Part], *, max_files: int) -> list[bytes]:
    """Give the pictures of a form: those in the field `file`, or in any one field if no other has pictures.

    Raises `InvalidUploadError`, which names the parts.
    """
    files = _files(parts)
    fields = {_base(part) for part in files}
    pictured = {_base(part) for part in files if is_picture(part.start)}
    names = next((it for it in (fields & {FIELD}, pictured, fields) if it), set())
    if len(names) > 1:
        raise InvalidUploadError(
            f"The form must hold its pictures in fields of one name, best `{FIELD}`, but {_came(parts)}."
        )
    pictures = [part.content for part in files if _base(part) in names]
    if not 1 <= len(pictures) <= max_files:
        raise InvalidUploadError(
            f"The form must hold 1 to {max_files} files, each in a field `{FIELD}`, but {_came(parts)}."
        )
    return pictures


def texts_of(parts: Sequence[Part]) -> dict[str, list[str]]:
    """Give the values of each text field."""
    texts: dict[str, list[str]] = {}
    for part in parts:
        if not part.is_file:
            texts.setdefault(part.field_name, []).append(part.content.decode(errors="replace"))
    return texts


def _files(parts: Sequence[Part]) -> list[Part]:
    """List the files; where nothing was chosen, browsers send one without name and content, which counts if alone."""
    files = [part for part in parts if part.is_file]
    return [part for part in files if part.size or not part.is_nameless] or files


def _base(part: Part) -> str:
    return _INDEX.sub("", part.field_name)


def _came(parts: Sequence[Part]) -> str:
    """Say what the parts are: `one file in `a`, text in `b``."""
    if not parts:
        return "it has no parts"
    shown = [f"{'a file' if part.is_file else 'text'} in {quoted(part.field_name)}" for part in parts[:_NAMED]]
    more = f" and {len(parts) - _NAMED} more parts" if len(parts) > _NAMED else ""
    return f"there is {', '.join(shown)}{more}"
