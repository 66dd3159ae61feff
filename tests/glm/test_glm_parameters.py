"""Alpha and power that are estimated: the maximum that statsmodels finds, its errors, and what is said of it."""

import mpmath
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize_scalar

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import DataError, UsageError
from streamreg.families import family
from streamreg.families.wright import log_wright

pytestmark = pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.HessianInversionWarning")


def negative_binomial(y, x, **options):
    """Return the maximum of statsmodels, which stops early unless it is told to go on."""
    model = sm.NegativeBinomial(y, sm.add_constant(x), **options)
    found = model.fit(method="bfgs", disp=0, maxiter=1000, gtol=1e-6, warn_convergence=False)
    return model.fit(start_params=found.params, method="newton", disp=0, tol=1e-14, warn_convergence=False)


def equal(fit, expected):
    np.testing.assert_allclose([fit.intercept, *fit.coef], expected.params[:-1], rtol=1e-6)
    np.testing.assert_allclose(fit.likelihood["alpha"], expected.params[-1], rtol=1e-8)
    np.testing.assert_allclose(fit.likelihood["alpha_std_error"], expected.bse[-1], rtol=1e-6)
    np.testing.assert_allclose(fit.log_likelihood, expected.llf, rtol=1e-10)
    np.testing.assert_allclose([fit.aic, fit.bic], [expected.aic, expected.bic], rtol=1e-10)
    assert fit.status == "ok"
    assert fit.likelihood["estimated"] == "alpha"
    assert np.nanmin(fit.digits) > 6


def test_alpha_is_that_of_statsmodels_on_randhie():
    data = sm.datasets.randhie.load_pandas()
    x, y = data.exog.to_numpy(dtype=float), data.endog.to_numpy(dtype=float)
    fit = sr.Glm(family="negative_binomial").fit((x, y))
    equal(fit, negative_binomial(y, x))
    assert "estimated, std error 0.0186" in str(fit.table()).replace("\n", " ") or "(estimated" in str(fit)
    given = sr.Glm(family="negative_binomial", alpha=fit.likelihood["alpha"]).fit((x, y))
    np.testing.assert_allclose(fit.coef, given.coef, rtol=1e-9)
    np.testing.assert_allclose(fit.std_errors, given.std_errors, rtol=1e-7)
    assert fit.aic == pytest.approx(given.aic + 2)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2500, 2)) * [1.0, 1e-3] + [500.0, 0.0]
    exposure = rng.uniform(1, 5, len(x))
    mean = exposure * np.exp(0.4 * (x[:, 0] - 500) + 300 * x[:, 1])
    return x, rng.poisson(mean * rng.gamma(2, 0.5, len(x))) * 1.0, exposure, rng.integers(1, 4, len(x))


def test_alpha_beside_an_exposure_and_repeated_rows(counts):
    x, y, exposure, times = counts
    table = {"a": x[:, 0], "b": x[:, 1], "e": exposure, "y": y, "w": times}
    model = sr.Glm(family="negative_binomial", exposure="e", features=("a", "b"), target="y", weight_kind="frequency")
    centred = (x - [500, 0]) * [1, 1e3]
    expected = negative_binomial(y, centred, exposure=exposure)
    fit = model.fit({name: table[name] for name in "abey"})
    np.testing.assert_allclose(fit.coef * [1, 1e-3], expected.params[1:3], rtol=1e-7)
    np.testing.assert_allclose(fit.likelihood["alpha"], expected.params[-1], rtol=1e-8)
    np.testing.assert_allclose(fit.likelihood["alpha_std_error"], expected.bse[-1], rtol=1e-6)
    np.testing.assert_allclose(fit.log_likelihood, expected.llf, rtol=1e-10)
    repeated = model.fit({name: np.repeat(table[name], times) for name in "abey"})
    weighted = model.fit(sr.open(table, weights="w"))
    np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-8)
    for name in ("alpha", "alpha_std_error"):
        np.testing.assert_allclose(weighted.likelihood[name], repeated.likelihood[name], rtol=1e-8)


def test_a_start_from_a_sample_gives_the_same_alpha_in_few_passes(monkeypatch):
    from streamreg.models import parameter

    rng = np.random.default_rng(2)
    x = rng.normal(size=(270_000, 2))
    y = rng.poisson(np.exp(x @ [0.3, -0.2]) * rng.gamma(1.0, 1.0, len(x)))
    few, other = (sr.Glm(family="negative_binomial").fit((x, y), threads=threads) for threads in (1, 2))
    assert few.coef.tobytes() == other.coef.tobytes()
    assert few.likelihood == other.likelihood
    assert few.passes <= 7
    with monkeypatch.context() as patch:
        patch.setattr(parameter, "_sampled", lambda *_: None)
        many = sr.Glm(family="negative_binomial").fit((x, y))
    np.testing.assert_allclose(few.coef, many.coef, atol=1e-8 * many.std_errors.min())
    np.testing.assert_allclose(few.likelihood["alpha"], many.likelihood["alpha"], rtol=1e-10)


