"""Which columns depend on which: the nasty designs, and what must not change the verdict."""

import numpy as np
import pytest
from reference import feed, named

from streamreg.solve import cholesky, exact
from streamreg.solve.ladder import next_level
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments


def solve(x, y, intercept=True, weight=None):
    return exact.solve(feed(IntegerMoments(named(x)), x, y, weight).problem("y", intercept=intercept))


def first(x, y, intercept=True):
    return cholesky.solve(feed(Moments(named(x)), x, y).problem("y", intercept=intercept))


def rss(found):
    return np.ldexp(found.rss, 2 * found.target_exponent)


def of_fit(x, y, found):
    return float(np.sum((y - found.intercept - x.astype(float) @ found.coef) ** 2))


def noise(n=200, p=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p))


A = noise()
Y = A.sum(axis=1) + np.random.default_rng(1).standard_normal(200)


@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-8, 1e-11, 1e-14])
def test_near_collinear_columns_are_told_apart(distance):
    x = np.column_stack([A[:, 0], A[:, 0] + distance * A[:, 1]])
    found = solve(x, Y)
    assert found.rank == 2
    assert of_fit(x, Y, found) == pytest.approx(rss(found), rel=1e-2)
    assert first(x, Y).status == ("ok" if distance > 1e-7 else "uncertain")


def test_collinear_to_rounding_is_dependent():
    x = np.column_stack([A[:, 0], A[:, 0] + 1e-16 * A[:, 1]])
    found = solve(x, Y)
    assert (found.rank, found.status) == (1, "dependent")
    assert list(map(str, found.dependencies)) == ["x1 = x0"]
    assert not found.identifiable.any()
    np.testing.assert_allclose(found.coef[0], found.coef[1])
    offset = 1e6 + np.column_stack([A[:, 0], A[:, 0] + 1e-10 * A[:, 1]])
    assert solve(offset, Y).rank == 1  # the offset has rounded the difference away
    assert solve(1e6 + np.column_stack([A[:, 0], A[:, 0] + 1e-6 * A[:, 1]]), Y).rank == 2


def test_a_shifted_copy():
    x = np.column_stack([A[:, 0], A[:, 0] + 1.0])
    found = solve(x, x.sum(axis=1))
    assert list(map(str, found.dependencies)) == ["x1 = x0 + 1"]
    np.testing.assert_allclose([*found.coef, found.intercept], [1.0, 1.0, 0.0], atol=1e-14)
    assert np.isnan(found.digits).all()
    assert np.isnan(found.digits_intercept)
    assert solve(x, x.sum(axis=1), intercept=False).rank == 2


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("degree", [4, 8, 10, 12])
def test_hilbert(degree, intercept):
    x = 1.0 / (np.arange(1, 21)[:, None] + np.arange(1, degree + 1) - 1)
    y = x.sum(axis=1)
    found = solve(x, y, intercept)
    assert found.rank == degree
    fitted = of_fit(x, y, found)
    assert fitted < 1e-24 or fitted == pytest.approx(rss(found), rel=1e-3)


@pytest.mark.parametrize("degree", [5, 10, 14])
def test_vandermonde(degree):
    t = np.linspace(0, 1, 50)
    found = solve(np.vander(t, degree + 1, increasing=True)[:, 1:], np.sin(t))
    assert found.rank == degree
    assert rss(found) < 1e-11


@pytest.mark.parametrize(("size", "rank"), [(1e-3, 3), (1e-7, 3), (1e-10, 3), (1e-14, 3), (1e-17, 1)])
def test_lauchli(size, rank):
    x = np.vstack([np.ones(3), size * np.eye(3)])
    found = solve(x, x.sum(axis=1), intercept=False)
    assert found.rank == rank
    if rank == 3:
        np.testing.assert_array_equal(found.coef, 1.0)
        assert found.rss == 0.0


@pytest.mark.parametrize("dtype", [float, np.float32, np.int8, bool])
def test_dummy_trap(dtype):
    x = (np.arange(200)[:, None] % 4 == np.arange(4)).astype(dtype)
    found = solve(x, Y)
    assert list(map(str, found.dependencies)) == ["x3 = -x0 - x1 - x2 + 1"]
    assert solve(x, Y, intercept=False).rank == 4
    assert found.coef.sum() == pytest.approx(0.0, abs=1e-14)  # the shortest solution


