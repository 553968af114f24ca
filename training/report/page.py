"""The report of a training: one HTML page that needs no network, no script and nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markupsafe import Markup

from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.engines.choice import MAX_POINTS_LOST
from whisker.model.errors import ConfigError
from whisker.training.errors import TrainingError
from whisker.training.report.card import (
    describe_confidence,
    describe_data,
    describe_file,
    describe_network,
    describe_recipe,
    describe_unknown,
    known_limits,
    percent,
)
from whisker.training.report.first_layer import draw_first_layer
from whisker.training.report.gallery import Galleries, Shown
from whisker.training.report.plots import (
    FEW_CLASSES,
    MAX_NUMBERED,
    draw_confusion,
    draw_coverage,
    draw_loss,
    draw_reliability,
    draw_scores,
    draw_unknown,
    draw_validation,
)

_MAX_CLASSES = 50  # rows of the table of classes
_MAX_PAIRS = 20  # rows of the table of confused pairs
_FEW_PAIRS = 8  # where the matrix shows them all
_MAX_FILES = 200  # rows of a list of files

_Figures = Mapping[str, Any]


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that is not a page's, and a file that nobody asked to replace."""
    if path.suffix != ".html":
        raise ConfigError(f"The report is a file whose name ends in .html, not {path}: see --out.")
    if path.exists() and not overwrite:
        raise TrainingError(f"{path} exists: choose another name with --out, or replace it with --overwrite.")


def write_report(path: Path, checkpoint: Checkpoint, galleries: Galleries | None) -> None:
    """Write the page whole or not at all; without `galleries` it holds no photo.

    Raises `TrainingError` where the file cannot be written or the checkpoint lacks the figures of a training.
    """
    page = _render(checkpoint, galleries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as temporary:
            temporary_path = Path(temporary.name)
        try:
            temporary_path.write_text(page, encoding="utf-8")
            temporary_path.chmod(0o644)
            temporary_path.replace(path)
        finally:
            temporary_path.unlink(missing_ok=True)
    except OSError as exc:
        raise TrainingError(f"The report {path} cannot be written: {exc.strerror}.") from exc


def _render(checkpoint: Checkpoint, galleries: Galleries | None) -> str:
    environment = Environment(
        loader=PackageLoader("whisker.training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "answer": _answer}
    template = environment.get_template("report.html")
    try:
        page = template.render(_sections(checkpoint), galleries=galleries, unseen=_unseen(galleries))
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        UndefinedError,
    ) as exc:  # any JSON may be there
        raise TrainingError(
            f"The checkpoint {checkpoint.name} does not hold the figures of a training: only one from `whisker train` "
            "has a report."
        ) from exc
    return page.encode(errors="replace").decode()  # a file's name need not be Unicode


def _sections(checkpoint: Checkpoint) -> dict[str, Any]:
    """Gather all that the template shows but the photos."""
    metrics, provenance = checkpoint.metrics, checkpoint.provenance
    confusion = metrics["test"]["confusion"]
    figures: _Figures = metrics.get("figures") or {}
    return {
        "checkpoint": checkpoint,
        "date": provenance.get("date"),
        "test": metrics["test"],
        "confident": metrics.get("confident"),
        "unknown": metrics.get("unknown") or None,
        "speed": metrics.get("speed"),
        "max_points_lost": MAX_POINTS_LOST,
        "baseline": max(map(sum, confusion)) / sum(map(sum, confusion)),
        "axis": _axis(metrics["test"]["accuracy_95_interval"][0]),
        "photos": provenance.get("data", {}).get("photos", {}),
        "facts": {
            "Network": describe_network(checkpoint),
            "Photos": describe_data(checkpoint),
            "File": describe_file(checkpoint),
        },
        "recipe": describe_recipe(checkpoint),
        "limits": list(known_limits(checkpoint)),
        "plots": _plots(checkpoint, figures),
        "first_layer": draw_first_layer(checkpoint.network, checkpoint.state),
        "pairs": _confused_pairs(confusion, checkpoint.classes),
        "classes": _worst_classes(figures.get("per_class"), checkpoint.classes),
        "noticed": provenance.get("noticed"),
        "left_out": provenance.get("data", {}).get("quarantined", 0),
        "verdicts": describe_confidence(checkpoint),
        "strangers": describe_unknown(checkpoint),
        "few_classes": FEW_CLASSES,
        "numbered": MAX_NUMBERED,
        "max_files_listed": _MAX_FILES,
    }


def _plots(checkpoint: Checkpoint, figures: _Figures) -> dict[str, Markup]:
    """Draw what there are figures for."""
    history, threshold = checkpoint.provenance.get("history"), checkpoint.thresholds.unsure
    drawn = {"confusion": draw_confusion(checkpoint.metrics["test"]["confusion"], checkpoint.classes)}
    if history:
        drawn |= {"loss": draw_loss(history), "accuracy": draw_validation(history)}
    if figures:
        drawn |= {
            "reliability": draw_reliability(figures["reliability"]),
            "coverage": draw_coverage(figures["coverage"], threshold),
            "scores": draw_scores(figures["scores"], threshold),
        }
    if figures.get("unknown"):
        drawn["unknown"] = draw_unknown(figures["unknown"])
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 - `whisker.training.report.svg` has escaped it


def _confused_pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """List what is mistaken for what, the commonest first."""
    wrong = [(i, j) for i, row in enumerate(confusion) for j, count in enumerate(row) if count and i != j]
    wrong.sort(key=lambda pair: -confusion[pair[0]][pair[1]])
    return [
        {
            "label": classes[i],
            "answer": classes[j],
            "photos": confusion[i][j],
            "share": confusion[i][j] / sum(confusion[i]),
        }
        for i, j in wrong[: _MAX_PAIRS if len(classes) > MAX_NUMBERED else _FEW_PAIRS]
    ]


def _worst_classes(rows: Sequence[_Figures] | None, classes: Sequence[str]) -> dict[str, Any] | None:
    """Give the rows of the table of classes, and where the scale of its bars begins."""
    if rows is None:
        return None
    named = [{"name": name, **row} for name, row in zip(classes, rows, strict=True)]
    if len(named) > _MAX_CLASSES:
        measured = [row for row in named if row["recall"] is not None]
        named = sorted(measured, key=lambda row: row["recall"])[:_MAX_CLASSES]
    bounds = [row[key][0] for row in named for key in ("recall_95_interval", "precision_95_interval") if row[key]]
    return {"rows": named, "all": len(classes), "axis": _axis(min(bounds, default=0.0))}


def _axis(lowest: float) -> float:
    """Begin a scale that ends at 1 at the tenth below `lowest`, and a tenth lower where that is close to it."""
    return max(0.0, int(lowest * 10 - 0.2) / 10)


def _unseen(galleries: Galleries | None) -> list[Shown]:
    """List the doubtful photos that do not stand among the wrong answers already."""
    if galleries is None:
        return []
    shown = {photo.path for photo in galleries.worst}
    return [photo for photo in galleries.doubtful if photo.path not in shown]


def _answer(photo: Shown) -> str:
    """Write an answer with its score, which is never quite certain."""
    score = ">\N{NO-BREAK SPACE}99\N{NO-BREAK SPACE}%" if photo.score >= 0.995 else percent(photo.score, 0)
    return f"{photo.answer} {score}"
