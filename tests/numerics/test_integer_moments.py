"""Laws of the exact Gram matrix: it is a function of the set of rows, and of nothing else."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import as_fractions, digits, estimates, feed, fit, named

from streamreg.errors import DataError, NotFound
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.slices import slice_bits
from streamreg.solve import exact
from streamreg.stats.integer_moments import Grid, IntegerMoments
from streamreg.stats.moments import Moments

KINDS = (
    "plain",
    "offset",
    "wide",
    "wildly wide",
    "tiny",
    "units",
    "outlier",
    "int64",
    "uint64",
    "small",
    "float32",
    "bool",
    "late",
    "subnormal",
)


def rows(kind, n=60, p=3, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    match kind:
        case "offset":
            x += np.array([1e12, 1e6, -1e3])
        case "wide":
            x *= 10.0 ** rng.integers(-30, 30, (n, p))
        case "wildly wide":
            x *= 10.0 ** rng.integers(-150, 150, (n, p))
        case "tiny":
            x *= 1e-300
        case "units":
            x *= np.array([1e200, 1e-200, 1e12])
        case "outlier":
            x[7, 1], y[9] = 1e12, 1e200
        case "int64":
            x = rng.integers(int(1.6e18), int(1.7e18), (n, p))
        case "uint64":
            x = rng.integers(0, 2**64 - 1, (n, p), dtype=np.uint64)
        case "small":
            x = rng.integers(-5, 5, (n, p), dtype=np.int8)
        case "float32":
            x = x.astype(np.float32)
        case "bool":
            x = x > 0
        case "late":
            x[: n // 2] = 0.0
            x[n // 2 :] *= 1e-100
        case "subnormal":
            x[::7] = 5e-324
    return x, y


def weights(kind, n, seed=0):
    rng = np.random.default_rng(seed)
    match kind:
        case "none":
            return None
        case "sixteen decades":
            return 10.0 ** rng.uniform(-8, 8, n)
        case "wild":
            return 10.0 ** rng.uniform(-150, 150, n)
    return rng.integers(1, 4, n).astype(float)


def as_rational(total):
    """The moments as fractions."""
    k = len(total.entries)
    return [
        [
            Fraction(int(total.entries[i, j])) * Fraction(2) ** int(total.exponent[i] + total.exponent[j])
            for j in range(k)
        ]
        for i in range(k)
    ]


def true_moments(x, y, weight=None, low=None):
    table = [[Fraction(1), *row, Fraction(float(v))] for row, v in zip(as_fractions(x, low), y, strict=True)]
    heavy = [Fraction(1)] * len(y) if weight is None else [Fraction(float(w)) for w in weight]
    k = len(table[0])
    return [[sum(w * r[i] * r[j] for w, r in zip(heavy, table, strict=True)) for j in range(k)] for i in range(k)]


@pytest.mark.parametrize("heavy", ["none", "counts", "sixteen decades", "wild"])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_rational_arithmetic(kind, heavy):
    x, y = rows(kind)
    weight = weights(heavy, len(y))
    state = feed(IntegerMoments(named(x)), x, y, weight)
    assert as_rational(state.total()) == true_moments(x, y, weight)


@pytest.mark.parametrize("heavy", ["none", "sixteen decades"])
@pytest.mark.parametrize("kind", ["plain", "offset", "wide", "units"])
def test_two_part_features_are_exact_too(kind, heavy):
    x, y = rows(kind)
    weight = weights(heavy, len(y))
    low = x * 2.0**-60 * np.random.default_rng(1).uniform(-1, 1, x.shape)
    state = feed(IntegerMoments(named(x)), x, y, weight, low)
    assert as_rational(state.total()) == true_moments(x, y, weight, low)


def test_many_columns_use_shorter_blocks_and_are_exact():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((40, 20)) * 10.0 ** rng.integers(-9, 9, 20), rng.standard_normal(40)
    state = IntegerMoments(named(x))
    assert state.block_rows < IntegerMoments(named(x[:, :3])).block_rows
    assert as_rational(feed(state, x, y).total()) == true_moments(x, y)


def test_full_blocks_of_the_greatest_slices_do_not_round():
    # Every slice of every value is as great as it can be: sums of products reach 2**53, where float64 is still exact.
    for p in (3, 20):
        state = IntegerMoments([f"x{k}" for k in range(p)], Grid(np.full(p, 4)))
        bits = slice_bits(state.block_rows)
        assert 2 * (bits - 1) + np.log2(state.block_rows) <= 53
        half = Fraction(1, 2) - Fraction(1, 2**30)
        greatest = 16 * half * (1 + Fraction(1, 2**bits) + Fraction(1, 4**bits))
        high = float(greatest)
        low = float(greatest - Fraction(high))
        x = np.full((state.block_rows, p), high)
        feed(state, x, None, None, np.full_like(x, low))
        true = len(x) * (Fraction(high) + Fraction(low)) ** 2
        assert as_rational(state.total())[1][2] == true


def same(a, b):
    """Whether two solutions have the same bits throughout."""
    for name in a.__dataclass_fields__:
        left, right = getattr(a, name), getattr(b, name)
        if name == "dependencies":
            assert list(map(str, left)) == list(map(str, right))
        else:
            np.testing.assert_array_equal(left, right, err_msg=name)
    return True


def solved(state):
    return exact.solve(state.problem("y"))


@pytest.mark.parametrize("heavy", ["none", "sixteen decades"])
@pytest.mark.parametrize("kind", ["plain", "offset", "wide", "int64", "float32", "units"])
def test_same_bits_for_any_chunking_row_order_merge_order_and_grid(kind, heavy):
    x, y = rows(kind, n=900)
    weight = weights(heavy, len(y))
    names = named(x)
    reference = solved(feed(IntegerMoments(names), x, y, weight))
    rng = np.random.default_rng(2)

    order = rng.permutation(len(y))
    shuffled = feed(IntegerMoments(names), x[order], y[order], None if weight is None else weight[order])
    assert same(solved(shuffled), reference)

    moments = feed(Moments(names), x, y, weight)
    for grid in (Grid.of(moments), Grid(np.zeros(4, dtype=int)), Grid(np.array([40, -40, 3, 11]))):
        assert same(solved(feed(IntegerMoments(names, grid), x, y, weight)), reference)

    for cuts in ([1, 2, 3], [450], sorted(rng.choice(np.arange(1, 900), 8, replace=False))):
        parts = []
        for part in np.split(np.arange(900), cuts):
            # Each of its own, so every one chooses its grid; and, in the other half, all on one grid.
            state = IntegerMoments(names, None if len(cuts) < 4 else Grid.of(moments))
            parts.append(feed(state, x[part], y[part], None if weight is None else weight[part]))
        arrays = [part.to_arrays() for part in parts]
        for shape in ("left", "right", "shuffled"):
            again = [IntegerMoments.from_arrays(a) for a in arrays]
            if shape == "shuffled":
                again = [again[k] for k in rng.permutation(len(again))]
            while len(again) > 1:
                if shape == "right":
                    last = again.pop()
                    again[-1].merge(last)
                else:
                    again[0].merge(again.pop(1))
            assert again[0].n == 900
            assert same(solved(again[0]), reference)


def test_states_of_one_scan_share_the_grid_of_the_first():
    x, y = rows("plain", n=300)
    root = IntegerMoments(named(x))
    a, b = root.fresh(), root.fresh()
    feed(a, x[:150], y[:150]), feed(b, 1e9 * x[150:], y[150:])
    assert a._sums.exponent is b._sums.exponent
    a.merge(b)
    assert as_rational(a.total()) == true_moments(np.vstack([x[:150], 1e9 * x[150:]]), y)


def test_many_blocks_fill_no_word():
    state = IntegerMoments(["x", "y"])
    x = np.full((1, 1), 2.0**20 - 1)
    for _ in range(1500):
        feed(state, x, x[:, 0])
    assert as_rational(state.total())[1][1] == 1500 * (2**20 - 1) ** 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_any_floats_at_all(values, size):
    table = np.array(values)
    state = IntegerMoments(["x", "y"])
    state.block_rows = size
    feed(state, table[:, :1], table[:, 1])
    assert as_rational(state.total()) == true_moments(table[:, :1], table[:, 1])


def test_weight_two_is_a_row_twice():
    x, y = rows("plain", n=50)
    weight = np.where(np.arange(50) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(50), weight.astype(int))
    a = solved(feed(IntegerMoments(named(x)), x, y, weight))
    b = solved(feed(IntegerMoments(named(x)), x[twice], y[twice]))
    np.testing.assert_array_equal(a.coef, b.coef)
    np.testing.assert_array_equal(a.inverse, b.inverse)
    assert (a.intercept, a.rss, a.mean_leverage) == (b.intercept, b.rss, b.mean_leverage)


def test_weights_against_rational_arithmetic():
    x, y = rows("offset", n=25)
    weight = weights("sixteen decades", 25)
    problem = feed(IntegerMoments(named(x)), x, y, weight).problem("y")
    reference = fit(x, y, weight)
    coef, _ = estimates(problem, exact.solve(problem))
    assert min(digits(b, t) for b, t in zip(coef, reference.coef, strict=True)) > 15.5
    logs = feed(IntegerMoments(named(x)), x, y, weight).log_weight
    assert logs == pytest.approx(np.log(weight).sum(), abs=1e-9)


def test_scaling_the_target_by_a_power_of_two_scales_everything():
    x, y = rows("offset")
    a = solved(feed(IntegerMoments(named(x)), x, y))
    b = solved(feed(IntegerMoments(named(x)), x, y * 2.0**700))
    np.testing.assert_array_equal(b.coef, np.ldexp(a.coef, 700))
    assert b.intercept == np.ldexp(a.intercept, 700)
    assert (b.rss, b.target_exponent) == (a.rss, a.target_exponent + 700)


def test_affine_targets():
    rng = np.random.default_rng(7)
    x = rng.integers(-1000, 1000, (40, 3)) / 8
    y = rng.integers(-1000, 1000, 40) / 16
    a = solved(feed(IntegerMoments(named(x)), x, y))
    b = solved(feed(IntegerMoments(named(x)), x, 3.0 * y + 5.0))
    np.testing.assert_allclose(b.coef, 3.0 * a.coef, rtol=4e-16)
    assert b.intercept == pytest.approx(3.0 * a.intercept + 5.0, rel=1e-15)
    assert b.rss * 4.0**b.target_exponent == pytest.approx(9.0 * a.rss * 4.0**a.target_exponent, rel=1e-15)


def test_an_offset_of_a_column_leaves_the_slopes():
    rng = np.random.default_rng(8)
    x = np.round(rng.standard_normal((50, 3)) * 2**20) / 2**20  # so that adding 1e9 rounds nothing
    y = rng.standard_normal(50)
    a = solved(feed(IntegerMoments(named(x)), x, y))
    b = solved(feed(IntegerMoments(named(x)), x + np.array([1e9, 0.0, 0.0]), y))
    np.testing.assert_array_equal(a.coef, b.coef)
    np.testing.assert_array_equal(a.inverse, b.inverse)


def test_column_order_changes_nothing_but_the_order():
    x, y = rows("offset", n=80)
    a = solved(feed(IntegerMoments(named(x)), x, y))
    b = solved(feed(IntegerMoments(named(x)), x[:, ::-1], y))
    np.testing.assert_array_equal(a.coef, b.coef[::-1])
    assert a.intercept == b.intercept
    assert a.rss == b.rss


def test_a_subset_of_columns_and_another_target():
    x, y = rows("plain")
    state = feed(IntegerMoments(named(x)), x, y)
    part = exact.solve(state.problem("x0", ["y", "x2"]))
    other = np.column_stack([y, x[:, 2]])
    whole = exact.solve(feed(IntegerMoments(["y", "x2", "x0"]), other, x[:, 0]).problem("x0"))
    np.testing.assert_array_equal(part.coef, whole.coef)
    with pytest.raises(NotFound, match="x9"):
        state.problem("y", ["x9"])


def test_an_empty_state_says_so():
    state = IntegerMoments(["x", "y"])
    with pytest.raises(DataError, match="nothing to estimate"):
        state.problem("y")
    again = IntegerMoments.from_arrays(state.to_arrays())
    x = np.arange(5.0)[:, None]
    feed(again, x, 2.0 * x[:, 0])
    state.merge(again)
    assert exact.solve(state.problem("y")).coef[0] == 2.0


def test_penalties():
    x, y = rows("plain")
    problem = feed(IntegerMoments(named(x)), x, y).problem("y")
    found = exact.solve(problem.penalised(0.7))
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(
        found.coef, np.linalg.solve(centred.T @ centred + 0.7 * np.eye(3), centred.T @ y), rtol=1e-12
    )


def test_powers_in_double_double():
    x = np.array([0.1, -3.7, 1e10, 1 / 3])
    high, low = dd.powers(x, 6)
    for value, h, rest in zip(x, high, low, strict=True):
        for k in range(6):
            truth = Fraction(float(value)) ** (k + 1)
            assert abs(Fraction(float(h[k])) + Fraction(float(rest[k])) - truth) <= abs(truth) * Fraction(2) ** -100
