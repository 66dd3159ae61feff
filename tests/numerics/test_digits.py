"""Predicted digits are never more than 0.3 above the true ones: against exact rational solutions."""

from fractions import Fraction

import numpy as np
import pytest
from reference import estimates, feed, fit, named, root_digits

import streamreg as sr
from streamreg.solve import cholesky, exact, ladder
from streamreg.solve.ladder import next_level
from streamreg.solve.refine import refine
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments
from streamreg.stats.residuals import Residuals

ALLOWED = 0.3


def problem(seed):
    """A regression with condition number 1..1e14, offsets 0..1e6, any noise, sometimes weighted."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(8, 60)), int(rng.integers(1, 6))
    kappa, offset = 10 ** rng.uniform(0, 14), 10 ** rng.uniform(0, 6) * (rng.random() < 0.8)
    left, right = np.linalg.qr(rng.standard_normal((n, p)))[0], np.linalg.qr(rng.standard_normal((p, p)))[0]
    x = left * np.geomspace(1, 1 / kappa, p) @ right * np.sqrt(n) + offset * rng.standard_normal(p)
    y = x @ rng.standard_normal(p) + 10 ** rng.uniform(-8, 1) * rng.standard_normal(n)
    y += offset * rng.standard_normal() * (rng.random() < 0.5)
    weight = None if rng.random() < 0.7 else 10.0 ** rng.uniform(-3, 3, n)
    return x, y, weight, bool(rng.random() < 0.8)


def true_digits(values, truths, floors=None):
    """Digits of coefficients, relative to each one, or to its floor if that is greater."""
    found = []
    for value, truth, floor in zip(values, truths, floors or [0] * len(truths), strict=True):
        error = abs(Fraction(float(value)) - truth) / (max(abs(truth), Fraction(floor)) or 1)
        found.append(16.0 if not error else float(np.clip(-np.log10(max(float(error), 1e-300)), 0.0, 16.0)))
    return np.array(found)


def excess(posed, found, reference):
    """By how much the prediction exceeds the truth: coefficients with intercept, and standard errors."""
    coef, errors = estimates(posed, found)
    promised = np.append(found.digits_intercept, found.digits) if posed.intercept else found.digits
    true = true_digits(coef, reference.coef)
    true_se = min(root_digits(e, v) for e, v in zip(errors, reference.variance, strict=True))
    return float((promised - true).max()), found.digits_se - max(true_se, 0.0)


@pytest.mark.slow
def test_promises_on_five_hundred_random_problems():
    levels = {"float64": 0, "residuals": 0, "exact": 0}
    worst: dict[str, float] = dict.fromkeys(levels, -99.0)
    for seed in range(500):
        x, y, weight, intercept = problem(seed)
        reference = fit(x, y, weight, None, intercept)
        posed = feed(Moments(named(x)), x, y, weight).problem("y", intercept=intercept)
        found = cholesky.solve(posed)
        candidates = {}
        if found.status == "ok":
            candidates["float64"] = (posed, found)
            if found.digits_after_residuals:
                again = refine(posed, found, feed(Residuals.of(posed, found), x, y, weight))
                candidates["residuals"] = (posed, again)
        exactly = feed(IntegerMoments(named(x)), x, y, weight).problem("y", intercept=intercept)
        last = exact.solve(exactly)
        if last.status == "ok":
            candidates["exact"] = (exactly, last)
        for level, (of, solution) in candidates.items():
            worst[level] = max(worst[level], *excess(of, solution, reference))
        # What "auto" promises before it climbs is kept after it.
        wanted = 10.0
        level = next_level(found, wanted)
        levels[level] += 1
        if level in candidates:
            coef, _ = estimates(*candidates[level])
            floors = [1e-3 * float(v) ** 0.5 for v in reference.variance]
            assert true_digits(coef, reference.coef, floors).min() >= wanted - ALLOWED, (seed, level)
    assert max(worst.values()) <= ALLOWED, worst
    assert min(levels.values()) >= 30, levels


def test_a_perfect_fit_asks_for_the_exact_level():
    x = np.random.default_rng(0).integers(-50, 50, (30, 2)).astype(float)
    posed = feed(Moments(named(x)), x, x @ np.array([2.0, -3.0]) + 1.0).problem("y")
    assert next_level(cholesky.solve(posed)) == "exact"


def test_levels_by_digits_asked():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 3))
    x[:, 2] = x[:, 0] + 1e-3 * x[:, 2]
    found = cholesky.solve(feed(Moments(named(x)), x, rng.standard_normal(500)).problem("y"))
    climbed = [next_level(found, digits) for digits in range(1, 16)]
    assert climbed == sorted(climbed, key=["float64", "residuals", "exact"].index)
    assert climbed[0] == "float64"
    assert "residuals" in climbed
    assert next_level(found, 1, se_digits=15) == "exact"


def test_a_residual_pass_doubles_the_digits():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3000, 4)) + 100.0
    x[:, 3] = x[:, 0] + 1e-4 * x[:, 3]
    y = x.sum(axis=1) + rng.standard_normal(3000)
    posed = feed(Moments(named(x)), x, y).problem("y")
    rough = cholesky.solve(posed)
    fine = refine(posed, rough, feed(Residuals.of(posed, rough), x, y))
    true = exact.solve(feed(IntegerMoments(named(x)), x, y).problem("y"))

    def wrong(found):
        return np.abs(found.coef / true.coef - 1).max()

    assert wrong(fine) < 1e-3 * wrong(rough)
    assert -np.log10(wrong(fine)) >= fine.digits.min() - ALLOWED
    assert fine.intercept == pytest.approx(true.intercept, rel=10 ** -(fine.digits_intercept - ALLOWED))


def test_units_change_no_promise():
    x, y, weight, intercept = problem(3)
    plain = cholesky.solve(feed(Moments(named(x)), x, y, weight).problem("y", intercept=intercept))
    units = 2.0 ** np.array([600, -600, 3, 40, -7])[: x.shape[1]]
    scaled = cholesky.solve(feed(Moments(named(x)), x * units, y * 2.0**-500, weight).problem("y", intercept=intercept))
    np.testing.assert_allclose(scaled.digits, plain.digits, atol=0.2)
    assert scaled.digits_se == pytest.approx(plain.digits_se, abs=0.2)


def test_columns_of_two_values_keep_what_is_promised():
    # Their roundings recur row after row: a centre that is no round number made the sum of squares wrong by 40 units.
    rng = np.random.default_rng(1)
    for n in (300, 900, 1024):
        x = np.column_stack([rng.standard_normal(n), np.arange(n) >= n * 5 // 9])
        total = feed(Moments(named(x)), x, x[:, 0]).total()
        count = int(x[:, 1].sum())
        assert total.cross[1, 1] == float(Fraction(count * (n - count), n))


@pytest.mark.parametrize("values", [(0, 1e200), (0, 0.1), (0.3, 0.7), (0, 1 / 3), (1e6 / 3, 1e6 / 7)])
@pytest.mark.parametrize("intercept", [True, False])
def test_promises_on_long_runs_of_one_value(values, intercept):
    n = 2000
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = np.column_stack([rng.standard_normal(n), np.where(np.arange(n) >= n // (2 + seed), *values[::-1])])
        y = x[:, 0] + 7 + rng.standard_normal(n)
        posed = feed(Moments(named(x)), x, y).problem("y", intercept=intercept)
        more = excess(posed, cholesky.solve(posed), fit(x, y, None, None, intercept))
        assert max(more) <= ALLOWED


def test_very_many_columns_settle_for_fewer_digits_and_say_so(monkeypatch):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((300, 4))
    x[:, 3] = x[:, 0] + 1e-3 * x[:, 3]
    y = x[:, 1] + rng.standard_normal(300)
    few = sr.Linear(digits=15).fit((x, y))
    assert (few.method, few.status) == ("exact", "ok")
    monkeypatch.setattr(ladder, "LARGE", 3)
    many = sr.Linear(digits=15).fit((x, y))
    assert many.method == "residuals"
    assert many.digits.min() >= 6.0
    assert "15 digits of 4 columns would take an exact solution" in many.status
    assert sr.Linear(digits=8).fit((x, y)).status == "ok"
    # Too few are there: the time is taken.
    x[:, 3] = x[:, 0] + 1e-6 * rng.standard_normal(300)
    assert sr.Linear(digits=15).fit((x, y)).method == "exact"
