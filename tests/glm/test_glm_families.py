"""Every family with its links, offsets and weights, against statsmodels."""

from functools import partial

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.genmod.families import links

import streamreg as sr
from streamreg.errors import DataError, UsageError
from streamreg.results.base import FitResult

pytestmark = pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.DomainWarning")

RNG = np.random.default_rng(7)
N = 1500
X = RNG.uniform(-1, 1, (N, 3))
OFFSET = RNG.uniform(-0.2, 0.2, N)
WEIGHT = RNG.uniform(0.5, 2.0, N)
OFTEN = RNG.integers(1, 4, N).astype(float)
LINE = 0.3 + X @ [0.4, -0.3, 0.2]
MEAN = {
    "log": np.exp(LINE),
    "identity": 2 + LINE,
    "inverse": 1 / (2 + LINE),
    "inverse_squared": (2 + LINE) ** -0.5,
    "sqrt": (2 + LINE) ** 2,
    "power(0.3)": (2 + LINE) ** (1 / 0.3),
}
SHARE = {
    "logit": 1 / (1 + np.exp(-LINE)),
    "probit": links.Probit().inverse(LINE),
    "cloglog": -np.expm1(-np.exp(LINE)),
    "cauchit": links.Cauchy().inverse(LINE),
    "log": np.exp(LINE - 1.6),
    "identity": (1.5 + LINE) / 4,
}
THEIRS = {
    "log": links.Log(),
    "identity": links.Identity(),
    "inverse": links.InversePower(),
    "inverse_squared": links.InverseSquared(),
    "sqrt": links.Sqrt(),
    "power(0.3)": links.Power(0.3),
    "logit": links.Logit(),
    "probit": links.Probit(),
    "cloglog": links.CLogLog(),
    "cauchit": links.Cauchy(),
}
FAMILY = {
    "binomial": sm.families.Binomial,
    "poisson": sm.families.Poisson,
    "gaussian": sm.families.Gaussian,
    "gamma": sm.families.Gamma,
    "inverse_gaussian": sm.families.InverseGaussian,
    "negative_binomial": partial(sm.families.NegativeBinomial, alpha=0.7),
    "tweedie": partial(sm.families.Tweedie, var_power=1.6),
}
OWN = {"negative_binomial": {"alpha": 0.7}, "tweedie": {"power": 1.6}}


def drawn(family, mean):
    rng = np.random.default_rng(11)
    if family == "gamma":
        return mean * rng.gamma(3.0, 1 / 3.0, N)
    if family == "inverse_gaussian":
        return rng.wald(mean, 6.0)
    if family == "negative_binomial":
        return rng.poisson(mean * rng.gamma(1 / 0.7, 0.7, N)).astype(float)
    if family == "tweedie":
        return np.array([rng.gamma(2.0, m / 2, k).sum() for m, k in zip(mean, rng.poisson(1.0, N), strict=True)])
    return rng.poisson(mean).astype(float) if family == "poisson" else mean + 0.3 * rng.standard_normal(N)


CASES = [
    *[("binomial", link) for link in SHARE],
    *[(family, link) for family in FAMILY if family != "binomial" for link in ("log", "identity")],
    *[("gamma", link) for link in ("inverse", "power(0.3)")],
    ("inverse_gaussian", "inverse_squared"),
    ("poisson", "sqrt"),
    ("gaussian", "inverse"),
]


def data(family, link):
    mean = SHARE[link] if family == "binomial" else MEAN[link]
    # Numbers of its own, so that a case is the same whichever cases run before it.
    return (np.random.default_rng(12).random(N) < mean).astype(float) if family == "binomial" else drawn(family, mean)


def held(fit, ref, tight=1e-8):
    np.testing.assert_allclose([fit.intercept, *fit.coef], ref.params, rtol=tight, atol=tight * 1e-2)
    np.testing.assert_allclose([fit.intercept_std_error, *fit.std_errors], ref.bse, rtol=tight)
    np.testing.assert_allclose([fit.deviance, fit.likelihood["pearson"]], [ref.deviance, ref.pearson_chi2], rtol=tight)
    np.testing.assert_allclose(fit.sigma**2, ref.scale, rtol=tight)
    assert fit.df_resid == pytest.approx(ref.df_resid)


