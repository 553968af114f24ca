import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.photos import enlarge, read_photos, sample
from tests.pictures import draw, encode
from whisker.model.errors import ConfigError


def test_jpegs_are_found_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.JPG").write_bytes(b"a")
    (tmp_path / "deep" / "er" / "b.jpeg").write_bytes(b"b")
    (tmp_path / "c.png").write_bytes(b"c")
    assert read_photos(tmp_path) == [b"a", b"b"]


def test_sample_is_spread_over_all() -> None:
    paths = [Path(str(number)) for number in range(100)]
    assert [path.name for path in sample(paths, 4)] == ["0", "25", "50", "75"]
    assert sample(paths[:3], 64) == paths[:3]


@pytest.mark.parametrize("name", ["missing", "."])
def test_folder_without_photos_says_what_to_give(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="give a folder of JPEG photos"):
        read_photos(tmp_path / name)


def test_enlarged_photo_has_twelve_megapixels() -> None:
    large = enlarge(encode(draw("rings", 0), "JPEG"))
    with Image.open(io.BytesIO(large)) as image:
        assert (image.size, image.format) == ((4000, 3000), "JPEG")
