"""Damaged, odd and hostile archives: one sentence each, and nothing written outside or left behind."""

import io
import os
import stat
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from tests.training.data.sources.making import add, files_of, tar_of, zip_of
from whisker.training.data.sources import destination
from whisker.training.data.sources.source import open_source
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 8
FILES = {"cat/1.jpg": PHOTO, "dog/1.jpg": PHOTO[::-1]}
LONG = "n" * 300


def opened(source: Path, work: Path) -> tuple[Path, str]:
    said = io.StringIO()
    root = open_source(source, [work], Progress(Console(file=said, width=1_000))).root
    return root, said.getvalue()


def _encrypted(target: Path) -> Path:
    data = bytearray(zip_of(FILES, target / "a.zip").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (target / "a.zip").write_bytes(data)
    return target / "a.zip"


def _changed(target: Path, at: Callable[[bytes], int], name: str = "a.zip") -> Path:
    """Change one byte of an archive."""
    made = zip_of(FILES, target / name) if name.endswith("zip") else tar_of(FILES, target / name, "w:gz")
    data = bytearray(made.read_bytes())
    data[at(bytes(data))] ^= 0xFF
    made.write_bytes(data)
    return made


def _cut(target: Path, name: str, length: int) -> Path:
    made = zip_of(FILES, target / name) if name.endswith("zip") else tar_of(FILES, target / name)
    made.write_bytes(made.read_bytes()[:length])
    return made


def _deflate64(target: Path) -> Path:
    data = bytearray(zip_of(FILES, target / "a.zip").read_bytes())
    for at in (8, data.index(b"PK\x01\x02") + 10):
        data[at : at + 2] = struct.pack("<H", 9)
    (target / "a.zip").write_bytes(data)
    return target / "a.zip"


def _bomb_zip(target: Path) -> Path:
    with zipfile.ZipFile(target / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.jpg", bytes(1_000_000))
    data = bytearray((target / "a.zip").read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 4_000_000_000)  # announced, as overlapping members can
    (target / "a.zip").write_bytes(data)
    return target / "a.zip"


def _bomb_tar(target: Path) -> Path:
    return tar_of({f"cat/{number}.jpg": b"" for number in range(600)}, target / "a.tar.gz", "w:gz")


def _dead_links(target: Path) -> Path:
    with tarfile.open(target / "a.tar.gz", "w:gz") as archive:
        for number in range(600):
            add(archive, f"{number}.jpg", type=tarfile.SYMTYPE, linkname="missing")
    return target / "a.tar.gz"


def _pax(target: Path, *headers: bytes) -> Path:
    with tarfile.open(target / "a.tar", "w") as archive:
        for header in headers:
            add(archive, "././@PaxHeader", header, type=tarfile.XHDTYPE)
        add(archive, "cat/1.jpg", PHOTO)
    return target / "a.tar"


SPARSE = {"0.0": b"GNU.sparse.size=a", "0.1": b"GNU.sparse.map=a,b", "1.0": b"GNU.sparse.major=1"}


def _sparse(kind: str, target: Path) -> Path:
    lines = [SPARSE[kind], *([b"GNU.sparse.minor=0"] if kind == "1.0" else [])]
    return _pax(target, b"".join(b"%d %s\n" % (len(line) + 4, line) for line in lines))


def _old_sparse(target: Path) -> Path:
    with tarfile.open(target / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, "cat/1.jpg", PHOTO, type=tarfile.GNUTYPE_SPARSE)
    return target / "a.tar"


def _renamed_zip(target: Path, *, central: bool) -> Path:
    made = zip_of({"cat/ä.jpg": PHOTO}, target / "a.zip")
    first, second, end = made.read_bytes().split("ä".encode())
    made.write_bytes(
        first + ("ä".encode() if central else b"\xc3\xc3") + second + (b"\xc3\xc3" if central else "ä".encode()) + end
    )
    return made


def _long_header(target: Path) -> Path:
    with tarfile.open(target / "a.tar", "w") as archive:
        add(archive, "././@PaxHeader", bytes(2_000_000), type=tarfile.XHDTYPE)
    return target / "a.tar"


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "up": (lambda t: zip_of({**FILES, "../out.jpg": PHOTO}, t / "a.zip"), r"leads out of it, '\.\./out\.jpg'"),
    "up, within": (lambda t: tar_of({**FILES, "cat/../../out.jpg": PHOTO}, t / "a.tar"), "leads out of it"),
    "absolute": (lambda t: tar_of({"/tmp/out.jpg": PHOTO}, t / "a.tar"), "leads out of it"),  # noqa: S108 - not written
    "drive": (lambda t: zip_of({"C:\\out.jpg": PHOTO}, t / "a.zip"), "leads out of it"),
    "backslashes": (lambda t: zip_of({"..\\..\\out.jpg": PHOTO}, t / "a.zip"), "leads out of it"),
    "long folder": (lambda t: tar_of({f"{LONG}/1.jpg": PHOTO}, t / "a.tar"), "names are too long"),
    "deep": (lambda t: zip_of({"d/" * 99 + "1.jpg": PHOTO}, t / "a.zip"), "too many of them in each other"),
    "file and folder": (lambda t: tar_of({"a": PHOTO, "a/1.jpg": PHOTO}, t / "a.tar"), "a file and a folder of the sa"),
    "encrypted": (_encrypted, "is encrypted: unpack it yourself, with its password"),
    "CRC": (lambda t: _changed(t, lambda data: data.index(PHOTO) + 9), "damaged or incomplete .*CRC"),
    "gzip": (lambda t: _changed(t, lambda data: len(data) - 6, "a.tgz"), "damaged or incomplete .*CRC"),
    "zip cut": (lambda t: _cut(t, "a.zip", 2_500), "damaged or incomplete"),
    "tar cut in a file": (lambda t: _cut(t, "a.tar", 1_000), "damaged or incomplete .*unexpected end of data"),
    "tar cut between files": (lambda t: _cut(t, "a.tar", 3_072), "damaged or incomplete"),
    "tar cut in a header": (lambda t: _cut(t, "a.tar", 3_272), "damaged or incomplete"),
    "deflate64": (_deflate64, "packed in a way that Whisker cannot read"),
    "zip bomb": (_bomb_zip, "more than 100 times its size, .* unpack it yourself and give the folder"),
    "tar bomb": (_bomb_tar, "more than 100 times its size"),
    "dead links": (_dead_links, "more than 100 times its size"),
    "hidden bomb": (
        lambda t: tar_of({"cat/.jpg": bytes(3_000_000)}, t / "a.tgz", "w:gz"),
        "more than 100 times its si",
    ),
    **{f"sparse {kind}": (partial(_sparse, kind), r"packed in a way .* \(sparse files\)") for kind in SPARSE},
    "sparse, old": (_old_sparse, r"packed in a way .* \(sparse files\)"),
    "header that is no number": (lambda t: _pax(t, b"9" * 5_000 + b" path=a\n"), "a header is damaged"),
    "headers about headers": (lambda t: _pax(t, *[b"9 path=a\n"] * 1_500), "damaged or incomplete"),
    "zip name": (lambda t: _renamed_zip(t, central=True), "damaged or incomplete .*codec can't decode"),
    "zip name, inside": (lambda t: _renamed_zip(t, central=False), "damaged or incomplete .*codec can't decode"),
    "long header": (_long_header, "a header is too long"),
    "no tar": (lambda t: (t / "a.tar", (t / "a.tar").write_bytes(b"x" * 2_000))[0], "damaged or incomplete"),
    "empty file": (lambda t: (t / "a.tar", (t / "a.tar").write_bytes(b""))[0], "damaged or incomplete"),
    "empty zip": (lambda t: zip_of({}, t / "a.zip"), "a.zip holds no photos."),
    "tables only": (
        lambda t: zip_of({"a.parquet": b"PAR1"}, t / "a.zip"),
        "no photos but tables or shards: unpack",
    ),
    "archives only": (lambda t: zip_of({"cat.zip": b"PK"}, t / "a.zip"), "no photos. Not unpacked: an archive inside"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_hostile_and_damaged_archives_are_refused_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "FREE_BYTES", 2_000_000)
    make, message = REFUSED[kind]
    source = make(tmp_path)
    with pytest.raises(DatasetError, match=message) as refused:
        opened(source, tmp_path / "x.run" / "sources")
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [source.name]
    assert not Path("/tmp/out.jpg").exists()  # noqa: S108 - nothing may be written there


class ZstdError(Exception):
    """As in `compression.zstd` of Python 3.14."""


class _DamagedZstandard(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ZstdError(f"no frame in {size} bytes")


def test_damage_that_only_newer_versions_of_python_find_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, module = ModuleType("compression"), ModuleType("compression.zstd")
    package.__spec__ = ModuleSpec("compression", None)
    module.__dict__["ZstdFile"] = lambda _: _DamagedZstandard()
    monkeypatch.setitem(sys.modules, "compression", package)
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    (tmp_path / "a.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(DatasetError, match=r"a\.tar\.zst is damaged or incomplete \(no frame in"):
        opened(tmp_path / "a.tar.zst", tmp_path / "run")


def test_links_in_a_tar_are_photos_if_they_lead_to_one_inside(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "pet/1.jpg", type=tarfile.SYMTYPE, linkname="../cat/1.jpg")
        for name, data in FILES.items():
            add(archive, name, data)
        add(archive, "wet/1.jpg", type=tarfile.LNKTYPE, linkname="dog/1.jpg")
        add(archive, "cat/passwd.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "cat/up.jpg", type=tarfile.SYMTYPE, linkname="../../../etc/passwd")
        add(archive, "out", type=tarfile.SYMTYPE, linkname="/")
        add(archive, "cat/long.jpg", type=tarfile.SYMTYPE, linkname=f"{LONG}/1.jpg")
        add(archive, f"dog/{LONG}.jpg", PHOTO)
        add(archive, "wet/2.jpg", type=tarfile.SYMTYPE, linkname=f"../dog/{LONG}.jpg")
        add(archive, "cat/1.jpg", type=tarfile.LNKTYPE, linkname="cat/1.jpg")
        add(archive, "wet/1.jpg", type=tarfile.LNKTYPE, linkname="cat/1.jpg")
        add(archive, "cat/pipe.jpg", type=tarfile.FIFOTYPE)
        add(archive, "cat/null.jpg", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    root, said = opened(tmp_path / "a.tar", tmp_path / "run")
    links = {"pet/1.jpg": PHOTO, "wet/1.jpg": PHOTO[::-1], "wet/2.jpg": PHOTO, "wet/1-2.jpg": PHOTO}
    (long,) = (path.name for path in root.rglob("nnn*.jpg"))
    assert files_of(root) == {**FILES, **links, f"dog/{long}": PHOTO}
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert "Not unpacked: 4 links that lead to no file inside (cat/passwd.jpg, first)." in said
    assert "Not unpacked: 2 files of a special kind (cat/pipe.jpg, first)." in said


def test_link_in_a_zip_is_a_photo_too(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("pet/1.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zip_of(FILES, tmp_path / "a.zip"), "a") as archive:
        archive.writestr(link, "../cat/1.jpg")
    assert files_of(opened(tmp_path / "a.zip", tmp_path / "run")[0])["pet/1.jpg"] == PHOTO


def test_many_files_of_one_name_are_numbered_without_trying_all_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(200):
            add(archive, "cat/1.jpg", PHOTO + bytes([number]))
    tried, opens = list[object](), os.open

    def spy(*given: Any) -> int:
        tried.append(given)
        return opens(*given)

    monkeypatch.setattr(os, "open", spy)
    root, _ = opened(tmp_path / "a.tar", tmp_path / "run")
    assert len({*files_of(root).values()}) == 200
    assert sum("cat" in str(given) for given in tried) < 1_000


def test_odd_names_lose_no_photo(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "cat/1.jpg", f"cat/{LONG}.jpg", "cat/x.zip", "cat/.hidden.jpg", "猫\\ä.jpg", "dog/1.jpg"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings(action="ignore"):
        for number, name in enumerate(names):
            archive.writestr(name, PHOTO + bytes([number]))
    data = (tmp_path / "a.zip").read_bytes().replace(b"\0\x08\0\0", b"\0\0\0\0")  # UTF-8 that is not said to be
    (tmp_path / "a.zip").write_bytes(data)
    root, said = opened(tmp_path / "a.zip", tmp_path / "run")
    found = files_of(root)
    assert {*found.values()} == {PHOTO + bytes([number]) for number in (0, 1, 2, 5, 6)}
    assert {"cat/1.jpg", "cat/1-2.jpg", "猫/ä.jpg", "dog/1.jpg"} < {*found}
    assert "2 files were given another name, because its own name is taken or too long, cat/1-2.jpg first." in said
    assert "Not unpacked: an archive inside, which is not opened (cat/x.zip)." in said
    assert "a zip archive of 3 class folders, 5 photos" in said
