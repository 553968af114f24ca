"""Where the class folders of a folder are: directly in it, or in its sides, as `train`, `val` and `test`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.data.folders.class_folder import READ_ON, ClassFolder, list_names, walk_class, within
from whisker.training.data.folders.names import Side, class_name, has_picture_ending, side_named
from whisker.training.data.folders.sides import find_sides
from whisker.training.data.folders.walk import walk
from whisker.training.errors import DatasetError

_REVIEW = frozenset({"labelled", "outliers", "waiting"})  # the folders of WHISKER_REVIEW, which are no classes


@dataclass(frozen=True, slots=True)
class Layout:
    """The class folders of a root, and what lies there beside them.

    `sides` map the folders that are sides to what they are; without any, class folders lie in the root itself. `loose`
    are the photos beside class folders, `dead` the links to nothing and `circles` those to what they lie in. `unused`
    are sentences about photos of sides that have no class of the training side.
    """

    root: Path
    folders: tuple[ClassFolder, ...]
    sides: Mapping[str, Side] = field(default_factory=dict)
    loose: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    circles: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def empty(self) -> tuple[str, ...]:
        """List the class folders without a file."""
        return tuple(folder.path for folder in self.folders if not folder.found.files)

    def notices(self, *, skip_small: bool) -> list[str]:
        """Say what was left out, or is not there."""
        said = []
        if self.dead:
            count = amount(len(self.dead), "link leads", "links lead")
            said.append(
                f"{count} to nothing, {self.dead[0]} first: fetch what should be there (`dvc pull`, `git annex get`) "
                "or remove them."
            )
        if self.circles:
            links = amount(len(self.circles), "link that leads", "links that lead")
            said.append(f"Not followed: {links} to a folder around itself, {self.circles[0]} first.")
        if self.empty and skip_small:
            said.append(f"Skipped, as they hold no file: {', '.join(self.empty)}.")
        return [printable(sentence) for sentence in said]


def require_classes(layout: Layout, min_classes: int, *, skip_small: bool) -> None:
    """Refuse a folder with fewer classes, or with a class folder that holds no file unless that is to be skipped."""
    root, question = layout.root, suggestion(layout)
    filled = [folder for folder in layout.folders if folder.found.files or not skip_small]
    classes = sorted({folder.name for folder in filled})
    if not classes:
        raise DatasetError(
            f"{root} holds no class folders: put the photos of each class into {root}/<class>/, "
            f"or name a CSV file with --labels; {READ_ON}."
        )
    if "labelled" in classes and {*classes} <= _REVIEW and not layout.sides:
        raise DatasetError(
            f"{root} holds photos labelled at /label: give {root / 'labelled'}, with --outliers {root / 'outliers'}. "
            "For their zip file, add --labels labels.csv."
        )
    if len(classes) < min_classes:
        advice = question or ": add a second folder of photos to tell it from."
        raise DatasetError(f"{root} holds only one class, {classes[0]!r}{advice}")
    if layout.empty and not skip_small:
        raise DatasetError(
            f"The class folder {root / layout.empty[0]} is empty: add photos to it, remove it, or pass over it with "
            "--skip-small."
        )
    if question and min_classes > 1:
        raise DatasetError(f"{root} holds photos in one folder only{question}")


def _sorted(*paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(path for several in paths for path in several))


def find_layout(root: Path) -> Layout:
    """Find the class folders of `root`; raise `DatasetError` for what cannot be one, or not be read."""
    tops, loose, dead = list_names(root)
    walks = {top: walk_class(root, root / top) for top in tops}
    sides = find_sides(root, walks)
    if sides is None:
        layout = Layout(root, tuple(ClassFolder(top, class_name(top), found) for top, found in walks.items()))
    else:
        layout = Layout(root, sides.folders, sides.names, loose=sides.loose, unused=sides.unused)
    return replace(
        layout,
        loose=(*(name for name in loose if has_picture_ending(name)), *layout.loose),
        dead=_sorted(dead, *(within(folder.path, folder.found.dead) for folder in layout.folders)),
        circles=_sorted(*(within(folder.path, folder.found.circles) for folder in layout.folders)),
    )


def class_folder_names(root: Path) -> set[str]:
    """Name the classes that the folders of `root` may stand for, without a look into them."""
    tops = list_names(root)[0]
    inner = [name for top in tops if side_named(top) for name in list_names(root / top)[0]]
    return {class_name(name) for name in (*tops, *inner)}


def suggestion(layout: Layout) -> str:
    """Ask whether another folder was meant, if the only one with photos looks like the folder of all classes."""
    filled = [folder for folder in layout.folders if folder.found.has_pictures]
    if len(filled) != 1 or layout.sides:
        return ""
    path = filled[0].path
    while True:
        inner = _filled_folders(layout.root / path)
        if len(inner) > 1:
            return f": did you mean {layout.root / path}? {READ_ON.capitalize()}."
        if not inner:
            return ""
        path = f"{path}/{inner[0]}"


def _filled_folders(folder: Path) -> list[str]:
    tops, _, _ = list_names(folder)
    return [top for top in tops if walk(folder / top).has_pictures]
