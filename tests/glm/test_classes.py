"""Multinomial and ordered fits: those of statsmodels, of Logistic for two classes, and of the same rows however cut."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import CorruptError, DataError, UsageError
from streamreg.jobs import run_job
from streamreg.persist import archive

N = 3000


@pytest.fixture(scope="module")
def frame():
    """Classes by the greatest of three noisy predictors (multinomial), and by cuts of one (ordered)."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(1000, 3, N), "b": rng.normal(size=N), "g": rng.choice(["u", "v", "w"], N)})
    z = (frame["a"] - 1000) / 3
    eta = np.column_stack([np.zeros(N), 0.5 * z + frame["b"], (frame["g"] == "v") - 0.3 * frame["b"]])
    frame["k"] = (eta + rng.gumbel(size=(N, 3))).argmax(axis=1)
    frame["party"] = np.array(["left", "mid", "right"])[frame["k"]]
    frame["grade"] = np.digitize(z - frame["b"] + rng.logistic(size=N), [-2, 0, 1])
    frame["word"] = np.array(["bad", "poor", "good", "best"])[frame["grade"]]
    frame["w"] = rng.integers(1, 4, N)
    return frame


def design(frame, constant=True):
    columns = [frame["a"], frame["b"], frame["g"] == "v", frame["g"] == "w"]
    return np.column_stack([np.ones(len(frame))] * constant + columns).astype(float)


def mnlogit(y, x):
    # What it says of convergence is about its own tolerance.
    return sm.MNLogit(y, x).fit(method="newton", tol=1e-13, maxiter=100, disp=0, warn_convergence=False)


