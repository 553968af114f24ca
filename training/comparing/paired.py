"""Statistics of pairs: two classifiers answer the same photos, and those that only one answers rightly tell them apart.

`only_a` and `only_b` count these discordant pairs throughout.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

SIGNIFICANCE = 0.05
_Z = 1.959964  # two-sided 95 % of a normal distribution
_HALVINGS = 60  # of an interval of length 2: more than a double can tell apart


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Give the two-sided p-value of McNemar's exact conditional test: a fair coin decides each discordant pair."""
    pairs, fewer = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * math.fsum(_probability(count, pairs) for count in range(fewer + 1)))


def _probability(heads: int, coins: int) -> float:
    """Give the probability of so many heads; by logarithms, as the numbers of ways do not fit a double."""
    ways = math.lgamma(coins + 1) - math.lgamma(heads + 1) - math.lgamma(coins - heads + 1)
    return math.exp(ways - coins * math.log(2))


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Give the mid-p-value of McNemar's test, which counts half of the probability of what was observed.

    The exact test is far too cautious. This one stayed within its level in all of 9,595 cases (Fagerland, Lydersen and
    Laake 2013, "The McNemar test for binary matched-pairs data").
    """
    pairs, fewer = only_a + only_b, min(only_a, only_b)
    if not pairs:
        return 1.0
    observed = _probability(fewer, pairs)
    return 1 - observed / 2 if only_a == only_b else mcnemar_exact(only_a, only_b) - observed


def difference_interval(only_a: int, only_b: int, photos: int) -> tuple[float, float]:
    """Bound the accuracy of B minus that of A at 95 % (the score interval of Tango 1998), for at least one photo.

    It holds for small numbers, and stays within -1..1 (Fagerland, Lydersen and Laake 2014, "Recommended tests and
    confidence intervals for paired binomial proportions").
    """

    def statistic(difference: float) -> float:
        return _score_statistic(only_a, only_b, photos, difference)

    return _crossing(statistic, _Z), _crossing(statistic, -_Z)


def _score_statistic(only_a: int, only_b: int, photos: int, difference: float) -> float:
    """Measure how far the counts are from what a true `difference` makes likely, in standard deviations."""
    linear = (2 * photos - only_b + only_a) * difference - only_b - only_a
    constant = -only_a * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear**2 - 8 * photos * constant))
    share_only_a = (root - linear) / (4 * photos)  # most likely, given the difference
    variance = photos * (2 * share_only_a + difference * (1 - difference))
    excess = only_b - only_a - photos * difference
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess) if excess else 0.0


def _crossing(falling: Callable[[float], float], value: float) -> float:
    """Find where a falling function on -1..1 takes a value."""
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > value else (low, middle)
    return (low + high) / 2


def least_difference(discordant: int, photos: int) -> float | None:
    """Give the least difference in accuracy that so many discordant pairs among so many photos can show.

    Of few pairs, all have to be of one kind; of very few, more are needed. `None` if there are not that many photos.
    """
    pairs = discordant
    while mcnemar_mid_p(0, pairs) > SIGNIFICANCE:
        pairs += 1
    if pairs > photos:
        return None
    more = bisect_left(range(pairs), 1, lo=(pairs + 1) // 2, key=lambda count: _shows(pairs - count, count))
    return (2 * more - pairs) / photos


def _shows(fewer: int, more: int) -> bool:
    return mcnemar_mid_p(fewer, more) <= SIGNIFICANCE


def adjust_p_values(values: Sequence[float]) -> list[float]:
    """Adjust p-values for having asked as many questions (Holm 1979)."""
    adjusted, highest = [1.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted
