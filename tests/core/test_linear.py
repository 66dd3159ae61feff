"""Estimates and errors against numpy, statsmodels, scikit-learn and NIST."""

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import Ridge

import streamreg as sr
from streamreg.errors import CorruptError, DataError, NotFound, UsageError

RNG = np.random.default_rng(5)
N, P = 2000, 12
X = RNG.standard_normal((N, P)) @ RNG.standard_normal((P, P)) + 5
Y = X @ RNG.standard_normal(P) + 3 + RNG.standard_normal(N)
W = RNG.uniform(0.1, 4, N)
NIST = Path(__file__).parent.parent / "data" / "nist"


def close(a, b, rtol=1e-9):
    np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_everything_equals_statsmodels(intercept, weighted):
    design = sm.add_constant(X) if intercept else X
    ref = (sm.WLS(Y, design, weights=W) if weighted else sm.OLS(Y, design)).fit()
    fit = sr.Linear(intercept=intercept).fit((X, Y, W) if weighted else (X, Y))
    k = int(intercept)
    close(fit.coef, ref.params[k:])
    close(fit.std_errors, ref.bse[k:])
    close(fit.tvalues, ref.tvalues[k:])
    np.testing.assert_allclose(fit.pvalues, ref.pvalues[k:], rtol=1e-6, atol=1e-300)
    close(fit.conf_int(0.9), ref.conf_int(0.1)[k:])
    close(fit.cov(), ref.cov_params()[k:, k:], 1e-8)
    for mine, theirs in [
        (fit.rss, ref.ssr), (fit.rsquared, ref.rsquared), (fit.rsquared_adj, ref.rsquared_adj), (fit.aic, ref.aic),
        (fit.bic, ref.bic), (fit.log_likelihood, ref.llf), (fit.fvalue, ref.fvalue), (fit.df_resid, ref.df_resid),
        (fit.sigma, np.sqrt(ref.scale)),
    ]:  # fmt: skip
        close(mine, theirs)
    if intercept:
        close(fit.intercept, ref.params[0])
        close(fit.intercept_std_error, ref.bse[0])
        close(fit.intercept_tvalue, ref.tvalues[0])
        close(fit.intercept_pvalue, ref.pvalues[0], 1e-6)
        close(fit.intercept_conf_int(), ref.conf_int()[0])
    close(fit.predict(X[:9]), ref.predict(design[:9]))


def test_frequency_weights_are_rows_said_twice():
    counts = RNG.integers(0, 4, N)
    fit = sr.Linear(weight_kind="frequency").fit((X, Y, counts))
    ref = sr.Linear().fit((np.repeat(X, counts, axis=0), np.repeat(Y, counts)))
    close(fit.coef, ref.coef)
    close(fit.std_errors, ref.std_errors)
    close(fit.log_likelihood, ref.log_likelihood)
    assert fit.df_resid == ref.df_resid


@pytest.mark.parametrize("intercept", [True, False])
def test_ridge_is_that_of_scikit_learn(intercept):
    ref = Ridge(alpha=30.0, fit_intercept=intercept, solver="cholesky").fit(X, Y)
    fit = sr.Linear(ridge=30.0, intercept=intercept).fit((X, Y))
    close(fit.coef, ref.coef_, 1e-8)
    close(fit.intercept, ref.intercept_, 1e-8)
    close(fit.rss, np.sum((Y - ref.predict(X)) ** 2), 1e-8)
    assert np.isnan(fit.std_errors).all()


@pytest.mark.parametrize("size", [1, 7, 16])
def test_longley_has_ten_digits_from_batches_of_any_size(size):
    data = json.loads((NIST / "Longley.json").read_text())
    x, y = np.array(data["X"]), np.array(data["y"])
    fit = sr.Linear().fit([(x[i : i + size], y[i : i + size]) for i in range(0, 16, size)])
    certified = np.array(data["certified"]["beta"], dtype=float)
    errors = np.array(data["certified"]["se"], dtype=float)
    assert -np.log10(np.abs(np.r_[fit.intercept, fit.coef] / certified - 1)).min() > 10
    assert -np.log10(np.abs(np.r_[fit.intercept_std_error, fit.std_errors] / errors - 1)).min() > 9


