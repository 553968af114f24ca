"""Sides of a data set, as `train`, `val` and `test`, that hold class folders each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.data.folders.class_folder import READ_ON, ClassFolder, class_folders_in, list_names
from whisker.training.data.folders.names import SIDES, Side, has_picture_ending, side_named
from whisker.training.data.folders.walk import Walk
from whisker.training.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Sides:
    """The class folders of sides; `names` map the folders that are sides to what they are.

    `loose` are the photos beside class folders, `unused` sentences about photos without a class of the training side.
    """

    folders: tuple[ClassFolder, ...]
    names: Mapping[str, Side]
    loose: tuple[str, ...]
    unused: tuple[str, ...]


def find_sides(root: Path, walks: Mapping[str, Walk]) -> Sides | None:
    """Find sides that hold class folders; `None` if the folders of `root` are classes themselves."""
    filled = [top for top, found in walks.items() if found.has_pictures]
    sides = {top: side for top in filled if (side := side_named(top)) is not None}
    if "train" not in sides.values():
        return None
    inner = {top: class_folders_in(root, top) for top in sides}
    classes = {folder.name for top, side in sides.items() if side == "train" for folder in inner[top]}
    others = [top for top in filled if top not in sides]
    labelled = {top: side for top, side in sides.items() if classes & {folder.name for folder in inner[top]}}
    if others:
        _refuse_others(root, others, labelled, inner)
        return None
    if not classes:
        if len(sides) > 1:
            raise DatasetError(
                f"{root} holds the folders {', '.join(sides)}, and these hold no class folders: put the photos of each "
                f"class into {root}/<side>/<class>/, or name a CSV file with --labels; {READ_ON}."
            )
        return None
    if len(sides) == 1 and len(classes) < 2:
        return None
    return _sided(root, walks, sides, labelled, inner)


def _refuse_others(
    root: Path, others: Sequence[str], labelled: Mapping[str, Side], inner: Mapping[str, Sequence[ClassFolder]]
) -> None:
    """Refuse sides with folders beside them that are none, rather than take sides for classes."""
    if len(set(labelled.values())) < 2:
        return
    shared = set.intersection(*({folder.name for folder in inner[top]} for top in labelled))
    if len(shared) > 1:
        raise DatasetError(
            f"{root} holds {' and '.join(labelled)}, each with folders such as {min(shared)!r}, and beside them "
            f"{others[0]!r}, which is no side of a data set: move it away, or give "
            f"{root / next(top for top, side in labelled.items() if side == 'train')} alone; {READ_ON}."
        )


def _sided(
    root: Path,
    walks: Mapping[str, Walk],
    sides: Mapping[str, Side],
    labelled: Mapping[str, Side],
    inner: Mapping[str, Sequence[ClassFolder]],
) -> Sides:
    """Take the class folders of the sides that have classes of the training side."""
    classes = {folder.name for top, side in labelled.items() if side == "train" for folder in inner[top]}
    kept = [
        folder
        for top, side in labelled.items()
        for folder in inner[top]
        if folder.name in classes and (folder.found.files or side == "train")
    ]
    foreign = [folder for top in labelled for folder in inner[top] if folder.name not in classes]
    unused = [
        f"{top} has no class folder that train has, so that its {len(walks[top].files):,} files are not used."
        for top in sides
        if top not in labelled
    ]
    unused += [
        f"train has no class {folder.name!r}, so that the {len(folder.found.files):,} files in {folder.path} are not "
        "used."
        for folder in foreign
        if folder.found.files
    ]
    loose = [f"{top}/{name}" for top in labelled for name in list_names(root / top)[1] if has_picture_ending(name)]
    order = sorted(labelled, key=lambda top: SIDES.index(labelled[top]))
    return Sides(
        tuple(kept),
        {top: labelled[top] for top in order},
        tuple(loose),
        tuple(map(printable, unused)),
    )


def describe_sides(sides: Mapping[str, Side], unused: Sequence[str] = ()) -> str:
    """Say in one line which sides were found, and which photos of them are not used."""
    named = ", ".join(f"{folder} ({side})" for folder, side in sides.items())
    return " ".join([f"Sides found in the folder, and used as they are: {named}.", *unused])


def sides_of_paths(paths: Sequence[str]) -> dict[str, Side]:
    """Map outermost folders to sides, if all paths are in such folders, and more than the one to train with."""
    tops = sorted({path.partition("/")[0] if "/" in path else "" for path in paths})
    sides = {top: side for top in tops if (side := side_named(top)) is not None}
    if len(sides) < max(2, len(tops)) or "train" not in sides.values():
        return {}
    return dict(sorted(sides.items(), key=lambda item: SIDES.index(item[1])))
