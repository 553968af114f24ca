"""The survey of a folder: the suggested size, and the time that decoding takes."""

from pathlib import Path

import pytest

from tests.pictures import write_folder
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.survey import Survey, survey_photos


@pytest.mark.parametrize(
    ("size", "serving_size"),
    [((32, 32), 64), ((20, 200), 64), ((48, 40), 80), ((64, 64), 128), ((500, 375), 128)],
)
def test_small_photos_are_served_at_twice_their_size(tmp_path: Path, size: tuple[int, int], serving_size: int) -> None:
    survey = survey_photos(find_photos(write_folder(tmp_path / "photos", 3, size)))
    assert survey.short_side == min(size)
    assert survey.serving_size == serving_size


def test_few_large_photos_among_small_ones_do_not_decide(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 8, (32, 32))
    large = write_folder(tmp_path / "large", 2, (300, 300))
    for label in ("rings", "stripes"):
        for path in (large / label).iterdir():
            path.rename(root / label / f"large-{path.name}")
    survey = survey_photos(find_photos(root))
    assert (survey.photos, survey.serving_size) == (20, 64)


def test_unreadable_files_are_skipped(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 6, (32, 32))
    for number in range(3):
        (root / "rings" / f"{number:03}.png").write_text("hello")
    survey = survey_photos(find_photos(root))
    assert (survey.photos, survey.short_side) == (12, 32)
    assert survey.decode_seconds > 0


def test_folder_without_a_readable_file_suggests_the_usual_size(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 2)
    for path in root.rglob("*.png"):
        path.write_text("hello")
    assert survey_photos(find_photos(root)).serving_size == 128


def test_large_folder_is_sampled(tmp_path: Path) -> None:
    """The sample is spread over the whole folder: its last files count as much as its first ones."""
    root = write_folder(tmp_path / "photos", 100, (32, 32))
    for path in (root / "stripes").iterdir():
        path.write_text("hello")
    for path in (root / "rings").iterdir():
        if path.stem >= "050":
            path.write_text("hello")
    survey = survey_photos(find_photos(root))
    assert (survey.photos, survey.short_side) == (200, 32)


@pytest.mark.parametrize(("side", "size"), [(1, 64), (32, 64), (33, 64), (36, 64), (37, 80), (63, 128), (5000, 128)])
def test_suggested_size_is_a_multiple_of_sixteen_within_bounds(side: float, size: int) -> None:
    assert Survey(photos=10, short_side=side, decode_seconds=0.001).serving_size == size
