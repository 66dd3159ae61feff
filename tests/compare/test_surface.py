"""Laws of the loss surface: distances are those of the rows, whatever depends on what."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.results.distance import measure


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    p=st.integers(1, 6),
    extra=st.integers(0, 3),
    intercept=st.booleans(),
    weighted=st.booleans(),
    spread=st.floats(-3, 3),
)
def test_distances_are_those_of_the_rows(seed, p, extra, intercept, weighted, spread):
    rng = np.random.default_rng(seed)
    n = 40
    x = rng.standard_normal((n, p)) * 10.0 ** (spread * rng.uniform(-1, 1, p)) + rng.integers(-3, 4, p)
    # Columns that depend on those before them, in small whole numbers.
    x = np.column_stack([x, *(x @ rng.integers(-2, 3, p) + intercept * rng.integers(-2, 3) for _ in range(extra))])
    y = x[:, :p] @ rng.standard_normal(p) + rng.standard_normal(n) + 2
    w = rng.uniform(0.2, 3, n) if weighted else np.ones(n)
    fit = sr.Linear(intercept=intercept).fit((x, y, w) if weighted else (x, y))
    step = rng.standard_normal(x.shape[1]) * (0.1 / np.maximum(np.abs(x).max(0), 1e-3))
    shift = 0.1 * rng.standard_normal() * intercept
    digits = {"digits": np.full(x.shape[1], 15.3), "digits_intercept": 15.3}
    a = dataclasses.replace(fit, **digits)
    b = dataclasses.replace(
        a, coef=fit.coef + step, intercept=fit.intercept + shift, centre=0 * step, at_centre=fit.intercept + shift
    )
    found = measure(fit, fit.geometry, a, b)
    moved = x @ step + shift
    residual = y - fit.predict(x) - moved
    newton = np.sqrt(w @ moved**2) / fit.sigma
    np.testing.assert_allclose(found.newton, newton, rtol=1e-6)
    np.testing.assert_allclose(found.wald, newton / np.sqrt(max(fit.rank + intercept, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.excess, w @ residual**2 / fit.rss - 1, rtol=1e-5, atol=1e-10)
    known = np.isfinite(found.each)
    assert np.array_equal(known, fit.identifiable & np.isfinite(fit.std_errors))
    assert (found.each[known] <= newton * (1 + 1e-6)).all()
    np.testing.assert_allclose(found.each[known], np.abs(step[known]) / fit.std_errors[known], rtol=1e-6)
    assert found.gradient <= newton * (1 + 1e-6)
    # Along the null space nothing is measured.
    free = fit.geometry.null_space @ rng.standard_normal(fit.geometry.null_space.shape[1])
    level = -float(np.average(x, axis=0, weights=w) @ free) if intercept else 0.0
    c = dataclasses.replace(b, coef=b.coef + free, at_centre=b.at_centre + level, intercept=b.intercept + level)
    np.testing.assert_allclose(measure(fit, fit.geometry, a, c).newton, newton, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    near=st.floats(-9, 0),
    noise=st.floats(-9, 1),
    move=st.floats(-4, 3),
    moved=st.sampled_from(["flat", "steep", "none"]),
)
def test_a_verdict_from_float64_moments_is_never_wrong(seed, near, noise, move, moved):
    """Against the same comparison measured by the exact Gram matrix, whichever way round it is asked."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((60, 2))
    x = np.column_stack([z, z[:, 0] + 10.0**near * rng.standard_normal(60)])
    y = x @ [1.0, 2.0, 3.0] + 1 + 10.0**noise * rng.standard_normal(60)
    exact = sr.Linear(precision="exact").fit((x, y))
    rough = sr.Linear(precision="float64").fit(sr.scan(sr.open((x, y))))
    step = {"flat": [1, 0, -1], "steep": [0, 1, 0], "none": [0, 0, 0]}[moved]
    coef = rough.coef + 10.0**move * exact.std_errors * step
    theirs = dict(zip(exact.names, coef, strict=True)) | {"intercept": rough.at_centre - rough.centre @ coef}
    pairs = [(rough, sr.coefficients(theirs, target=rough.target)), (rough, exact)]
    for a, b in pairs:
        found, back = sr.compare(a, b), sr.compare(b, a)
        assert found.verdict == back.verdict
        assert found.bounds == back.bounds
        assert found.bounds[0] <= found.bounds[1]
        by_errors = "SE" in found.reason  # else by fitted values, where residuals cannot be told from zero
        if found.verdict.startswith("agree") and found.max_distance and by_errors:
            assert measure(exact, exact.geometry, a, b).greatest <= 0.01 * (1 + 1e-6)
        if found.verdict == "differ":  # whatever rounding did to the float64 fit
            apart = measure(exact, exact.geometry, exact, b)
            assert apart.perfect or apart.greatest > 0.01 / 3
    assert sr.compare(rough, exact).verdict != "differ"


@pytest.mark.parametrize("seed", range(12))
def test_polynomials_from_float64_moments_are_never_judged_wrongly(seed):
    rng = np.random.default_rng(seed)
    degree, t = (
        int(rng.integers(3, 11)),
        rng.uniform(0, 1, 80) * 10.0 ** rng.uniform(-1, 1) + 10.0 ** rng.uniform(-2, 1),
    )
    x, order = np.column_stack([t**k for k in range(1, degree + 1)]), rng.permutation(80)
    y = np.cos(t) + 10.0 ** rng.uniform(-6, 0) * rng.standard_normal(80)
    a, b = (sr.Linear().fit(sr.scan(sr.open((x[rows], y[rows])))) for rows in (slice(None), order))
    exact = sr.Linear(precision="exact").fit((x, y))
    for one, other in ((a, b), (a, exact)):
        found = sr.compare(one, other)
        assert found.verdict == sr.compare(other, one).verdict
        assert found.verdict != "differ"  # they are of the same rows
        if found and "SE" in found.reason:
            assert measure(exact, exact.geometry, one, other).greatest <= 0.0101
