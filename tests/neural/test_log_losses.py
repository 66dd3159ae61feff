"""Losses of amounts and counts in Keras: the estimates, errors and verdicts of `Glm`, in few passes."""

import mpmath
import numpy as np
import pytest
from keras_data import distance

import streamreg as sr
from streamreg import backend
from streamreg.errors import DataError, UsageError
from streamreg.families import family
from streamreg.neural.losses import Loss

pytestmark = pytest.mark.keras

CASES = {
    "binary_cross_entropy": ("binomial", {}),
    "poisson": ("poisson", {}),
    "gamma": ("gamma", {}),
    "inverse_gaussian": ("inverse_gaussian", {}),
    "tweedie": ("tweedie", {"power": 1.4}),
    "negative_binomial": ("negative_binomial", {"alpha": 0.5}),
}


def rows(loss, n=4000):
    """Columns of unlike units, and a target of the family with the logarithm (or the logit) for the link."""
    random = np.random.default_rng(1)
    x = random.normal(size=(n, 4)) * [1.0, 10.0, 1e3, 1e-3] + [5.0, 0.0, 1e4, 0.0]
    eta = ((x - [5.0, 0.0, 1e4, 0.0]) / [1.0, 10.0, 1e3, 1e-3]) @ [0.4, -0.3, 0.2, 0.1] + 0.3
    mean = np.exp(eta)
    drawn = {
        "binary_cross_entropy": lambda: random.random(n) < mean / (1 + mean),
        "poisson": lambda: random.poisson(mean),
        "gamma": lambda: random.gamma(2, mean / 2),
        "inverse_gaussian": lambda: random.wald(mean, 2.0),
        "tweedie": lambda: np.array([random.gamma(2, 0.5, k).sum() for k in random.poisson(mean)]),
        "negative_binomial": lambda: random.poisson(mean * random.gamma(2, 0.5, n)),
    }
    return x, drawn[loss]().astype(float)


@pytest.mark.parametrize("loss", CASES)
def test_keras_arrives_where_glm_does_in_five_passes(loss):
    name, options = CASES[loss]
    data = rows(loss)
    exact, fit = sr.Glm(family=name, **options).fit(data), sr.Keras(loss=loss, **options).fit(data)
    assert (fit.status, fit.family) == ("ok", exact.family)
    assert fit.passes <= 5
    assert distance(fit, exact) < 1e-3
    assert abs(fit.intercept - exact.intercept) / exact.intercept_std_error < 1e-3
    np.testing.assert_allclose(fit.std_errors, exact.std_errors, rtol=1e-3)
    np.testing.assert_allclose([fit.deviance, fit.null_deviance], [exact.deviance, exact.null_deviance], rtol=1e-5)
    np.testing.assert_allclose(fit.sigma, exact.sigma, rtol=1e-3)
    assert fit.df_test == exact.df_test
    np.testing.assert_allclose(fit.predict(data[0][:5]), exact.predict(data[0][:5]), rtol=1e-3)
    assert sr.compare(exact, fit).verdict == sr.compare(exact, fit, data).verdict == "agree"
    off = sr.Glm(family=name, **options).fit((data[0], data[1][::-1]))
    assert sr.compare(off, fit).verdict == sr.compare(off, exact).verdict == "differ"


def test_a_parameter_that_glm_estimated_is_trained_with():
    data = rows("negative_binomial")
    exact = sr.Glm(family="negative_binomial").fit(data)
    fit = sr.Keras(loss="negative_binomial", alpha=exact.likelihood["alpha"]).fit(data)
    assert sr.compare(exact, fit).verdict == "agree"


def test_weights():
    x, y = rows("gamma")
    weight = np.random.default_rng(2).integers(0, 4, len(y)).astype(float)
    exact, fit = (model.fit((x, y, weight)) for model in (sr.Glm(family="gamma"), sr.Keras(loss="gamma")))
    assert distance(fit, exact) < 1e-3
    np.testing.assert_allclose(fit.std_errors, exact.std_errors, rtol=1e-3)


@pytest.mark.parametrize("loss", ["gamma", "inverse_gaussian", "tweedie", "negative_binomial"])
def test_losses_are_half_the_deviance_and_slopes_their_derivatives(loss):
    parameter = next(iter(CASES[loss][1].values()), None)
    kind = Loss.of(loss, parameter=parameter)
    facts = family(kind.family)
    tensor = backend.load().ops.convert_to_tensor
    y, eta = np.array([0.3, 2.0, 7.0]), np.array([0.5, -0.3, 1.1])
    found, slope, curvature = (
        backend.to_numpy(f(tensor(y), tensor(eta))) for f in (kind.rows, kind.slope, kind.curvature)
    )
    np.testing.assert_allclose(found, facts.deviance(y, eta) / 2, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(curvature, facts.score(y, eta)[1], rtol=1e-6)
    expected = [
        float(mpmath.diff(lambda e, t=t: facts.deviance(np.array([t]), np.array([float(e)]))[0] / 2, u, h=1e-6))
        for t, u in zip(y, eta, strict=True)
    ]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, -facts.score(y, eta)[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "tweedie"}, "takes power="),
        ({"loss": "negative_binomial"}, "takes alpha="),
        ({"loss": "gamma", "power": 1.5}, "power is not for the gamma loss"),
        ({"loss": "tweedie", "power": 2.0}, "family 'gamma'"),
        ({"loss": "negative_binomial", "alpha": -1}, "alpha"),
    ],
)
def test_parameters_that_do_not_go_with_a_loss_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        sr.Keras(**options)


@pytest.mark.parametrize(("loss", "low"), [("gamma", 0.0), ("inverse_gaussian", -1.0), ("negative_binomial", -1.0)])
def test_targets_that_the_family_cannot_have_are_refused(loss, low):
    x, y = rows(loss, 200)
    y[7] = low
    with pytest.raises(DataError, match="goes down to"):
        sr.Keras(loss=loss, **CASES[loss][1]).fit((x, y))


def test_a_network_of_a_family_is_scored_by_it():
    x, y = rows("tweedie", 1500)
    data = sr.open((x, y))
    net = sr.Keras(loss="tweedie", power=1.4, hidden=(8,), epochs=3).fit(data)
    assert (net.predict(x[:5]) > 0).all()
    assert net.family == "tweedie(1.4)"
    card = sr.score({"line": sr.Glm(family="tweedie", power=1.4).fit(data), "net": net}, data)
    assert card.family == "tweedie(1.4)"
    assert np.isfinite(card["net"].deviance)


def test_rounding_of_a_sum_is_no_worse_loss():
    """At the minimum float32 sums of the loss rise and fall by rounding: no step is taken back for that."""
    random = np.random.default_rng(1)
    x = random.normal(size=(4000, 4)) + np.linspace(0, 5, 4)
    eta = (x - x.mean(axis=0)) @ random.normal(size=4) * 0.7 + 0.3
    data = x, (random.random(4000) < 1 / (1 + np.exp(-eta))) * 1.0
    fit = sr.Keras(loss="binary_cross_entropy", tolerance=1e-7, epochs=12).fit(data)
    assert distance(fit, sr.Logistic().fit(data)) < 1e-4
