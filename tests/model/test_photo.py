"""Reading photos from files."""

from pathlib import Path

import pytest

from benchmarks.reliability.video_pictures import heic
from tests.pictures import draw, encode
from whisker.model.errors import PictureTooLargeError, UnsupportedFormatError
from whisker.model.photo_files import read_photo
from whisker.model.structure.outline import FORMATS


@pytest.mark.parametrize("format_", FORMATS)
def test_photo_of_each_format_is_read_whole(tmp_path: Path, format_: str) -> None:
    data = heic() if format_ == "HEIF" else encode(draw("rings", 0, (200, 150)), format_)
    (tmp_path / "photo").write_bytes(data)
    assert read_photo(tmp_path / "photo") == data


def test_film_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as file:
        file.write(b"\0\0\0\x18ftypmp42")
        file.truncate(4 * 10**12)  # sparse: it takes no room, but no machine could read it
    with pytest.raises(UnsupportedFormatError):
        read_photo(tmp_path / "film.mp4")


def test_huge_picture_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.bmp").open("wb") as file:
        file.write(b"BM")
        file.truncate(4 * 10**12)
    with pytest.raises(PictureTooLargeError, match="more than 500,000,000 bytes"):
        read_photo(tmp_path / "huge.bmp")


def test_empty_file_is_left_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert read_photo(tmp_path / "empty.jpg") == b""
