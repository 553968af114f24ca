"""Facts about a checkpoint, each a term and what there is to say, as its report and its page list them."""

from collections.abc import Mapping
from typing import TypeAlias

from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import ConfidentMetrics, SplitMetrics
from whisker.model.card.provenance import Provenance, SplitGroups
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.formats import (
    count_photos,
    describe_share,
    format_duration,
    format_setting,
    join,
    percent,
)
from whisker.model.card.wording.imported import comparison_fact, import_fact

Fact: TypeAlias = tuple[str, str]  # a term and what there is to say

_FAMILIES: Mapping[JsonValue, str] = {"mlp": "fully connected", "cnn": "convolutional", "resnet": "residual"}
_PUBLISHED: Mapping[JsonValue, str] = {
    "efficientnet-lite": "EfficientNet",
    "mobilenetv3": "MobileNetV3",
    "convnext": "ConvNeXt",
    "onnx": "ONNX graph",
}
_CHANNELS: Mapping[JsonValue, str] = {1: "grayscale", 3: "colour"}


def network_fact(summary: CheckpointSummary) -> Fact:
    """Name the kind of network and its dimensions."""
    network = summary.network
    family = network.get("family")
    if family not in _FAMILIES:
        return "Network", f"{_PUBLISHED.get(family, family)} {network.get('variant', '')}".strip()
    sizes = [f"{name} {network[name]}" for name in ("width", "depth") if name in network]
    return "Network", join([_FAMILIES[family], network.get("activation"), *sizes])


def input_fact(summary: CheckpointSummary) -> Fact:
    """Say what the network sees."""
    size, colours = summary.preprocessing.get("size"), _CHANNELS.get(summary.network.get("channels"))
    return "Input", join([f"{size} \N{MULTIPLICATION SIGN} {size} pixels" if size else "", colours])


def training_fact(summary: CheckpointSummary) -> Fact:
    """Say how the network was trained; of what it started from, a checkpoint knows no more than a hash."""
    provenance = summary.provenance
    return "Last training run" if _continues_another(provenance) else "Training", join(
        [
            "" if provenance.epochs is None else f"{provenance.epochs} epochs",
            "" if provenance.training_minutes is None else format_duration(provenance.training_minutes),
            f"preset {provenance.preset}" if provenance.preset else "",
            provenance.method.lower() if provenance.method else "",
            f"{provenance.weights} weights" if provenance.weights else "",
        ]
    )


def weights_fact(summary: CheckpointSummary) -> tuple[str, str | None]:
    """Say what the training started from."""
    return "Initial weights", _initial_weights(summary.provenance)


def date_fact(summary: CheckpointSummary) -> Fact:
    """Give the day of the training."""
    return "Date", summary.provenance.date or ""


def hash_fact(summary: CheckpointSummary) -> Fact:
    """Give the hash of the checkpoint's file."""
    return "SHA-256", summary.sha256


def list_network_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what the network is and how it was trained."""
    provenance = summary.provenance
    return known(
        network_fact(summary),
        input_fact(summary),
        training_fact(summary),
        ("Training precision", provenance.precision),
        weights_fact(summary),
        import_fact(summary),
        comparison_fact(summary),
        ("Temperature", f"{summary.temperature:.3f}"),
        ("Command", provenance.command),
    )


def list_data_facts(summary: CheckpointSummary) -> list[Fact]:
    """List how many photos each split has, and what became of the other files."""
    provenance = summary.provenance
    data, seed, groups = provenance.data, provenance.split_seed, provenance.groups
    if data is None:
        return []
    trial = summary.metrics.cross_validation
    beside = "held out with its original" if trial else "in the split of its original"
    if provenance.sides:
        beside = "in the side where it was"
    return known(
        (_train_term(summary), count_photos(data.train)),
        ("Cross-validation", None if trial is None else f"{trial.folds} folds, repeats: {trial.repeats}"),
        ("Validation split", count_photos(data.validation)),
        ("Test split", count_photos(data.test)),
        ("Duplicates", None if data.duplicates is None else f"{data.duplicates:,}, each {beside}"),
        ("Skipped", None if data.quarantined is None else f"{data.quarantined:,} unusable files"),
        (
            "Held out by" if trial else "Split by",
            f"the sides of the folder ({', '.join(provenance.sides)})"
            if provenance.sides
            else _grouping(groups) + "similar photos" + ("" if seed is None else f", seed {seed}"),
        ),
        ("Groups", _group_counts(groups) if groups else None),
        ("Fingerprint", data.fingerprint),
    )


def _train_term(summary: CheckpointSummary) -> str:
    """Name the photos that are in no other split: nothing was trained with them if the checkpoint was imported."""
    if summary.provenance.imported is not None:
        return "Compared with"
    return "Training split" if summary.metrics.cross_validation is None else "Training photos"


def list_file_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what identifies the file, and the software that wrote it."""
    libraries = summary.provenance.libraries or {}
    return known(
        date_fact(summary),
        ("Libraries", join([f"{name} {version}" for name, version in libraries.items()])),
        ("Python", summary.provenance.python),
        hash_fact(summary),
    )


