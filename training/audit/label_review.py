"""The photos with the most doubtful labels, as a CSV file to correct and give back with `--labels`."""

import copy
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from whisker.model.answers.decision_rule import Outputs, softmax
from whisker.model.atomic_write import atomic_write
from whisker.model.classifier import Classifier
from whisker.model.engines.onnx_engine import open_graph_engine
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.networks.resnet import ResidualNetwork
from whisker.model.photo_files import is_utf8
from whisker.model.plain_text import printable, to_cell
from whisker.training.audit.label_errors import find_doubtful, label_distances
from whisker.training.data.folders.folder import PhotoFolder
from whisker.training.data.folders.labels import LabelRow
from whisker.training.errors import TrainingError
from whisker.training.evaluation.evaluate import require_single_label, run_folder
from whisker.training.progress import Progress

TRUST_WARNING = (
    "Wrong labels of photos that this checkpoint was trained on may be missed: it has learned them, right or wrong."
)
_MAX_ROWS = 10  # on the screen; all of them are in the file


@dataclass(frozen=True, slots=True)
class DoubtfulPhoto:
    """A row of the file; `suggested` is empty if the photo is like no class and may have to be left out.

    `score` is the label's probability, `distance` the distance of the photo's features to those of the nearest photos
    of its label.
    """

    path: str
    label: str
    suggested: str
    reason: str
    score: float
    distance: float


@dataclass(frozen=True, slots=True)
class DoubtfulFolder:
    """The most doubtful photos, and how many of all photos are estimated to be of another class than their label."""

    photos: tuple[DoubtfulPhoto, ...]
    estimated_wrong: int


def find_doubtful_photos(classifier: Classifier, folder: PhotoFolder, limit: int, progress: Progress) -> DoubtfulFolder:
    """Find the `limit` most doubtful labels of `folder`; raise `DatasetError` if the checkpoint does not fit it.

    Raises `TrainingError` for a multi-label checkpoint.
    """
    require_single_label(classifier.checkpoint, "`whisker doctor --checkpoint`")
    result = run_folder(classifier, folder, _early_features(classifier), progress)
    logits = np.concatenate([outputs.logits for outputs in result.answers])
    probabilities = softmax(logits, classifier.checkpoint.temperature)
    features = torch.from_numpy(np.concatenate([outputs.features for outputs in result.answers]))
    distances = label_distances(features, result.labels)
    doubts = find_doubtful(probabilities, result.labels, distances)
    photos = []
    for index in doubts.order[:limit].tolist():
        label, other = int(result.labels[index]), int(doubts.suggested[index])
        like_no_class = bool(doubts.atypical[index]) and other == label
        photos.append(
            DoubtfulPhoto(
                result.paths[index],
                classifier.classes[label],
                "" if like_no_class else classifier.classes[other],
                "like no class" if like_no_class else "like another class" if other != label else "unclear",
                round(float(probabilities[index, label]), 4),
                round(float(distances[index]), 4),
            )
        )
    return DoubtfulFolder(tuple(photos), round(float(doubts.joint.sum() - doubts.joint.trace())))


def _early_features(classifier: Classifier) -> Callable[[list[NDArray[np.uint8]]], Outputs]:
    """Make a forward pass whose features are, in a residual network, the inputs of its last block.

    Memorized labels show most in the last layers (Stephenson et al. 2021, "On the geometry of generalization and
    memorization in deep neural networks").
    """
    if classifier.checkpoint.is_imported:
        return open_graph_engine(classifier.checkpoint).run  # where its blocks begin is not known
    network, seen = copy.deepcopy(classifier.network), list[Tensor]()
    if isinstance(network, ResidualNetwork):
        network.layer4[-1].register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].mean((2, 3)).float().cpu())
        )
    engine = TorchEngine(network, classifier.device)

    def run(pixels: list[NDArray[np.uint8]]) -> Outputs:
        seen.clear()
        outputs = engine.run(pixels)
        return Outputs(outputs.logits, torch.cat(seen).numpy()) if seen else outputs

    return run


def require_new_file(file: Path) -> None:
    """Raise `TrainingError` if the file exists: a person may have spent an hour on its labels."""
    if file.exists():
        raise TrainingError(f"There is already a file {file}: move it away, or give another name with --out.")


def write_doubtful(
    file: Path, photos: Sequence[DoubtfulPhoto], carried: Mapping[str, LabelRow], group_column: str | None = None
) -> None:
    """Write the photos, then the rows of an earlier file of labels for other photos: the new file replaces that one.

    A column of groups is carried over. Raises `TrainingError` if the file exists or cannot be written.
    """
    rows = [asdict(photo) for photo in photos if is_utf8(photo.path)]  # a CSV file cannot name others
    written = {row["path"] for row in rows}
    rows += [{"path": path, "label": row.label} for path, row in carried.items() if path not in written]
    columns = [field.name for field in fields(DoubtfulPhoto)]
    if group_column not in (None, "path", "label"):
        columns = [*dict.fromkeys([*columns, group_column])]
        for row in rows:
            row[group_column] = carried[row["path"]].group if row["path"] in carried else ""
    try:
        with atomic_write(file) as temporary:
            with temporary.open("x", encoding="utf-8", newline="") as lines:
                writer = csv.DictWriter(lines, columns)
                writer.writerow({column: _cell(column) for column in columns})
                writer.writerows({column: _cell(value) for column, value in row.items()} for row in rows)
            require_new_file(file)  # just before the rename, which would replace it
    except OSError as exc:
        raise TrainingError(f"The file {file} cannot be written: {exc.strerror}.") from exc


def _cell(value: object) -> object:
    return to_cell(value) if isinstance(value, str) else value


def print_doubtful(doubtful: DoubtfulFolder, console: Console) -> None:
    """Print the top of the list, unless no label seems wrong, and a warning about its limits."""
    if not doubtful.estimated_wrong:
        console.print(Text(f"No label seems wrong. {TRUST_WARNING}"))
        return
    table = Table("Photo", "Label", "Suggested", "Reason", title="Most doubtful labels", title_justify="left")
    table.columns[0].overflow = "fold"
    for photo in doubtful.photos[:_MAX_ROWS]:
        cells = (photo.path, photo.label, photo.suggested or "leave it out", photo.reason)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
    console.print(
        Text(f"About {doubtful.estimated_wrong:,} photos seem to be of another class than their label. {TRUST_WARNING}")
    )
