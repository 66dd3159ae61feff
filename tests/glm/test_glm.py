"""Maximum likelihood against statsmodels, and the laws that hold for every fit."""

import mpmath
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import sparse  # noqa: F401 - statsmodels imports it lazily, with a warning of its own

import streamreg as sr
from streamreg.design.design import Design
from streamreg.errors import DataError, OnePassError, UsageError
from streamreg.families import FAMILIES, family
from streamreg.line import Line
from streamreg.scans.fold import fold
from streamreg.stats.working import WorkingMoments

RNG = np.random.default_rng(1)
N, P = 4000, 6
X = RNG.standard_normal((N, P)) * [1, 2, 0.5, 1, 1, 3] + [0, 1, 2, 0, 5, 0]
ETA = X @ [0.3, -0.2, 0.6, 0.1, -0.1, 0.15] - 0.7
W = RNG.uniform(0.2, 3.0, N)
COUNTS = RNG.integers(1, 4, N).astype(float)
Y = {
    "binomial": (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float),
    "poisson": RNG.poisson(np.exp(ETA / 2)).astype(float),
    "gaussian": ETA + RNG.standard_normal(N),
}
PEERS = {"binomial": sm.families.Binomial(), "poisson": sm.families.Poisson(), "gaussian": sm.families.Gaussian()}


def peer(name, x, y, intercept=True, **weights):
    x = sm.add_constant(x) if intercept else x
    return sm.GLM(y, x, family=PEERS[name], **weights).fit(tol=1e-14, maxiter=100)


def estimates(fit):
    if not fit.has_intercept:
        return fit.coef, fit.std_errors
    return np.r_[fit.intercept, fit.coef], np.r_[fit.intercept_std_error, fit.std_errors]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", ["binomial", "poisson", "gaussian"])
