"""Logistic, Poisson and robust regression by Keras, against maximum likelihood."""

import numpy as np
import pytest
from keras_data import distance, labelled, table

import streamreg as sr
from streamreg.errors import DataError, UsageError

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    ("loss", "family", "which"), [("binary_cross_entropy", "binomial", 1), ("poisson", "poisson", 2)]
)
@pytest.mark.parametrize("conditioning", ["whiten", "standardise"])
def test_maximum_likelihood(loss, family, which, conditioning):
    data = labelled()
    x, y = data[0], data[which]
    exact = sr.Glm(family=family).fit((x, y))
    fit = sr.Keras(loss=loss, conditioning=conditioning).fit((x, y))
    assert fit.status == "ok"
    assert distance(fit, exact) < 1e-3
    assert abs(fit.intercept - exact.intercept) / exact.intercept_std_error < 1e-3
    np.testing.assert_allclose(fit.std_errors, exact.std_errors, rtol=1e-3)
    assert fit.intercept_std_error == pytest.approx(exact.intercept_std_error, rel=1e-3)
    assert fit.deviance == pytest.approx(exact.deviance, rel=1e-5)
    assert fit.null_deviance == pytest.approx(exact.null_deviance, rel=1e-5)
    np.testing.assert_allclose(fit.predict(x[:5]), exact.predict(x[:5]), rtol=1e-3)
    assert fit.family == family


def test_without_intercept_and_with_weights():
    x, y, _ = labelled()
    x = x - 100
    weight = np.random.default_rng(2).integers(0, 4, size=len(y)).astype(float)
    exact = sr.Logistic(intercept=False).fit((x, y, weight))
    fit = sr.Keras(loss="binary_cross_entropy", intercept=False).fit((x, y, weight))
    assert fit.intercept == 0.0
    assert distance(fit, exact) < 1e-3
    np.testing.assert_allclose(fit.std_errors, exact.std_errors, rtol=1e-3)


def test_dependent_columns():
    x, y, _ = labelled()
    x = np.column_stack([x, x[:, 0] * 2 + 1])
    fit = sr.Keras(loss="binary_cross_entropy").fit((x, y))
    assert fit.status == "dependent"
    np.testing.assert_allclose(fit.predict(x[:9]), sr.Logistic().fit((x, y)).predict(x[:9]), rtol=1e-3)


def test_huber_is_not_moved_by_outliers():
    from scipy.optimize import minimize

    x, y = table(p=3)
    y[::50] += 1e4
    fit = sr.Keras(loss="huber", delta=1.5, epochs=20).fit((x, y))
    assert fit.status == "ok"
    z = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(x))])

    def loss(b):
        r = np.abs(y - z @ b)
        return np.where(r < 1.5, r**2 / 2, 1.5 * (r - 0.75)).mean()

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9, "maxiter": 500})
    np.testing.assert_allclose(fit.coef * x.std(axis=0), best.x[:3], atol=1e-3)


def test_separable_labels_are_said_to_be():
    x = np.linspace(-1, 1, 200)[:, None]
    fit = sr.Keras(loss="binary_cross_entropy", epochs=40).fit((x, (x[:, 0] > 0).astype(float)))
    assert fit.status.startswith("not converged")
    assert np.isnan(fit.std_errors).all()


@pytest.mark.parametrize("labels", [(1, 2), (-1, 1), (0, 0.5)])
def test_labels_must_be_0_and_1(labels):
    x, y, _ = labelled()
    with pytest.raises(DataError, match="labels 0 and 1"):
        sr.Keras(loss="binary_cross_entropy").fit((x, np.where(y > 0, labels[1], labels[0]).astype(float)))


def test_counts_are_not_negative():
    x, _, counts = labelled()
    with pytest.raises(DataError, match="not negative"):
        sr.Keras(loss="poisson").fit((x, counts - 1))


def test_one_label_only():
    x, _, _ = labelled(n=200)
    with pytest.raises(DataError, match="every row"):
        sr.Keras(loss="binary_cross_entropy").fit((x, np.zeros(len(x))))


def test_a_penalty_shrinks():
    x, y = table()
    exact, free, held = sr.Linear().fit((x, y)), sr.Keras().fit((x, y)), sr.Keras(l2=1.0).fit((x, y))
    assert held.status == "ok"
    # On whitened features and with the mean squared error the ridge halves every slope.
    np.testing.assert_allclose(held.coef, exact.coef / 2, rtol=1e-3, atol=1e-3)
    assert distance(free, exact) < 1e-3
    assert held.rss == pytest.approx(np.sum((held.predict(x) - y) ** 2), rel=1e-6)
    standardised = sr.Keras(l2=0.5, conditioning="standardise", epochs=30).fit((x, y))
    deviation = x.std(axis=0)
    ridge = np.linalg.solve(
        np.corrcoef(x.T) + 0.5 * np.eye(6), ((x - x.mean(axis=0)) / deviation).T @ (y - y.mean()) / len(y)
    )
    assert standardised.status == "ok"
    np.testing.assert_allclose(standardised.coef * deviation, ridge, atol=1e-4)


def test_a_start_at_the_estimates_arrives_at_once(tmp_path):
    x, y = table()
    exact = sr.Linear().fit((x, y))
    fit = sr.Keras(start=exact, epochs=1, learning_rate=1e-9).fit((x, y))
    assert fit.status == "ok"
    exact.save(tmp_path / "start.fit")
    assert sr.Keras(start=tmp_path / "start.fit", epochs=1, learning_rate=1e-9).fit((x, y)).status == "ok"
    assert sr.Keras(start="random", seed=3).fit((x, y)).status == "ok"


