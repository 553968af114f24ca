"""What an unpacked archive holds, in words, and the file of labels that is in it."""

from dataclasses import dataclass
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.data.folders.class_folder import list_names
from whisker.training.data.folders.layout import find_layout
from whisker.training.data.folders.names import is_named_as_picture
from whisker.training.data.folders.walk import list_files
from whisker.training.data.sources.archives.unpacking import is_csv
from whisker.training.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Summary:
    """What a folder holds, in words; `labels` is the only CSV file beside photos without class folders."""

    words: str
    labels: str | None = None


def summarise(root: Path) -> Summary:
    """Sum up a folder of photos that came in an archive."""
    photos = sum(map(is_named_as_picture, list_files(root)))
    count = amount(photos, "photo")
    try:
        layout = find_layout(root)
    except DatasetError:  # with what is wrong with it, for whoever reads the folder
        return Summary(count)
    classes = {folder.name for folder in layout.folders if folder.found.has_pictures}
    if len(classes) < 2 and not layout.sides:
        files = [name for name in list_names(root)[1] if is_csv(name)]
        if len(files) == 1:
            return Summary(f"{count}, with the file of labels {printable(files[0])}", files[0])
    folders = amount(len(classes), "class folder")
    sides = f" in {', '.join(layout.sides)}" if layout.sides else ""
    return Summary(f"{folders}{sides}, {count}")