def test_equals_statsmodels(name, intercept):
    fit, ref = sr.Glm(family=name, intercept=intercept).fit((X, Y[name])), peer(name, X, Y[name], intercept)
    coef, errors = estimates(fit)
    assert fit.status == "ok"
    np.testing.assert_allclose(coef, ref.params, rtol=1e-11)
    np.testing.assert_allclose(errors, ref.bse, rtol=1e-9)
    np.testing.assert_allclose(fit.deviance, ref.deviance, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(X), ref.fittedvalues, rtol=1e-10)
    assert fit.df_resid == ref.df_resid
    if name != "gaussian":
        np.testing.assert_allclose(fit.log_likelihood, ref.llf, rtol=1e-12)
        np.testing.assert_allclose(fit.aic, ref.aic, rtol=1e-12)
        np.testing.assert_allclose(fit.bic, ref.bic_llf, rtol=1e-12)
        np.testing.assert_allclose(fit.pvalues, ref.pvalues[intercept:], rtol=1e-6, atol=1e-300)
        np.testing.assert_allclose(fit.conf_int(), ref.conf_int()[intercept:], rtol=1e-8)
        np.testing.assert_allclose(fit.cov(), ref.cov_params()[intercept:, intercept:], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(fit.predict(X, "link"), ref.predict(which="linear"), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(fit.rss, ((Y[name] - ref.fittedvalues) ** 2).sum(), rtol=1e-11)
        assert fit.passes <= 9
    if intercept:
        np.testing.assert_allclose(fit.null_deviance, ref.null_deviance, rtol=1e-12)
        assert fit.rsquared == pytest.approx(1 - ref.deviance / ref.null_deviance)


@pytest.mark.parametrize("name", ["binomial", "poisson"])
def test_weights(name):
    for meaning, weight, key in (("analytic", W, "var_weights"), ("frequency", COUNTS, "freq_weights")):
        fit = sr.Glm(family=name, weight_kind=meaning).fit((X, Y[name], weight))
        ref = peer(name, X, Y[name], **{key: weight})
        for ours, theirs in zip(estimates(fit), (ref.params, ref.bse), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        np.testing.assert_allclose([fit.deviance, fit.null_deviance], [ref.deviance, ref.null_deviance], rtol=1e-12)
        assert fit.df_resid == pytest.approx(ref.df_resid)
    repeated = np.repeat(np.arange(N), COUNTS.astype(int))
    again = sr.Glm(family=name).fit((X[repeated], Y[name][repeated]))
    frequency = sr.Glm(family=name, weight_kind="frequency").fit((X, Y[name], COUNTS))
    np.testing.assert_allclose(frequency.coef, again.coef, rtol=1e-11)
    np.testing.assert_allclose(frequency.std_errors, again.std_errors, rtol=1e-9)
    np.testing.assert_allclose([frequency.aic, frequency.bic], [again.aic, again.bic], rtol=1e-12)


def test_shares_are_targets_too():
    share = np.clip(1 / (1 + np.exp(-ETA)) + 0.1 * RNG.standard_normal(N), 0, 1)
    fit, ref = sr.Logistic().fit((X, share)), peer("binomial", X, share)
    np.testing.assert_allclose(fit.coef, ref.params[1:], rtol=1e-10)
    np.testing.assert_allclose(fit.deviance, ref.deviance, rtol=1e-10)


def test_offsets_and_units_cost_no_digits():
    whole = np.round(X * 64)
    far = whole + np.array([1e9, -1e9, 0, 1e12, 0, 0])
    plain, moved = (sr.Logistic().fit((x, Y["binomial"])) for x in (whole, far))
    np.testing.assert_allclose(moved.coef, plain.coef, rtol=1e-12)
    np.testing.assert_allclose(moved.std_errors, plain.std_errors, rtol=1e-9)
    np.testing.assert_allclose(moved.predict(far), plain.predict(whole), rtol=1e-10)
    for unit in (2.0**600, 2.0**-600):
        scaled = sr.Logistic().fit((X * unit, Y["binomial"]))
        reference = sr.Logistic().fit((X, Y["binomial"]))
        np.testing.assert_allclose(scaled.coef * unit, reference.coef, rtol=1e-12)
        np.testing.assert_allclose(scaled.std_errors * unit, reference.std_errors, rtol=1e-9)
    stamps = 1_700_000_000_000_000_000 + RNG.integers(0, 10**15, N)
    hours = (stamps - 1_700_000_000_000_000_000) / 3.6e12
    y = (RNG.random(N) < 1 / (1 + np.exp(-(hours - 140) / 50))).astype(float)
    fit = sr.Logistic().fit((stamps[:, None], y))
    np.testing.assert_allclose(fit.coef * 3.6e12, sr.Logistic().fit((hours[:, None], y)).coef, rtol=1e-9)


@pytest.mark.parametrize("name", ["binomial", "poisson"])
def test_threads_chunks_and_storage_leave_no_trace(name, tmp_path):
    whole = sr.Glm(family=name).fit((X, Y[name], W), threads=1)
    batches = [(X[i : i + 311], Y[name][i : i + 311], W[i : i + 311]) for i in range(0, N, 311)]
    again = sr.Glm(family=name).fit(lambda: iter(batches), threads=3)
    for field in ("coef", "std_errors", "digits"):
        assert np.array_equal(getattr(whole, field), getattr(again, field))
    assert (whole.intercept, whole.deviance, whole.log_lik) == (again.intercept, again.deviance, again.log_lik)
    order = RNG.permutation(N)
    shuffled = sr.Glm(family=name).fit((X[order], Y[name][order], W[order]))
    np.testing.assert_allclose(shuffled.coef, whole.coef, rtol=1e-11)
    columns = np.asfortranarray(X)
    assert np.array_equal(sr.Glm(family=name).fit((columns, Y[name], W)).coef, whole.coef)


def test_working_moments_survive_as_arrays_and_merge():
    source = sr.open((X, Y["binomial"], W))
    design = Design.of(source)
    at = Line(X.mean(0), np.full(P, 0.1), -0.2)
    state = fold(source, design, WorkingMoments(design.names, "binomial", at, 0.4, Line(X.mean(0), np.ones(P), 1)))
    again = WorkingMoments.from_arrays(state.to_arrays())
    assert again.likelihood() == state.likelihood()
    assert np.array_equal(again.problem(True).cross, state.problem(True).cross)
    eta = -0.2 + (X - X.mean(0)) @ np.full(P, 0.1)
    facts = family("binomial")
    assert state.likelihood().deviance == pytest.approx(W @ facts.deviance(Y["binomial"], eta), rel=1e-13)
    assert state.likelihood().weight == pytest.approx(W.sum())
    with pytest.raises(DataError, match="different predictors"):
        state.merge(fold(source, design, WorkingMoments(design.names, "binomial", at.moved(at), 0.4)))


SEPARATED = X[:, 1] > 1


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, SEPARATED, ["complete separation: x1 tells all rows"]),
        (X, ~SEPARATED, ["complete separation: -x1 tells all rows"]),
        (X, X[:, 0] > X[:, 3], ["complete separation: x0 - x3 tells all rows"]),
        (
            np.column_stack([X, RNG.random(N) < 0.1]),
            None,
            ["quasi-complete separation: x6 tells some rows", "leave columns out"],
        ),
    ],
)
def test_separation_is_said_with_its_direction(x, y, words):
    y = np.where(x[:, -1] == 1, 1.0, Y["binomial"]) if y is None else y.astype(float)
    fit = sr.Logistic().fit((x, y))
    assert fit.status.startswith("not converged: ")
    assert all(word in fit.status for word in words)
    assert np.isnan(fit.std_errors).all()
    assert fit.passes < 25
    assert np.isfinite(fit.coef).all()
    assert "separation" in fit.summary()