def tweedie(y, x, power):
    """Return the greatest log-likelihood at a power, over the dispersion, the dispersion, and the fit."""
    kind = sm.families.Tweedie(var_power=power, link=sm.families.links.Log(), eql=False)
    fit = sm.GLM(y, sm.add_constant(x), family=kind).fit(tol=1e-13, maxiter=200)
    at = lambda log: -kind.loglike(y, fit.mu, scale=np.exp(log))  # noqa: E731
    found = minimize_scalar(at, bounds=(-2, 3), method="bounded", options={"xatol": 1e-9})
    return -found.fun, np.exp(found.x), fit


def test_power_is_where_the_profile_likelihood_is_greatest():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 2))
    y = np.array([rng.gamma(2.0, 1.0, k).sum() for k in rng.poisson(np.exp(0.5 + x @ [0.4, -0.2]))])
    fit = sr.Glm(family="tweedie").fit((x, y))
    power, error = fit.likelihood["power"], fit.likelihood["power_std_error"]
    best = minimize_scalar(lambda p: -tweedie(y, x, p)[0], bounds=(1.1, 1.6), method="bounded", options={"xatol": 1e-8})
    assert abs(power - best.x) < 1e-4 * error
    apart = 0.2 * error
    curve = [tweedie(y, x, power + step)[0] for step in (-apart, 0.0, apart)]
    np.testing.assert_allclose(error, apart / np.sqrt(2 * curve[1] - curve[0] - curve[2]), rtol=2e-3)
    _, dispersion, expected = tweedie(y, x, power)
    np.testing.assert_allclose([fit.intercept, *fit.coef], expected.params, rtol=1e-8)
    np.testing.assert_allclose(fit.likelihood["dispersion_at_maximum"], dispersion, rtol=1e-4)
    assert fit.family.startswith("tweedie(1.")
    assert "(estimated" in str(fit)
    assert np.isfinite(fit.log_likelihood)
    np.testing.assert_allclose(fit.predict(x), expected.predict(), rtol=1e-8)


def test_the_end_of_what_a_parameter_can_be_is_named():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(1000, 1))
    with pytest.raises(DataError, match="no maximum above 0; fit family='poisson'"):
        sr.Glm(family="negative_binomial").fit((x, rng.binomial(9, 1 / (1 + np.exp(-x[:, 0])))))
    with pytest.raises(DataError, match="until the power is 2, where the family is gamma"):
        sr.Glm(family="tweedie").fit((x, rng.wald(np.exp(x[:, 0]), 2.0)))
    with pytest.raises(UsageError, match="alpha is not estimated under a penalty"):
        sr.Glm(family="negative_binomial", ridge=1.0)
    late = np.arange(60) > 40
    apart = sr.Glm(family="negative_binomial").fit((late[:, None] * 1.0, late * (np.arange(60) % 7 + 1)))
    assert apart.status.startswith("not converged: no finite maximum")


def test_the_command_line_estimates_alpha(counts, tmp_path, capsys):
    x, y, *_ = counts
    np.save(tmp_path / "rows.npy", np.column_stack([x, y]))
    command = ["fit", str(tmp_path / "rows.npy"), "--target", "x2", "--kind", "glm", "--family", "negative_binomial"]
    assert main([*command, "--save", str(tmp_path / "fit.npz")]) == 0
    assert "(estimated" in " ".join(capsys.readouterr().out.split())
    assert sr.load(tmp_path / "fit.npz").likelihood["estimated"] == "alpha"


@pytest.mark.parametrize("link", ["log", "identity"])
def test_derivatives_by_alpha_are_those_of_the_likelihood(link):
    facts = family(f"negative_binomial(0.7)/{link}")
    for y, eta in ((0.0, 0.4), (3.0, 1.2), (200.0, 2.0)):

        def likelihood(t, u, y=y):
            alpha, mean = mpmath.exp(t), mpmath.exp(u) if link == "log" else u
            r = 1 / alpha
            ways = mpmath.loggamma(y + r) - mpmath.loggamma(r) - mpmath.loggamma(y + 1)
            return ways + y * mpmath.log(alpha * mean) - (y + r) * mpmath.log(1 + alpha * mean)

        with mpmath.workdps(40):
            at = (mpmath.log(mpmath.mpf(0.7)), mpmath.mpf(eta))
            orders = [(0, 0), (1, 0), (2, 0), (1, 1), *([(0, 2)] if link == "log" else [])]
            expected = [
                float(mpmath.diff(likelihood, at, order) if any(order) else likelihood(*at)) for order in orders
            ]
        one = np.ones(1)
        found = facts.by_parameters(np.array([y]), np.array([eta]), one, one, 1.0)
        own = [found.log_lik[0], found.first[0, 0], found.second[0, 0, 0], found.across[0, 0], -found.information[0]]
        np.testing.assert_allclose(own[: len(expected)], expected, rtol=1e-9)


@pytest.mark.parametrize("a", [0.05, 0.5, 1.5, 9.0])
def test_wrights_function_is_its_series(a):
    log_x = np.array([-350.0, -20.3, -1.0, 0.0, 2.9, 9.99])

    def series(x):
        def term(k):
            return mpmath.exp(k * mpmath.mpf(x)) / mpmath.factorial(k) / mpmath.gamma(a * k)

        return float(mpmath.log(mpmath.nsum(term, [1, 4000])))

    with mpmath.workdps(40):
        expected = [series(x) for x in log_x[:5]]
    np.testing.assert_allclose(log_wright(a, log_x)[:5], expected, rtol=1e-12)
    assert (np.diff(log_wright(a, log_x)) > 0).all()