@pytest.mark.parametrize("scale", [[1.0, 1e-6, 1e6, 1.0], [1e-3, 1.0, 1e3, 1.0]])
def test_raw_columns_count_in_any_units(scale):
    x, y, _ = labelled()
    x = (x - x.mean(axis=0)) / x.std(axis=0) * scale
    exact = sr.Glm(family="binomial").fit((x, y))
    fit = sr.Keras(loss="binary_cross_entropy", conditioning="none", precision="float64").fit((x, y))
    assert fit.status == "ok"
    assert distance(fit, exact) < 1e-3


def test_directions_that_rounding_hides_are_told():
    x, y, _ = labelled()
    x = (x - x.mean(axis=0)) / x.std(axis=0) + 1e4
    fit = sr.Keras(loss="binary_cross_entropy", conditioning="none").fit((x, y))
    assert "the loss is flat, as far as float32 can tell; whiten" in fit.status
    assert not sr.compare(sr.Glm(family="binomial").fit((x, y)), fit)


@pytest.mark.parametrize("conditioning", ["whiten", "standardise", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_more_columns_than_rows_tell_all_labels_apart(conditioning, seed):
    x = np.random.default_rng(seed).normal(size=(5, 20))
    fit = sr.Keras(loss="binary_cross_entropy", conditioning=conditioning, epochs=15).fit(
        (x, np.array([0.0, 1, 0, 1, 1]))
    )
    assert "complete separation" in fit.status
    assert np.isnan(fit.std_errors).all()


@pytest.mark.parametrize("conditioning", ["whiten", "standardise", "none"])
@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_probabilities_of_0_and_1_are_no_optimum(conditioning, rate):
    x, y, _ = labelled()
    fit = sr.Keras(loss="binary_cross_entropy", conditioning=conditioning, learning_rate=rate).fit((x, y))
    assert fit.status.startswith("not converged")
    assert "lower the learning rate" in fit.status


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_wide_huber_loss_is_the_square_and_a_narrow_one_is_refused(precision):
    x, _, counts = labelled()
    fit = sr.Keras(loss="huber", delta=1e300, precision=precision).fit((x, counts))
    assert fit.status == "ok"
    assert distance(fit, sr.Linear().fit((x, counts))) < 1e-3
    with pytest.raises(UsageError, match="spreads over"):
        sr.Keras(loss="huber", delta=1e-300, precision=precision).fit((x, counts))


@pytest.mark.parametrize("epochs", [3, 10, 40])
def test_labels_that_a_line_tells_apart_give_no_errors(epochs):
    x = np.random.default_rng(0).normal(size=(2000, 3))
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(float)
    fit = sr.Keras(loss="binary_cross_entropy", epochs=epochs).fit((x, y))
    assert fit.status.startswith("not converged")
    assert np.isnan([*fit.std_errors, *fit.pvalues, fit.intercept_std_error, fit.intercept_pvalue]).all()
    if epochs > 3:
        said = sr.Logistic().fit((x, y)).status
        assert "complete separation" in fit.status
        assert fit.status.partition("tells")[2].startswith(said.partition("tells")[2].partition(",")[0])
    penalised = sr.Keras(loss="binary_cross_entropy", epochs=epochs, l2=0.01).fit((x, y))
    assert "separation" not in penalised.status


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_a_rare_category_that_settles_its_rows_gives_no_errors(loss):
    random = np.random.default_rng(1)
    x = np.column_stack([random.normal(size=3000), random.random(3000) < 0.01])
    y = random.poisson(np.exp(0.3 * x[:, 0])) if loss == "poisson" else random.random(3000) < 1 / (1 + np.exp(-x[:, 0]))
    y = np.where(x[:, 1] == 1, 0.0, y)
    for epochs in (5, 30):
        fit = sr.Keras(loss=loss, epochs=epochs).fit((x, y))
        solved = sr.Glm(family=fit.family).fit((x, y))
        assert solved.status.partition(":")[0] == fit.status.partition(":")[0] == "not converged"
        if epochs > 5:
            assert fit.status.partition(": ")[2].partition(" ")[0] == solved.status.partition(": ")[2].partition(" ")[0]
        assert np.isnan(fit.std_errors).all()


def test_a_fit_that_stopped_early_has_no_errors():
    x, y, _ = labelled()
    fit = sr.Keras(loss="binary_cross_entropy", epochs=1).fit((x, y))
    assert fit.status.startswith("not converged")
    assert np.isnan(fit.std_errors).all()
    assert np.isnan(fit.digits).all()
    whole = sr.Keras(loss="binary_cross_entropy").fit((x, y))
    assert whole.status == "ok"
    assert np.isfinite(whole.std_errors).all()


def test_what_is_no_likelihood_has_no_criteria(tmp_path):
    random = np.random.default_rng(2)
    x = random.normal(size=(500, 2))
    y = x.sum(axis=1) + random.standard_t(2, size=500)
    line = sr.Keras().fit((x, y))
    assert line.aic == pytest.approx(sr.Linear().fit((x, y)).aic, abs=1e-4)
    fits = [sr.Keras(loss="huber"), sr.Keras(l2=0.1), sr.Keras(epochs=1)]
    for fit in [model.fit((x, y)) for model in fits]:
        fit.save(tmp_path / "fit.npz")
        for found in (fit, sr.FitResult.load(tmp_path / "fit.npz")):
            assert np.isnan([found.log_likelihood, found.aic, found.bic, found.fvalue, found.f_pvalue]).all()
            assert "AIC" in found.no_likelihood
            assert found.no_likelihood.split()[-1] in found.summary()
        with pytest.raises(sr.UsageError, match="no covariance"):
            fit.cov()