def test_counts_without_a_finite_maximum():
    rare = (RNG.random(N) < 0.05).astype(float)
    fit = sr.Glm(family="poisson").fit((np.column_stack([X, rare]), np.where(rare == 1, 0.0, Y["poisson"])))
    assert "where x6 is high, all counts are zero" in fit.status


def test_near_separation_converges():
    y = (X[:, 1] > 1).astype(float)
    flip = RNG.choice(N, 12, replace=False)
    y[flip] = 1 - y[flip]
    fit, ref = sr.Logistic().fit((X, y)), peer("binomial", X, y)
    assert fit.status == "ok"
    np.testing.assert_allclose(fit.coef, ref.params[1:], rtol=1e-8)


def test_a_far_first_step_is_halved():
    x = np.r_[np.zeros(200), 8.0][:, None] + 0.01 * RNG.standard_normal((201, 1))
    y = np.r_[np.zeros(100), np.ones(100), 3000.0]
    fit = sr.Glm(family="poisson").fit((x, y))
    np.testing.assert_allclose(fit.coef, peer("poisson", x, y).params[1:], rtol=1e-8)
    assert fit.status == "ok"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("binomial", 2.0, "row 2,345 .*column 'y': 2; a binomial target is between 0 and 1"),
        ("binomial", -0.5, "row 2,345 .*-0.5"),
        ("poisson", -1.0, "row 2,345 .*a poisson target is 0 or more"),
    ],
)
def test_wrong_targets_are_located(name, value, words):
    y = Y[name].copy()
    y[2345] = value
    for intercept in (True, False):
        with pytest.raises(DataError, match=words):
            sr.Glm(family=name, intercept=intercept).fit((X, y))


def test_targets_that_are_the_same_everywhere():
    for name, value in (("binomial", 1.0), ("binomial", 0.0), ("poisson", 0.0)):
        with pytest.raises(DataError, match=f"is {value:g} in every row"):
            sr.Glm(family=name).fit((X, np.full(N, value)))


def test_dependent_columns():
    x = np.column_stack([X, X[:, 0] + 2 * X[:, 1] + 3])
    fit, plain = sr.Logistic().fit((x, Y["binomial"])), sr.Logistic().fit((X, Y["binomial"]))
    assert fit.status == "dependent"
    assert fit.dependencies == ("x6 = x0 + 2 x1 + 3",)
    assert list(fit.identifiable) == [False, False, True, True, True, True, False]
    np.testing.assert_allclose(fit.predict(x), plain.predict(X), rtol=1e-9)
    np.testing.assert_allclose(fit.deviance, plain.deviance, rtol=1e-11)
    with pytest.raises(DataError, match="x6 = x0"):
        sr.Logistic(singular="error").fit((x, Y["binomial"]))


def test_what_a_fit_knows(tmp_path):
    fit = sr.Logistic(powers={"x0": 2}).fit((X, Y["binomial"]))
    assert fit.model["kind"] == "logistic"
    assert fit.family == "binomial"
    fit.save(tmp_path / "fit.npz")
    again = sr.FitResult.load(tmp_path / "fit.npz")
    assert np.array_equal(again.predict(X), fit.predict(X))
    assert (again.predict(sr.open((X, Y["binomial"]))) == again.predict(X)).all()
    assert again.summary() == fit.summary()
    assert "deviance explained" in fit.summary()
    assert fit.to_dict()["deviance"] == fit.deviance
    reference = peer("binomial", np.insert(X, 1, X[:, 0] ** 2, axis=1), Y["binomial"])
    np.testing.assert_allclose(fit.coef, reference.params[1:], rtol=1e-9)
    with pytest.raises(UsageError, match="no kind 'odds'"):
        fit.predict(X, "odds")


