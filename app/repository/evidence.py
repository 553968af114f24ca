"""How surely figures of two groups differ, in nats: the logarithm of how much better two explanations fit than one.

Evidence of at least `SURE` is called sure. If the groups are the same, single looks give as much with a chance of about
exp(-12), 6 in a million. That leaves room for the many looks at a stream of answers: the chance to see it at any time
grows with the logarithm of their number at most (Kaufmann and Koolen 2021, Mixture Martingales Revisited).
"""

import math
from collections.abc import Sequence

SURE = 12.0
_MIN_EXPECTED = 5  # answers of a category in the smaller group; rarer ones are one category (Cochran 1954)


def evidence_of_more(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Weigh whether a share is higher than another one: 0 if it is not.

    It is the generalised likelihood ratio of two Bernoulli variables, which also holds for few and for rare hits
    (Garivier and Kaufmann 2016, Optimal Best Arm Identification with Fixed Confidence).
    """
    if not count or not other_count or hits / count <= other_hits / other_count:
        return 0.0
    pooled = (hits + other_hits) / (count + other_count)
    return _divergence(hits, count, pooled) + _divergence(other_hits, other_count, pooled)


def evidence_of_difference(counts: Sequence[int], others: Sequence[int]) -> float:
    """Weigh whether two groups are of different populations, by how many of each are in which category.

    It is the likelihood-ratio statistic G (Wilks 1938), held against Chernoff's bound of the chi-squared distribution
    (Dasgupta and Gupta 2003, lemma 2.2).
    """
    import numpy as np  # noqa: PLC0415 - for canaries alone

    table = np.array([counts, others], np.float64)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    found = table > 0
    statistic = 2 * float((table[found] * np.log(table[found] / expected[found])).sum())
    freedom = len(counts) - 1
    if statistic <= freedom:
        return 0.0
    return (statistic - freedom - freedom * math.log(statistic / freedom)) / 2


def join_rare(counts: Sequence[int], others: Sequence[int]) -> tuple[list[int], list[int]]:
    """Join the categories that are too rare for a comparison into one, the last; no stability index grows by that."""
    import numpy as np  # noqa: PLC0415 - for canaries alone

    table = np.array([counts, others], np.int64)
    smaller = table.sum(1).min() / table.sum()
    rare = table.sum(0) * smaller < _MIN_EXPECTED
    joined = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
    return joined[0].tolist(), joined[1].tolist()


def chance_index(categories: int, count: int, other_count: int) -> float:
    """Give the stability index that two groups of one population have by chance, on average (Yurdakul 2018)."""
    return (categories - 1) * (1 / count + 1 / other_count)


def _divergence(hits: int, count: int, share: float) -> float:
    """Compute count times the Kullback-Leibler divergence of the found share from another one, above 0 and below 1."""
    misses = count - hits
    return sum(
        part * math.log(part / (count * expected)) for part, expected in ((hits, share), (misses, 1 - share)) if part
    )
