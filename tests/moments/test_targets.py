"""Several targets from one scan."""

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import NotFound, UsageError

RNG = np.random.default_rng(2)
N = 200
X = RNG.standard_normal((N, 6)) @ RNG.standard_normal((6, 6)) + 1
TABLE = np.column_stack([X, X @ RNG.standard_normal((6, 3)) + RNG.standard_normal((N, 3)), X[:, 0] + X[:, 1]])
MOMENTS = sr.scan(sr.open(TABLE), progress=False)


@pytest.mark.parametrize("intercept", [True, False])
def test_each_target_is_fitted_as_if_alone(intercept):
    model = sr.Linear(intercept=intercept)
    fits = sr.fit_targets(model, MOMENTS, ["x6", "x8", "x7"])
    assert list(fits) == ["x6", "x8", "x7"]
    for target, fit in fits.items():
        alone = sr.Linear(intercept=intercept, target=target, features=fit.names).fit(MOMENTS)
        assert fit.names == (*(f"x{k}" for k in range(6)), "x9")
        assert fit.target == target
        assert fit.dependencies == alone.dependencies == ("x9 = x0 + x1",)
        for name in ("coef", "std_errors", "digits", "rss", "intercept", "aic"):
            np.testing.assert_array_equal(getattr(fit, name), getattr(alone, name))
        np.testing.assert_allclose(
            fit.predict(TABLE[:, [0, 1, 2, 3, 4, 5, 9]]), alone.predict(TABLE[:, [0, 1, 2, 3, 4, 5, 9]])
        )


def test_ridge_and_chosen_features():
    fits = sr.fit_targets(sr.Linear(ridge=2.0, features=("x1", "x2")), MOMENTS, ("x6", "x0"))
    alone = sr.Linear(ridge=2.0, features=("x1", "x2"), target="x0").fit(MOMENTS)
    assert np.array_equal(fits["x0"].coef, alone.coef)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="no target"):
        sr.fit_targets(sr.Linear(), MOMENTS, [])
    with pytest.raises(UsageError, match="'x1' is a target and a feature"):
        sr.fit_targets(sr.Linear(features=("x1",)), MOMENTS, ["x1"])
    with pytest.raises(NotFound, match="no column 'x66'"):
        sr.fit_targets(sr.Linear(), MOMENTS, ["x66"])
    with pytest.raises(UsageError, match="not from ndarray"):
        sr.fit_targets(sr.Linear(), TABLE, ["x1"])
