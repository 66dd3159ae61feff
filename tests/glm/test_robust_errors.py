"""Robust errors of generalised linear models: statsmodels', and R's formula for leverages by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose

import streamreg as sr
from streamreg.errors import ChangedError, UsageError

RNG = np.random.default_rng(21)
N = 600
FRAME = pd.DataFrame({"x": RNG.normal(1.0, 1.0, N), "z": RNG.uniform(0.0, 2.0, N), "away": RNG.uniform(0.5, 2.0, N)})
ETA = 0.5 * FRAME["x"] - 0.4 * FRAME["z"] + RNG.normal(size=N) * 0.5
FRAME["label"] = (RNG.random(N) < 1.0 / (1.0 + np.exp(-ETA))).astype(float)
FRAME["count"] = RNG.poisson(FRAME["away"] * np.exp(ETA)).astype(float)
FRAME["size"] = RNG.gamma(2.0, np.exp(ETA))
FRAME["w"] = RNG.uniform(0.5, 2.0, N)
FRAME["firm"] = np.arange(N) % 37
FRAME["year"] = RNG.integers(0, 19, N)

LOG = sm.families.links.Log()
CASES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "logit": ({"family": "binomial"}, "label", sm.families.Binomial()),
    "probit": ({"family": "binomial", "link": "probit"}, "label", sm.families.Binomial(sm.families.links.Probit())),
    "poisson": ({"family": "poisson", "exposure": "away"}, "count", sm.families.Poisson()),
    "quasi": ({"family": "quasi_poisson"}, "count", sm.families.Poisson()),
    "gamma": ({"family": "gamma"}, "size", sm.families.Gamma(LOG)),
    "negative binomial": (
        {"family": "negative_binomial", "alpha": 0.5},
        "count",
        sm.families.NegativeBinomial(LOG, alpha=0.5),
    ),
}
CANONICAL = ("logit", "poisson", "quasi")
"""Where the observed information, which statsmodels takes, is the expected one."""

X = sm.add_constant(FRAME[["x", "z"]]).to_numpy()


def fitted(name: str, weights: str | None = None) -> Any:
    options, target, _ = CASES[name]
    model = sr.Glm(**options, features=("x", "z"), target=target, tolerance=1e-12)
    return model.fit(sr.open(FRAME, weights=weights))


def reference(name: str, cov: str, weights: str | None = None, **options: Any) -> Any:
    own, target, family = CASES[name]
    offset = np.log(FRAME["away"]) if "exposure" in own else None
    weight = None if weights is None else FRAME[weights].to_numpy()
    model = sm.GLM(FRAME[target].to_numpy(), X, family=family, offset=offset, var_weights=weight)
    return model.fit(tol=1e-15, maxiter=200, cov_type=cov, cov_kwds=options or None)


def errors_of(fit: Any) -> Any:
    return np.array([fit.intercept_std_error, *fit.std_errors])


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("kind", ["HC0", "HC1"])
@pytest.mark.parametrize("name", CANONICAL)
def test_heteroscedastic_errors_are_those_of_statsmodels(name: str, kind: Any, weights: str | None) -> None:
    found = sr.robust(fitted(name, weights), sr.open(FRAME, weights=weights), kind)
    expected = reference(name, kind, weights)
    # statsmodels multiplies HC1 by nothing where the model is no line; R and Stata do, as for lines.
    factor = N / (N - 3) if kind == "HC1" else 1.0
    assert_allclose(errors_of(found), expected.bse * np.sqrt(factor), rtol=1e-8)
    assert_allclose(found.cov(), expected.cov_params()[1:, 1:] * factor, rtol=1e-7, atol=1e-14)
    assert found.errors == kind
    known = name != "quasi"
    assert np.isinf(found.df_test) == known
    if known and kind == "HC0":
        assert_allclose(found.pvalues, expected.pvalues[1:], rtol=1e-6)


@pytest.mark.parametrize("name", CANONICAL)
def test_clusters_and_lags(name: str) -> None:
    fit = fitted(name)
    found = sr.robust(fit, FRAME, {"cluster": "firm"})
    assert_allclose(errors_of(found), reference(name, "cluster", groups=FRAME["firm"].to_numpy()).bse, rtol=1e-8)
    both = sr.robust(fit, FRAME, {"cluster": ["firm", "year"]})
    groups = FRAME[["firm", "year"]].to_numpy()
    assert_allclose(errors_of(both), reference(name, "cluster", groups=groups).bse, rtol=1e-8)
    lagged = sr.robust(fit, FRAME, {"newey_west": 3})
    assert_allclose(errors_of(lagged), reference(name, "HAC", maxlags=3).bse, rtol=1e-8)


def by_hand(name: str, weights: str | None, power: float = 0.0) -> tuple[Any, Any]:
    """Return the inverse expected information, and the scores of the rows: the formula of R's sandwich for glm."""
    options, target, family = CASES[name]
    offset = np.log(FRAME["away"].to_numpy()) if "exposure" in options else 0.0
    w = np.ones(N) if weights is None else FRAME[weights].to_numpy()
    mean = family.fitted(X @ np.asarray(reference(name, "nonrobust", weights).params) + offset)
    slope = 1.0 / family.link.deriv(mean)
    information = w * slope**2 / family.variance(mean)
    score = w * (FRAME[target].to_numpy() - mean) * slope / family.variance(mean)
    bread = np.linalg.inv(X.T @ (information[:, None] * X))
    hat = information * np.einsum("ij,jk,ik->i", X, bread, X)
    return bread, X * (score / (1.0 - hat) ** power)[:, None]


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("name", CASES)
def test_they_are_scores_between_the_expected_information(name: str, weights: str | None) -> None:
    fit, data = fitted(name, weights), sr.open(FRAME, weights=weights)
    for kind, power in (("HC0", 0.0), ("HC2", 0.5), ("HC3", 1.0)):
        bread, scores = by_hand(name, weights, power)
        expected = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))
        assert_allclose(errors_of(sr.robust(fit, data, kind)), expected, rtol=1e-8)  # type: ignore[arg-type]
    bread, scores = by_hand(name, weights)
    sums = pd.DataFrame(scores).groupby(FRAME["firm"]).sum().to_numpy()
    factor = 37 / 36 * (N - 1) / (N - 3)
    expected = np.sqrt(np.diag(bread @ (sums.T @ sums) @ bread) * factor)
    assert_allclose(errors_of(sr.robust(fit, data, {"cluster": "firm"})), expected, rtol=1e-8)
    meat = scores.T @ scores
    for lag in (1, 2, 3):
        part = scores[lag:].T @ scores[:-lag]
        meat = meat + (1.0 - lag / 4.0) * (part + part.T)
    expected = np.sqrt(np.diag(bread @ meat @ bread))
    assert_allclose(errors_of(sr.robust(fit, data, {"newey_west": 3})), expected, rtol=1e-8)


