"""Where the class folders of a folder are: directly in it, or in its sides, as `train`, `val` and `test`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from whisker.model.photo_files import is_utf8
from whisker.model.plain_text import is_safe, printable
from whisker.training.data.folders.names import (
    SIDES,
    Side,
    class_name,
    has_picture_ending,
    is_skipped,
    side_named,
)
from whisker.training.data.folders.walk import Walk, leads_nowhere, walk
from whisker.training.errors import DatasetError

READ_ON = "see docs/folders.md"


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder of photos of one class; `path` is relative to the root, `name` is the class."""

    path: str
    name: str
    found: Walk

    @property
    def files(self) -> list[str]:
        """List the paths of its files, relative to the root."""
        return [f"{self.path}/{file}" for file in sorted(self.found.files)]


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

    def side_of(self, path: str) -> Side | None:
        """Tell which side a path relative to the root belongs to; without sides, none."""
        return self.sides.get(path.partition("/")[0])

    @property
    def empty(self) -> tuple[str, ...]:
        """List the class folders without a file."""
        return tuple(folder.path for folder in self.folders if not folder.found.files)

    def notices(self, *, skip_small: bool) -> list[str]:
        """Say what was left out, or is not there."""
        said = []
        if self.dead:
            count = _count(self.dead, "link leads", "links lead")
            said.append(
                f"{count} to nothing, {self.dead[0]} first: fetch what should be there (`dvc pull`, `git annex get`) "
                "or remove them."
            )
        if self.circles:
            links = _count(self.circles, "link that leads", "links that lead")
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


def _count(items: Sequence[str], one: str, many: str) -> str:
    return f"1 {one}" if len(items) == 1 else f"{len(items):,} {many}"


def describe_sides(sides: Mapping[str, Side], unused: Sequence[str] = ()) -> str:
    """Say in one line which sides were found, and which photos of them are not used."""
    named = ", ".join(f"{folder} ({side})" for folder, side in sides.items())
    return " ".join([f"Sides found in the folder, and used as they are: {named}.", *unused])


def find_layout(root: Path) -> Layout:
    """Find the class folders of `root`; raise `DatasetError` for what cannot be one, or not be read."""
    tops, loose, dead = _list(root)
    walks = {top: _walk(root, root / top) for top in tops}
    layout = _find_sides(root, walks)
    if layout is None:
        folders = tuple(ClassFolder(top, class_name(top), found) for top, found in walks.items())
        layout = Layout(root, folders)
    return replace(
        layout,
        loose=(*(name for name in loose if has_picture_ending(name)), *layout.loose),
        dead=(*dead, *(path for folder in layout.folders for path in _within(folder.path, folder.found.dead))),
        circles=tuple(path for folder in layout.folders for path in _within(folder.path, folder.found.circles)),
    )


def class_folder_names(root: Path) -> set[str]:
    """Name the classes that the folders of `root` may stand for, without a look into them."""
    tops = _list(root)[0]
    inner = [name for top in tops if side_named(top) for name in _list(root / top)[0]]
    return {class_name(name) for name in (*tops, *inner)}


def sides_of_paths(paths: Sequence[str]) -> dict[str, Side]:
    """Map outermost folders to sides, if all paths are in such folders, and more than the one to train with."""
    tops = sorted({path.partition("/")[0] if "/" in path else "" for path in paths})
    sides = {top: side for top in tops if (side := side_named(top)) is not None}
    if len(sides) < max(2, len(tops)) or "train" not in sides.values():
        return {}
    return dict(sorted(sides.items(), key=lambda item: SIDES.index(item[1])))


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
    tops, _, _ = _list(folder)
    return [top for top in tops if walk(folder / top).has_pictures]


def _find_sides(root: Path, walks: Mapping[str, Walk]) -> Layout | None:
    """Find sides that hold class folders; `None` if the folders of `root` are classes themselves."""
    filled = [top for top, found in walks.items() if found.has_pictures]
    sides = {top: side for top in filled if (side := side_named(top)) is not None}
    if "train" not in sides.values():
        return None
    inner = {top: _class_folders(root, top) for top in sides}
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
) -> Layout:
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
    loose = [f"{top}/{name}" for top in labelled for name in _list(root / top)[1] if has_picture_ending(name)]
    order = sorted(labelled, key=lambda top: SIDES.index(labelled[top]))
    return Layout(
        root,
        tuple(kept),
        {top: labelled[top] for top in order},
        loose=tuple(loose),
        unused=tuple(map(printable, unused)),
    )


def _class_folders(root: Path, side: str) -> list[ClassFolder]:
    names = _list(root / side)[0]
    found = {name: _walk(root, root / side / name) for name in names}
    return [ClassFolder(f"{side}/{name}", class_name(name), inside) for name, inside in found.items()]


def _list(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """List the names of what lies in a folder: folders, files, and links to nothing."""
    names = sorted(entry.name for entry in folder.iterdir() if not is_skipped(entry.name))
    folders = [name for name in names if (folder / name).is_dir()]
    others = [name for name in names if name not in set(folders)]
    return folders, others, [name for name in others if leads_nowhere(folder / name)]


def _walk(root: Path, folder: Path) -> Walk:
    """Walk a class folder; refuse a name that cannot be a class's, and a link that leads in a circle."""
    if not is_utf8(folder.name):
        raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
    if not is_safe(folder.name):
        raise DatasetError(
            f"The name of the class folder {printable(str(folder))} contains characters that cannot be printed: "
            "rename it."
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"The class folder {folder} is a link to the folder that it lies in: remove it.")
    return walk(folder)


def _within(folder: str, paths: Sequence[str]) -> list[str]:
    return [f"{folder}/{path}" for path in paths]
