"""Every family with its links on the data sets that statsmodels ships, with offsets and weights: equal to its GLM."""

from functools import partial

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.genmod.families import links

import streamreg as sr

BOUND = 1e-8
KINDS = sm.families
SETS = {
    "spector": (KINDS.Binomial, "binomial", ("logit", "probit", "cloglog")),
    "fair": (KINDS.Binomial, "binomial", ("logit", "probit", "cloglog")),
    "star98": (KINDS.Binomial, "binomial", ("logit", "probit")),
    "randhie": (KINDS.Poisson, "poisson", ("log",)),
    "cpunish": (KINDS.Poisson, "poisson", ("log",)),
    "scotland": (KINDS.Gamma, "gamma", ("log", "inverse", "identity", "power(0.5)")),
    "stackloss": (KINDS.InverseGaussian, "inverse_gaussian", ("log", "identity")),
    "copper": (KINDS.Gaussian, "gaussian", ("identity", "log")),
    "cancer": (partial(KINDS.NegativeBinomial, alpha=0.5), "negative_binomial", ("log", "sqrt")),
    "ccard": (partial(KINDS.Tweedie, var_power=1.5), "tweedie", ("log",)),
}
OWN = {"negative_binomial": {"alpha": 0.5}, "tweedie": {"power": 1.5}}
LINKS = {
    "logit": links.Logit(),
    "probit": links.Probit(),
    "cloglog": links.CLogLog(),
    "log": links.Log(),
    "inverse": links.InversePower(),
    "identity": links.Identity(),
    "power(0.5)": links.Power(0.5),
    "sqrt": links.Sqrt(),
}
CASES = [(name, link) for name, (_, _, several) in SETS.items() for link in several]


def rows(name):
    """Return the features, the target, and the trials where there are some."""
    found = getattr(sm.datasets, name).load()
    x, y, trials = np.asarray(found.exog, float), np.asarray(found.endog, float), None
    if name == "fair":
        y = (y > 0) * 1.0
    if name == "star98":
        trials, y = y.sum(axis=1), y[:, 0]
    x = x[:, x.std(axis=0) > 0]
    if name == "cpunish":
        x[:, 0] = np.log(x[:, 0])
    if name == "star98":
        x = x[:, :8]
    return (x - x.mean(axis=0)) / x.std(axis=0), y, trials


@pytest.mark.filterwarnings("ignore:.*does not respect the domain")
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")  # of its last digits
@pytest.mark.parametrize("beside", ["nothing", "offset", "analytic", "frequency"])
@pytest.mark.parametrize(("name", "link"), CASES)
def test_equals_statsmodels_on_its_sets(name, link, beside):
    kind, family, _ = SETS[name]
    x, y, trials = rows(name)
    rng = np.random.default_rng(8)
    names = tuple(f"x{j}" for j in range(x.shape[1]))
    table = dict(zip(names, x.T, strict=True)) | {"y": y}
    options, theirs, weights = {"family": family, "link": link, **OWN.get(family, {})}, {}, None
    if beside == "offset":
        table["o"] = theirs["offset"] = 0.001 * rng.standard_normal(len(y))
        options["offset"] = "o"
    elif beside != "nothing":
        table["w"] = rng.integers(1, 4, len(y)).astype(float) if beside == "frequency" else rng.uniform(0.5, 2, len(y))
        theirs["freq_weights" if beside == "frequency" else "var_weights"] = table["w"]
        options["weight_kind"], weights = beside, "w"
    other = y
    if trials is not None:
        table["t"], options["trials"], other = trials, "t", np.column_stack([y, trials - y])
    # Fisher scoring converges linearly: to 1e-8 of a small coefficient it takes more than the usual tolerance.
    fit = sr.Glm(**options, features=names, tolerance=1e-12, max_iterations=200).fit(
        sr.open(table, target="y", weights=weights)
    )
    assert fit.status == "ok"
    model = sm.GLM(other, sm.add_constant(x), family=kind(LINKS[link], check_link=False), **theirs)
    ref = model.fit(
        tol=1e-14, tol_criterion="params", maxiter=300, start_params=np.r_[fit.intercept, fit.coef] * (1 + 1e-4)
    )
    size = np.maximum(np.abs(ref.params), ref.bse * 1e-2)
    assert (np.abs(np.r_[fit.intercept, fit.coef] - ref.params) <= BOUND * size).all()
    np.testing.assert_allclose(np.r_[fit.intercept_std_error, fit.std_errors], ref.bse, rtol=BOUND)
    if fit.method == "newton":
        np.testing.assert_allclose(fit.deviance, ref.deviance, rtol=BOUND)
        np.testing.assert_allclose(fit.null_deviance, ref.null_deviance, rtol=BOUND)
        if trials is None and family != "tweedie":
            np.testing.assert_allclose([fit.log_likelihood, fit.aic], [ref.llf, ref.aic], rtol=BOUND)