@pytest.mark.parametrize("weights", ["none", "analytic", "frequency", "offset"])
@pytest.mark.parametrize(("family", "link"), CASES)
def test_every_family_and_link_equals_statsmodels(family, link, weights):
    y = data(family, link)
    model = {"family": family, "link": link, **OWN.get(family, {})}
    table = {"x0": X[:, 0], "x1": X[:, 1], "x2": X[:, 2], "y": y, "o": OFFSET}
    more, options = {}, {}
    if weights == "offset":
        options, more = {"offset": "o"}, {"offset": OFFSET}
    elif weights != "none":
        table["w"] = WEIGHT if weights == "analytic" else OFTEN
        more = {"var_weights" if weights == "analytic" else "freq_weights": table["w"]}
    source = sr.open(table, target="y", weights="w" if "w" in table else None)
    form = {"weight_kind": weights} if weights in ("analytic", "frequency") else {}
    fit = sr.Glm(**model, **options, **form, features=("x0", "x1", "x2")).fit(source)
    other = sm.GLM(y, sm.add_constant(X), family=FAMILY[family](THEIRS[link], check_link=False), **more)
    start = None if link in ("log", "logit") else np.r_[fit.intercept, fit.coef] * (1 + 1e-3)
    ref = other.fit(tol=1e-14, maxiter=200, start_params=start)
    assert fit.status == "ok"
    if fit.method == "newton":
        held(fit, ref)
        np.testing.assert_allclose([fit.log_likelihood, fit.aic], [ref.llf, ref.aic], rtol=1e-8)
        np.testing.assert_allclose(fit.null_deviance, ref.null_deviance, rtol=1e-8)
    frame = {name: table[name] for name in fit.columns}
    np.testing.assert_allclose(fit.predict(np.column_stack(list(frame.values()))), ref.fittedvalues, rtol=1e-7)
    assert fit.digits.min() > 5


