"""Fine-tuning of a network's last parts, and averages with what they were."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from tests.training.transfer.small import BRIEF, SIZE, shapes
from whisker.model.engines.graph import absorb_batch_norms
from whisker.model.networks.base import Network
from whisker.training.calibration.novelty import held_out_distances
from whisker.training.config import TransferRecipe
from whisker.training.events.event import Epoch, Event
from whisker.training.fit.augmentation import Augmentation
from whisker.training.progress import Progress
from whisker.training.transfer.fine_tuning.plan import TuningPlan
from whisker.training.transfer.fine_tuning.saved import SavedTuning
from whisker.training.transfer.fine_tuning.tail import Tail, answer, average, embed, fine_tune, set_head
from whisker.training.transfer.fine_tuning.trunk import Crops, StoredActivations, compute_activations, open_trunk
from whisker.training.transfer.fine_tuning.tuning import Tuning
from whisker.training.transfer.probe import ProbeData, fit_probe

PHOTOS = 6  # of each class
LABELS = np.repeat([0, 1], PHOTOS)
ROWS = np.arange(2 * PHOTOS)


@pytest.fixture
def cut(network: Network) -> int:
    return len(network.parts()) - network.tail_parts[0]


@pytest.fixture
def activations(network: Network, cut: int, quiet: Progress) -> StoredActivations:
    """Compute views of a few photos, for a network whose batch-norms are absorbed, as in a transfer."""
    absorb_batch_norms(network)
    crops = Crops(shapes(PHOTOS, size=80), Augmentation(0.5, 0.2, threads=1), SIZE, seed=0)
    return compute_activations(
        open_trunk(network, cut, SIZE, "cpu"), shapes(PHOTOS), crops, views=BRIEF.views, progress=quiet
    )


@pytest.fixture
def tail(network: Network, cut: int, activations: StoredActivations) -> Tail:
    """Cut off the last parts, with a probe as their last layer."""
    tail = Tail(network, cut)
    features = embed(tail, activations)
    set_head(tail.fc, fit_probe(ProbeData(features[None], LABELS, 2), penalty=BRIEF.start_penalty))
    return tail


def tune(tail: Tail, activations: StoredActivations, seed: int = 0) -> Tail:
    return fine_tune(tail, activations, ROWS, LABELS, BRIEF, epochs=BRIEF.epochs, seed=seed, device="cpu")


def loss(tail: Tail, activations: StoredActivations) -> float:
    logits = torch.from_numpy(answer(tail, activations, ROWS))
    return float(nn.functional.cross_entropy(logits, torch.from_numpy(LABELS), label_smoothing=BRIEF.label_smoothing))


def test_fine_tuning_lowers_the_loss_and_leaves_what_it_started_from(
    tail: Tail, activations: StoredActivations
) -> None:
    before = {name: value.clone() for name, value in tail.state_dict().items()}
    tuned = fine_tune(tail, activations, ROWS, LABELS, BRIEF, epochs=12, seed=0, device="cpu")
    assert loss(tuned, activations) < loss(tail, activations)
    assert all(torch.equal(value, before[name]) for name, value in tail.state_dict().items())
    changed = {name for name, value in tuned.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {name for name, _ in tuned.named_parameters()}


def test_batch_norms_keep_their_statistics(tail: Tail, activations: StoredActivations) -> None:
    before, tuned = dict(tail.named_buffers()), tune(tail, activations)
    assert any(name.endswith("running_var") for name in before)
    assert all(torch.equal(value, before[name]) for name, value in tuned.named_buffers())


def test_equal_seeds_give_equal_weights(tail: Tail, activations: StoredActivations) -> None:
    first, again, other = (tune(tail, activations, seed).fc.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_average_lies_between_the_endpoints(share: float, tail: Tail, activations: StoredActivations) -> None:
    tuned = tune(tail, activations)
    mean = average(tail, tuned, share)
    for start, end, value in zip(tail.parameters(), tuned.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(value, start + share * (end - start))
    if share in (0.0, 1.0):
        expected = answer(tuned if share else tail, activations, ROWS)
        np.testing.assert_allclose(answer(mean, activations, ROWS), expected, atol=1e-5)


def test_tail_written_back_makes_the_network_answer_as_it_does(
    network: Network, cut: int, tail: Tail, activations: StoredActivations
) -> None:
    tuned = tune(tail, activations)
    tuned.write_to(network, cut)
    with torch.inference_mode():
        logits = network(torch.from_numpy(shapes(PHOTOS).pixels).permute(0, 3, 1, 2).float() / 255)
    expected = answer(tuned, activations, ROWS)
    np.testing.assert_allclose(logits.numpy(), expected, atol=0.05 * float(np.abs(expected).max()))


@pytest.fixture
def tuning(network: Network, cut: int, activations: StoredActivations, tmp_path: Path, quiet: Progress) -> Tuning:
    features = embed(Tail(network, cut), activations)
    plan = TuningPlan(cut, views=BRIEF.views, epochs=BRIEF.epochs, trainings=1.0)
    probes = ProbeData(features[None], LABELS, 2)
    set_head(network.fc, fit_probe(probes))
    saved = SavedTuning(tmp_path / "tuning.safetensors", {"photos": "abc"})
    return Tuning(
        network=network,
        plan=plan,
        recipe=TransferRecipe(),
        fine_tuning=BRIEF,
        activations=activations,
        probes=probes,
        seed=0,
        device="cpu",
        saved=saved,
        progress=quiet,
    )


def test_finishing_leaves_the_frozen_part_alone(network: Network, cut: int, tuning: Tuning) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tuning.finish(1.0)
    assert tuning.embed().shape == (2 * PHOTOS, 1280)
    own = {id(value) for part in network.parts()[:cut] for value in (*part.parameters(), *part.buffers())}
    state = dict(network.named_parameters()) | dict(network.named_buffers())
    frozen = {name for name, value in state.items() if id(value) in own}
    assert len(frozen) > 50
    for name, value in state.items():
        same = name not in before or torch.equal(value, before[name])  # constants are not in the state
        assert same == (name in frozen or name not in dict(network.named_parameters()))


def test_finished_features_and_weights_are_those_of_the_share(network: Network, cut: int, tuning: Tuning) -> None:
    expected = tuning.candidates(ROWS)[0]
    tuning.finish(BRIEF.shares[0])
    np.testing.assert_allclose(tuning.embed(), embed(expected, tuning.activations), atol=1e-4)
    torch.testing.assert_close(network.fc.weight, expected.fc.weight)
    np.testing.assert_allclose(
        answer(Tail(network, cut), tuning.activations, ROWS), answer(expected, tuning.activations, ROWS), atol=1e-4
    )


def test_every_share_answers_photos_that_are_held_out(tuning: Tuning) -> None:
    """A held-out photo's label is of no matter: it is not among what is trained on."""
    train, held = np.setdiff1d(ROWS, [2, 9]), np.array([2, 9])
    logits = tuning.try_on(train, held)
    assert logits.shape == (len(BRIEF.shares), 2, 2)
    poisoned = replace(tuning.probes, labels=np.where(np.isin(ROWS, held), 1 - LABELS, LABELS))
    np.testing.assert_array_equal(replace(tuning, probes=poisoned).try_on(train, held), logits)
    assert (logits[0] != logits[1]).any()