def test_features_and_target_can_be_chosen():
    both = np.column_stack([X, Y])
    source = sr.open(both, target="x12")
    fit = sr.Linear(features=("x3", "x1")).fit(source)
    ref = sm.OLS(Y, sm.add_constant(X[:, [3, 1]])).fit()
    assert fit.names == ("x3", "x1")
    close(fit.coef, ref.params[1:])
    moments = sr.scan(source)
    again = sr.Linear(features=("x3", "x1"), target="x12").fit(moments)
    assert again.passes == 0
    close(again.coef, fit.coef)
    other = sr.Linear(target="x0").fit(moments)
    close(other.coef, sm.OLS(both[:, 0], sm.add_constant(both[:, 1:])).fit().params[1:], 1e-8)
    with pytest.raises(NotFound, match="no column 'x99'"):
        sr.Linear(features=("x99",)).fit(source)
    with pytest.raises(NotFound, match="no column 'x99'"):
        sr.Linear(features=("x99",)).fit(moments)
    with pytest.raises(UsageError, match="no target"):
        sr.Linear().fit(both)
    with pytest.raises(UsageError, match="'x12' is the target and named once more"):
        sr.Linear(features=("x12",)).fit(source)


def test_dependent_columns_are_named_and_fitted_values_stay_right():
    x = np.column_stack([X, X[:, 0] + 1, np.full(N, 7.0), X[:, 1] - 2 * X[:, 2]])
    names = [*(f"a{k}" for k in range(P)), "shifted", "constant", "mixed"]
    fit = sr.Linear().fit(sr.open((x, Y), columns=names))
    assert fit.rank == P
    assert set(fit.dependencies) == {"shifted = a0 + 1", "constant = 7", "mixed = a1 - 2 a2"}
    unknown = {"a0", "shifted", "constant", "a1", "a2", "mixed"}
    assert {n for n, known in zip(names, fit.identifiable, strict=True) if not known} == unknown
    assert np.isnan(fit.std_errors[~fit.identifiable]).all()
    assert np.abs(fit.coef).max() < 1e3
    full = sr.Linear().fit((X, Y))
    close(fit.predict(x), full.predict(X))
    close(fit.rss, full.rss)
    close(fit.coef[3:P], full.coef[3:], 1e-8)
    best = np.linalg.lstsq(x - x.mean(0), Y - Y.mean(), rcond=1e-10)[0]
    np.testing.assert_allclose(fit.coef, best, atol=1e-8)
    assert "shifted = a0 + 1" in fit.summary()


def test_fewer_rows_than_columns():
    fit = sr.Linear().fit((X[:5], Y[:5]))
    assert fit.rank == 4
    close(fit.predict(X[:5]), Y[:5], 1e-6)
    assert np.isnan(fit.std_errors).all()
    assert np.isnan(fit.sigma)
    one = sr.Linear().fit((X[:1], Y[:1]))
    close(one.predict(X[:1]), Y[:1])


def test_no_features_is_the_mean():
    fit = sr.Linear(features=()).fit(sr.open((X, Y)))
    close(fit.intercept, Y.mean())
    close(fit.intercept_std_error, Y.std(ddof=1) / np.sqrt(N))


@pytest.mark.parametrize("unit", [1e-200, 1e-90, 1e90, 1e200])
def test_units_do_not_matter(unit):
    base, scaled = sr.Linear().fit((X, Y)), sr.Linear().fit((X * [unit, *[1.0] * (P - 1)], Y))
    close(scaled.coef[0] * unit, base.coef[0])
    close(scaled.std_errors[0] * unit, base.std_errors[0])
    close(scaled.coef[1:], base.coef[1:])
    tall = sr.Linear().fit((X, Y * unit))
    close(tall.coef / unit, base.coef)
    close(tall.std_errors / unit, base.std_errors)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_offsets_leave_the_slopes(offset):
    base = sr.Linear().fit((np.round(X, 3) + offset, Y))
    exact = sm.OLS(Y, sm.add_constant((np.round(X, 3) + offset) - offset)).fit()
    close(base.coef, exact.params[1:], 1e-9)


def test_nanosecond_timestamps_keep_their_digits():
    t = 1_700_000_000_000_000_000 + np.arange(N, dtype=np.int64) * 7
    y = (t - t[0]) * 3e-3 + RNG.standard_normal(N) * 1e-6
    fit = sr.Linear().fit((t[:, None], y))
    close(fit.coef, sm.OLS(y, sm.add_constant((t - t[0]).astype(float))).fit().params[1:], 1e-12)
    np.testing.assert_allclose(fit.predict(t[:5, None]), y[:5], atol=5e-6)