def test_trials_frequencies_and_formulas() -> None:
    rows = FRAME.assign(of=5.0, hits=np.minimum(FRAME["count"], 5.0), often=1 + np.arange(N) % 3)
    fit = sr.Glm(family="binomial", trials="of", features=("x", "z"), target="hits").fit(rows)
    model = sm.GLM(np.column_stack([rows["hits"], 5 - rows["hits"]]), X, family=sm.families.Binomial())
    expected = model.fit(tol=1e-15, cov_type="HC0")
    assert_allclose(errors_of(sr.robust(fit, rows, "HC0")), expected.bse, rtol=1e-8)
    once = sr.Glm(family="poisson", formula="count ~ x + z", weight_kind="frequency").fit(
        sr.open(rows, weights="often")
    )
    repeated = rows.loc[rows.index.repeat(rows["often"])]
    twice = sr.Glm(family="poisson", formula="count ~ x + z").fit(repeated)
    for kind in ("HC0", "HC1"):
        one, other = sr.robust(once, sr.open(rows, weights="often"), kind), sr.robust(twice, repeated, kind)
        assert_allclose(errors_of(one), errors_of(other), rtol=1e-9)


def test_the_option_of_the_model_is_the_same() -> None:
    for kind in ("HC1", {"cluster": "firm"}):
        own = sr.Logistic(features=("x", "z"), target="label", errors=kind).fit(FRAME)
        after = sr.robust(sr.Logistic(features=("x", "z"), target="label").fit(FRAME), FRAME, kind)
        assert (own.std_errors == after.std_errors).all()
        assert own.errors == after.errors
        assert own.passes == after.passes


def test_same_bits_for_any_threads() -> None:
    big = pd.concat([FRAME] * 40, ignore_index=True)
    fit = sr.Logistic(features=("x", "z"), target="label").fit(big)
    for kind in ("HC3", {"cluster": "firm"}, {"newey_west": 2}):
        one, three = (sr.robust(fit, big, kind, threads=threads) for threads in (1, 3))
        assert (one.std_errors == three.std_errors).all()


def test_what_has_no_robust_errors_is_refused() -> None:
    with pytest.raises(UsageError, match="without a penalty"):
        sr.robust(sr.Logistic(features=("x",), target="label", ridge=1.0).fit(FRAME), FRAME, "HC1")
    split = FRAME.assign(label=(FRAME["x"] > 1.0) * 1.0)
    with pytest.raises(UsageError, match="about a final fit"):
        sr.robust(sr.Logistic(features=("x",), target="label").fit(split), split, "HC1")
    with pytest.raises(ChangedError, match="Pearson's statistic is"):
        sr.robust(fitted("logit"), FRAME.assign(label=1.0 - FRAME["label"]), "HC1")
    with pytest.raises(UsageError, match="ridge estimates are biased"):
        sr.Logistic(features=("x",), target="label", ridge=1.0, errors="HC1").fit(FRAME)


@pytest.mark.parametrize("kind", ["HC0", {"cluster": "firm"}, {"newey_west": 2}])
def test_code_for_statsmodels_gives_the_same_errors(kind: Any) -> None:
    fit = sr.Logistic(formula="label ~ x + z", errors=kind, tolerance=1e-12).fit(FRAME)
    names: dict[str, Any] = {"data": FRAME}
    exec(fit.code("statsmodels"), names)
    assert_allclose(errors_of(fit), names["fit"].bse, rtol=1e-7)
    assert "coeftest" in fit.code("r")
    assert "df = Inf" in fit.code("r")
    with pytest.raises(UsageError, match="ask for 'r'"):
        fit.code("stata")
    probit = sr.Glm(formula="label ~ x", link="probit", errors=kind).fit(FRAME)
    with pytest.raises(UsageError, match="ask for 'r'"):
        probit.code("statsmodels")