def test_distances_are_of_networks_that_have_not_seen_the_photo(tuning: Tuning) -> None:
    folds = ROWS % 2
    for fold in (0, 1):
        tuning.try_on(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
    distances = tuning.held_out_distances(1.0)
    assert distances.shape == ROWS.shape
    tuning.finish(1.0)
    features = torch.from_numpy(tuning.embed())
    seen = held_out_distances(features, tuning.probes.labels, features)
    assert distances.mean() > seen.mean()


def test_photos_that_are_set_aside_are_answered_after_training_on_all_others(
    network: Network, cut: int, tuning: Tuning
) -> None:
    aside = shapes(2, first=50)
    logits = tuning.validate(open_trunk(network, cut, SIZE, "cpu"), aside)
    assert logits.shape == (len(BRIEF.shares), 4, 2)
    tuning.finish(1.0)
    with torch.inference_mode():
        final = network(torch.from_numpy(aside.pixels).permute(0, 3, 1, 2).float() / 255).numpy()
    np.testing.assert_allclose(logits[1], final, atol=0.05 * float(np.abs(final).max()))


def test_interrupted_fine_tuning_goes_on_to_the_same_weights(
    tail: Tail, activations: StoredActivations, tmp_path: Path
) -> None:
    def train(epochs: int, key: str, *, interrupted: bool = False) -> torch.Tensor:
        saved = SavedTuning(tmp_path / "tuning.safetensors", {"key": key})
        recipe = replace(BRIEF, learning_rate=0.0) if interrupted else BRIEF
        with Progress(Console(file=io.StringIO()), observers=[told.append]).task("Fine-tuning", 1) as task:
            tuned = fine_tune(
                tail, activations, ROWS, LABELS, recipe, epochs=epochs, seed=0, device="cpu", saved=saved, task=task
            )
        return tuned.fc.weight

    told: list[Event] = []
    straight = train(2, "a")
    assert torch.equal(train(2, "a", interrupted=True), straight)  # nothing is left to train
    first, second, *again = [event for event in told if isinstance(event, Epoch)]
    assert (first.number, second.number) == (1, 2)
    assert [(epoch.number, epoch.loss) for epoch in again[:2]] == [(1, first.loss), (2, second.loss)]
    assert second.loss < first.loss
    assert not torch.equal(train(2, "b", interrupted=True), straight)  # of another training, nothing is used
