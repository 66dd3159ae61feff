"""The comparator catches what should be caught, and passes what should pass."""

import dataclasses
import json

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(2)
X = RNG.standard_normal((1000, 5)) * [1, 2, 3, 4, 5] + 3
Y = X @ np.arange(1, 6.0) + 1 + RNG.standard_normal(1000)
FIT = sr.Linear().fit((X, Y))


def other(fit, coef=None, intercept=None, **changes):
    """Return bare coefficients, as another program would hand them over."""
    coef = fit.coef if coef is None else np.asarray(coef, dtype=float)
    intercept = fit.intercept if intercept is None else intercept
    bare = {"centre": np.zeros(len(coef)), "at_centre": intercept, "geometry": None, "model": {"kind": "other"}}
    return dataclasses.replace(fit, coef=coef, intercept=intercept, **(bare | changes))


def test_the_same_estimates_agree():
    found = sr.compare(FIT, other(FIT))
    assert found
    assert found.verdict == "agree"
    assert found.max_distance < 1e-9
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "agree"
    assert "Verdict: agree" in str(found)


def test_distances_are_those_of_the_loss_surface():
    coef = FIT.coef + FIT.std_errors * [3, -1, 0.5, 0, 2]
    b = other(FIT, coef, FIT.intercept + 0.1)
    found = sr.compare(FIT, b)
    np.testing.assert_allclose(found.distance, [3, 1, 0.5, 0, 2], rtol=1e-9)
    residual = Y - (X @ coef + FIT.intercept + 0.1)
    np.testing.assert_allclose(found.excess_loss, residual @ residual / FIT.rss - 1, rtol=1e-8)
    moved = X @ (coef - FIT.coef) + 0.1
    np.testing.assert_allclose(found.fitted_distance, np.sqrt(moved @ moved / FIT.tss), rtol=1e-9)
    np.testing.assert_allclose(found.wald, np.sqrt(moved @ moved / 6) / FIT.sigma, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_distance, 0.1 / FIT.intercept_std_error, rtol=1e-9)


def test_columns_are_matched_by_name():
    order = [3, 1, 4, 0, 2]
    permuted = sr.Linear().fit(sr.open((X[:, order], Y), columns=[f"x{k}" for k in order]))
    assert sr.compare(FIT, permuted).verdict == "agree"
    assert sr.compare(permuted, other(FIT)).verdict == "agree"


@pytest.mark.parametrize(
    ("coef", "intercept", "words"),
    [
        (FIT.coef[[1, 0, 2, 3, 4]], None, "swapped"),
        (FIT.coef * [1, 1, 1000, 1, 1], None, "1000 to 1"),
        (None, FIT.intercept + 0.5, "all of it in the intercept"),
        (FIT.coef + FIT.std_errors * [0, 0.1, 0, 0, 0], None, "all of it in x1"),
    ],
)
def test_what_differs_is_caught_and_named(coef, intercept, words):
    found = sr.compare(FIT, other(FIT, coef, intercept), tolerance=0.05)
    assert not found
    assert found.verdict == "differ"
    assert words in f"{found.reason} {found.advice}"


def test_a_fit_that_did_not_converge_is_called_so():
    coef = FIT.coef + FIT.std_errors
    found = sr.compare(FIT, other(FIT, coef, status="not converged: 1 epoch", level="mini-batch"))
    assert found.verdict == "not converged"
    assert "raise epochs" in found.advice


def test_flat_directions_are_named():
    z = RNG.standard_normal((1000, 2))
    x = np.column_stack([z, z[:, 0] + 0.01 * RNG.standard_normal(1000)])
    fit = sr.Linear().fit((x, x.sum(1) + RNG.standard_normal(1000)))
    found = sr.compare(fit, other(fit, fit.coef + [0.3, 0, -0.3], level="mini-batch"))
    assert str(found.directions[0]) in ("x0 - x2", "x2 - x0")
    assert "nearly flat" in found.reason
    assert "whiten" in found.advice


def test_differences_along_the_null_space_are_free():
    x1 = np.arange(1.0, 6)
    fit = sr.Linear().fit((np.column_stack([x1, x1 + 1]), 2 * x1 + 1))
    found = sr.compare(fit, other(fit, [1.15, 0.85], -0.85 + 1))
    assert found.verdict == "agree where identifiable"
    assert "x1 = x0 + 1" in found.reason
    assert sr.compare(fit, other(fit, [1.15, 0.85], 0.2)).verdict == "differ"
    without = sr.Linear(intercept=False).fit((np.column_stack([x1, x1 + 1]), 2 * x1 + 1))
    np.testing.assert_allclose(without.coef, [1, 1], rtol=1e-9)
    assert sr.compare(without, other(without, [1.15, 0.85], 0.0)).verdict == "differ"


def test_one_with_and_one_without_intercept():
    found = sr.compare(FIT, sr.Linear(intercept=False).fit((X, Y)))
    assert found.verdict == "differ"
    assert "intercept" in found.reason


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match="'x4' are in one only"):
        sr.compare(FIT, sr.Linear(features=("x0", "x1", "x2", "x3")).fit(sr.open((X, Y))))
    with pytest.raises(UsageError, match="second moments"):
        sr.compare(other(FIT), other(FIT))
    assert sr.compare(other(FIT), other(FIT), sr.open((X, Y))).verdict == "agree"
    with pytest.raises(UsageError, match="tolerance"):
        sr.compare(FIT, FIT, tolerance=0)