def equal_to_mnlogit(fit, expected):
    np.testing.assert_allclose(fit.coef, expected.params.T.ravel(), rtol=1e-8)
    np.testing.assert_allclose(fit.std_errors, expected.bse.T.ravel(), rtol=1e-8)
    np.testing.assert_allclose(fit.cov(), expected.cov_params(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fit.pvalues, expected.pvalues.T.ravel(), rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(
        [fit.log_likelihood, fit.aic, fit.bic, fit.df_resid],
        [expected.llf, expected.aic, expected.bic, expected.df_resid],
        rtol=1e-10,
    )
    np.testing.assert_allclose(fit.null_log_likelihood, expected.llnull, rtol=1e-8)
    np.testing.assert_allclose(fit.pseudo_rsquared, expected.prsquared, rtol=1e-7)
    np.testing.assert_allclose(fit.lr_pvalue, expected.llr_pvalue, rtol=1e-4)
    assert fit.digits.min() > 8


def test_multinomial_is_that_of_statsmodels_on_anes96():
    data = sm.datasets.anes96.load_pandas()
    x, y = data.exog.to_numpy(), data.endog.to_numpy()
    fit = sr.Multinomial().fit((x, y))
    expected = mnlogit(y, sm.add_constant(x))
    equal_to_mnlogit(fit, expected)
    np.testing.assert_allclose(fit.predict(x), expected.predict(), rtol=1e-8)
    np.testing.assert_array_equal(fit.predict(x, "class"), expected.predict().argmax(axis=1))
    assert fit.slopes.shape == (6, 5)
    np.testing.assert_array_equal(fit.intercepts, fit.coef[::6])


def test_multinomial_of_text_and_a_formula(frame):
    fit = sr.Multinomial(formula="party ~ a + b + C(g)").fit(frame)
    expected = mnlogit(frame["k"].to_numpy(), design(frame))
    equal_to_mnlogit(fit, expected)
    assert fit.names[:3] == ("mid:(intercept)", "mid:a", "mid:b")
    assert (fit.classes, fit.base, fit.whole) == (("left", "mid", "right"), "left", False)
    assert fit.predict(frame, "class")[:2].tolist() == [fit.classes[k] for k in expected.predict()[:2].argmax(axis=1)]
    same = sr.Multinomial(formula="k ~ a + b + C(g)").fit(frame)
    np.testing.assert_array_equal(same.coef, fit.coef)
    np.testing.assert_allclose(
        fit.predict(frame, "link"), np.log(expected.predict()[:, 1:] / expected.predict()[:, :1])
    )


def test_another_base_gives_the_same_probabilities(frame):
    first, other = (sr.Multinomial(base=base, features=("a", "b"), target="k").fit(frame) for base in (None, 1))
    np.testing.assert_allclose(first.predict(frame), other.predict(frame), rtol=1e-9)
    np.testing.assert_allclose(other.slopes[0], -first.slopes[0], rtol=1e-9)
    assert other.names[0] == "0:(intercept)"


def test_two_classes_are_logistic(frame):
    labels = frame.assign(z=(frame["k"] > 0) * 1)
    fit = sr.Multinomial(features=("a", "b"), target="z").fit(labels)
    line = sr.Logistic(features=("a", "b"), target="z").fit(labels)
    np.testing.assert_allclose(fit.slopes[0], line.coef, rtol=1e-10)
    np.testing.assert_allclose(fit.std_errors, [line.intercept_std_error, *line.std_errors], rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, line.log_likelihood, rtol=1e-12)
    flipped = sr.Ordered(features=("a", "b"), target="z").fit(labels)
    np.testing.assert_allclose(flipped.slopes, line.coef, rtol=1e-9)
    np.testing.assert_allclose(flipped.thresholds, -line.intercept, rtol=1e-9)
    probit = sr.Glm(link="probit", features=("a", "b"), target="z").fit(labels)
    np.testing.assert_allclose(
        sr.Ordered(link="probit", features=("a", "b"), target="z").fit(labels).slopes, probit.coef, rtol=1e-7
    )


def polished(model):
    """Return a fit of OrderedModel whose gradient is zero: its own optimisers stop early."""
    found = model.fit(method="bfgs", disp=0, maxiter=500, gtol=1e-7)
    return model.fit(start_params=found.params, method="newton", disp=0, maxiter=50)


def std_errors(model, fit):
    """Return standard errors by differences of statsmodels' likelihood, extrapolated: its own are good to 1e-5."""
    at, step = np.asarray(fit.params), np.asarray(fit.bse)

    def hessian(share):
        moves = np.diag(share * step)
        signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
        return np.array(
            [
                [
                    sum(a * b * model.loglike(at + a * u + b * v) for a, b in signs) / 4 / u.sum() / v.sum()
                    for u in moves
                ]
                for v in moves
            ]
        )

    far, mid, near = (hessian(share) for share in (0.4, 0.2, 0.1))
    once = (4 * mid - far) / 3, (4 * near - mid) / 3
    return np.sqrt(np.diag(np.linalg.inv(-(16 * once[1] - once[0]) / 15)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_ordered_is_that_of_statsmodels(frame, link):
    x = design(frame, constant=False) - [1000, 0, 0, 0]
    model = OrderedModel(frame["grade"].to_numpy(), x, distr=link)
    expected = polished(model)
    fit = sr.Ordered(link=link, formula="grade ~ I(a - 1000) + b + C(g)").fit(frame)
    np.testing.assert_allclose(fit.slopes, expected.params[:4], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fit.thresholds, model.transform_threshold_params(expected.params)[1:-1], atol=3e-9)
    errors = std_errors(model, expected)[:5]  # beyond these they are of steps between thresholds
    np.testing.assert_allclose(fit.std_errors[:5], errors, rtol=1e-6)
    np.testing.assert_allclose(fit.std_errors[:5], expected.bse[:5], rtol=1e-5)
    np.testing.assert_allclose(
        [fit.log_likelihood, fit.null_log_likelihood, fit.aic, fit.bic],
        [expected.llf, expected.llnull, expected.aic, expected.bic],
        rtol=1e-9,
    )
    np.testing.assert_allclose(fit.predict(frame), expected.predict(), rtol=1e-6, atol=1e-9)
    assert fit.names[4:] == ("0|1", "1|2", "2|3")
    assert (np.diff(fit.thresholds) > 0).all()
    named = sr.Ordered(link=link, formula="word ~ a + b + C(g)", classes=("bad", "poor", "good", "best")).fit(frame)
    np.testing.assert_allclose(named.slopes, fit.slopes, rtol=1e-9)
    assert set(named.predict(frame, "class")) <= {"bad", "poor", "good", "best"}


def test_derivatives_are_those_of_the_probabilities():
    """Also where the ends of a class are far out in one tail, and its probability next to nothing."""
    import mpmath

    from streamreg.families.classes import _logistic, _normal

    for slope, below in ((_logistic, lambda u: 1 / (1 + mpmath.exp(-u))), (_normal, mpmath.ncdf)):
        for upper, lower in ((0.3, -1.0), (-8.0, -9.0), (9.0, 8.5), (0.5, -np.inf), (np.inf, 3.0)):
            with mpmath.workdps(60):

                def log(u, v, below=below):
                    return mpmath.log((1 if u == mpmath.inf else below(u)) - (0 if v == -mpmath.inf else below(v)))

                u, v = mpmath.mpf(upper), mpmath.mpf(lower)
                expected = [log(u, v)]
                for order in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2)):
                    gone = (order[0] and np.isinf(upper)) or (order[1] and np.isinf(lower))
                    expected.append(mpmath.mpf(0) if gone else mpmath.diff(log, (u, v), order))
            with np.errstate(all="ignore"):
                found = slope(np.array([upper]), np.array([lower]))
            np.testing.assert_allclose(np.ravel(found), [float(one) for one in expected], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("model", [sr.Multinomial, sr.Ordered])
def test_frequency_weights_are_rows_repeated(frame, model):
    options = {"features": ("a", "b"), "target": "k"}
    repeated = model(**options).fit(frame.loc[frame.index.repeat(frame["w"])].reset_index(drop=True))
    data = sr.open(frame, weights="w")
    for kind, nobs in (("frequency", repeated.nobs), ("analytic", N)):
        fit = model(**options, weight_kind=kind).fit(data)
        np.testing.assert_allclose(fit.coef, repeated.coef, rtol=1e-9)
        np.testing.assert_allclose(fit.std_errors, repeated.std_errors, rtol=1e-9)
        np.testing.assert_allclose(fit.log_likelihood, repeated.log_likelihood, rtol=1e-12)
        assert fit.nobs == nobs


@pytest.mark.parametrize("model", [sr.Multinomial, sr.Ordered])
def test_a_start_from_a_sample_gives_the_same_maximum_in_few_passes(model):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (280_000, 3)).astype(float)
    k = np.digitize(x @ [0.5, -0.3, 0.2] + rng.logistic(size=len(x)), [0.0, 1.0])
    fits = [model().fit((x, k), threads=threads) for threads in (1, 3)]
    assert fits[0].coef.tobytes() == fits[1].coef.tobytes()
    assert fits[0].passes <= 4
    cells, counts = np.unique(np.column_stack([x, k]), axis=0, return_counts=True)
    few = model(weight_kind="frequency").fit((cells[:, :3], cells[:, 3], counts))
    np.testing.assert_allclose(fits[0].coef, few.coef, atol=1e-8 * few.std_errors.min())
    np.testing.assert_allclose(fits[0].std_errors, few.std_errors, rtol=1e-4)
    np.testing.assert_allclose(fits[0].log_likelihood, few.log_likelihood, rtol=1e-12)


def test_dependent_columns_are_left_out(frame):
    more = frame.assign(c=2 * frame["b"] - frame["a"], one=1.0)
    fit = sr.Multinomial(features=("a", "b", "c", "one"), target="k").fit(more)
    less = sr.Multinomial(features=("a", "b"), target="k").fit(frame)
    assert fit.status == "dependent"
    assert "c = -a + 2 b" in str(fit) or "c = 2 b - a" in str(fit)
    np.testing.assert_allclose(fit.coef[fit.identifiable], less.coef, rtol=1e-7)
    np.testing.assert_allclose(fit.predict(more), less.predict(frame), rtol=1e-7)
    assert np.isnan(fit.std_errors[~fit.identifiable]).all()
    with pytest.raises(DataError, match="dependent columns"):
        sr.Multinomial(features=("a", "b", "c"), target="k", singular="error").fit(more)


def test_separation_and_classes_without_events_are_named(frame):
    only = frame.assign(rare=(frame["k"] == 2) * (np.arange(N) % 2))
    fit = sr.Multinomial(formula="party ~ b + rare").fit(only)
    assert fit.status.startswith("not converged: no finite maximum")
    assert "right:rare" in fit.status
    assert np.isnan(fit.std_errors).all()
    assert "along k" in sr.Ordered(formula="grade ~ k").fit(frame.assign(k=frame["grade"])).status
    fit = sr.Ordered(link="probit", formula="grade ~ b + top").fit(frame.assign(top=(frame["grade"] == 3) * 1))
    assert "top" in fit.status
    short = sr.Multinomial(max_iterations=2, formula="party ~ a + b").fit(frame)
    assert "raise max_iterations" in short.status


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sr.Multinomial(target="a", features=("b",)), "row 0 .*'a'.*whole numbers"),
        (sr.Multinomial(target="one", features=("b",)), "'one' is 1 in every row"),
        (sr.Multinomial(formula="party ~ b", classes=("left", "mid")), "row .*right is not among classes"),
        (sr.Multinomial(formula="party ~ b", classes=("left", "mid", "right", "far")), "class 'far' .*has no row"),
        (sr.Multinomial(formula="party ~ b", base="lift"), "no class 'lift'; did you mean 'left'"),
        (sr.Multinomial(target="many", features=("b",)), "more than 1,000 classes"),
        (sr.Multinomial(features=("b",)), "no target"),
        (sr.Ordered(formula="word ~ b"), "order is not known.*'bad', 'best'"),
        (sr.Ordered(formula="grade ~ b - 1"), "thresholds in place of an intercept"),
        (sr.Ordered(formula="grade ~ b", classes=("x", "y")), "'x' is no whole number"),
    ],
)
def test_what_cannot_be_fitted_is_refused(frame, model, message):
    with pytest.raises((DataError, UsageError), match=message):
        model.fit(frame.assign(one=1, many=np.arange(N)))
    with pytest.raises(UsageError, match="moments hold none"):
        sr.Ordered(target="k").fit(sr.scan(frame[["a", "b", "k"]]))


