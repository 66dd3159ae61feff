"""Profile likelihood intervals against direct optimisation of statsmodels' likelihood."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import optimize, stats

import streamreg as sr
from streamreg.errors import NotFound, UsageError

RNG = np.random.default_rng(11)
N = 150
FRAME = pd.DataFrame({"x": RNG.normal(1.0, 1.0, N), "z": RNG.uniform(0.0, 2.0, N), "away": RNG.uniform(0.5, 2.0, N)})
ETA = 0.5 * FRAME["x"] - 0.4 * FRAME["z"]
FRAME["label"] = (RNG.random(N) < 1.0 / (1.0 + np.exp(-ETA))).astype(float)
FRAME["count"] = RNG.poisson(FRAME["away"] * np.exp(ETA)).astype(float)
FRAME["size"] = RNG.gamma(2.0, np.exp(ETA))

CASES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "logit": ({"family": "binomial"}, "label", sm.families.Binomial()),
    "probit": ({"family": "binomial", "link": "probit"}, "label", sm.families.Binomial(sm.families.links.Probit())),
    "poisson": ({"family": "poisson", "exposure": "away"}, "count", sm.families.Poisson()),
    "gamma": ({"family": "gamma"}, "size", sm.families.Gamma(sm.families.links.Log())),
}


def reference(name: str, place: int, side: int, level: float) -> float:
    """Return an end by solving for the deviance, with the other coefficients fitted at each value."""
    options, target, family = CASES[name]
    x = sm.add_constant(FRAME[["x", "z"]]).to_numpy()
    offset = np.log(FRAME["away"].to_numpy()) if "exposure" in options else np.zeros(N)
    y = FRAME[target].to_numpy()
    whole = sm.GLM(y, x, family=family, offset=offset).fit(tol=1e-14, maxiter=200)
    quantile = stats.norm.ppf((1 + level) / 2) if whole.scale == 1 else stats.t.ppf((1 + level) / 2, N - 3)
    others = [k for k in range(3) if k != place]

    def excess(value: float) -> float:
        part = sm.GLM(y, x[:, others], family=family, offset=offset + value * x[:, place]).fit(tol=1e-14, maxiter=300)
        return float((part.deviance - whole.deviance) / whole.scale - quantile**2)

    near, error = whole.params[place], whole.bse[place]
    return float(optimize.brentq(excess, near, near + side * 4.0 * error, xtol=1e-13, rtol=1e-13))


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize("name", CASES)
def test_they_are_where_the_likelihood_ratio_says(name: str, level: float) -> None:
    options, target, _ = CASES[name]
    fit = sr.Glm(**options, features=("x", "z"), target=target, tolerance=1e-12).fit(FRAME)
    found = sr.profile_intervals(fit, FRAME, ["intercept", "x", "z"], level)
    assert found.status == "ok"
    for k in range(3):
        assert_allclose(found.lower[k], reference(name, k, -1, level), rtol=1e-6)
        assert_allclose(found.upper[k], reference(name, k, 1, level), rtol=1e-6)
    assert_allclose(found.wald[1:], fit.conf_int(level))
    assert found.passes < 15


def test_a_formula_and_one_name() -> None:
    fit = sr.Logistic(formula="label ~ x + z").fit(FRAME)
    one = sr.profile_intervals(fit, FRAME, "x", threads=1)
    all_of_them = sr.profile_intervals(fit, FRAME, ["z", "x"], threads=3)
    assert (one.lower[0], one.upper[0]) == (all_of_them.lower[1], all_of_them.upper[1])


def test_ends_far_from_those_of_wald_are_found() -> None:
    x = np.repeat([0.0, 1.0], 20)
    y = np.concatenate([np.tile([0.0, 1.0], 10), np.ones(19), [0.0]])
    data, level = (x[:, None], y), 0.9999999
    fit = sr.Logistic(tolerance=1e-12).fit(data)
    found = sr.profile_intervals(fit, data, "x0", level)

    def excess(b: float) -> float:
        def deviance(a: float) -> float:
            eta = a + b * x
            return float(2.0 * np.sum(np.logaddexp(0.0, eta) - y * eta))

        least = optimize.minimize_scalar(deviance, bracket=(-40.0, 40.0), tol=1e-12).fun
        return float(least - fit.deviance - stats.norm.ppf((1 + level) / 2) ** 2)

    assert_allclose(found.lower[0], optimize.brentq(excess, -6.0, 2.0), rtol=1e-6)
    assert_allclose(found.upper[0], optimize.brentq(excess, 3.0, 40.0), rtol=1e-6)
    assert found.upper[0] > 2.0 * found.wald[0, 1]


def test_what_has_no_profile_is_refused() -> None:
    fit = sr.Logistic(formula="label ~ x + z").fit(FRAME)
    with pytest.raises(NotFound, match="no coefficient 'q'"):
        sr.profile_intervals(fit, FRAME, "q")
    with pytest.raises(UsageError, match="least squares"):
        sr.profile_intervals(sr.Linear(formula="size ~ x").fit(FRAME), FRAME, "x")
    with pytest.raises(UsageError, match="no standard errors"):
        sr.profile_intervals(sr.Logistic(formula="label ~ x", ridge=1.0).fit(FRAME), FRAME, "x")
    with pytest.raises(UsageError, match="pass the rows that were fitted"):
        sr.profile_intervals(fit, FRAME[:-1], "x")