def list_recipe_facts(summary: CheckpointSummary) -> list[Fact]:
    """List the hyper-parameters under the names that they were stored with."""
    recipe = summary.provenance.recipe or {}
    return [(name.replace("_", " "), format_setting(value)) for name, value in recipe.items()]


def list_confidence_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what the verdict "confident" and the scores were measured to be worth."""
    test, confident = summary.metrics.test or SplitMetrics(), summary.metrics.confident
    error, likelihood = test.expected_calibration_error, test.negative_log_likelihood
    return [
        *(_confident_facts(confident, summary.unsure if summary.shown else None) if confident else []),
        *known(
            ("Calibration error", None if error is None else f"{error:.4f}, the mean gap between score and accuracy"),
            ("Negative log-likelihood", None if likelihood is None else f"{likelihood:.4f}"),
        ),
    ]


def list_unknown_facts(summary: CheckpointSummary) -> list[Fact]:
    """List how often the verdict "unknown" was measured to be right and wrong."""
    unknown = summary.metrics.unknown
    if unknown is None:
        return []
    outliers = unknown.outliers
    return known(
        ("Photos of known classes flagged", describe_share(unknown.false_alarms, unknown.of, unknown.rate_95_interval)),
        ("Target false-alarm rate", _target("at most", unknown.target_rate, guaranteed=unknown.guaranteed)),
        (
            "Unrelated photos flagged",
            describe_share(outliers.caught, outliers.of, outliers.share_95_interval) if outliers else "not measured",
        ),
    )


def known(*facts: tuple[str, str | None]) -> list[Fact]:
    """Leave out the facts that there is nothing to say about."""
    return [(term, value) for term, value in facts if value]


def _confident_facts(confident: ConfidentMetrics, unsure: float | None) -> list[Fact]:
    return known(
        ("Minimum score", None if unsure is None else f"{unsure:.4f}"),
        ("Confident answers", describe_share(confident.answers, confident.of)),
        (
            "Wrong among them",
            describe_share(confident.wrong, confident.answers, confident.error_95_interval)
            if confident.answers
            else None,
        ),
        ("Target precision", _target("at least", confident.target_precision, guaranteed=confident.guaranteed)),
    )


def _grouping(groups: SplitGroups | None) -> str:
    """Begin the phrase about what the split kept together."""
    if groups is None:
        return "groups of "
    if groups.column is not None:
        return f"groups of {groups.column} and of "
    return "groups of folders" + (f" (level {groups.folder_level})" if groups.folder_level else "") + " and of "


def _group_counts(groups: SplitGroups) -> str:
    return join(
        [
            "" if groups.count is None else f"{groups.count:,}",
            "" if groups.largest is None else f"the largest of {groups.largest:,} photos",
            "" if groups.test is None else f"{groups.test:,} in the test split",
        ]
    )


def _target(bound: str, target: float | None, *, guaranteed: bool | None) -> str | None:
    if target is None:
        return None
    return f"{bound} {percent(target)}; " + ("shown by the photos" if guaranteed else "not shown by the photos")


def _continues_another(provenance: Provenance) -> bool:
    """Tell whether the weights it started from are those of an earlier training, not published ones."""
    source = provenance.pretrained_source
    return bool(provenance.pretrained) and (source is None or source.startswith("Whisker checkpoint"))


def _initial_weights(provenance: Provenance) -> str | None:
    if provenance.pretrained is None:
        return None
    if not provenance.pretrained:
        return "random"
    return join(["pretrained", provenance.pretrained_source, f"SHA-256 {provenance.pretrained[:12]}"])
