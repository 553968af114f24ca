"""The report of a training: one Markdown page beside the checkpoint, figures and file names but no photo."""

from pathlib import Path

from model.checkpoint import Checkpoint
from training.dataset import Dataset
from training.errors import TrainingError
from training.loop import Fit
from training.progress import duration


def write_report(path: Path, checkpoint: Checkpoint, dataset: Dataset, fit: Fit, command: str) -> None:
    """Write how the checkpoint was made and how good it is; raise `TrainingError` if that is impossible."""
    sections = [
        _summary(checkpoint, fit, command),
        _data(dataset),
        _epochs(fit),
        _confusion(checkpoint),
        _noticed(dataset),
    ]
    try:
        path.write_text("\n\n".join(section for section in sections if section) + "\n", encoding="utf-8")
    except OSError as exc:
        raise TrainingError(f"The report {path} cannot be written: {exc.strerror}.") from exc


def _summary(checkpoint: Checkpoint, fit: Fit, command: str) -> str:
    test, validation, confident = (checkpoint.metrics[key] for key in ("test", "validation", "confident"))
    low, high = test["accuracy_95_interval"]
    confident_low, confident_high = confident["error_95_interval"]
    network, provenance = checkpoint.network, checkpoint.provenance
    return f"""# {checkpoint.name}

**Test accuracy {test["accuracy"]:.2%}**, 95 % interval {low:.2%} to {high:.2%}, on {test["photos"]:,} photos that
this training looked at once, after everything had been chosen. They share no duplicate or near-duplicate with training.

| | |
|---|---|
| command | `{command}` |
| training | {duration(fit.seconds)}, {fit.schedule.epochs} epochs, {provenance["precision"]}, \
{provenance["weights"]} weights |
| network | {network.family}, {network.activation}, width {network.width}, depth {network.depth}, \
{network.channels} channels, {network.size} px |
| validation accuracy | {validation["accuracy"]:.2%} |
| calibration error, test | {test["expected_calibration_error"]:.4f} (temperature {checkpoint.temperature:.3f}) |
| "confident", test | {confident["answers"]:,} of {confident["of"]:,} answers, of which {confident["wrong"]:,} wrong \
(95 % interval {confident_low:.2%} to {confident_high:.2%}; score at least {checkpoint.thresholds.unsure:.3f}) |
| libraries | {", ".join(f"{name} {number}" for name, number in provenance["libraries"].items())} |
| date | {provenance["date"]} |"""


def _data(dataset: Dataset) -> str:
    sides = (dataset.train, dataset.validation, dataset.test)
    rows = [
        f"| {name} | {count:,} | " + " | ".join(f"{int((side.labels == label).sum()):,}" for side in sides) + " |"
        for label, (name, count) in enumerate(zip(dataset.classes, dataset.counts, strict=True))
    ]
    table = "\n".join(["| class | photos | train | validation | test |", "|---|---|---|---|---|", *rows])
    return f"## Photos\n\n{table}\n\nData fingerprint `{dataset.fingerprint}`."


def _epochs(fit: Fit) -> str:
    rows = [
        f"| {r.epoch} | {r.size} px | {r.loss:.4f} | {r.validation_accuracy:.2%} | {duration(r.seconds)} |"
        for r in fit.history
    ]
    head = ["| epoch | size | training loss | validation accuracy (averaged weights) | time |", "|---|---|---|---|---|"]
    return "## Epochs\n\n" + "\n".join(head + rows)


def _confusion(checkpoint: Checkpoint) -> str:
    names = checkpoint.classes
    rows = [
        f"| **{name}** | " + " | ".join(f"{count:,}" for count in row) + " |"
        for name, row in zip(names, checkpoint.metrics["test"]["confusion"], strict=True)
    ]
    head = [f"| is, answered | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "## Test answers\n\n" + "\n".join(head + rows)


def _noticed(dataset: Dataset) -> str:
    lines = [f"- {dataset.duplicates:,} duplicates or near-duplicates, kept on one side of the split."]
    lines += [f"- Look the same, but lie in different classes: {', '.join(paths)}" for paths in dataset.conflicts]
    lines += [f"- Left out: `{item.path}`: {item.reason}" for item in dataset.quarantined]
    return "## Noticed in the photos\n\n" + "\n".join(lines)