def test_save_and_load(tmp_path):
    fit = sr.Linear(ridge=0.0).fit((X, Y, W))
    fit.save(tmp_path / "fit.npz")
    again = sr.FitResult.load(tmp_path / "fit.npz")
    assert again.summary() == fit.summary()
    assert np.array_equal(again.predict(X), fit.predict(X))
    assert np.array_equal(again.cov(), fit.cov())
    assert sr.Linear(**{k: v for k, v in again.model.items() if k != "kind"}) == sr.Linear()
    assert json.loads(json.dumps(fit.to_dict()))["coef"] == fit.coef.tolist()
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((tmp_path / "fit.npz").read_bytes()[:-300])
    with pytest.raises(CorruptError, match=r"damaged\.npz"):
        sr.FitResult.load(damaged)
    np.savez(tmp_path / "foreign.npz", a=X)
    with pytest.raises(CorruptError, match=r"foreign\.npz"):
        sr.FitResult.load(tmp_path / "foreign.npz")
    with pytest.raises(NotFound, match="no such file"):
        sr.FitResult.load(tmp_path / "none.npz")
    with pytest.raises(NotFound, match="no folder"):
        fit.save(tmp_path / "none" / "fit.npz")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    fit = sr.Linear().fit((X, Y))
    fit.save(tmp_path / "fit.npz")
    before = (tmp_path / "fit.npz").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match="No space left on device"):
        fit.save(tmp_path / "fit.npz")
    assert (tmp_path / "fit.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_predict_refuses_other_shapes():
    fit = sr.Linear().fit((X, Y))
    with pytest.raises(DataError, match=r"shape \(rows, 12\)"):
        fit.predict(X[:, :3])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_intervals_take_a_share(level):
    fit = sr.Linear().fit((np.random.default_rng(0).normal(size=(9, 2)), np.arange(9.0)))
    with pytest.raises(sr.UsageError, match="it is a share, as in"):
        fit.conf_int(level)
    with pytest.raises(sr.UsageError, match="it is a share, as in"):
        fit.intercept_conf_int(level)
    drawn = sr.bootstrap(sr.Linear(), sr.scan((X, Y), blocks=20), replicates=5)
    with pytest.raises(sr.UsageError, match="it is a share, as in"):
        drawn.conf_int(level)


def test_unknown_options_are_refused():
    with pytest.raises(UsageError, match="interceptt"):
        sr.Linear(interceptt=True)
    with pytest.raises(UsageError, match="ridge"):
        sr.Linear(ridge=-1.0)
    with pytest.raises(UsageError, match="features is 'x1'; it should be a list"):
        sr.Linear(features="x1")
    with pytest.raises(UsageError, match="threads is -1"):
        sr.Linear().fit((X, Y), threads=-1)
    with pytest.raises(UsageError, match="the degree is a whole number from 1 on"):
        sr.Linear(powers={"x1": 0}).fit((X, Y))


def test_a_second_pass_over_an_iterator_is_refused():
    source = sr.open(iter([(X, Y)]))
    sr.Linear().fit(source)
    with pytest.raises(UsageError, match="read"):
        sr.Linear().fit(source)


def test_the_result_says_which_columns_nearly_depend_on_each_other():
    x = np.column_stack([X[:, :3], X[:, 0] + X[:, 1] + 1e-3 * RNG.standard_normal(N)])
    fit = sr.Linear().fit((x, Y))
    found = fit.conditioning()
    expected = [1 / (1 - sm.OLS(x[:, k], sm.add_constant(np.delete(x, k, 1))).fit().rsquared) for k in range(4)]
    close(found.vif, expected, 1e-7)
    assert {name for name, _ in found.near[0].terms} == {"x0", "x1", "x3"}
    assert "Nearly dependent" in fit.summary()


def test_moments_refuse_the_roles_that_a_source_refuses():
    moments = sr.scan(sr.open((X, Y)))
    with pytest.raises(UsageError, match="'y' is the target and a feature"):
        sr.Linear(features=("x0", "y")).fit(moments)
    with pytest.raises(UsageError, match="'x0' is named twice"):
        sr.Linear(features=("x0", "x0")).fit(moments)


@pytest.mark.parametrize("options", [{}, {"digits": 13}, {"precision": "float64"}, {"precision": "exact"}])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_ends_of_the_range_of_float64(options, intercept):
    x, y = X[:60, :3], Y[:60]
    base = sr.Linear(intercept=intercept, **options).fit((x, y))
    tiny = sr.Linear(intercept=intercept, **options).fit((x * [1.0, 2.0**-1018, 1.0], y))
    close(tiny.coef * [1.0, 2.0**-1018, 1.0], base.coef)
    close(tiny.predict(x * [1.0, 2.0**-1018, 1.0]), base.predict(x))
    assert np.isinf(tiny.cov()[1, 1])
    # There is no room for more digits among the least numbers.
    low = sr.Linear(intercept=intercept, **options).fit((x, y * 1e-315))
    least = -1075 * np.log10(2.0)
    assert (low.digits <= np.log10(np.abs(low.coef)) - least + 1e-9).all()
    assert low.digits_se <= np.log10(low.std_errors.min()) - least + 1e-9
    with pytest.raises(DataError, match="the coefficient of 'x0' is beyond 1e308; rescale that column or the target"):
        sr.Linear(intercept=intercept, **options).fit((x * 1e-200, y * 1e200))


def test_a_result_prints_as_its_table_and_its_repr_is_a_line():
    fit = sr.Linear().fit((X, Y))
    assert str(fit) == fit.summary()
    assert repr(fit) == "<FitResult of y on 12 terms, 2,000 rows of array: ok>"
    path = sr.Penalised().fit(sr.scan(sr.open((X, Y))))
    assert str(path) == path.summary()
    assert "100 candidates on 12 columns" in repr(path)
    assert repr(sr.scan((X, Y))) == "<Moments of 2,000 rows>"


@pytest.mark.parametrize("rows", [np.array([["a"] * P]), np.ones((2, P), dtype=complex), [[None] * P], "rows.h5"])
def test_predict_needs_numbers(rows):
    with pytest.raises(sr.StreamregError, match="predict"):
        sr.Linear().fit((X, Y)).predict(rows)


def test_the_target_of_a_model_opens_a_dataset_of_its_own(tmp_path):
    sr.generate(tmp_path / "d.h5", rows=200, columns=3)
    fit = sr.Linear(target="y").fit(tmp_path / "d.h5")
    assert fit.target == "y"
    assert fit.names == ("x0", "x1", "x2")


@pytest.mark.parametrize("start", [2**53, 2**58, 2**60, 2**62])
def test_large_integers_are_no_constants(start):
    x = (start + np.arange(N, dtype=np.int64))[:, None]
    y = 2.0 * np.arange(N) + RNG.standard_normal(N)
    fit = sr.Linear().fit((x, y))
    expected = sm.OLS(y, sm.add_constant(np.arange(N, dtype=float))).fit()
    assert fit.rank == 1
    close(fit.coef, expected.params[1:], 1e-10)
    close(fit.std_errors, expected.bse[1:], 1e-8)
    np.testing.assert_allclose(fit.predict(x), expected.fittedvalues, rtol=1e-6, atol=1e-6)


def test_moments_of_an_earlier_scan_save_the_first_pass():
    x, y = X, Y
    moments = sr.scan((x, y))
    alone = sr.Linear().fit((x, y))
    fit = sr.Linear().fit((x, y), moments=moments)
    np.testing.assert_array_equal(fit.coef, alone.coef)
    assert alone.passes - fit.passes == 1
    hc3 = sr.Linear(errors="HC3")
    np.testing.assert_allclose(hc3.fit((x, y), moments=moments).std_errors, hc3.fit((x, y)).std_errors, rtol=1e-10)
    for model, data, given in [
        (sr.Linear(), (x, y), sr.scan((x, y), precision="exact")),
        (sr.Linear(), (x, y), sr.scan((x, y), folds=3)),
        (sr.Linear(), moments, moments),
        (sr.Linear(precision="exact"), (x, y), moments),
    ]:
        with pytest.raises(UsageError, match="moments"):
            model.fit(data, moments=given)
    with pytest.raises(NotFound, match="no column 'x0' in these moments"):
        sr.Linear().fit((x, y), moments=sr.scan((x, y), features=("x1",)))
