"""Photos as files: how they are found in a folder, recognised and read. Importing this must stay cheap."""

import os
from collections.abc import Iterator
from pathlib import Path

from whisker.model.errors import PictureTooLargeError, UnsupportedFormatError
from whisker.model.regular_file import open_regular

MAX_FILE_BYTES = 500_000_000  # above any photo that the pixel limit admits
ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF"
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"),
)
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1", b"avif", b"avis", b"miaf", b"hevc", b"hevx")
_OTHERS = {  # what is often sent in place of a picture, by its first bytes
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"{": "a JSON document",
}


def read_photo(path: str | Path) -> bytes:
    """Read a file's bytes; only the first bytes if it is not a picture but, say, a video.

    Raises `UnsupportedFormatError`, `PictureTooLargeError` for more than `MAX_FILE_BYTES`, and `OSError`, also for
    pipes and devices, which might never end. An empty file is returned as it is: `Preprocessing.decode` says what is
    wrong with it.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.peek()
        if start:
            check_signature(start)
        if size > MAX_FILE_BYTES:
            raise PictureTooLargeError(f"The file has more than {MAX_FILE_BYTES:,} bytes.")
        return file.read(size)  # what somebody goes on writing to it is left out


def is_picture(path: str | Path) -> bool:
    """Tell whether a path leads to a file that begins like an accepted picture."""
    try:
        with open_regular(path) as file:
            check_signature(file.read(12))
    except (OSError, UnsupportedFormatError):
        return False
    return True


def check_signature(start: bytes) -> None:
    """Raise `UnsupportedFormatError` unless a file with this start, of 12 bytes or more, may be an accepted picture."""
    is_box = start[:1] == b"\0" and start[4:8] == b"ftyp"
    if (
        start.startswith(_SIGNATURES)
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or (is_box and start[8:12] in _BRANDS)
    ):
        return
    found = "a video" if is_box else next((kind for begin, kind in _OTHERS.items() if start.startswith(begin)), "")
    hint = f": it begins like {found}" if found else ""
    raise UnsupportedFormatError(f"The file is not a {ACCEPTED} picture{hint}.")


def walk_files(root: str) -> Iterator[str]:
    """Yield the paths of all files in a folder, at any depth, relative to `root` and sorted.

    Hidden files and folders are skipped, and so are links to folders, which may lead in circles. Whatever else cannot
    be read as a photo is listed, for whoever reads it to say so: links to nothing or to themselves, pipes, sockets and
    devices, and a folder that cannot be searched, with a slash at its end (`.` for `root` itself). Memory is needed for
    the names in one folder at a time.
    """
    pending = [""]  # sorted, the next one last; folders end with a slash, so that they sort as the paths in them do
    while pending:
        path = pending.pop()
        if path and not path.endswith("/"):
            yield path
            continue
        try:
            pending += sorted(scan_folder(root, path), reverse=True)
        except OSError:
            yield path or "."


def scan_folder(root: str, folder: str) -> Iterator[str]:
    """Yield the paths, relative to `root`, of what lies in one folder; those of folders end with a slash."""
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield f"{folder}{entry.name}/"
            elif not _leads_to_folder(entry):
                yield f"{folder}{entry.name}"


def _leads_to_folder(link: "os.DirEntry[str]") -> bool:
    try:
        return link.is_dir()
    except OSError:  # it leads to itself, or where nobody may look
        return False


def is_hidden(path: str) -> bool:
    """Tell whether a relative path leads to, or through, a hidden file or folder."""
    return any(part.startswith(".") for part in path.split("/"))


def is_utf8(path: str) -> bool:
    """Tell whether a name, as the file system gives it, is UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in path)
