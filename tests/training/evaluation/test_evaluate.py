import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.pictures import write_folder
from whisker.model import Classifier
from whisker.training.errors import DatasetError
from whisker.training.evaluation.evaluate import evaluate_folder
from whisker.training.progress import Progress


def test_evaluation_counts_right_and_wrong_and_left_out(
    classifier: Classifier, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "photos", 20)
    (root / "rings" / "text.jpg").write_text("hello")
    result = evaluate_folder(classifier, root, quiet)
    assert result.evaluation.photos == 40
    assert result.evaluation.accuracy >= 0.8
    assert sum(map(sum, result.evaluation.confusion)) == 40
    assert [item.path for item in result.quarantined] == ["rings/text.jpg"]
    assert sum(result.verdicts.values()) == 40
    assert sum(result.wrong.values()) == 40 - round(40 * result.evaluation.accuracy)
    assert all(result.wrong[verdict] <= count for verdict, count in result.verdicts.items())


def test_swapped_folders_turn_the_accuracy_round(classifier: Classifier, tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 10)
    straight = evaluate_folder(classifier, root, quiet).evaluation.accuracy
    (root / "rings").rename(root / "x")
    (root / "stripes").rename(root / "rings")
    (root / "x").rename(root / "stripes")
    assert evaluate_folder(classifier, root, quiet).evaluation.accuracy == pytest.approx(1 - straight)


def test_one_class_alone_can_be_evaluated(classifier: Classifier, tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 5)
    (root / "rings").rename(tmp_path / "elsewhere")
    confusion = evaluate_folder(classifier, root, quiet).evaluation.confusion
    assert confusion[0] == (0, 0)
    assert sum(confusion[1]) == 5


def test_strange_folder_is_refused(classifier: Classifier, tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 2)
    (root / "rings").rename(root / "wolves")
    with pytest.raises(DatasetError, match="'wolves' is not a class of this checkpoint, which knows rings, stripes"):
        evaluate_folder(classifier, root, quiet)


def test_folder_of_text_files_is_refused(classifier: Classifier, tmp_path: Path, quiet: Progress) -> None:
    (tmp_path / "rings").mkdir()
    (tmp_path / "rings" / "a.jpg").write_text("hello")
    with pytest.raises(DatasetError, match=r"No file in .* is a readable picture"):
        evaluate_folder(classifier, tmp_path, quiet)


def test_folder_of_sides_is_measured_on_its_test_side(classifier: Classifier, tmp_path: Path) -> None:
    write_folder(tmp_path / "ds" / "train", 3)
    write_folder(tmp_path / "ds" / "Test", 2)
    (tmp_path / "ds" / "Test" / "loose.png").touch()
    said = io.StringIO()
    result = evaluate_folder(classifier, tmp_path / "ds", Progress(Console(file=said, width=300)))
    assert result.evaluation.photos == 4
    assert "Measured on the photos in Test; those of other sides are left out." in said.getvalue()
    assert "nothing says their class: 1 photo, Test/loose.png first." in said.getvalue()
