"""Absorbed factors against pyfixest, statsmodels, indicator columns and exact arithmetic."""

import warnings

import numpy as np
import pytest
from panels import FEATURES, exact_slopes, panel, source, with_dummies

import streamreg as sr

FRAME = panel()
# pyfixest orders factors by their number of levels, and counts nested ones rightly if they are named in that order.
FACTORS = (("f0",), ("f1", "f0"), ("f2", "f1", "f0"))


@pytest.fixture(scope="module")
def feols():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyfixest = pytest.importorskip("pyfixest")

    def fit(factors, vcov, weights=None, kind="aweights"):
        formula = f"y ~ {' + '.join(FEATURES)} | {' + '.join(factors)}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyfixest.feols(
                formula,
                FRAME,
                vcov=vcov,
                weights=weights,
                weights_type=kind,
                fixef_tol=1e-13,
                fixef_maxiter=100_000,
                fixef_rm="none",
            )

    return fit


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize(
    ("errors", "vcov"),
    [
        ("classical", "iid"),
        ("HC1", "hetero"),
        ({"cluster": "group"}, {"CRV1": "group"}),
        ({"cluster": "f0"}, {"CRV1": "f0"}),
        ({"cluster": "above"}, {"CRV1": "above"}),
    ],
)
def test_estimates_and_errors_are_those_of_pyfixest(feols, factors, weights, errors, vcov):
    ours = sr.Linear(features=FEATURES, absorb=factors, errors=errors).fit(source(FRAME, weights))
    theirs = feols(factors, vcov, weights)
    np.testing.assert_allclose(ours.coef, theirs.coef().to_numpy(), rtol=1e-10)
    np.testing.assert_allclose(ours.std_errors, theirs.se().to_numpy(), rtol=1e-10)
    np.testing.assert_allclose(ours.pvalues, theirs.pvalue().to_numpy(), atol=1e-14)
    np.testing.assert_allclose([ours.rsquared, ours.rsquared_within], [theirs._r2, theirs._r2_within], rtol=1e-10)
    assert ours.passes == 1 + (errors != "classical")
    assert ours.digits.min() > 12


@pytest.mark.parametrize("factors", FACTORS)
def test_everything_is_as_with_indicator_columns(factors):
    ours, theirs = sr.Linear(features=FEATURES, absorb=factors).fit(source(FRAME)), with_dummies(FRAME, factors)
    np.testing.assert_allclose(ours.coef, theirs.coef[:3], rtol=1e-12)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors[:3], rtol=1e-12)
    np.testing.assert_allclose(ours.conf_int(), theirs.conf_int()[:3], rtol=1e-12)
    for name in ("rss", "tss", "rsquared", "rsquared_adj", "log_likelihood", "aic", "bic", "sigma"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, err_msg=name)
    assert ours.df_resid == theirs.df_resid
    assert ours.parameters == theirs.parameters
    np.testing.assert_allclose(ours.fvalue, sr.wald_test(theirs, "a = 0, b = 0, c = 0").fvalue, rtol=1e-10)


def test_frequency_weights_are_rows_that_occur_often():
    frame = FRAME[:1500].assign(k=np.arange(1500) % 4)
    often = frame.loc[frame.index.repeat(frame["k"])]
    model = sr.Linear(features=FEATURES, absorb=("f0", "f1"), weights="frequency", errors="HC1")
    ours = model.fit(source(frame, "k"))
    theirs = sr.Linear(features=FEATURES, absorb=("f0", "f1"), errors="HC1").fit(source(often))
    np.testing.assert_allclose(ours.coef, theirs.coef, rtol=1e-13)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors, rtol=1e-12)
    assert (ours.df_resid, ours.nobs) == (theirs.df_resid, theirs.nobs)


def test_correlated_errors_are_those_of_statsmodels():
    from statsmodels.regression.linear_model import OLS

    frame = FRAME[:600]
    ours = sr.Linear(features=FEATURES, absorb=("f1",), errors={"newey_west": 3}).fit(source(frame))
    dummies = (frame["f1"].to_numpy()[:, None] == np.unique(frame["f1"])).astype(float)
    x = np.column_stack([frame[list(FEATURES)], dummies])
    theirs = OLS(frame["y"].to_numpy(), x).fit(cov_type="HAC", cov_kwds={"maxlags": 3})
    np.testing.assert_allclose(ours.std_errors, theirs.bse[:3], rtol=1e-10)


@pytest.mark.parametrize("factors", [("f0",), ("f0", "f1"), ("f0", "f1", "f2")])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_slopes_are_the_exact_ones(factors, offset):
    frame = panel(60, 3, (6, 4, 3))
    frame["a"] += offset
    frame["y"] += 3 * offset
    fit = sr.Linear(features=("a", "b"), absorb=factors).fit(source(frame))
    exact = np.array(exact_slopes(frame, factors, ("a", "b")))
    lost = -np.log10(np.abs(fit.coef / exact - 1) + 1e-17)
    assert (lost >= fit.digits).all()
    assert fit.digits.min() >= 12
