"""A transfer: a linear probe, then fine-tuning if there is time for it and it helps on photos that are held out."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.card.metrics import LearningCurve
from whisker.model.checkpoint.contents import HeldOut
from whisker.model.engines.base import Engine
from whisker.model.engines.graph import absorb_batch_norms
from whisker.model.networks.base import Network
from whisker.training.config import TransferRecipe
from whisker.training.data.dataset import Split
from whisker.training.fit.augmentation import Augmentation
from whisker.training.progress import Progress
from whisker.training.transfer.candidates import PROBE, Candidate, choose, judge
from whisker.training.transfer.cross_validation import count_folds
from whisker.training.transfer.features import extract_features, open_engine
from whisker.training.transfer.fine_tuning.plan import TuningPlan, plan_tuning
from whisker.training.transfer.fine_tuning.saved import SavedTuning
from whisker.training.transfer.fine_tuning.tail import set_head
from whisker.training.transfer.fine_tuning.trunk import (
    Activations,
    ComputedActivations,
    Crops,
    compute_activations,
    open_trunk,
)
from whisker.training.transfer.fine_tuning.tuning import Tuning
from whisker.training.transfer.learning_curve import measure_learning_curve
from whisker.training.transfer.probe import ProbeData, fit_probe
from whisker.training.transfer.trials import CrossValidation, Trial, Validation


@dataclass(frozen=True, slots=True)
class TransferData:
    """The photos of a transfer: `served` as a service sees them, `larger` for crops, in the same order.

    `validation` is what candidates are compared on where photos are set aside; without, by cross-validation.
    """

    served: Split
    larger: Split
    validation: Split | None
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransferResult:
    """The final network, the method that made it, and how good that and other candidates were on held-out photos.

    `features` `[N, F]` are the final network's for its training photos, `None` where others are set aside. `plan` is
    that of its fine-tuning, `None` for a probe.
    """

    network: Network
    method: str
    candidates: tuple[Candidate, ...]
    features: NDArray[np.float32] | None
    held_out: HeldOut | None
    curve: LearningCurve | None
    plan: TuningPlan | None
    seconds: float


@dataclass(frozen=True, slots=True)
class TransferJob:
    """A transfer from the pretrained weights of `network` to the classes of `data`, at `size` pixels.

    `key` names the weights, the photos and their split: what is in `work` is used again if it is the same.
    """

    network: Network
    data: TransferData
    recipe: TransferRecipe
    size: int
    seed: int
    work: Path
    key: Mapping[str, object]
    device: str
    progress: Progress


def transfer_classes(job: TransferJob) -> TransferResult:
    """Transfer to the classes of photos that have one each; raise `DatasetError` if a class has too few photos."""
    return _Transfer(job).run()


class _Transfer:
    """A transfer to one class a photo; `run` does its steps."""

    def __init__(self, job: TransferJob) -> None:
        self._job, self._network = job, job.network.eval()
        self._started = time.monotonic()

    def run(self) -> TransferResult:
        """Fit the probe, try fine-tuning, and train what is best on all training photos."""
        served = self._job.data.served
        if self._job.data.validation is None:
            count_folds(served.labels, served.groups, self._job.data.classes)  # too few photos are refused at once
        engine = open_engine(self._network, self._job.size, self._job.device)
        photos = self._extract(engine, served, "train")
        head = fit_probe(photos, penalty=self._job.recipe.penalty, balance=self._job.recipe.balance)
        set_head(self._network.fc, head)
        trial = self._open_trial(engine, photos)
        probe = trial.try_probe(head)  # [R, N, classes]
        tuning = self._open_tuning(photos, trial)
        shares = (PROBE,) if tuning is None else (PROBE, *tuning.fine_tuning.shares)
        tried = probe[None] if tuning is None else trial.try_tuning(tuning, probe)  # [candidates, R, N, classes]
        candidates = judge({share: logits[0] for share, logits in zip(shares, tried, strict=True)}, trial.labels)
        chosen = choose(candidates)
        self._say(candidates, chosen)
        features = photos.features[0]
        kept = probe if chosen.share == PROBE else tried[shares.index(chosen.share)]  # [R, N, classes]
        held_out = trial.held_out(kept, tuned=chosen.share != PROBE)
        if tuning is not None and chosen.share != PROBE:
            if held_out is not None:
                held_out = replace(held_out, distances=tuning.held_out_distances(chosen.share))
            tuning.finish(chosen.share)
            features = tuning.embed() if held_out is not None else None
        return TransferResult(
            network=self._network,
            method=chosen.name,
            candidates=tuple(candidates),
            features=None if features is None else np.asarray(features),
            held_out=held_out,
            curve=self._measure_curve(photos, trial, kept),
            plan=tuning.plan if tuning and chosen.share != PROBE else None,
            seconds=time.monotonic() - self._started,
        )

    def _extract(self, engine: Engine, photos: Split, name: str) -> ProbeData:
        features = extract_features(
            engine, photos, self._job.work / f"cache-features-{name}", self._job.key, self._job.progress
        )
        return ProbeData(features, photos.labels, len(self._job.data.classes))

    def _open_trial(self, engine: Engine, photos: ProbeData) -> Trial:
        if self._job.data.validation is None:
            return CrossValidation(
                photos,
                self._job.data.served.groups,
                self._job.data.classes,
                self._job.recipe,
                seed=self._job.seed,
                progress=self._job.progress,
            )
        return Validation(self._extract(engine, self._job.data.validation, "validation"), self._job.data.validation)

    def _open_tuning(self, photos: ProbeData, trial: Trial) -> Tuning | None:
        """Plan fine-tuning, and compute what stays frozen; return `None` if there is no time for it."""
        recipe = self._job.recipe.fine_tuning
        if recipe is None:
            return None
        left = 60 * self._job.recipe.minutes - (time.monotonic() - self._started)
        plan = plan_tuning(
            self._network,
            recipe,
            photos=len(photos.labels),
            size=self._job.size,
            trainings=trial.trainings,
            seconds=left,
            device=self._job.device,
        )
        if plan is None:
            return None
        absorb_batch_norms(self._network)
        trunk = open_trunk(self._network, plan.cut, self._job.size, self._job.device)
        trial.prepare(trunk, plan)
        crops = Crops(
            self._job.data.larger, Augmentation(recipe.minimum_crop, recipe.colour), self._job.size, self._job.seed
        )
        activations: Activations = ComputedActivations(trunk, self._job.data.served, crops)
        if plan.views:
            activations = compute_activations(
                trunk, self._job.data.served, crops, views=plan.views, progress=self._job.progress
            )
        key = {**self._job.key, "plan": asdict(plan), "recipe": asdict(recipe), "seed": self._job.seed}
        saved = SavedTuning(self._job.work / "tuning.safetensors", key)
        return Tuning(
            network=self._network,
            plan=plan,
            recipe=self._job.recipe,
            fine_tuning=recipe,
            activations=activations,
            probes=photos,
            seed=self._job.seed,
            device=self._job.device,
            saved=saved,
            progress=self._job.progress,
        )

    def _measure_curve(self, photos: ProbeData, trial: Trial, kept: NDArray[np.float32]) -> LearningCurve | None:
        if trial.folds is None:
            return None
        return measure_learning_curve(
            photos,
            self._job.data.served.groups,
            (kept.argmax(2) == photos.labels).mean(0),
            folds=trial.folds,
            recipe=self._job.recipe,
            seed=self._job.seed,
            progress=self._job.progress,
        )

    def _say(self, candidates: list[Candidate], chosen: Candidate) -> None:
        for candidate in candidates:
            kept = "; kept" if candidate is chosen else ""
            self._job.progress.say(
                f"{candidate.name}: {candidate.accuracy:.1%} right on held-out photos, "
                f"log-likelihood {-candidate.likelihood:.3f}{kept}"
            )
