"""Known values from the literature, and what must hold for any counts."""

import math

import pytest

from whisker.training.comparing.paired import (
    SIGNIFICANCE,
    adjust_p_values,
    difference_interval,
    least_difference,
    mcnemar_exact,
    mcnemar_mid_p,
)


def test_airway_study_gives_the_published_values() -> None:
    """Bentur et al. 2009, as Fagerland, Lydersen and Laake evaluate it (2013, 2014): 21 children, 1 against 7."""
    assert mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar_mid_p(1, 7) == mcnemar_mid_p(7, 1) == pytest.approx(0.0391, abs=5e-5)
    assert difference_interval(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert difference_interval(1, 7, 21) == pytest.approx((0.026, 0.517), abs=5e-4)


def test_exact_test_is_the_binomial_one_whatever_the_counts() -> None:
    assert mcnemar_exact(0, 0) == mcnemar_mid_p(0, 0) == mcnemar_exact(4, 4) == 1.0
    assert mcnemar_exact(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar_mid_p(0, 5) == pytest.approx(1 / 2**5)
    assert mcnemar_mid_p(4, 4) == pytest.approx(1 - math.comb(8, 4) / 2**9)
    assert mcnemar_exact(1000, 1100) == pytest.approx(0.03072, abs=5e-6)  # 2**2100 is no double


def test_interval_ends_where_the_score_test_does() -> None:
    """Without a true difference the statistic is McNemar's: (c - b)^2 / (b + c)."""
    assert difference_interval(0, 4, 50)[0] > 0 > difference_interval(0, 3, 50)[0]  # 4 and 3, where 3.84 decides
    assert difference_interval(0, 20, 20) == pytest.approx((0.678, 1.0), abs=5e-4)
    low, high = difference_interval(0, 0, 100)
    assert -low == pytest.approx(high) == pytest.approx(0.037, abs=5e-4)


@pytest.mark.parametrize("discordant", [0, 1, 5, 6, 17, 40, 1000])
def test_least_difference_is_the_first_that_is_shown(discordant: int) -> None:
    pairs = max(discordant, 5)  # of fewer, none is shown
    least = least_difference(discordant, 1000)
    assert least is not None
    more = round((1000 * least + pairs) / 2)
    assert mcnemar_mid_p(pairs - more, more) <= SIGNIFICANCE
    assert more == 5 or mcnemar_mid_p(pairs - more + 1, more - 1) > SIGNIFICANCE


def test_many_questions_need_smaller_p_values() -> None:
    assert adjust_p_values([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert adjust_p_values([]) == []


def test_few_photos_can_show_no_difference() -> None:
    assert [least_difference(0, photos) is None for photos in (4, 5)] == [True, False]