def test_shares_that_sum_to_one():
    shares = np.random.default_rng(2).dirichlet(np.ones(4), 200)
    for x, total in ((shares, 1), (np.round(100 * shares, 1), 100)):
        last = total - x[:, :3].sum(axis=1)
        found = solve(np.column_stack([x[:, :3], last]), Y)
        assert list(map(str, found.dependencies)) == [f"x3 = -x0 - x1 - x2 + {total}"]


def test_constants_with_rounding_noise():
    noisy = np.where(np.arange(200) % 2, 0.1 + 0.2, 0.3)
    large = np.full(200, 1e9)
    found = solve(np.column_stack([A[:, 0], noisy, large]), Y)
    assert list(map(str, found.dependencies)) == ["x1 = 0.3", "x2 = 1e+09"]
    assert list(found.identifiable) == [True, False, False]
    np.testing.assert_array_equal(found.coef[1:], 0.0)
    assert not np.isnan(found.digits[0])


def test_sums_and_means_of_columns():
    for extra in (A.sum(axis=1), A.mean(axis=1), A @ np.array([1.0, -2.0, 1e-3]), 1e200 * A[:, 0]):
        x = np.column_stack([A, extra])
        found = solve(x, Y)
        assert found.rank == 3
        assert of_fit(x, Y, found) == pytest.approx(rss(solve(A, Y)), rel=1e-12)


def test_one_outlier():
    x = A.copy()
    x[5, 1] = 1e12
    found = solve(x, Y)
    assert found.rank == 3
    assert of_fit(x, Y, found) == pytest.approx(rss(found), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 20])
def test_no_more_columns_than_rows(n):
    x = noise(n, 30, seed=3)
    y = x.sum(axis=1)
    found = solve(x, y)
    assert found.rank == n - 1
    assert len(found.dependencies) == 30 - found.rank
    assert rss(found) < 1e-30
    np.testing.assert_allclose(x @ found.coef + found.intercept, y, atol=1e-10)
    assert solve(x, y, intercept=False).rank == n
    assert first(x, y).status in ("uncertain", "dependent")


def test_constant_targets_and_no_features():
    found = solve(A, np.full(200, 2.5))
    np.testing.assert_array_equal(found.coef, 0.0)
    assert (found.intercept, found.rss, found.tss) == (2.5, 0.0, 0.0)
    empty = solve(np.empty((200, 0)), Y)
    assert empty.intercept == pytest.approx(Y.mean(), rel=1e-15)
    assert rss(empty) == pytest.approx(np.sum((Y - Y.mean()) ** 2), rel=1e-13)
    assert solve(np.zeros((5, 2)), np.ones(5), intercept=False).rank == 0


@pytest.mark.parametrize("power", [-200, -113, -20, -1, 1, 13, 100, 200])
def test_the_verdict_does_not_depend_on_units(power):
    for x in (
        np.column_stack([A, A[:, 0] - A[:, 1]]),
        np.column_stack([A, A[:, 0] + 1e-13 * A[:, 1]]),
        np.column_stack([A, A[:, 0] + 1.0]),
        np.column_stack([A, np.where(np.arange(200) % 2, 0.1 + 0.2, 0.3)]),
        1e6 + np.column_stack([A, A[:, 0] + 1e-9 * A[:, 1]]),
    ):
        here = solve(x, Y)
        for j in range(4):
            other = x.copy()
            other[:, j] *= 10.0**power
            there = solve(other, Y)
            np.testing.assert_array_equal(there.kept, here.kept)
            np.testing.assert_array_equal(there.identifiable, here.identifiable)


@pytest.mark.parametrize("distance", [0.0, 1e-17, 3e-15, 1e-12])
def test_the_verdict_does_not_depend_on_the_number_of_rows(distance):
    ranks = set()
    for n in (1_000, 30_000):
        a = noise(n, 3, seed=4)
        x = np.column_stack([a, a[:, 0] - a[:, 1] + distance * a[:, 2] * np.sqrt(2.0)])
        x[:, 3] += distance * np.random.default_rng(5).standard_normal(n)
        ranks.add(solve(x, a[:, 2]).rank)
    assert ranks == {3 if distance < 1e-16 else 4}


