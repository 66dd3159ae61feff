"""A ridge penalty on a generalised linear model: the estimates of scikit-learn, and no errors."""

import numpy as np
import pytest
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, TweedieRegressor

import streamreg as sr

RNG = np.random.default_rng(0)
N = 1_000
X = RNG.normal(size=(N, 4)) * [1, 0.1, 5, 1] + [0, 3, 0, 1]
ETA = X @ np.array([0.6, -2.0, 0.1, 0.3]) + 5
W = RNG.uniform(0.5, 2, N)
LABELS = (RNG.uniform(size=N) < 1 / (1 + np.exp(-ETA))).astype(float)


def near(fit, coef, intercept):
    np.testing.assert_allclose(fit.coef, coef, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, intercept, rtol=1e-8, atol=1e-9)
    assert fit.status == "ok"
    assert fit.digits.min() > 7


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_logistic_is_that_of_scikit_learn(c, intercept):
    peer = LogisticRegression(C=c, tol=1e-12, solver="newton-cholesky", fit_intercept=intercept)
    peer.fit(X, LABELS, sample_weight=W)
    near(sr.Logistic(ridge=1 / c, intercept=intercept).fit(X, LABELS, W), peer.coef_[0], peer.intercept_)


@pytest.mark.parametrize(
    ("peer", "options", "draw"),
    [
        (PoissonRegressor, {"family": "poisson"}, lambda mean: RNG.poisson(mean)),
        (GammaRegressor, {"family": "gamma"}, lambda mean: RNG.gamma(2.0, mean / 2)),
        (TweedieRegressor, {"family": "tweedie", "power": 1.5}, lambda mean: RNG.gamma(2.0, mean / 2)),
        (TweedieRegressor, {"family": "tweedie", "power": 1.9}, lambda mean: RNG.gamma(2.0, mean / 2)),
    ],
)
@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_other_families_are_those_of_scikit_learn(peer, options, draw, alpha):
    y = np.maximum(draw(np.exp(ETA / 3)).astype(float), 0.0 if options["family"] == "poisson" else 1e-6)
    own = {"power": options["power"], "link": "log"} if peer is TweedieRegressor else {}
    theirs = peer(alpha=alpha, tol=1e-12, solver="newton-cholesky", **own).fit(X, y, sample_weight=W)
    fit = sr.Glm(**options, ridge=alpha * W.sum()).fit(X, y, W)
    near(fit, theirs.coef_, theirs.intercept_)


def test_a_penalty_bounds_separated_labels_and_dependent_columns():
    apart = (X[:, 0] > 0.2).astype(float)
    peer = LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X, apart)
    near(sr.Logistic(ridge=1.0).fit(X, apart), peer.coef_[0], peer.intercept_)
    twice = np.c_[X, X[:, 0]]
    fit = sr.Logistic(ridge=1.0).fit(twice, LABELS)
    assert fit.status == "ok"
    np.testing.assert_allclose(fit.coef[0], fit.coef[4], rtol=1e-10)


def test_with_an_offset_it_is_the_maximum_of_the_penalised_likelihood():
    offset, y = RNG.normal(size=N), RNG.poisson(np.exp(ETA / 3)).astype(float)
    data = {"a": X[:, 0], "b": X[:, 1], "o": offset, "y": y}
    fit = sr.Glm(family="poisson", offset="o", ridge=20.0, target="y").fit(data)
    left = y - np.exp(fit.intercept + X[:, :2] @ fit.coef + offset)
    np.testing.assert_allclose(X[:, :2].T @ left, 20.0 * fit.coef, atol=1e-7)
    assert abs(left.sum()) < 1e-7


def test_estimates_are_biased_so_there_are_no_errors_and_fewer_degrees_of_freedom():
    fit = sr.Logistic(ridge=30.0).fit(X, LABELS)
    assert np.isnan(fit.std_errors).all()
    assert np.isnan(fit.intercept_std_error)
    assert N - 5 < fit.df_resid < N - 1
    assert fit.parameters == pytest.approx(N - fit.df_resid)
    with pytest.raises(sr.UsageError, match="ridge"):
        sr.wald_test(fit, "x0 = 0")
    assert "penalty" in str(fit)


def test_without_a_penalty_nothing_changes_and_the_gaussian_family_is_the_line():
    np.testing.assert_array_equal(sr.Logistic(ridge=0.0).fit(X, LABELS).coef, sr.Logistic().fit(X, LABELS).coef)
    line = sr.Linear(ridge=3.0).fit(X, ETA)
    np.testing.assert_array_equal(sr.Glm(family="gaussian", ridge=3.0).fit(X, ETA).coef, line.coef)
    same = sr.Glm(family="gaussian", ridge=3.0, dispersion="pearson").fit(X, ETA)
    np.testing.assert_allclose(same.coef, line.coef, rtol=1e-9)


def test_threads_do_not_show():
    fits = [sr.Logistic(ridge=1.0).fit(X, LABELS, threads=k) for k in (1, 3)]
    np.testing.assert_array_equal(fits[0].coef, fits[1].coef)
