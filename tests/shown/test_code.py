"""The calls of other programs that a fit is turned into: those of Python are run, and give the same numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import UsageError

RNG = np.random.default_rng(6)
N = 500
FRAME = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "long name"]).assign(
    firm=RNG.integers(0, 9, N),
    town=np.array(["u", "v", "w"])[RNG.integers(0, 3, N)],
    w=RNG.uniform(1, 2, N),
    many=RNG.integers(1, 4, N),
    pos=RNG.uniform(0.5, 2, N),
)
ETA = 0.5 + 0.3 * FRAME["a"] - 0.2 * FRAME["b"]
FRAME = FRAME.assign(
    y=ETA + 0.2 * FRAME["firm"] + RNG.normal(size=N),
    n=RNG.poisson(np.exp(ETA)),
    yes=1.0 * (RNG.uniform(size=N) < 1 / (1 + np.exp(-ETA))),
    cost=RNG.gamma(2.0, np.exp(ETA) / 2),
)


def rows(target="y", weights=None):
    return sr.open(FRAME.drop(columns="town"), target=target, weights=weights)


AB = ("a", "b")
FITS = {
    "plain": lambda: sr.Linear(features=AB).fit(rows()),
    "no constant": lambda: sr.Linear(features=AB, intercept=False).fit(rows()),
    "weights": lambda: sr.Linear(features=AB).fit(rows(weights="w")),
    "powers": lambda: sr.Linear(features=AB, powers={"a": 3}).fit(rows()),
    "formula": lambda: sr.Linear("y ~ a * `long name` + log(pos) + C(firm) + town").fit(FRAME),
    "HC1": lambda: sr.Linear("y ~ a + b", errors="HC1").fit(FRAME),
    "HC3": lambda: sr.Linear("y ~ a + b", errors="HC3").fit(FRAME),
    "cluster": lambda: sr.Linear("y ~ a + b", errors={"cluster": "firm"}).fit(FRAME),
    "two clusters": lambda: sr.Linear("y ~ a + b", errors={"cluster": ("firm", "town")}).fit(FRAME),
    "newey_west": lambda: sr.Linear("y ~ a + b", errors={"newey_west": 3}).fit(FRAME),
    "absorbed": lambda: sr.Linear("y ~ a + b | firm + town").fit(FRAME),
    "absorbed, clusters": lambda: sr.Linear("y ~ a + b | firm", errors={"cluster": "firm"}).fit(FRAME),
    "frequency": lambda: sr.Linear(features=AB, weight_kind="frequency").fit(rows(weights="many")),
    "ridge": lambda: sr.Linear(features=AB, ridge=7.5).fit(rows()),
    "logistic": lambda: sr.Logistic(features=AB).fit(rows("yes")),
    "poisson": lambda: sr.Glm(family="poisson", features=AB).fit(rows("n")),
    "exposure": lambda: sr.Glm(family="poisson", features=AB, exposure="pos").fit(rows("n")),
    "probit": lambda: sr.Glm(family="binomial", link="probit", features=AB).fit(rows("yes")),
    "gamma": lambda: sr.Glm(family="gamma", link="log", features=AB).fit(rows("cost")),
}
MEANT = {  # whose call there is
    "statsmodels": ("plain", "no constant", "weights", "powers", "formula", "HC1", "HC3", "cluster", "two clusters",
                    "newey_west", "logistic", "poisson", "exposure", "probit", "gamma"),
    "pyfixest": ("plain", "weights", "powers", "formula", "HC1", "HC3", "cluster", "absorbed", "absorbed, clusters",
                 "frequency"),
    "sklearn": ("plain", "no constant", "weights", "ridge", "frequency", "logistic", "poisson", "gamma"),
}  # fmt: skip


@pytest.fixture(scope="module")
def fits():
    return {name: make() for name, make in FITS.items()}


def run(text):
    held = {"data": FRAME.copy()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        exec(text, held)
    return held["fit"]


def mine(fit, errors):
    first = [(fit.intercept, fit.intercept_std_error)] if fit.has_intercept and fit.absorbed is None else []
    found = [*first, *zip(fit.coef, fit.std_errors, strict=True)]
    return np.array(found)[:, int(errors)]


@pytest.mark.parametrize(("language", "name"), [(one, name) for one, names in MEANT.items() for name in names])
def test_the_same_numbers(fits, language, name):
    fit = fits[name]
    theirs = run(fit.code(language))
    if language == "sklearn":
        coef = np.ravel(theirs.coef_)
        assert np.ravel(theirs.intercept_)[0] == pytest.approx(fit.intercept, rel=2e-6, abs=1e-8)
        np.testing.assert_allclose(coef, fit.coef, rtol=2e-6)
        return
    coef, errors = (theirs.params, theirs.bse) if language == "statsmodels" else (theirs.coef(), theirs.se())
    np.testing.assert_allclose(np.sort(coef), np.sort(mine(fit, False)), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(np.sort(errors), np.sort(mine(fit, True)), rtol=1e-6)


SAID = {
    ("r", "plain"): ["fit <- lm(y ~ a + b, data = data)", "summary(fit)"],
    ("r", "no constant"): ["fit <- lm(y ~ a + b - 1, data = data)", "summary(fit)"],
    ("r", "weights"): ["fit <- lm(y ~ a + b, data = data, weights = w)", "summary(fit)"],
    ("r", "formula"): ["fit <- lm(y ~ a * `long name` + log(pos) + factor(firm) + town, data = data)", "summary(fit)"],
    ("r", "cluster"): [
        "fit <- lm(y ~ a + b, data = data)",
        "lmtest::coeftest(fit, vcov. = sandwich::vcovCL(fit, cluster = ~ firm), df = 8)",
    ],
    ("r", "exposure"): [
        'fit <- glm(n ~ a + b, data = data, family = poisson(link = "log"), offset = log(pos), epsilon = 1e-12)',
        "summary(fit)",
    ],
    ("fixest", "absorbed"): [
        "library(fixest)",
        'fit <- feols(y ~ a + b | firm + town, data, vcov = "iid", fixef.rm = "none", fixef.tol = 1e-10)',
        "summary(fit)",
    ],
    ("stata", "plain"): ["regress y a b"],
    ("stata", "HC1"): ["regress y a b, vce(robust)"],
    ("stata", "no constant"): ["regress y a b, noconstant"],
    ("stata", "frequency"): ["regress y a b [fweight = many]"],
    ("stata", "absorbed, clusters"): ["reghdfe y a b, vce(cluster firm) absorb(firm) keepsingletons"],
    ("stata", "probit"): ["glm yes a b, family(binomial) link(probit)"],
}


@pytest.mark.parametrize(("language", "name"), SAID)
def test_calls_of_r_and_stata(fits, language, name):
    assert fits[name].code(language).splitlines()[1:] == SAID[language, name]


REFUSED = {
    ("statsmodels", "ridge"): "ask for 'sklearn'",
    ("statsmodels", "absorbed"): "absorbs no factors",
    ("sklearn", "formula"): "columns of numbers",
    ("sklearn", "absorbed"): "absorbs no factors",
    ("stata", "formula"): "rename the column",
    ("stata", "powers"): "no powers",
    ("pyfixest", "poisson"): "asked of",
    ("r", "frequency"): "frequency weights",
    ("fixest", "HC3"): "no errors HC3",
}


@pytest.mark.parametrize(("language", "name"), REFUSED)
def test_what_has_no_counterpart_is_refused(fits, language, name):
    with pytest.raises(UsageError, match=REFUSED[language, name]):
        fits[name].code(language)


def test_other_refusals(fits, tmp_path, monkeypatch, capsys):
    lasso = sr.Penalised(features=AB).fit(rows()).candidate()
    twice = sr.Linear(features=("a", "c")).fit(FRAME.assign(c=2 * FRAME["a"])[["a", "c", "y"]], "y")
    poly = sr.Linear("y ~ poly(a, 2)").fit(FRAME)
    for fit, words in ((lasso, "no counterpart"), (twice, "depend on each other"), (poly, "poly")):
        with pytest.raises(UsageError, match=words):
            fit.code("r")
    with pytest.raises(UsageError, match="did you mean 'stata'"):
        fits["plain"].code("stat")
    monkeypatch.chdir(tmp_path)
    fits["plain"].save("plain.npz")
    assert main(["code", "plain.npz", "stata"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == SAID["stata", "plain"]
