"""Ridge: right to the digits promised, at every level and for any penalty, against rational solutions."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from reference import digits

import streamreg as sr

ALLOWED = 0.3


def rational(x, y, ridge, weight=None, intercept=True):
    """Return the ridge solution, the intercept first if there is one, and its residual sum of squares."""
    rows = [[*([Fraction(1)] * intercept), *(Fraction(float(v)) for v in row)] for row in x]
    target = [Fraction(float(v)) for v in y]
    weights = [Fraction(float(v)) for v in (np.ones(len(y)) if weight is None else weight)]
    k = len(rows[0])
    work = [
        [
            sum(w * r[i] * v for w, r, v in zip(weights, rows, column, strict=True))
            for column in [*zip(*rows, strict=True), target]
        ]
        for i in range(k)
    ]
    for i in range(int(intercept), k):
        work[i][i] += Fraction(ridge)
    for i in range(k):
        pivot = next(r for r in range(i, k) if work[r][i])
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for r in range(k):
            if r != i and work[r][i]:
                work[r] = [a - work[r][i] * b for a, b in zip(work[r], work[i], strict=True)]
    coef = [row[-1] for row in work]
    left = [v - sum(a * b for a, b in zip(r, coef, strict=True)) for r, v in zip(rows, target, strict=True)]
    return coef, sum(w * r * r for w, r in zip(weights, left, strict=True))


def problem(seed):
    """A table of any shape: offsets, units, near-collinear columns, weights, more columns than rows."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 11))
    p = n + int(rng.integers(0, 3)) if rng.random() < 0.3 else int(rng.integers(1, 6))
    x = rng.standard_normal((n, p)) + 10 ** rng.uniform(0, 5) * rng.standard_normal(p) * (rng.random() < 0.5)
    if p > 1 and rng.random() < 0.7:
        x[:, -1] = x[:, 0] + 10 ** rng.uniform(-9, -1) * rng.standard_normal(n)
    x = x * 10 ** rng.uniform(-3, 3, p) if rng.random() < 0.3 else x
    y = x @ rng.standard_normal(p) + 10 ** rng.uniform(-6, 1) * rng.standard_normal(n)
    weight = 10 ** rng.uniform(-2, 2, n) if rng.random() < 0.3 else None
    return x, y, weight, float(10 ** rng.uniform(-12, 6)), bool(rng.random() < 0.7)


def estimates(fit):
    values, promised = [*fit.coef], [*fit.digits]
    if fit.has_intercept:
        values, promised = [fit.intercept, *values], [fit.digits_intercept, *promised]
    return values, np.array(promised)


def test_promises_for_any_penalty():
    levels = {"float64": 0, "residuals": 0, "exact": 0}
    for seed in range(80):
        x, y, weight, ridge, intercept = problem(seed)
        coef, rss = rational(x, y, ridge, weight, intercept)
        source = sr.open((x, y) if weight is None else (x, y, weight))
        model = sr.Linear(ridge=ridge, intercept=intercept)
        fits = [model.model_copy(update={"precision": k}).fit(source) for k in ("float64", "exact", "auto")]
        for fit in [*fits, model.fit(sr.scan(source))]:
            values, promised = estimates(fit)
            true = np.array([max(digits(v, t), 0.0) for v, t in zip(values, coef, strict=True)])
            assert np.nanmax(promised - true) <= ALLOWED, (seed, fit.method)
            if fit.method == "exact":
                assert true.min() >= 14.5, seed
                assert fit.rss == pytest.approx(float(rss), rel=1e-9), seed
        assert min(digits(v, t) for v, t in zip(estimates(fits[-1])[0], coef, strict=True)) >= 9.7, seed
        levels[fits[-1].method] += 1
    assert min(levels.values()) >= 3, levels


def test_more_columns_than_rows_get_their_digits_in_one_pass():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((50, 200)), rng.standard_normal(50)
    fit = sr.Linear(ridge=1.0).fit((x, y))
    assert (fit.method, fit.status, fit.rank) == ("float64", "ok", 200)
    assert fit.digits.min() > 8.0
    exact = sr.Linear(ridge=1.0, precision="exact").fit((x, y))
    assert max(abs(fit.coef / exact.coef - 1) * 10.0**fit.digits) <= 2.0
    assert fit.rss == pytest.approx(exact.rss, rel=1e-9)


def test_subsets_and_other_targets_of_moments_keep_their_promise():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 4))
    x[:, 3] = x[:, 0] + 1e-5 * x[:, 3]
    moments = sr.scan((x, x[:, 1] + rng.standard_normal(30)))
    for ridge in (1e-8, 1e-3, 10.0):
        fit = sr.Linear(ridge=ridge, features=("x0", "x3"), target="x2").fit(moments)
        coef, _ = rational(x[:, [0, 3]], x[:, 2], ridge)
        for value, promised, truth in zip(*estimates(fit), coef, strict=True):
            assert promised - max(digits(value, truth), 0.0) <= ALLOWED


def test_powers_under_a_penalty():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 4, 40).round(2), rng.standard_normal(40)
    fit = sr.Linear(ridge=1e-9, powers={"x0": 6}, precision="exact").fit((x[:, None], y))
    table = [[Fraction(float(v)) ** k for k in range(1, 7)] for v in x]

    near = np.array([[float(v) for v in row] for row in table])
    coef, _ = rational(near, y, 1e-9)  # of rounded powers: fewer digits
    np.testing.assert_allclose(fit.coef, [float(v) for v in coef[1:]], rtol=1e-6)
    again = sr.Linear(ridge=1e-9, powers={"x0": 6}).fit((x[:, None], y))
    assert max(abs(again.coef / fit.coef - 1)) <= 1e-9


def test_a_constant_column_has_a_slope_of_zero_and_all_its_digits():
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.standard_normal(20), np.full(20, 3.0)])
    for precision in ("float64", "auto", "exact"):
        fit = sr.Linear(ridge=0.5, precision=precision).fit((x, rng.standard_normal(20)))
        assert fit.coef[1] == 0.0
        assert not fit.digits[0] < 10.0


def test_enormous_penalties_promise_nothing_wrong():
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    for ridge in (1e20, 1e150, 1e300):
        coef, _ = rational(x, y, ridge)
        for precision in ("float64", "auto", "exact"):
            values, promised = estimates(sr.Linear(ridge=ridge, precision=precision).fit((x, y)))
            for value, number, truth in zip(values, promised, coef, strict=True):
                assert number - max(digits(value, truth), 0.0) <= ALLOWED


def test_the_advice_of_a_summary_can_be_followed():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((60, 3))
    x[:, 2] = x[:, 0] + 1e-9 * x[:, 2]
    data = (x, rng.standard_normal(60))
    rough = sr.Linear(ridge=1e-12, precision="float64").fit(data)
    assert "precision='exact' gives more" in " ".join(rough.summary().split())
    fine = sr.Linear(ridge=1e-12, precision="exact").fit(data)
    assert fine.digits.min() > 14.0
    assert "precision='exact'" not in " ".join(fine.summary().split())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sr.Linear(ridge=1e-12).fit(data).method == "exact"
