"""Odds ratios and their like are exponentials of coefficients and intervals."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose

import streamreg as sr
from streamreg.errors import UsageError

FRAME = sm.datasets.spector.load_pandas().data


@pytest.mark.parametrize(
    ("link", "words"), [("logit", "odds ratio"), ("log", "ratio of means"), ("cloglog", "hazard ratio")]
)
def test_they_are_exponentials(link: str, words: str) -> None:
    family = "poisson" if link == "log" else "binomial"
    fit = sr.Glm(family=family, link=link, target="GRADE").fit(FRAME)
    table = fit.ratios(0.9)
    found = table.data()
    assert tuple(found["term"]) == fit.names
    assert_allclose(found["ratio"], np.exp(fit.coef))
    assert_allclose([found["low"], found["high"]], np.exp(fit.conf_int(0.9)).T)
    assert words in table.text()


def test_odds_ratios_are_those_of_statsmodels() -> None:
    model = sm.Logit(FRAME["GRADE"], sm.add_constant(FRAME[["GPA", "TUCE", "PSI"]])).fit(disp=0, tol=1e-13)
    found = sr.Logistic(target="GRADE").fit(FRAME).ratios().data()
    assert_allclose(found["ratio"], np.exp(model.params[1:]), rtol=1e-8)
    assert_allclose(found["high"], np.exp(model.conf_int()[1][1:]), rtol=1e-7)


def test_links_without_ratios_are_refused() -> None:
    with pytest.raises(UsageError, match="the identity link has no ratios"):
        sr.Linear(target="GPA").fit(FRAME).ratios()
    with pytest.raises(UsageError, match="level"):
        sr.Logistic(target="GRADE").fit(FRAME).ratios(95.0)
