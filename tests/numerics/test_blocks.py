"""Float64 states: the same bits for any partition into runs of whole blocks, and states that persist whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import feed, named

from streamreg.errors import DataError
from streamreg.solve import cholesky
from streamreg.stats.moments import Moments
from streamreg.stats.residuals import Residuals

RNG = np.random.default_rng(0)
SIZE = 8
BLOCKS = 37
X = RNG.standard_normal((SIZE * BLOCKS - 3, 3)) * np.array([1.0, 1e150, 1e-150]) + np.array([1e6, 0.0, 0.0])
Y = X @ np.array([1.0, 1e-150, 1e150]) + RNG.standard_normal(len(X))
WEIGHT = 10.0 ** RNG.uniform(-8, 8, len(X))


def small(statistic):
    statistic.block_rows = SIZE
    return statistic


def moments():
    return small(Moments(named(X)))


def residuals():
    problem = feed(moments(), X, Y, WEIGHT).problem("y")
    return small(Residuals.of(problem, cholesky.solve(problem)))


def bits(statistic):
    if isinstance(statistic, Residuals):
        return [np.array(statistic.sums)]
    total = statistic.total()
    return [np.array(total.mean), total.cross, total.exponent, np.array([total.weight, total.log_weight])]


def over(make, first, last):
    rows = slice(first * SIZE, last * SIZE)
    return feed(make(), X[rows], Y[rows], WEIGHT[rows], start=first * SIZE)


WHOLE = {make: bits(feed(make(), X, Y, WEIGHT)) for make in (moments, residuals)}


def check(make, statistic):
    assert statistic.n == len(X)
    for here, there in zip(bits(statistic), WHOLE[make], strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("make", [moments, residuals])
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, BLOCKS), max_size=8), data=st.data())
def test_any_partition_any_grouping(make, cuts, data):
    parts = [over(make, a, b) for a, b in pairwise([0, *sorted(cuts), BLOCKS])]
    while len(parts) > 1:
        k = data.draw(st.integers(0, len(parts) - 2))
        parts[k].merge(parts.pop(k + 1))
    check(make, parts[0])


@pytest.mark.parametrize("make", [moments, residuals])
def test_a_state_can_be_looked_at_stored_and_continued(make):
    state = over(make, 0, 13)
    bits(state)
    again = small(type(state).from_arrays(state.to_arrays()))
    again.merge(over(make, 13, 29))
    bits(again)
    rows = slice(29 * SIZE, None)
    feed(again, X[rows], Y[rows], WEIGHT[rows], start=29 * SIZE)
    check(make, again)


@pytest.mark.parametrize("make", [moments, residuals])
def test_merging_leaves_the_other_state_alone(make):
    a, b = over(make, 0, 12), over(make, 12, BLOCKS)
    before = [v.copy() for v in bits(b)]
    a.merge(b)
    bits(a)
    for here, there in zip(bits(b), before, strict=True):
        np.testing.assert_array_equal(here, there)


def test_two_scans_merge_as_wholes():
    a, b = feed(moments(), X, Y), feed(moments(), 1.5 * X, Y)
    both = feed(moments(), np.vstack([X, 1.5 * X]), np.concatenate([Y, Y]))
    a.merge(b)
    assert a.n == both.n
    here, there = (cholesky.solve(state.problem("y")) for state in (a, both))
    np.testing.assert_allclose(here.coef, there.coef, rtol=1e-12)
    assert here.tss == pytest.approx(there.tss, rel=1e-12)


def test_residuals_about_different_lines_do_not_merge():
    a, b = residuals(), residuals()
    b.coef = b.coef * 2
    feed(b, X, Y, WEIGHT)
    with pytest.raises(DataError, match="different lines"):
        a.merge(b)


def test_a_heavy_row_does_not_drown_the_others():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((50, 1)), rng.standard_normal(50)
    weight = np.ones(50)
    weight[7] = 1e16
    found = cholesky.solve(feed(Moments(["x", "y"]), x, y, weight).problem("y"))
    # The line goes through the heavy row; the others choose its slope.
    dx, dy = x[:, 0] - x[7, 0], y - y[7]
    assert found.coef[0] == pytest.approx((dx @ dy) / (dx @ dx), rel=1e-12)
