import base64
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import write_folder
from whisker.model import Classifier
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress
from whisker.training.report.gallery import Shown, choose_galleries, open_galleries

CLASSES = ("cat", "dog")


def probabilities(*of_dog: float) -> NDArray[np.float32]:
    return np.array([[1 - share, share] for share in of_dog], np.float32)


def photos(count: int) -> NDArray[np.uint8]:
    """Make photos of one colour, the number of the photo."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3))


def names(gallery: tuple[Shown, ...]) -> list[str]:
    return [shown.path for shown in gallery]


def test_wrong_answers_come_most_confident_first() -> None:
    galleries = choose_galleries(
        photos(9),
        np.array([8, 6, 4, 2]),
        ["a", "b", "c", "d"],
        np.array([0, 0, 1, 1]),
        probabilities(0.7, 0.2, 0.05, 0.8),
        CLASSES,
    )
    assert names(galleries.worst) == ["c", "a"]
    first = galleries.worst[0]
    assert (first.label, first.answer, round(first.score, 4)) == ("dog", "cat", 0.95)
    assert first.pixels[0, 0, 0] == 4


def test_network_sees_every_class_in_turn() -> None:
    labels = np.array([0] * 50 + [1] * 3)
    galleries = choose_galleries(
        photos(53), np.arange(53), [str(i) for i in range(53)], labels, probabilities(*[0.5] * 53), CLASSES, limit=8
    )
    assert [shown.label for shown in galleries.seen] == ["cat", "dog", "cat", "dog", "cat", "dog", "cat"]
    assert {"50", "51", "52", "0", "49"} <= set(names(galleries.seen))
    assert len(galleries.seen) <= 8


def test_labels_in_doubt_are_likelier_another_class_or_like_none() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = probabilities(0.05, 0.1, 0.99, 0.9, 0.95, 0.97)
    unknown = np.array([0.1, 0.9, 0.1, 0.1, 0.2, 0.1], np.float32)
    chosen = choose_galleries(photos(6), np.arange(6), list("abcdef"), labels, scores, CLASSES, unknown_scores=unknown)
    assert {shown.path: shown.note for shown in chosen.doubtful} == {"c": "looks like dog", "b": "like no class"}
    without = choose_galleries(photos(6), np.arange(6), list("abcdef"), labels, scores, CLASSES)
    assert names(without.doubtful) == ["c"]


def test_duplicates_of_different_classes_come_first_and_large_groups_are_cut() -> None:
    labels = np.array([0] * 9 + [1])
    groups = [range(8), (8, 9)]
    chosen = choose_galleries(
        photos(10), np.arange(10), list("abcdefghij"), labels, probabilities(*[0.1] * 10), CLASSES, duplicates=groups
    )
    assert [names(group) for group in chosen.duplicates] == [["i", "j"], ["a", "b", "c", "d", "e", "f"]]


def test_galleries_hold_no_more_than_asked_for_and_outlive_the_pixels() -> None:
    pixels = np.zeros((40, 8, 8, 3), np.uint8)
    chosen = choose_galleries(
        pixels,
        np.arange(40),
        [str(i) for i in range(40)],
        np.array([0, 1] * 20),
        probabilities(*[0.9, 0.2] * 20),
        CLASSES,
        duplicates=[(i, i + 1) for i in range(0, 40, 2)],
        limit=5,
    )
    assert [len(part) for part in (chosen.seen, chosen.worst, chosen.doubtful, chosen.duplicates)] == [5] * 4
    pixels[:] = 255
    assert chosen.seen[0].pixels.max() == 0


def test_thumbnail_is_a_small_jpeg_of_the_same_shape() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 400, 3)).astype(np.uint8)
    head, _, body = Shown(pixels, "a", "cat", "dog", 0.5).data_uri().partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (160, 80)


def test_folder_is_classified_and_searched_for_duplicates(
    classifier: Classifier, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "shapes", 8)
    (root / "rings" / "broken.jpg").write_text("hello")
    (root / "stripes" / "copy.png").write_bytes((root / "rings" / "003.png").read_bytes())
    galleries = open_galleries(classifier, root, quiet)
    assert galleries.origin == "17 photos of shapes"
    assert names(galleries.duplicates[0]) == ["rings/003.png", "stripes/copy.png"]
    assert len(galleries.seen) == 17
    wrong = {shown.path for shown in galleries.worst}
    right = [shown for shown in galleries.seen if shown.answer == shown.label]
    assert len(wrong) + len(right) == 17
    original = galleries.duplicates[0][0]
    expected = classifier.predict([(root / "rings" / "003.png").read_bytes()])[0]
    assert original.answer == expected.label
    assert original.score == pytest.approx(expected.score, abs=1e-4)


def test_folder_of_an_unknown_class_is_refused(classifier: Classifier, tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "shapes", 2)
    (root / "rings").rename(root / "dots")
    with pytest.raises(DatasetError, match="'dots' is not a class of this checkpoint"):
        open_galleries(classifier, root, quiet)
