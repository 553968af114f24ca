"""What is to be said of a classifier that another program has trained: mostly, what is not known of it."""

from collections.abc import Iterator

from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.formats import join

UNTESTED = "Nothing was measured: it came without test photos, and its accuracy is not known."
UNCALIBRATED = (
    "Its scores are not calibrated: how often answers with a score of 0.9 are right is not known, and no answer is "
    "called confident. The command whisker calibrate fits and measures both on photos of its classes."
)
UNKNOWN_TRAINING = (
    "It was imported from an ONNX file. Which photos it was trained with, and how, is not known here; nor are the "
    "rights to those photos and to its weights."
)
TEST_USE = (
    "The test photos were used only once, after every choice had been made. Whether the classifier was trained with "
    "any of them is not known: if so, this figure is too good."
)
LABELS = (
    "Labels are taken as correct: a wrong label counts as an error. That its classes are named in the order of its "
    "outputs is taken from whoever imported it."
)


def is_calibrated(summary: CheckpointSummary) -> bool:
    """Tell whether photos have calibrated an imported classifier."""
    return summary.provenance.calibration is not None


def describe_unmeasured(summary: CheckpointSummary) -> Iterator[str]:
    """Say what nobody has measured of a classifier that is not calibrated."""
    if not is_calibrated(summary):
        yield UNTESTED
        yield UNCALIBRATED
    yield UNKNOWN_TRAINING


def describe_photos(summary: CheckpointSummary) -> str:
    """Say what photos were good for, if there were any."""
    classes, data = f"Knows {len(summary.classes):,} classes", summary.provenance.data
    if data is None or data.train is None or data.validation is None or data.test is None:
        return f"{classes}: {', '.join(summary.classes)}."
    purpose = "to compare others with" if summary.knows_novelty else "of no use, as it has no measure of novelty"
    return (
        f"{classes}. Photos that it was calibrated with: {data.train:,} {purpose}, {data.validation:,} for thresholds "
        f"and {data.test:,} for testing."
    )


def import_fact(summary: CheckpointSummary) -> tuple[str, str | None]:
    """Name the file, and the program that wrote it."""
    run = summary.provenance.imported
    if run is None:
        return "Imported", None
    by = f"written by {run.producer}" if run.producer else ""
    return "Imported", join([run.file, f"ONNX operator set {run.opset}", by, f"SHA-256 {run.sha256[:12]}"])


def comparison_fact(summary: CheckpointSummary) -> tuple[str, str | None]:
    """Say how the answers compare with those of ONNX Runtime."""
    run = summary.provenance.imported
    if run is None:
        return "ONNX Runtime", None
    if run.runtime_difference is None:
        return "ONNX Runtime", "not compared"
    return "ONNX Runtime", f"golden probabilities within {run.runtime_difference:.1g} of its"
