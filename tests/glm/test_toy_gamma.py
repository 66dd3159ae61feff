"""A family that is not in the table reaches fits, summaries, predictions, scorecards and refusals."""

import numpy as np
import pytest
import statsmodels.api as sm

import streamreg as sr
from streamreg import families
from streamreg.neural.network import from_line


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setitem(families.FAMILIES, "toy_gamma", "toy_gamma:Gamma")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 3))
    mean = np.exp(0.5 + x @ [0.3, -0.2, 0.1])
    return x, mean * rng.gamma(2.0, 0.5, size=3000)


def test_gamma_with_log_link_equals_statsmodels(rows):
    x, y = rows
    fit = sr.Glm(family="toy_gamma", tolerance=1e-12).fit((x, y))
    other = sm.GLM(y, sm.add_constant(x), family=sm.families.Gamma(sm.families.links.Log())).fit(tol=1e-14)
    np.testing.assert_allclose([fit.intercept, *fit.coef], other.params, rtol=1e-8)
    np.testing.assert_allclose([fit.intercept_std_error, *fit.std_errors], other.bse, rtol=1e-8)
    np.testing.assert_allclose([fit.deviance, fit.null_deviance], [other.deviance, other.null_deviance], rtol=1e-8)
    np.testing.assert_allclose(fit.sigma**2, other.scale, rtol=1e-8)
    assert fit.df_test == fit.df_resid
    assert "toy_gamma, log link" in str(fit)
    np.testing.assert_allclose(fit.predict(x), other.fittedvalues, rtol=1e-8)
    card = sr.score({"gamma": fit}, (x, y))
    assert "mean deviance" in str(card)
    np.testing.assert_allclose(card["gamma"].explained, 1 - other.deviance / other.null_deviance, rtol=1e-8)


def test_a_network_made_of_a_gamma_fit_predicts_its_mean(rows):
    pytest.importorskip("tensorflow")
    fit = sr.Glm(family="toy_gamma").fit(rows)
    network = from_line(fit)
    np.testing.assert_allclose(np.asarray(network(rows[0]))[:, 0], fit.predict(rows[0]), rtol=1e-12)


def test_a_family_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match="no family 'toy_gamma'"):
        sr.Glm(family="toy_gamma")