def test_the_verdict_does_not_depend_on_storage():
    for distance in (0.0, 1e-3):
        x = np.column_stack([A, A[:, 0] + distance * A[:, 1]]).astype(np.float32)
        small, wide = solve(x, Y), solve(x.astype(np.float64), Y)
        assert small.rank == wide.rank == (3 if not distance else 4)
        np.testing.assert_array_equal(small.coef, wide.coef)


def test_float64_moments_do_not_guess():
    for x in (np.column_stack([A, A.sum(axis=1)]), np.column_stack([A, A[:, 0] + 1e-9 * A[:, 1]])):
        found = first(x, Y)
        assert found.status == "uncertain"
        assert next_level(found) == "exact"
        assert not found.digits[found.identifiable].any()


def test_a_constant_column_needs_no_second_pass():
    found = first(np.column_stack([A, np.full(200, 7.0)]), Y)
    assert found.status == "dependent"
    assert next_level(found) == "float64"


def test_levels_agree_where_float64_is_certain():
    for x, intercept in ((A, True), (A, False), (A + 1e3, True), (np.column_stack([A, np.ones(200)]), True)):
        low, high = first(x, Y, intercept), solve(x, Y, intercept)
        np.testing.assert_allclose(low.coef, high.coef, rtol=1e-10)
        np.testing.assert_allclose(low.inverse, high.inverse, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.ldexp(low.scale, low.exponent), np.ldexp(high.scale, high.exponent), rtol=1e-12)
        assert low.intercept == pytest.approx(high.intercept, rel=1e-9)
        assert rss(low) == pytest.approx(rss(high), rel=1e-10)
        assert low.condition == pytest.approx(high.condition, rel=1e-9)
        assert low.mean_leverage == pytest.approx(high.mean_leverage, rel=1e-9, nan_ok=True)
        assert list(map(str, low.dependencies)) == list(map(str, high.dependencies))


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200])
@pytest.mark.parametrize("precise", [solve, first])
def test_a_constant_of_any_size_counts_without_an_intercept(unit, precise):
    x = np.column_stack([A[:, 0], np.full(200, unit)])
    found = precise(x, Y, intercept=False)
    assert found.rank == 2
    same = solve(np.column_stack([A[:, 0], np.ones(200)]), Y, intercept=False)
    np.testing.assert_allclose(found.coef * [1.0, unit], same.coef, rtol=1e-12)
    still = precise(A, np.full(200, unit), intercept=False)
    np.testing.assert_allclose(still.coef / unit, solve(A, np.ones(200), intercept=False).coef, rtol=1e-12)
    assert still.rss > 0


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200, 1e290])
def test_weights_of_any_size(unit):
    weight = np.abs(A[:, 2]) + 0.1
    base, found = solve(A, Y, weight=weight), solve(A, Y, weight=weight * unit)
    np.testing.assert_allclose(found.coef, base.coef, rtol=1e-13)
    assert found.intercept == pytest.approx(base.intercept, rel=1e-13)
    assert found.mean_leverage * unit == pytest.approx(base.mean_leverage, rel=1e-13)


def test_a_target_that_is_a_column_has_coefficients_of_zero():
    for x in (A, A + 1e8, np.column_stack([A, A[:, 0] + 1e-12 * Y])):
        found = solve(x, x[:, 2])
        np.testing.assert_array_equal(found.coef, np.eye(x.shape[1])[2])
        assert (found.intercept, found.rss) == (0.0, 0.0)
        np.testing.assert_array_equal(found.digits, found.digits[0])


def test_coefficients_that_are_tiny_are_not_taken_for_zero():
    x = np.zeros((200, 2))
    x[:100, 0], x[100:, 1] = A[:100, 0], A[100:, 1]
    found = solve(x, np.r_[x[:100, 0], 1e-60 * x[100:, 1]], intercept=False)
    np.testing.assert_allclose(found.coef, [1.0, 1e-60], rtol=1e-14)
    assert (found.digits > 15).all()


@pytest.mark.parametrize("precise", [solve, first])
def test_copies_in_extreme_units(precise):
    units = np.array([1e-300, 1.0, 1.0])
    found = precise(A[:, :1] * units, Y)
    assert found.rank == 1
    assert list(found.identifiable) == [False] * 3
    assert units @ found.coef == pytest.approx(solve(A[:, :1], Y).coef[0])
