"""The report of a checkpoint: one HTML page that needs no network, no script and no other file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whisker.model.answers.decision_rule import Task
from whisker.model.atomic_write import atomic_write
from whisker.model.card.consistency import consistent
from whisker.model.card.metrics import ClassMetrics, Figures, LabelMetrics, TestMetrics
from whisker.model.card.provenance import Provenance
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording import facts, formats, sentences
from whisker.model.card.wording.advice import advise, describe_learning_curve
from whisker.model.card.wording.extension import describe_extension
from whisker.model.card.wording.imported import describe_unmeasured
from whisker.model.card.wording.labels import describe_guarantee
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.engines.choice import MAX_POINTS_LOST
from whisker.model.errors import ConfigError
from whisker.model.networks.config import NetworkConfig
from whisker.training.errors import TrainingError
from whisker.training.report.first_layer import FirstLayer, draw_first_layer
from whisker.training.report.gallery import Galleries, Shown
from whisker.training.report.multi_label import label_sections
from whisker.training.report.plots import (
    FEW_CLASSES,
    MAX_NUMBERED,
    draw_coverage,
    draw_learning_curve,
    draw_loss,
    draw_reliability,
    draw_scores,
    draw_unknown,
    draw_validation,
)
from whisker.training.report.single_label import begin_axis, class_sections

_MAX_CLASSES = 50  # rows of the table of classes
_MAX_FILES = 200  # rows of a list of files
_PARTS = ("test", "confident", "unknown", "figures", "speed")  # of the metrics, that the page shows
# What figures of other lengths, or outside of their range, make plots and sentences raise.
_UNDRAWABLE = (ArithmeticError, LookupError, TypeError, ValueError)
_TEMPLATES: Mapping[Task, str] = {"single-label": "report.html", "multi-label": "multi_label.html"}


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that is not a page's, and a file that is there unless it may be overwritten."""
    if path.suffix != ".html":
        raise ConfigError(f"The report is a file whose name ends in .html, not {path}: see --out.")
    if path.exists() and not overwrite:
        raise TrainingError(f"{path} exists: choose another name with --out, or replace it with --overwrite.")


