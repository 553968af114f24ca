"""Fine-tuning by a plan: answers of candidates for photos held out, and the final weights."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.engines.base import Engine
from whisker.model.networks.base import Network
from whisker.training.calibration.novelty import held_out_distances
from whisker.training.config import FineTuning, TransferRecipe
from whisker.training.data.dataset import Split
from whisker.training.progress import Progress, Task
from whisker.training.transfer.fine_tuning.plan import TuningPlan
from whisker.training.transfer.fine_tuning.saved import SavedTuning
from whisker.training.transfer.fine_tuning.tail import Tail, answer, average, embed, fine_tune, set_head
from whisker.training.transfer.fine_tuning.trunk import Activations, compute_activations
from whisker.training.transfer.probe import ProbeData, fit_probe


class _Tried(NamedTuple):
    """Tails for each share of tuned weights, the positions of the photos they were trained on, and of others."""

    train: NDArray[np.int64]
    held: NDArray[np.int64]
    tails: list[Tail]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Fine-tuning of the last parts of `network` on photos whose `activations` the first parts have computed.

    `probes` are the features of the same photos, for the probe that each training starts from.
    """

    network: Network
    plan: TuningPlan
    recipe: TransferRecipe
    fine_tuning: FineTuning
    activations: Activations
    probes: ProbeData
    seed: int
    device: str
    saved: SavedTuning
    progress: Progress
    finished: list[Tail] = field(default_factory=list)  # trained on all photos
    tried: list[_Tried] = field(default_factory=list)  # trained without some

    def candidates(
        self, train: NDArray[np.int64], saved: SavedTuning | None = None, task: Task | None = None
    ) -> list[Tail]:
        """Train on the photos at some positions: a tail for each share of tuned weights."""
        tail = Tail(self.network, self.plan.cut)
        head = fit_probe(self.probes.take(train), penalty=self.fine_tuning.start_penalty, balance=self.recipe.balance)
        set_head(tail.fc, head)
        tuned = fine_tune(
            tail,
            self.activations,
            train,
            self.probes.labels[train],
            self.fine_tuning,
            epochs=self.plan.epochs,
            seed=self.seed,
            device=self.device,
            saved=saved,
            task=task,
        )
        return [average(tail, tuned, share) for share in self.fine_tuning.shares]

    def try_on(self, train: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.float32]:
        """Train on some photos, and answer others: logits `[candidates, n, classes]`."""
        tails = self.candidates(train)
        self.tried.append(_Tried(train, held, tails))
        return np.stack([answer(tail, self.activations, held) for tail in tails])

    def held_out_distances(self, share: float) -> NDArray[np.float32]:
        """Measure how far each photo is from others `[N]`, by the features of the network that was tried without it."""
        distances = np.empty(len(self.probes.labels), np.float32)
        with self.progress.task("Measuring distances", len(self.tried) * len(distances)) as task:
            for tried in self.tried:
                features = torch.from_numpy(embed(tried.tails[self.fine_tuning.shares.index(share)], self.activations))
                distances[tried.held] = held_out_distances(
                    features[tried.train], self.probes.labels[tried.train], features[tried.held]
                )
                task.advance(len(distances))
        return distances

    def validate(self, trunk: Engine, photos: Split) -> NDArray[np.float32]:
        """Train on all photos, and answer those that are set aside: logits `[candidates, n, classes]`."""
        held = compute_activations(trunk, photos, None, views=1, progress=self.progress)
        self.finished.extend(self._train_on_all())
        return np.stack([answer(tail, held, np.arange(len(photos.rows))) for tail in self.finished])

    def finish(self, share: float) -> None:
        """Put the weights that all photos have taught into the network."""
        tails = self.finished or self._train_on_all()
        tails[self.fine_tuning.shares.index(share)].write_to(self.network, self.plan.cut)

    def embed(self) -> NDArray[np.float32]:
        """Compute the features `[N, F]` that the network gives for the photos."""
        return embed(Tail(self.network, self.plan.cut), self.activations)

    def _train_on_all(self) -> list[Tail]:
        photos = len(self.probes.labels)
        with self.progress.task("Fine-tuning", photos * self.plan.epochs) as task:
            return self.candidates(np.arange(photos), self.saved, task)
