"""Intervals about predictions, against statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(5)
N = 400
X = RNG.normal(size=(N, 3)) * [1, 10, 0.1] + [0, 50, 3]
ETA = 0.3 + X @ [0.5, 0.02, -0.4]
Y = ETA * 3 + RNG.normal(size=N) * (1 + np.abs(X[:, 0]))
W = RNG.uniform(0.5, 2, N)
NEW = RNG.normal(size=(37, 3)) * [1, 10, 0.1] + [0, 50, 3]
DESIGN, NEW_DESIGN = sm.add_constant(X), sm.add_constant(NEW, has_constant="add")
ERRORS = {"HC1": {"cov_type": "HC1", "use_t": True}, "HC3": {"cov_type": "HC3", "use_t": True}}


def close(found, expected, ends, rtol=1e-10):
    for name, values in zip(("prediction", "std_error", *ends), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), values, rtol=rtol, err_msg=name)


def check(fit, reference, new, level=0.9):
    frame = reference.get_prediction(new).summary_frame(alpha=1 - level)
    rows = new[:, 1:] if new.shape[1] > fit.coef.size else new
    for kind, ends in (
        ("confidence", ("mean_ci_lower", "mean_ci_upper")),
        ("prediction", ("obs_ci_lower", "obs_ci_upper")),
    ):
        found = fit.predict(rows, interval=kind, level=level)
        close(found, [frame["mean"], frame["mean_se"], frame[ends[0]], frame[ends[1]]], ("lower", "upper"))


def test_of_a_line():
    check(sr.Linear().fit((X, Y)), sm.OLS(Y, DESIGN).fit(), NEW_DESIGN)
    check(sr.Linear(intercept=False).fit((X, Y)), sm.OLS(Y, X).fit(), NEW)
    check(sr.Linear().fit((X, Y, W)), sm.WLS(Y, DESIGN, W).fit(), NEW_DESIGN, level=0.5)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("intercept", [True, False])
def test_with_robust_errors(kind, intercept):
    fit = sr.Linear(errors=kind, intercept=intercept).fit((X, Y))
    reference = sm.OLS(Y, DESIGN if intercept else X).fit(**ERRORS[kind])
    check(fit, reference, NEW_DESIGN if intercept else NEW)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.filterwarnings("ignore:The InversePower link function does not respect")
@pytest.mark.parametrize(
    ("model", "family", "y"),
    [
        (sr.Logistic(), sm.families.Binomial(), (RNG.uniform(size=N) < 1 / (1 + np.exp(-ETA))) * 1.0),
        (sr.Glm(family="poisson"), sm.families.Poisson(), RNG.poisson(np.exp(ETA / 2)) * 1.0),
        (
            sr.Glm(family="gamma", link="inverse", dispersion=0.5),
            sm.families.Gamma(sm.families.links.InversePower()),
            RNG.gamma(2, 1 / (2 * (2 + ETA / 4))),
        ),
    ],
    ids=["logistic", "poisson", "gamma inverse"],
)
def test_of_generalised_linear_models(model, family, y):
    fit = model.fit((X, y))
    scale = 0.5 if "gamma" in fit.family else None
    glm = sm.GLM(y, DESIGN, family)
    # Its covariance is that of the step before the last: it starts again from where it ended.
    reference = glm.fit(scale=scale, tol=1e-14, start_params=glm.fit(scale=scale, tol=1e-14).params)
    frame = reference.get_prediction(NEW_DESIGN).summary_frame(alpha=0.05)
    found = fit.predict(NEW, interval="confidence")
    ends = np.sort(frame[["mean_ci_lower", "mean_ci_upper"]].to_numpy(), axis=1).T
    close(found, [frame["mean"], frame["mean_se"], *ends], ("lower", "upper"), rtol=1e-10)
    link = fit.predict(NEW, kind="link", interval="confidence")
    expected = np.sqrt(np.einsum("ij,jk,ik->i", NEW_DESIGN, reference.cov_params(), NEW_DESIGN))
    np.testing.assert_allclose(link.std_error, expected, rtol=1e-10)
    with pytest.raises(UsageError, match="another shape"):
        fit.predict(NEW, interval="prediction")


def test_of_formulas_powers_and_sources_in_parts():
    frame = pd.DataFrame(NEW, columns=["x0", "x1", "x2"])
    data = pd.DataFrame(X, columns=["x0", "x1", "x2"]).assign(y=Y)
    fit = sr.Linear(formula="y ~ x0 + poly(x1, 3) + x2").fit(data)
    plain = sr.Linear(powers={"x1": 3}).fit(sr.open(data, target="y"))
    one, other = (f.predict(sr.open(frame), interval="prediction") for f in (fit, plain))
    for name in ("prediction", "std_error", "lower", "upper"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7)
        np.testing.assert_array_equal(getattr(one, name), getattr(fit.predict(frame, interval="prediction"), name))
    assert list(one.to_frame().columns) == ["prediction", "std_error", "lower", "upper"]
    assert repr(one) == "<37 predictions with 0.95 prediction intervals>"


def test_rows_off_the_data_of_dependent_columns_have_none():
    x = np.column_stack([X[:, 0], 2 * X[:, 0] + 1])
    fit = sr.Linear().fit((x, Y))
    new = np.column_stack([NEW[:, 0], 2 * NEW[:, 0] + 1])
    new[3, 1] += 1
    found = fit.predict(new, interval="confidence")
    assert np.flatnonzero(np.isnan(found.std_error)).tolist() == [3]
    alone = sr.Linear().fit((x[:, :1], Y)).predict(new[:, :1], interval="confidence")
    np.testing.assert_allclose(np.delete(found.lower, 3), np.delete(alone.lower, 3), rtol=1e-10)


def test_rows_with_missing_values_have_none():
    new = NEW.copy()
    new[2, 1] = np.nan
    found = sr.Linear().fit((X, Y)).predict(sr.open(new), interval="confidence")
    assert np.isnan([found.prediction[2], found.std_error[2], found.lower[2], found.upper[2]]).all()
    assert np.isfinite(np.delete(found.upper, 2)).all()


def test_fits_without_errors_refuse_and_say_why():
    group = RNG.integers(0, 5, N)
    data = sr.open({"x": X[:, 0], "g": group, "y": Y}, target="y")
    with pytest.raises(UsageError, match="absorbed effects"):
        sr.Linear(features=["x"], absorb="g").fit(data).predict(data, interval="confidence")
    with pytest.raises(UsageError, match="no standard errors"):
        sr.Linear(ridge=1.0).fit((X, Y)).predict(NEW, interval="confidence")
    fit = sr.Linear().fit((X, Y))
    with pytest.raises(UsageError, match="no interval 'both'"):
        fit.predict(NEW, interval="both")
    with pytest.raises(UsageError, match="level"):
        fit.predict(NEW, interval="confidence", level=95.0)
