"""Fitted models of other libraries agree with ours where they should, and their coefficients are theirs."""

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as theirs
import statsmodels.api as sm
from sklearn.preprocessing import StandardScaler

import streamreg as sr

RNG = np.random.default_rng(2)
X = RNG.normal(size=(400, 3)) + 1
ETA = X @ [0.5, -1.0, 0.2] + 0.3
LINE, COUNTS = ETA + RNG.normal(size=400), RNG.poisson(np.exp(ETA / 2)).astype(float)
LABELS = (RNG.uniform(size=400) < 1 / (1 + np.exp(-ETA))).astype(float)


@pytest.mark.parametrize(
    ("model", "ours", "y"),
    [
        (theirs.LinearRegression(), sr.Linear(), LINE),
        (theirs.LinearRegression(fit_intercept=False), sr.Linear(intercept=False), LINE),
        (theirs.LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky"), sr.Logistic(), LABELS),
        (theirs.PoissonRegressor(alpha=0, tol=1e-10, solver="newton-cholesky"), sr.Glm(family="poisson"), COUNTS),
    ],
)
def test_scikit_learn(model, ours, y):
    fit = ours.fit(X, y)
    found = sr.coefficients(model.fit(X, y), target="y")
    assert (found.names, found.family, found.has_intercept) == (fit.names, fit.family, fit.has_intercept)
    np.testing.assert_allclose(found.coef, fit.coef, rtol=1e-7)
    assert sr.compare(fit, found).verdict == "agree"
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    assert sr.coefficients(type(model)().fit(frame, y)).names == ("a", "b", "c")


def test_the_default_penalty_of_scikit_learn_is_seen():
    fit, found = sr.Logistic().fit(X, LABELS), sr.coefficients(theirs.LogisticRegression().fit(X, LABELS), target="y")
    assert sr.compare(fit, found).verdict == "differ"


@pytest.mark.parametrize("named", [True, False])
def test_statsmodels(named):
    x = sm.add_constant(pd.DataFrame(X, columns=["x0", "x1", "x2"]))
    x = x if named else x.to_numpy()
    names = ("x0", "x1", "x2") if named else ("x1", "x2", "x3")
    for result, ours, y in (
        (sm.OLS(LINE, x).fit(), sr.Linear(), LINE),
        (sm.Logit(LABELS, x).fit(disp=0), sr.Logistic(), LABELS),
        (sm.GLM(COUNTS, x, family=sm.families.Poisson()).fit(), sr.Glm(family="poisson"), COUNTS),
    ):
        found, fit = sr.coefficients(result, target="y"), ours.fit(X, y)
        assert (found.names, found.family) == (names, fit.family)
        np.testing.assert_allclose([found.intercept, *found.coef], [fit.intercept, *fit.coef], rtol=1e-6)


@pytest.mark.keras
def test_one_layer_of_keras():
    import keras

    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    found = sr.coefficients(net)
    np.testing.assert_array_equal(found.coef, net.get_weights()[0].ravel())
    with pytest.raises(sr.UsageError, match="more than one linear layer"):
        sr.coefficients(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)]))


def test_what_has_no_line_is_refused():
    three = theirs.LogisticRegression().fit(X, np.arange(400) % 3)
    with pytest.raises(sr.UsageError, match="3 targets or classes"):
        sr.coefficients(three)
    with pytest.raises(sr.UsageError, match="not a StandardScaler"):
        sr.coefficients(StandardScaler().fit(X))
