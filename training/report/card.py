"""The model card of a checkpoint: what it is, and, in plain sentences, how far it can be trusted."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whisker.model.checkpoint.contents import Checkpoint
from whisker.training.progress import duration

_FEW = 10  # test photos of a class that say little about it
_VERY_FEW = 100  # test photos that say little about a network
_NAMED = 5  # classes named in a sentence
_FAMILIES = {"mlp": "fully connected", "cnn": "convolutional", "resnet": "residual"}

Facts = list[tuple[str, str]]


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 0..1 in percent, with a space that does not break."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def describe_network(checkpoint: Checkpoint) -> Facts:
    """List what the network is and how it was taught; what an older checkpoint does not know is left out."""
    network, provenance = checkpoint.network, checkpoint.provenance
    minutes = provenance.get("training_minutes")
    taught = [
        f"{provenance['epochs']} epochs" if "epochs" in provenance else "",
        duration(60 * minutes) if minutes is not None else "",
        f"preset {provenance['preset']}" if "preset" in provenance else "",
        f"{provenance['weights']} weights" if "weights" in provenance else "",
    ]
    return _known(
        ("Network", f"{_FAMILIES[network.family]}, {network.activation}, width {network.width}, depth {network.depth}"),
        ("Sees", f"{network.size} x {network.size} pixels, {'colour' if network.channels == 3 else 'grey'}"),
        ("Taught", ", ".join(part for part in taught if part)),
        ("Precision", provenance.get("precision")),
        (
            "Started from",
            f"weights {provenance['pretrained'][:12]}" if provenance.get("pretrained") else "random weights",
        ),
        ("Temperature", f"{checkpoint.temperature:.3f}"),
        ("Command", provenance.get("command")),
    )


def describe_data(checkpoint: Checkpoint) -> Facts:
    """List how many photos stood on which side of the split, and what was done with the rest."""
    data = checkpoint.provenance.get("data", {})
    return _known(
        *((name.capitalize(), _photos(data.get(name))) for name in ("train", "validation", "test")),
        ("Duplicates", f"{data['duplicates']:,}, kept on one side" if "duplicates" in data else None),
        ("Left out", f"{data['quarantined']:,} files" if "quarantined" in data else None),
        ("Split", f"by groups of look-alikes, seed {checkpoint.provenance.get('split_seed')}" if data else None),
        ("Fingerprint", data.get("fingerprint")),
    )


def describe_file(checkpoint: Checkpoint) -> Facts:
    """List what identifies the file and the software that wrote it."""
    provenance = checkpoint.provenance
    libraries = provenance.get("libraries", {})
    return _known(
        ("Date", provenance.get("date")),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in libraries.items())),
        ("Python", provenance.get("python")),
        ("SHA-256", checkpoint.sha256),
    )


def describe_recipe(checkpoint: Checkpoint) -> Facts:
    """List the hyper-parameters under the names they were stored with."""
    recipe: Mapping[str, Any] = checkpoint.provenance.get("recipe", {})
    return [(name.replace("_", " "), _written(value)) for name, value in recipe.items()]


def describe_confidence(checkpoint: Checkpoint) -> Facts:
    """List what the verdict "confident" was measured to be worth."""
    test, confident = checkpoint.metrics["test"], checkpoint.metrics.get("confident")
    calibration = ("Calibration error", f"{test['expected_calibration_error']:.4f}, the mean gap of score and accuracy")
    likelihood = ("Negative log-likelihood", f"{test['negative_log_likelihood']:.4f}")
    if not confident:
        return [calibration, likelihood]
    return _known(
        ("Score needed", f"{checkpoint.thresholds.unsure:.4f}"),
        ("Answers that reach it", _share_of(confident["answers"], confident["of"])),
        ("Wrong among them", _share_of(confident["wrong"], confident["answers"], confident["error_95_interval"])),
        ("Promise", _promise(f"at least {percent(confident['promised_precision'])} right", confident["promised"]))
        if "promised" in confident
        else ("Promise", None),
        calibration,
        likelihood,
    )


def describe_unknown(checkpoint: Checkpoint) -> Facts:
    """List how often the verdict "unknown" was measured to be right and wrong."""
    unknown = checkpoint.metrics.get("unknown")
    if not unknown:
        return []
    alarms, others = unknown["false_alarms"], unknown.get("outliers")
    return _known(
        ("Known photos called unknown", _share_of(alarms, unknown["of"], unknown["rate_95_interval"])),
        ("Promise", _promise(f"at most {percent(unknown['promised_rate'])} of them", unknown["promised"])),
        (
            "Photos of other things caught",
            _share_of(others["caught"], others["of"], others["share_95_interval"]) if others else "not measured",
        ),
    )


def known_limits(checkpoint: Checkpoint) -> Iterator[str]:
    """Say in sentences what the figures do not promise."""
    test, confident = checkpoint.metrics["test"], checkpoint.metrics.get("confident", {})
    low, high = test["accuracy_95_interval"]
    yield _interval_limit(test["photos"], (high - low) / 2)
    yield (
        "The test photos come from the same folders as the training photos. "
        "Photos from another camera, place or year may fare worse."
    )
    few = [name for name, row in zip(checkpoint.classes, test["confusion"], strict=True) if sum(row) < _FEW]
    if few:
        more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
        yield f"Fewer than {_FEW} test photos each: {', '.join(few[:_NAMED])}{more}. Their own figures mean little."
    yield _unknown_limit(checkpoint)
    if confident.get("promised") is False:
        yield (
            f"The validation photos could not show that {percent(confident['promised_precision'])} of the answers "
            "called “confident” are right: take the measured share as it is, with its interval."
        )
    if checkpoint.provenance.get("pretrained"):
        yield (
            "It started from other weights. If photos of this test side, or of the other things, had taught those, the "
            "figures are too kind."
        )
    yield "Labels are taken as they are: a wrong label counts as an error, and was taught as the truth."


def _interval_limit(photos: int, half: float) -> str:
    if photos < _VERY_FEW:
        return f"There are only {photos:,} test photos: every figure on this page is hardly more than an impression."
    return (
        f"With {photos:,} test photos, the accuracy is known to within about {100 * half:.1f} percentage points. "
        "A difference smaller than that between two trainings means nothing."
    )


def _unknown_limit(checkpoint: Checkpoint) -> str:
    unknown, classes = checkpoint.metrics.get("unknown") or {}, len(checkpoint.classes)
    if checkpoint.novelty is None and not unknown:
        return (
            f"It knows {classes} classes and has no “unknown” verdict: a photo of anything else gets one of these "
            "names, often with a high score."
        )
    outliers = unknown.get("outliers")
    if not outliers:
        return (
            "The verdict “unknown” was fitted without photos of other things: how many of them it catches "
            "has not been measured."
        )
    return (
        f"The verdict “unknown” caught {percent(outliers['caught'] / outliers['of'])} of {outliers['of']:,} photos of "
        "other things. Things unlike those may be caught more or less often."
    )


def _known(*facts: tuple[str, str | None]) -> Facts:
    return [(term, value) for term, value in facts if value]


def _share_of(part: int, whole: int, bounds: Sequence[float] | None = None) -> str:
    text = f"{part:,} of {whole:,}" + (f", {percent(part / whole)}" if whole else "")
    return text if bounds is None else f"{text} (95 % interval {percent(bounds[0])} to {percent(bounds[1])})"


def _promise(text: str, kept: bool) -> str:  # noqa: FBT001 - as it is stored
    return f"{text}; " + ("the validation photos show it" if kept else "too few validation photos to show it")


def _photos(count: int | None) -> str | None:
    return None if count is None else f"{count:,} photos"


def _written(value: Any) -> str:
    """Write a hyper-parameter, or a list of stages, for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_written(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