def test_exposure_is_an_offset_by_its_logarithm():
    exposure = np.exp(OFFSET)
    y = RNG.poisson(MEAN["log"] * exposure).astype(float)
    table = {"a": X[:, 0], "b": X[:, 1], "y": y, "time": exposure, "o": OFFSET}
    fit = sr.Glm(family="poisson", exposure="time", offset="o", target="y").fit(table)
    ref = sm.GLM(y, sm.add_constant(X[:, :2]), sm.families.Poisson(), offset=OFFSET, exposure=exposure).fit(tol=1e-14)
    held(fit, ref)
    assert fit.names == ("a", "b")
    assert fit.columns == ("a", "b", "o", "time")
    np.testing.assert_allclose(fit.predict(sr.open(table)), ref.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(fit.null_deviance, ref.null_deviance, rtol=1e-9)
    with pytest.raises(DataError, match=r"row 3 .*exposure: 0; exposures are above 0"):
        sr.Glm(family="poisson", exposure="time", target="y").fit(table | {"time": np.where(np.arange(N) == 3, 0, 1.0)})
    with pytest.raises(UsageError, match="log link"):
        sr.Glm(family="binomial", exposure="time")


def test_trials_are_statsmodels_successes_and_failures():
    trials = RNG.integers(1, 20, N).astype(float)
    wins = RNG.binomial(trials.astype(int), SHARE["logit"]).astype(float)
    table = {"a": X[:, 0], "b": X[:, 1], "wins": wins, "of": trials}
    for link in ("logit", "cloglog"):
        fit = sr.Glm(link=link, trials="of", target="wins").fit(table)
        family = sm.families.Binomial(THEIRS[link])
        ref = sm.GLM(np.c_[wins, trials - wins], sm.add_constant(X[:, :2]), family).fit(tol=1e-14)
        held(fit, ref)
        np.testing.assert_allclose([fit.log_likelihood, fit.aic, fit.bic], [ref.llf, ref.aic, ref.bic_llf], rtol=1e-9)
    np.testing.assert_allclose(fit.predict(X[:, :2]), ref.fittedvalues, rtol=1e-9)
    with pytest.raises(DataError, match=r"row 9 .*successes are between 0 and the trials"):
        sr.Glm(trials="of", target="wins").fit(table | {"wins": np.where(np.arange(N) == 9, 21.0, wins)})


@pytest.mark.parametrize("name", ["binomial", "poisson"])
def test_quasi_likelihoods_have_the_scale_of_pearson(name):
    y = data(name, "logit" if name == "binomial" else "log")
    fit = sr.Glm(family=f"quasi_{name}").fit((X, y))
    ref = sm.GLM(y, sm.add_constant(X), FAMILY[name]()).fit(tol=1e-14, scale="X2")
    held(fit, ref)
    assert np.isnan(fit.aic)
    assert "quasi-likelihood" in fit.summary()
    known = sr.Glm(family=name, dispersion=2.5).fit((X, y))
    np.testing.assert_allclose(known.std_errors, ref.bse[1:] / np.sqrt(ref.scale) * np.sqrt(2.5), rtol=1e-8)
    deviance = sr.Glm(family=name, dispersion="deviance").fit((X, y))
    assert deviance.sigma**2 == pytest.approx(deviance.deviance / deviance.df_resid)


def test_results_with_links_and_offsets_go_through_every_door(tmp_path):
    y = data("gamma", "inverse")
    table = {"a": X[:, 0], "b": X[:, 1], "y": y, "o": OFFSET}
    source = sr.open(table, target="y")
    fit = sr.Glm(family="gamma", link="inverse", offset="o").fit(source, threads=1)
    again = sr.Glm(family="gamma", link="inverse", offset="o").fit(source, threads=2)
    assert np.array_equal(fit.coef, again.coef)
    fit.save(tmp_path / "fit.npz")
    loaded = FitResult.load(tmp_path / "fit.npz")
    assert np.array_equal(loaded.predict(source), fit.predict(source))
    assert str(loaded) == str(fit)
    assert "gamma, inverse link" in str(fit)
    assert sr.compare(fit, again, source).verdict == sr.compare(fit, fit, source).verdict
    assert np.isfinite(sr.score({"gamma": fit}, source)["gamma"].deviance)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"family": "gamma", "link": "logit"}, "no link 'logit'.*log, identity, inverse"),
        ({"family": "tweedie", "power": 2}, "family 'gamma'"),
        ({"family": "negative_binomial", "alpha": 0}, "alpha"),
        ({"family": "gamma", "power": 2}, "no parameter"),
        ({"family": "poisson", "trials": "n"}, "binomial family"),
    ],
)
def test_what_is_refused_when_it_is_asked_for(options, words):
    with pytest.raises(UsageError, match=words):
        sr.Glm(**options)


def test_counts_that_are_not_whole_are_said():
    y = RNG.poisson(MEAN["log"]).astype(float)
    y[17] = 1.5
    fit = sr.Glm(family="poisson").fit((X, y))
    assert "1 of the targets are not whole numbers, the first in row 17" in fit.log_lik_note


def test_overdispersion_is_said():
    y = drawn("negative_binomial", MEAN["log"] * 3)
    fit = sr.Glm(family="poisson").fit((X, y))
    excess = fit.likelihood["pearson"] / fit.df_resid
    words = " ".join(fit.summary().split())
    assert f"Pearson's statistic is {excess:.3g} times what poisson rows have" in words
    assert f"{np.sqrt(excess):.2g} times too small" in words
    for calm in (
        sr.Glm(family="poisson", dispersion="pearson").fit((X, y)),
        sr.Glm(family="poisson").fit((X, drawn("poisson", MEAN["log"]))),
    ):
        assert "too small" not in calm.summary()


@pytest.mark.parametrize("link", ["probit", "cloglog", "cauchit"])
def test_quasi_complete_separation_is_said_with_every_link(link):
    rare = (np.arange(N) % 10 == 0).astype(float)
    y = np.where(rare == 1, 1.0, data("binomial", "logit"))
    fit = sr.Glm(link=link).fit((np.column_stack([X, rare]), y))
    assert "quasi-complete separation: x3 tells some rows" in fit.status
    assert np.isnan(fit.std_errors).all()
