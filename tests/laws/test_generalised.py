"""Every number of a generalised linear model is right to the digits that it promises."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from designs import NAMES, Design
from numbers_shown import LAST, TAIL, Shown, floats, hold
from truth import Likelihood, Line, number, t_quantile, t_tails

import streamreg as sr
from streamreg.results.base import FitResult

DESIGNS = [
    Design(condition, offset, weights, intercept)
    for (condition, offset), (weights, intercept) in zip(
        list(product((1e0, 1e2, 1e4, 1e6, 1e8), (0.0, 1e3, 1e6))),
        list(product(("", "analytic", "frequency"), (True, False))) * 3,
        strict=False,
    )
]


def _target(design: Design, family: str) -> tuple[Any, Any]:
    """Return the rows and a target whose linear predictor is moderate, whatever the offset."""
    table = design.table()
    rng = np.random.default_rng(5)
    away = (table.x - table.x.mean(axis=0)) / table.x.std(axis=0)
    eta = away @ [0.5, -0.4, 0.3, 0.2]
    if family == "binomial":
        return table, (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))) * 1.0
    return table, rng.poisson(np.exp(1.0 + 0.5 * eta)) * 1.0


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_likelihood(design, family):
    table, y = _target(design, family)
    rows = (table.x, y) if table.weight is None else (table.x, y, table.weight)
    fit = sr.Glm(family=family, **table.options).fit(sr.open(rows, columns=NAMES))
    if fit.rank < 4:
        assert fit.dependencies or "not told apart" in fit.status
        assert np.isnan(fit.std_errors[~fit.identifiable]).all()
        return
    hold(faults(fit, table.x, y, table.weight, table.frequency))


def faults(fit: FitResult, x: Any, y: Any, weight: Any, frequency: bool) -> list[str]:
    """Return what is wrong with the numbers of a fit on independent columns."""
    first = int(fit.has_intercept)
    line = Line(x, y, weight, intercept=fit.has_intercept, frequency=frequency)
    start = [fit.intercept, *fit.coef][not first :]
    true = Likelihood(x, y, fit.family, start, intercept=fit.has_intercept, weight=weight)
    errors, size = floats(true.cov.errors), np.abs(floats(true.coef))
    promised = np.array([fit.digits_intercept, *fit.digits][not first :])
    off = np.maximum(size, 1e-3 * errors) * (10.0**-promised + LAST)
    share = 10.0**-fit.digits_se + LAST
    t = [b / e for b, e in zip(true.coef, true.cov.errors, strict=True)]
    t_off = off / errors + np.abs(floats(t)) * (share + LAST)
    p = [t_tails(v, np.inf) for v in t]
    lower = [t_tails(number(max(abs(float(v)) - o, 0.0)), np.inf) for v, o in zip(t, t_off, strict=True)]
    q = t_quantile(1 - 0.95, np.inf)
    ends = [b + s * q * e for b, e in zip(true.coef, true.cov.errors, strict=True) for s in (-1, 1)]
    pairs = [(i, j) for i in range(first, line.k) for j in range(first, line.k)]
    n, count = line.nobs, line.k
    ll, deviance = true.log_likelihood, true.deviance
    # What a linear predictor loses in float64 is felt as much as its row lies from its mean.
    lost = LAST * np.abs(x - (fit.centre if first else 0.0)) @ size[first:]
    pull = np.abs(y - floats(true.means)) * (1.0 if weight is None else weight)
    sums = 1e-12 * max(float(deviance), abs(float(ll)), 1.0) + float(pull @ lost)
    slopes = np.abs(x - (fit.centre if first else 0.0)) @ off[first:]
    eta = true.eta
    eta_off = slopes + 1e-13 * (1 + np.abs(floats(eta)))
    mean = true.means
    shown = {
        "coef": Shown([fit.intercept, *fit.coef][not first :], true.coef, off, 1e-9 * np.maximum(size, errors)),
        "std_errors": Shown(
            [fit.intercept_std_error, *fit.std_errors][not first :], true.cov.errors, errors * share, 1e-6 * errors
        ),
        "tvalues": Shown([fit.intercept_tvalue, *fit.tvalues][not first :], t, t_off),
        "pvalues": Shown(
            [fit.intercept_pvalue, *fit.pvalues][not first :],
            p,
            floats([a - b for a, b in zip(lower, p, strict=True)]) + TAIL * floats(p),
        ),
        "conf_int": Shown(
            np.vstack([fit.intercept_conf_int(), fit.conf_int()])[not first :],
            ends,
            np.repeat(off + 2 * errors * (share + TAIL) + LAST * size, 2),
        ),
        "cov": Shown(
            fit.cov(), [true.cov.cov[i, j] for i, j in pairs], [2 * errors[i] * errors[j] * share for i, j in pairs]
        ),
        "deviance": Shown(fit.deviance, [deviance], sums),
        "null_deviance": Shown(fit.null_deviance, [true.null_deviance], 1e-12 * (1 + float(true.null_deviance))),
        "rsquared": Shown(fit.rsquared, [1 - deviance / true.null_deviance], sums + 1e-12),
        "likelihood": Shown(
            [fit.log_likelihood, fit.aic, fit.bic],
            [ll, 2 * count - 2 * ll, count * number(n).log() - 2 * ll],
            2 * sums,
        ),
        "link": Shown(fit.predict(x, "link"), eta, eta_off),
        "mean": Shown(fit.predict(x), mean, eta_off * np.maximum(1, floats(mean)) * 2),
        "counts": Shown(
            [fit.rank, fit.nobs, fit.df_resid, fit.sigma], [number(v) for v in (count - first, n, n - count, 1.0)], 0.0
        ),
    }
    one, two = fit.names[0], fit.names[-1]
    for text, pairs in ((f"{one} = {two}", [(1, -1)]), (f"{one} = 0, {two} = 0", [(1, 0), (0, 1)])):
        if one == two:
            continue
        restrictions = np.zeros((len(pairs), count))
        restrictions[:, [first, -1]] = pairs
        restrictions = restrictions.tolist()
        want = true.cov.wald(restrictions, [0.0] * len(restrictions))
        test = sr.wald_test(fit, text)
        away = np.abs(restrictions) @ off
        reach = sum(o * float(want.inverse[i, i].sqrt()) for i, o in enumerate(away))
        chi2 = float(want.chi2)
        allowed = 2 * np.sqrt(chi2) * reach + reach**2 + chi2 * (4 * share + 1e-10)
        shown[f"wald_test {text}"] = Shown([test.chi2, test.fvalue], [want.chi2, want.f], allowed, 2e-6 * (1 + chi2))
    return [f"{name}: {text}" for name, numbers in shown.items() for text in numbers.faults(False)]
