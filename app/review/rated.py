"""A photo of the review folder, as its place in the order needs it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rated:
    """A photo, as its place in the order needs it. `model` is the checkpoint whose features the descriptor is of."""

    interest: float
    descriptor: bytes
    model: str
    skips: int = 0  # how often a person has passed it over