def test_what_a_fit_refuses():
    source = sr.open((X, Y["binomial"]))
    with pytest.raises(UsageError, match="moments hold none"):
        sr.Logistic().fit(sr.scan(source))
    with pytest.raises(OnePassError, match="several times"):
        sr.Logistic().fit(iter([(X, Y["binomial"])]))
    with pytest.raises(UsageError):
        sr.Glm(family="gama")
    with pytest.raises(UsageError, match="did you mean 'poisson'"):
        family("poison")
    stopped = sr.Logistic(max_iterations=3).fit(source)
    assert "raise max_iterations" in stopped.status
    assert stopped.passes == 3


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_consistent(name):
    facts = family(name)
    eta = np.linspace(-4, 4, 41)
    mean, step = facts.mean(eta), 1e-5
    slope = facts.derivative(eta)
    np.testing.assert_allclose((facts.mean(eta + step) - facts.mean(eta - step)) / (2 * step), slope, rtol=1e-8)
    np.testing.assert_allclose(facts.slope(mean), slope, rtol=1e-12)
    np.testing.assert_allclose(facts.score(mean, eta)[1], slope**2 / facts.variance(mean), rtol=1e-12)
    if facts.canonical:
        np.testing.assert_allclose(slope, facts.variance(mean), rtol=1e-12)
    np.testing.assert_allclose([facts.linked(m) for m in mean], eta, atol=1e-12)
    for y in np.clip(mean, 0, 1)[::8]:
        target = np.full_like(eta, y)
        change = (facts.deviance(target, eta + step) - facts.deviance(target, eta - step)) / (2 * step)
        np.testing.assert_allclose(change, -2 * facts.score(target, eta)[0], atol=1e-7, rtol=1e-7)
        assert (facts.deviance(target, eta) >= 0).all()
        constant, per, curve = facts.null_terms(float(mean[20]))
        told = constant + per * y + curve * float(facts.curved(np.array([y]))[0])
        assert told == pytest.approx(float(facts.deviance(target, eta)[20]), rel=1e-10, abs=1e-13)
    far = facts.mean(np.array([-800.0, 800.0]))
    assert np.isfinite(far).all()


def exact_logistic(x, y):
    """Return intercept and slopes to forty digits, by Newton's method in mpmath, from the float64 data."""
    mp = mpmath.mp.clone()
    mp.dps = 50
    rows = [mp.matrix([mp.mpf(1), *(mp.mpf(float(v)) for v in row)]) for row in x]
    b = mp.matrix(x.shape[1] + 1, 1)
    for _ in range(60):
        score, information = mp.matrix(len(b), 1), mp.matrix(len(b), len(b))
        for row, label in zip(rows, y, strict=True):
            mean = 1 / (1 + mp.exp(-(row.T * b)[0]))
            score += row * (mp.mpf(float(label)) - mean)
            information += row * row.T * (mean * (1 - mean))
        step = mp.lu_solve(information, score)
        b += step
        if mp.norm(step) < mp.mpf(10) ** -35 * mp.norm(b):
            break
    return np.array([float(v) for v in b])


@pytest.mark.parametrize(("apart", "offset"), [(1.0, 0.0), (1e-3, 0.0), (1e-6, 0.0), (1e-3, 1e6)])
def test_promised_digits_are_there(apart, offset):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((50, 3))
    x[:, 2] = x[:, 0] + apart * x[:, 2]
    x = np.round((x + offset) * 2**26) / 2**26
    y = (rng.random(50) < 1 / (1 + np.exp(offset - x[:, 1]))).astype(float)
    fit, truth = sr.Logistic().fit((x, y)), exact_logistic(x, y)
    assert fit.status == "ok"
    found, size = np.r_[fit.intercept, fit.coef], np.maximum(np.abs(truth), 1e-3 * estimates(fit)[1])
    digits = -np.log10(np.maximum(np.abs(found - truth) / size, 1e-16))
    promised = np.r_[fit.digits_intercept, fit.digits]
    assert (digits >= promised - 0.3).all(), (digits, promised)
    assert promised.min() > 7


def exact_errors(x, y, b, name):
    """Return the standard errors at coefficients in forty digits."""
    mp = mpmath.mp.clone()
    mp.dps = 50
    information = mp.matrix(len(b), len(b))
    for row in x:
        row = mp.matrix([mp.mpf(1), *(mp.mpf(float(v)) for v in row)])
        eta = (row.T * mp.matrix(b))[0]
        mean = mp.exp(eta) if name == "poisson" else 1 / (1 + mp.exp(-eta))
        information += row * row.T * (mean if name == "poisson" else mean * (1 - mean))
    inverse = information**-1
    return np.array([float(mp.sqrt(inverse[i, i])) for i in range(len(b))])


