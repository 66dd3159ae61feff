"""Exact solutions of many columns: panels change nothing, and the promised digits are there."""

from fractions import Fraction

import numpy as np
import pytest
from reference import digits, estimates, feed, fit, named, root_digits

from streamreg.kernels import doubledouble as dd
from streamreg.solve import elimination, exact
from streamreg.stats.integer_moments import IntegerMoments


def problem(x, y, weight=None, intercept=True):
    return feed(IntegerMoments(named(x)), x, y, weight).problem("y", intercept=intercept)


def random(seed, p, spare=20, log_condition=None):
    """Random rows: correlated columns of a given condition number, in wild units, offset, weighted or not."""
    rng = np.random.default_rng(seed)
    n = p + spare
    log_condition = rng.uniform(0, 14) if log_condition is None else log_condition
    rotation = np.linalg.qr(rng.standard_normal((p, p)))[0]
    x = rng.standard_normal((n, p)) * 10.0 ** -np.linspace(0, log_condition, p) @ rotation
    y = x @ rng.standard_normal(p) + 10.0 ** rng.uniform(-8, 1) * rng.standard_normal(n)
    x += 10.0 ** rng.uniform(-2, 4) * rng.standard_normal(p) * (rng.random() < 0.5)
    x *= 10.0 ** (rng.uniform(-100, 100, p) * (rng.random() < 0.3))
    weight = None if rng.random() < 0.6 else 10.0 ** rng.uniform(-3, 3, n)
    return x, y, weight, bool(rng.random() < 0.7)