def write_report(path: Path, checkpoint: Checkpoint, galleries: Galleries | None) -> None:
    """Write the page whole or not at all; without `galleries` it holds no photo.

    Raises `TrainingError` if the file cannot be written or the checkpoint lacks the figures of a training.
    """
    page = _render(checkpoint, galleries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
            temporary.chmod(0o644)
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
    environment.filters |= {"percent": formats.percent, "score": formats.format_score, "guarantee": _guarantee}
    template = environment.get_template(_TEMPLATES[checkpoint.task])
    summary = summarise(checkpoint)
    measured = label_sections(summary) if checkpoint.task == "multi-label" else class_sections(summary)
    whole = TestMetrics.from_json(checkpoint.metrics)
    is_whole = summary.metrics == whole and not any(name.startswith(_PARTS) for name in whole.unread())
    if checkpoint.is_imported and not checkpoint.metrics:
        raise TrainingError(
            f"{checkpoint.name} was imported and never measured, so there is nothing to report: `whisker calibrate "
            "CHECKPOINT PHOTOS` measures it on photos of its classes, and writes its report."
        )
    if measured is None or not is_whole:
        raise TrainingError(
            f"The checkpoint {checkpoint.name} does not hold the figures of a training: only a checkpoint from "
            "`whisker train` has a report."
        )
    try:
        sections = _sections(checkpoint, summary)
    except _UNDRAWABLE as exc:
        raise TrainingError(
            f"The figures in the checkpoint {checkpoint.name} cannot be those of a training, so they cannot be drawn."
        ) from exc
    page = template.render(sections, **measured, galleries=galleries, unseen=_unseen(galleries))
    return page.encode(errors="replace").decode()  # a file's name need not be Unicode


def summarise(checkpoint: Checkpoint) -> CheckpointSummary:
    """Gather what a checkpoint knows of itself."""
    return CheckpointSummary(
        task=checkpoint.task,
        classes=checkpoint.classes,
        network=checkpoint.network.to_json(),
        preprocessing=checkpoint.preprocessing.to_json(),
        temperature=checkpoint.temperature,
        unsure=checkpoint.thresholds.unsure,
        shown=checkpoint.thresholds.shown,
        knows_novelty=checkpoint.novelty is not None,
        metrics=consistent(TestMetrics.from_json(checkpoint.metrics), len(checkpoint.classes)),
        provenance=Provenance.from_json(checkpoint.provenance),
        sha256=checkpoint.sha256,
    )


def _sections(checkpoint: Checkpoint, summary: CheckpointSummary) -> dict[str, Any]:
    """Gather all that the template shows except the photos and what depends on the task."""
    metrics, provenance = summary.metrics, summary.provenance
    figures, data = metrics.figures or Figures(), provenance.data
    return {
        "checkpoint": checkpoint,
        "date": provenance.date,
        "test_photos": sentences.test_photos(metrics),
        "training": [] if provenance.imported is None else [*describe_unmeasured(summary)],
        "how_tested": sentences.describe_test(metrics, is_imported=checkpoint.is_imported),
        "advice": advise(summary),
        "curve_sentence": describe_learning_curve(metrics.learning_curve, summary.classes)
        if metrics.learning_curve
        else "",
        "candidates": provenance.candidates,
        "chosen_by_likelihood": not (provenance.method or "").startswith(("Distilled", "Shrunk")),
        "confident": metrics.confident,
        "unknown": metrics.unknown,
        "speed": metrics.speed,
        "max_points_lost": MAX_POINTS_LOST,
        "int8_can_be_measured": checkpoint.network.is_dense
        and checkpoint.task == "single-label"
        and checkpoint.held_out is None
        and metrics.extension is None,
        "photos": (data.photos if data else None) or {},
        "facts": {
            "Network": facts.list_network_facts(summary),
            "Photos": facts.list_data_facts(summary),
            "File": facts.list_file_facts(summary),
        },
        "recipe": facts.list_recipe_facts(summary),
        "limits": [
            *(describe_extension(metrics.extension) if metrics.extension else ()),
            *sentences.describe_limits(summary),
        ],
        "unknown_limit": sentences.describe_unknown_limit(summary),
        "plots": _plots(summary),
        "first_layer": _first_layer(checkpoint),
        "classes": _worst_classes(figures.per_class or figures.per_label, checkpoint.classes),
        "noticed": provenance.noticed,
        "skipped": (data.quarantined if data else None) or 0,
        "unknown_facts": facts.list_unknown_facts(summary),
        "few_classes": FEW_CLASSES,
        "numbered": MAX_NUMBERED,
        "max_files_listed": _MAX_FILES,
    }


def _first_layer(checkpoint: Checkpoint) -> FirstLayer | None:
    """Draw the first layer; of an imported graph, it is not known which that is."""
    network = checkpoint.network
    return draw_first_layer(network, checkpoint.state) if isinstance(network, NetworkConfig) else None


def _plots(summary: CheckpointSummary) -> dict[str, Markup]:
    """Draw the plots that there are figures for."""
    history, figures = summary.provenance.history, summary.metrics.figures or Figures()
    confident = summary.unsure if summary.shown else None
    drawn: dict[str, str] = {}
    if history:
        drawn |= {"loss": draw_loss(history), "accuracy": draw_validation(history)}
    if figures.reliability and any(row.photos for row in figures.reliability):
        drawn["reliability"] = draw_reliability(figures.reliability)
    if figures.coverage:
        drawn["coverage"] = draw_coverage(figures.coverage, confident)
    if figures.scores:
        drawn["scores"] = draw_scores(figures.scores, confident)
    if summary.metrics.learning_curve:
        drawn["curve"] = draw_learning_curve(summary.metrics.learning_curve)
    if figures.unknown:
        drawn["unknown"] = draw_unknown(figures.unknown)
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 - `whisker.training.report.svg` has escaped it


def _guarantee(label: LabelMetrics) -> str:
    return describe_guarantee(label, guaranteed=label.guaranteed is True)


def _worst_classes(rows: Sequence[ClassMetrics] | None, classes: Sequence[str]) -> dict[str, Any] | None:
    """Give the rows of the table of classes, and where the scale of its bars begins."""
    if rows is None:
        return None
    named = [*zip(classes, rows, strict=True)]
    if len(named) > _MAX_CLASSES:
        measured = [(row.recall, name, row) for name, row in named if row.recall is not None]
        named = [(name, row) for _, name, row in sorted(measured, key=lambda item: item[0])[:_MAX_CLASSES]]
    intervals = [bounds for _, row in named for bounds in (row.recall_95_interval, row.precision_95_interval)]
    lowest = min((bounds[0] for bounds in intervals if bounds), default=0.0)
    return {"rows": named, "all": len(classes), "axis": begin_axis(lowest)}


def _unseen(galleries: Galleries | None) -> list[Shown]:
    """List the doubtful photos that are not among the wrong answers."""
    if galleries is None:
        return []
    shown = {photo.path for photo in galleries.worst}
    return [photo for photo in galleries.doubtful if photo.path not in shown]
