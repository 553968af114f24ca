"""How photos calibrate an imported classifier: none of them trained it, as far as anybody here knows."""

from dataclasses import dataclass, field

from whisker.model import Checkpoint, NetworkConfig, Preprocessing
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.data.dataset import Dataset
from whisker.training.errors import TrainingError

_VALIDATION, _TEST = 0.45, 0.3  # the rest is what novelty compares with, and needs fewer photos
_MAX_NAMED = 3  # classes in a sentence


@dataclass(frozen=True, slots=True)
class ImportedConfig(TrainingConfig):
    """A configuration that splits photos and prepares them as an imported checkpoint asks for; nothing is trained."""

    prepared_as: Preprocessing = field(default_factory=Preprocessing)

    @property
    def preprocessing(self) -> Preprocessing:
        """Give the checkpoint's own preprocessing."""
        return self.prepared_as


def imported_config(checkpoint: Checkpoint) -> ImportedConfig:
    """Configure the calibration of an imported checkpoint; of the network, only the size is used."""
    return ImportedConfig(
        PRESETS["quick"],
        NetworkConfig(size=checkpoint.preprocessing.size),
        validation=_VALIDATION,
        test=_TEST,
        prepared_as=checkpoint.preprocessing,
    )


def require_all_classes(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Refuse photos of other classes than the checkpoint's, and classes without photos: a promise holds for all."""
    for names, problem in (
        (sorted({*dataset.classes} - {*checkpoint.classes}), f"{checkpoint.name} does not know"),
        (sorted({*checkpoint.classes} - {*dataset.classes}), "there are no photos of"),
    ):
        if names:
            more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
            raise TrainingError(
                f"An imported classifier is calibrated on photos of exactly its classes, and {problem} "
                f"{', '.join(map(repr, names[:_MAX_NAMED]))}{more}."
            )
