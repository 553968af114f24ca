"""Hashes that tell whether a training has the same photos as another, and the same of them in each split."""

import hashlib
from collections.abc import Sequence

from whisker.training.config import TrainingConfig
from whisker.training.data.cache import Decoded
from whisker.training.data.dataset import Split


def data_fingerprint(labels: Sequence[Sequence[int]], classes: Sequence[str], decoded: Sequence[Decoded]) -> str:
    """Hash the data: every photo's labels and content, regardless of its name and folder."""
    named = ("\0".join(classes[label] for label in several) for several in labels)
    lines = sorted(f"{names}\0{item.sha256}" for names, item in zip(named, decoded, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """Hash the SHA-256 of the training photos, sorted, and of the held-out photos, in their order."""
    return hashlib.sha256("\n".join([*sorted(train), "", *held_out]).encode()).hexdigest()


def hash_split(train: Split, held_out: Split, decoded: Sequence[Decoded], config: TrainingConfig) -> str:
    """Hash which photo is in which split; with cross-validation, which answer for a held-out photo belongs to which."""
    digests, others = ([decoded[row].sha256 for row in split.rows] for split in (train, held_out))
    if config.cross_validated:
        labels = train.labels[:, None] if train.present is None else train.present.astype(int)
        numbers = (" ".join(map(str, row)) for row in labels.tolist())
        return split_fingerprint([], [f"{several} {it}" for several, it in zip(numbers, digests, strict=True)])
    return split_fingerprint(digests, others)