def nasty(seed, p, n):
    """Rows of which some columns are constant, copies, or sums of others."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) + 3.0
    for j in rng.choice(np.arange(3, p), p // 4, replace=False):
        kind = rng.integers(4)
        x[:, j] = (np.full(n, 7.5), x[:, j - 1], x[:, j - 1] + x[:, j - 2] - 1.0, x[:, 0] + 1e-11 * x[:, j])[kind]
    return x, x[:, 0] - x[:, 1] + rng.standard_normal(n)


def same(a, b, but=()):
    for name in a.__dataclass_fields__:
        left, right = getattr(a, name), getattr(b, name)
        if name == "dependencies":
            assert list(map(str, left)) == list(map(str, right))
        elif name not in but:
            np.testing.assert_array_equal(left, right, err_msg=name)


def of_panels(monkeypatch, of, width):
    monkeypatch.setattr(elimination, "_PANEL", width)
    return exact.solve(of)


@pytest.mark.parametrize("width", [1, 2, 3, 16])
def test_promised_digits_against_rational_arithmetic(width, monkeypatch):
    for seed in range(40):
        p = 1 + seed % 7
        x, y, weight, intercept = random(seed, p, spare=3 + seed % 5)
        of = problem(x, y, weight, intercept)
        found = of_panels(monkeypatch, of, width)
        if found.status != "ok":
            continue
        true = fit(x, y, weight, None, intercept)
        coef, errors = estimates(of, found)
        promised = np.append([found.digits_intercept], found.digits) if intercept else found.digits
        wrong = [abs(Fraction(float(c)) / t - 1) for c, t in zip(coef, true.coef, strict=True)]
        assert all(w <= 10**-d for w, d in zip(wrong, promised, strict=True)), seed
        assert min(promised) >= 15.3
        assert min(root_digits(e, v) for e, v in zip(errors, true.variance, strict=True)) >= found.digits_se
        rss = Fraction(found.rss) * Fraction(4) ** found.target_exponent
        assert abs(rss / true.rss - 1) <= 10**-found.digits_rss


@pytest.mark.parametrize("offset", [1e6, 1e14])
def test_intercepts_far_from_the_data(offset, monkeypatch):
    rng = np.random.default_rng(0)
    x = offset + np.round(16.0 * rng.standard_normal((30, 6)))
    y = rng.standard_normal(30)
    of, true = problem(x, y), fit(x, y)
    found = of_panels(monkeypatch, of, 2)
    coef, errors = estimates(of, found)
    assert min(digits(c, t) for c, t in zip(coef, true.coef, strict=True)) >= 15.3
    assert min(root_digits(e, v) for e, v in zip(errors, true.variance, strict=True)) >= 14.7


@pytest.mark.parametrize("seed", range(6))
def test_panels_change_no_bit(seed, monkeypatch):
    x, y, weight, intercept = random(seed, 50)
    of = problem(x, y, weight, intercept)
    whole = of_panels(monkeypatch, of, 1000)
    for width in (1, 7, 16, 25):
        same(of_panels(monkeypatch, of, width), whole, but=("inverse", "condition"))


@pytest.mark.parametrize("n", [10, 39, 200])
@pytest.mark.parametrize("seed", range(3))
def test_panels_see_the_same_dependencies(seed, n, monkeypatch):
    x, y = nasty(seed, 40, n)
    for intercept in (True, False):
        of = problem(x, y, None, intercept)
        whole = of_panels(monkeypatch, of, 1000)
        assert whole.status == "dependent"
        for width in (1, 7, 20):
            same(of_panels(monkeypatch, of, width), whole, but=("inverse", "condition"))


def powers(degree, n=60):
    """Rows of powers of two parts each, whose last pivots are as small as such columns make them."""
    high, low = dd.powers(np.linspace(0.1, 1.7, n), degree)
    y = np.cos(5.0 * high[:, 0])
    return feed(IntegerMoments(named(high)), high, y, None, low).problem("y")


def neighbours(p, n=60):
    """Rows of columns that differ in the last bits of float64 only."""
    rng = np.random.default_rng(p)
    return problem(rng.standard_normal((n, 1)) + 2.0**-50 * rng.integers(-8, 8, (n, p)), rng.standard_normal(n))


HARD = {f"1e{k}": problem(*random(k, 24, log_condition=float(k))) for k in range(2, 15)}
HARD |= {f"{k} powers": powers(k) for k in (10, 18, 26)} | {"neighbours": neighbours(20)}


@pytest.mark.parametrize("of", HARD.values(), ids=list(HARD))
def test_the_rounding_of_the_fixed_point_is_bounded(of, monkeypatch):
    monkeypatch.setattr(elimination, "_PANEL", 5)
    p, found = len(of.names), {}
    for bits in (384, 768):
        for module in (elimination, exact):
            monkeypatch.setattr(module, "BITS", bits)
        scaled = exact._scale(of)
        found[bits] = elimination.Elimination(scaled.gram, scaled.rounding, np.ones(p, dtype=bool), of.n)
        found[bits].run()
    monkeypatch.setattr(elimination, "BITS", 384)
    rough, fine = found[384], found[768]
    assert rough.kept == fine.kept
    error = np.abs(rough.shares[p] - (fine.shares[p] >> 384)).max()
    assert 0 < error <= rough.noise(p) < 2**330


@pytest.mark.parametrize("name", ["26 powers", "neighbours"])
def test_panels_change_no_bit_of_the_hardest(name, monkeypatch):
    whole = of_panels(monkeypatch, HARD[name], 1000)
    assert whole.digits.min() >= 15.3
    for width in (1, 4, 16):
        same(of_panels(monkeypatch, HARD[name], width), whole, but=("inverse", "condition"))


def test_same_bits_for_any_order_of_rows():
    x, y, weight, intercept = random(1, 70)
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = problem(x[order], y[order], None if weight is None else weight[order], intercept)
    same(exact.solve(shuffled), exact.solve(problem(x, y, weight, intercept)))


@pytest.mark.parametrize("columns", [15, 16, 40, pytest.param(500, marks=pytest.mark.slow)])
def test_perfect_fits_are_found_perfect(columns):
    rng = np.random.default_rng(columns)
    x = rng.integers(-1000, 1000, (columns + 30, columns)).astype(float)
    x[:, 1::2] += 2.0**20 * x[:, : 2 * (columns // 2) : 2]
    coef = rng.integers(-3, 4, columns).astype(float)
    found = exact.solve(problem(x, x @ coef + 17.0))
    np.testing.assert_array_equal(found.coef, coef)
    assert (found.intercept, found.rss, found.status) == (17.0, 0.0, "ok")


@pytest.mark.slow
@pytest.mark.parametrize("log_condition", [3, 10])
def test_three_hundred_columns_in_panels_and_at_once(log_condition, monkeypatch):
    x, y, weight, intercept = random(log_condition, 300, log_condition=float(log_condition))
    of = problem(x, y, weight, intercept)
    found = exact.solve(of)
    assert found.digits.min() >= 15.3
    same(found, of_panels(monkeypatch, of, 1000), but=("inverse", "condition"))