@pytest.mark.parametrize("apart", [1.0, 1e-4, 1e-7])
@pytest.mark.parametrize("passes", [1, 2, 3, 4, 5, 50])
def test_a_fit_promises_no_digits_that_it_has_yet_to_reach(apart, passes):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((50, 3))
    x[:, 2] = x[:, 0] + apart * x[:, 2]
    y = (rng.random(50) < 1 / (1 + np.exp(-x[:, 1]))).astype(float)
    fit, truth = sr.Logistic(max_iterations=passes).fit((x, y)), exact_logistic(x, y)
    true_errors = exact_errors(x, y, truth, "binomial")
    found, errors = estimates(fit)
    digits = -np.log10(np.maximum(np.abs(found - truth) / np.maximum(np.abs(truth), 1e-3 * true_errors), 1e-16))
    promised = np.r_[fit.digits_intercept, fit.digits]
    assert (promised <= np.maximum(digits, 0) + 0.3).all(), (digits, promised)
    digits_se = max(-np.log10(np.abs(errors / true_errors - 1).max()), 0.0)
    assert fit.digits_se <= digits_se + 0.3
    if apart == 1.0 and passes in (3, 50):
        assert promised.min() > (1 if passes == 3 else 12)


def test_where_labels_are_separated_no_digit_is_promised():
    fit = sr.Logistic().fit((X, SEPARATED.astype(float)))
    assert not fit.digits.any()
    assert (fit.digits_intercept, fit.digits_se) == (0.0, 0.0)
    assert "precision=" not in fit.summary()


@pytest.mark.parametrize("level", [1e-2, 1.0, 1e5, 1e7])
def test_counts_without_an_intercept_of_any_size_take_few_passes(level):
    rng = np.random.default_rng(5)
    group = rng.integers(0, 4, 4000)
    x, y = np.eye(4)[group], rng.poisson(level * (1.0 + group)).astype(float)
    weight = rng.integers(1, 4, 4000).astype(float)
    fit = sr.Glm(family="poisson", intercept=False).fit((x, y, weight))
    means = [np.average(y[group == g], weights=weight[group == g]) for g in range(4)]
    np.testing.assert_allclose(fit.coef, np.log(means), rtol=1e-12)
    assert fit.status == "ok"
    assert fit.passes <= (5 if level > 1 else 7 if level == 1 else 10)


def test_shares_of_trials_have_the_likelihood_of_counts():
    trials = COUNTS + 2
    successes = RNG.binomial(trials.astype(int), 1 / (1 + np.exp(-ETA))).astype(float)
    ref = peer("binomial", X, np.column_stack([successes, trials - successes]))
    for share in (successes / trials, (successes / trials).astype(np.float32)):
        fit = sr.Logistic().fit((X, share, trials))
        np.testing.assert_allclose([fit.log_likelihood, fit.aic, fit.bic], [ref.llf, ref.aic, ref.bic_llf], rtol=1e-7)
        assert fit.log_lik_note == ""
    for weights in ((), (W,)):
        unknown = sr.Logistic().fit((X, successes / trials, *weights))
        assert "without binomial coefficients" in unknown.log_lik_note
        assert "without binomial coefficients" in unknown.summary()
        mean, w = unknown.predict(X), weights[0] if weights else 1.0
        kernel = w * (successes / trials * np.log(mean) + (1 - successes / trials) * np.log1p(-mean))
        assert unknown.log_likelihood == pytest.approx(kernel.sum(), rel=1e-11)


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-10, 1e-8, 1e-6])
@pytest.mark.parametrize("intercept", [True, False])
def test_columns_depend_where_they_do_for_a_line(apart, intercept):
    x = X.copy()
    x[:, 2] = x[:, 0] + apart * X[:, 2]
    line = sr.Linear(intercept=intercept).fit((x, Y["binomial"]))
    fit = sr.Logistic(intercept=intercept).fit((x, Y["binomial"]))
    assert fit.dependencies == line.dependencies
    if fit.rank < line.rank:
        assert fit.status.startswith("not determined: columns too nearly dependent on others for a binomial fit (x2)")
        assert np.isnan(fit.std_errors[[0, 2]]).all()
        assert np.isnan(fit.digits[[0, 2]]).all()
        assert fit.status in " ".join(fit.summary().split())
    else:
        assert fit.status == line.status == ("ok" if apart else "dependent")
    if not apart:
        with pytest.raises(DataError, match="dependent columns: x2 = x0"):
            sr.Logistic(intercept=intercept, singular="error").fit((x, Y["binomial"]))