def test_predictions_of_files_and_of_missing_values(frame, tmp_path):
    fit = sr.Multinomial(formula="party ~ a + b").fit(frame)
    whole = sr.Ordered(features=("a", "b"), target="grade").fit(frame)
    holes = frame.assign(b=frame["b"].where(frame.index != 3))
    assert fit.predict(holes, "class")[3] is None
    assert np.isnan(whole.predict(holes, "class")[3])
    assert np.isnan(fit.predict(holes)[3]).all()
    written = fit.predict(holes, to=tmp_path / "p.parquet", id="a")
    assert written.missing == 1
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table) == ["a", "probability_left", "probability_mid", "probability_right"]
    np.testing.assert_array_equal(table.iloc[:, 1:], fit.predict(holes))
    fit.predict(holes, "class", to=tmp_path / "p.csv")
    assert pd.read_csv(tmp_path / "p.csv")["prediction"][0] == fit.predict(holes, "class")[0]
    whole.predict(frame, "class", to=tmp_path / "p.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), whole.predict(frame, "class"))
    with pytest.raises(UsageError, match=r"write \.parquet"):
        fit.predict(frame, "class", to=tmp_path / "q.npy")
    with pytest.raises(UsageError, match="it can be 'probability', 'class' or 'link'"):
        fit.predict(frame, "median")
    raised = sr.Multinomial(features=("a", "b"), target="k", powers={"b": 2}, missing="mean").fit(holes)
    assert raised.names[3] == "1:b^2"
    np.testing.assert_allclose(raised.predict(holes)[3].sum(), 1)


def test_jobs_and_commands(frame, tmp_path, capsys):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "job.yaml").write_text(
        "data: {path: rows.csv, target: party}\n"
        "fits:\n"
        "  party: {kind: multinomial, features: [a, b], base: mid}\n"
        "  word: {kind: ordered, target: word, features: [a, b], classes: [bad, poor, good, best]}\n"
        "predictions:\n  - {fit: word, to: words.csv, kind: class}\n"
        "output: {folder: out}\n"
    )
    result = run_job(tmp_path / "job.yaml", progress=False)
    assert result.statuses == ["ok", "ok"]
    assert "left:(intercept)" in str(result)
    again = sr.load(tmp_path / "out" / "word.npz")
    assert pd.read_csv(tmp_path / "words.csv")["prediction"].tolist() == again.predict(frame, "class").tolist()
    command = ["fit", str(tmp_path / "rows.csv"), "--formula", "word ~ a + b", "--kind", "ordered", "--link", "probit"]
    assert main([*command, "--classes", "bad,poor,good,best", "--save", str(tmp_path / "w.npz")]) == 0
    assert "bad|poor" in capsys.readouterr().out
    assert main(["predict", str(tmp_path / "w.npz"), str(tmp_path / "rows.csv"), str(tmp_path / "w.csv")]) == 0
    assert pd.read_csv(tmp_path / "w.csv").columns[0] == "probability_bad"
    text = (
        (tmp_path / "job.yaml").read_text().replace("predictions:\n  - {fit: word, to: words.csv, kind: class}\n", "")
    )
    (tmp_path / "job.yaml").write_text(text + "score:\n  - [party, word]\n")
    with pytest.raises(UsageError, match="'party' has coefficients for several classes"):
        run_job(tmp_path / "job.yaml")


def test_a_result_that_was_edited_is_refused(frame, tmp_path):
    fit = sr.Ordered(formula="grade ~ a + b").fit(frame)
    fit.save(tmp_path / "fit.npz")
    values, arrays = archive.load(tmp_path / "fit.npz", fit.KIND)
    archive.write(tmp_path / "fit.npz", fit.KIND, values, arrays | {"coef": np.zeros(2)})
    with pytest.raises(CorruptError):
        sr.load(tmp_path / "fit.npz")
