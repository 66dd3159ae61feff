"""Standard errors from a second pass, against statsmodels and against what must be true of them."""

import json
import tempfile

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import Counting, Cut
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.errors import ChangedError, DataError, NotFound, UsageError
from streamreg.stats.sandwich import group_sums

RNG = np.random.default_rng(8)
N, P = 6000, 5
FIRM, YEAR = RNG.integers(-40, 200, N), RNG.integers(0, 15, N)
BOTH = np.column_stack([FIRM + 40, YEAR])  # statsmodels wants groups from 0
X = RNG.standard_normal((N, P)) @ RNG.standard_normal((P, P)) + 5
W = RNG.uniform(0.2, 3, N)
COUNTS = RNG.integers(0, 4, N)
Y = X @ np.arange(P) + RNG.standard_normal(N) * (1 + np.abs(X[:, 0])) + RNG.standard_normal(240)[FIRM + 40]
FEATURES = tuple(f"x{k}" for k in range(P))
NAMES = [*FEATURES, "firm", "year", "count", "y", "w"]
TABLE = np.column_stack([X, FIRM, YEAR, COUNTS, Y, W])

KINDS = [
    ("HC0", {"cov_type": "HC0"}),
    ("HC1", {"cov_type": "HC1"}),
    ("HC2", {"cov_type": "HC2"}),
    ("HC3", {"cov_type": "HC3"}),
    ({"cluster": "firm"}, {"cov_type": "cluster", "cov_kwds": {"groups": FIRM + 40}}),
    ({"cluster": ("firm", "year")}, {"cov_type": "cluster", "cov_kwds": {"groups": BOTH}}),
    ({"newey_west": 1}, {"cov_type": "HAC", "cov_kwds": {"maxlags": 1}}),
    ({"newey_west": 12}, {"cov_type": "HAC", "cov_kwds": {"maxlags": 12}}),
    ({"newey_west": 3000}, {"cov_type": "HAC", "cov_kwds": {"maxlags": 3000}}),
]
ALL = [kind for kind, _ in KINDS]


def source(weights=None, table=TABLE):
    return sr.open(table, columns=NAMES, target="y", weights=weights, features=FEATURES)


def close(a, b, rtol=1e-9):
    np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize(("errors", "options"), KINDS, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weights", [None, "w"])
def test_everything_equals_statsmodels(errors, options, intercept, weights):
    design = sm.add_constant(X) if intercept else X
    model = sm.WLS(Y, design, weights=W) if weights else sm.OLS(Y, design)
    ref, plain = model.fit(use_t=True, **options), model.fit()
    fit = sr.Linear(intercept=intercept).fit(source(weights))
    found = sr.robust(fit, source(weights), errors)
    k = int(intercept)
    close(found.std_errors, ref.bse[k:])
    close(found.cov(), ref.cov_params()[k:, k:], 1e-7)
    close(found.conf_int(0.9), ref.conf_int(0.1)[k:], 1e-8)
    np.testing.assert_allclose(found.pvalues, ref.pvalues[k:], rtol=1e-6, atol=1e-12)
    if intercept:
        close(found.intercept_std_error, ref.bse[0])
        close(found.intercept_pvalue, ref.pvalues[0], 1e-6)
    if errors != {"newey_west": 3000} and np.linalg.eigvalsh(ref.cov_params())[0] > 0:
        close(found.fvalue, float(np.squeeze(ref.fvalue)), 1e-7)
    for name in ("coef", "intercept", "rss", "rsquared", "log_likelihood", "df_resid"):
        assert np.array_equal(getattr(found, name), getattr(fit, name))
    close(fit.std_errors, plain.bse[k:])


def test_restrictions_are_tested_with_the_robust_covariance():
    ref = sm.OLS(Y, sm.add_constant(X)).fit(cov_type="HC1", use_t=True)
    fit = sr.robust(sr.Linear().fit(source()), source(), "HC1")
    test = sr.wald_test(fit, "x1 = x2, intercept + 2 x3 = 1")
    other = ref.f_test((np.array([[0, 0, 1, -1, 0, 0], [1, 0, 0, 0, 2, 0]]), np.array([0.0, 1.0])))
    close(test.fvalue, float(np.squeeze(other.fvalue)), 1e-8)
    close(test.pvalue, float(other.pvalue), 1e-6)


@settings(max_examples=20, deadline=None)
@given(
    borders=st.lists(st.integers(1, N - 1), max_size=8),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=3),
    threads=st.sampled_from([1, 3]),
    errors=st.sampled_from(ALL),
)
def test_how_rows_are_cut_does_not_show(borders, sizes, threads, errors):
    fit = sr.Linear().fit(source("w"))
    whole = sr.robust(fit, source("w"), errors, threads=1)
    cut = sr.robust(fit, Cut(source("w"), borders, sizes), errors, threads=threads)
    if isinstance(errors, dict) and "cluster" in errors:
        close(cut.std_errors, whole.std_errors, 1e-12)
    else:
        assert np.array_equal(cut.std_errors, whole.std_errors)


@pytest.mark.parametrize("errors", ALL, ids=str)
def test_a_model_may_ask_for_them(errors, tmp_path):
    data = Counting(source())
    fit = sr.Linear(errors=errors).fit(data)
    assert (data.reads == 2).all()
    assert fit.passes == 2
    expected = sr.robust(sr.Linear().fit(source()), source(), errors)
    assert np.array_equal(fit.std_errors, expected.std_errors)
    assert sr.Linear(**{k: v for k, v in fit.model.items() if k != "kind"}) == sr.Linear(errors=errors)
    assert sr.Linear(**{k: v for k, v in expected.model.items() if k != "kind"}) == sr.Linear(errors=errors)
    fit.save(tmp_path / "fit.npz")
    again = sr.FitResult.load(tmp_path / "fit.npz")
    assert again.summary() == fit.summary()
    assert np.array_equal(again.cov(), fit.cov())
    assert again.fvalue == fit.fvalue or np.isnan(fit.fvalue)
    assert fit.errors in fit.summary()
    assert json.loads(json.dumps(fit.to_dict()))["errors"] == fit.errors


def test_cluster_columns_are_no_features_of_such_a_model():
    data = sr.open(TABLE[:, [0, 1, 5, 8]], columns=["x0", "x1", "firm", "y"], target="y")
    assert sr.Linear(errors={"cluster": "firm"}).fit(data).names == ("x0", "x1")


def test_rows_left_out_keep_their_place_in_time():
    w = W.copy()
    w[RNG.random(N) < 0.3] = 0
    w[2000:3500] = 0
    ref = sm.WLS(Y, sm.add_constant(X), weights=w).fit(cov_type="HAC", cov_kwds={"maxlags": 9})
    fit = sr.Linear(errors={"newey_west": 9}).fit((X, Y, w))
    close(fit.std_errors, ref.bse[1:], 1e-8)
    x = X.copy()
    x[w == 0, 1] = np.nan
    gaps = sr.Linear(errors={"newey_west": 9}, missing="drop").fit((x, Y, W))
    ref = sm.WLS(Y, sm.add_constant(X), weights=np.where(w > 0, W, 0)).fit(cov_type="HAC", cov_kwds={"maxlags": 9})
    close(gaps.std_errors, ref.bse[1:], 1e-8)


@pytest.mark.parametrize("errors", ["HC0", "HC1", "HC2", "HC3", {"cluster": "firm"}])
def test_frequency_weights_are_rows_said_twice(errors):
    fit = sr.Linear(weight_kind="frequency", errors=errors).fit(source("count"))
    ref = sr.Linear(errors=errors).fit(source(table=np.repeat(TABLE, COUNTS, axis=0)))
    close(fit.std_errors, ref.std_errors)
    close(fit.intercept_std_error, ref.intercept_std_error)
    assert fit.df_test == ref.df_test


def test_missing_clusters_are_left_out_of_both_passes():
    table = TABLE.copy()
    table[::50, 5] = np.nan
    fit = sr.Linear(errors={"cluster": "firm"}, missing="drop").fit(source(table=table))
    keep = np.arange(N) % 50 > 0
    ref = sr.Linear(errors={"cluster": "firm"}).fit(source(table=TABLE[keep]))
    close(fit.std_errors, ref.std_errors)
    with pytest.raises(ChangedError, match="none without a cluster"):
        sr.robust(sr.Linear(missing="drop").fit(source(table=table)), source(table=table), {"cluster": "firm"})


@pytest.mark.parametrize("singular", ["minimum-norm", "drop"])
def test_dependent_columns(singular):
    x = np.column_stack([X[:, :2], X[:, 0] + 1, X[:, 2:]])
    fit = sr.Linear(singular=singular, errors="HC2").fit((x, Y))
    ref = sr.Linear(errors="HC2").fit((X, Y))
    close(fit.std_errors[[1, 3, 4, 5]], ref.std_errors[1:], 1e-8)
    assert np.isnan(fit.std_errors[2])
    assert np.isnan(fit.std_errors[0]) == (singular == "minimum-norm")
    close(fit.fvalue, ref.fvalue, 1e-7)


@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_units_do_not_matter(unit):
    base = sr.Linear(errors="HC3").fit((X, Y))
    close(sr.Linear(errors="HC3").fit((X * [unit, 1, 1, 1, 1], Y)).std_errors[0] * unit, base.std_errors[0])
    close(sr.Linear(errors="HC3").fit((X, Y * unit)).std_errors / unit, base.std_errors)


def test_timestamps_and_powers():
    t = 1_700_000_000_000_000_000 + np.arange(N, dtype=np.int64) * 7
    y = (t - t[0]) * 3e-3 + RNG.standard_normal(N)
    ref = sm.OLS(y, sm.add_constant((t - t[0]).astype(float))).fit(cov_type="HC3")
    close(sr.Linear(errors="HC3").fit((t[:, None], y)).std_errors, ref.bse[1:], 1e-8)
    z = X[:, 0]
    ref = sm.OLS(Y, sm.add_constant(np.column_stack([z, z**2, z**3, X[:, 1]]))).fit(cov_type="HC3")
    fit = sr.Linear(powers={"x0": 3}, errors="HC3").fit((X[:, :2], Y))
    close(fit.std_errors, ref.bse[1:], 1e-7)


@pytest.mark.parametrize("errors", [{"cluster": "firm"}, {"cluster": ("firm", "year")}])
def test_clusters_that_do_not_fit_in_memory_go_to_files(errors, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(group_sums, "_SMALL", 4000)
    fit = sr.Linear().fit(source())
    cut = Cut(source(), range(500, N, 500), [500])
    expected = sr.robust(fit, source(), errors)
    for memory in (0, 20_000):
        close(sr.robust(fit, cut, errors, memory=memory).std_errors, expected.std_errors, 1e-11)
    assert list(tmp_path.iterdir()) == []
    assert expected.df_test == (239 if errors == {"cluster": "firm"} else 14)


@pytest.mark.slow
def test_a_million_clusters_in_a_few_megabytes():
    n = 2_000_000
    rng = np.random.default_rng(0)
    x, firm = rng.standard_normal((n, 2)), rng.permutation(n) % 1_000_000
    y = x.sum(1) + rng.standard_normal(n)
    data = sr.open(np.column_stack([x, firm, y]), columns=["a", "b", "firm", "y"], target="y", features=("a", "b"))
    fit = sr.Linear().fit(data)
    found = sr.robust(fit, data, {"cluster": "firm"}, memory=2**22)
    residual = y - fit.predict(x)
    scores = np.column_stack([residual, x * residual[:, None]])
    sums = np.stack([np.bincount(firm, scores[:, k]) for k in range(3)], axis=1)
    design = np.column_stack([np.ones(n), x])
    bread = np.linalg.inv(design.T @ design)
    cov = bread @ sums.T @ sums @ bread * (1e6 / (1e6 - 1) * (n - 1) / (n - 3))
    close(found.std_errors, np.sqrt(np.diag(cov))[1:], 1e-8)
    assert found.df_test == 999_999


def test_a_row_that_alone_determines_a_coefficient():
    x = np.column_stack([X[:, :2], np.arange(N) == 77])
    with pytest.raises(DataError, match=r"row 77 \(from 0\) has leverage 1"):
        sr.Linear(errors="HC3").fit((x, Y))
    assert np.isfinite(sr.Linear(errors="HC1").fit((x, Y)).std_errors).all()


def test_a_perfect_fit_has_no_error():
    fit = sr.Linear(errors="HC1").fit((X.round(), X.round() @ np.ones(P)))
    assert (fit.std_errors < 1e-10).all()


@pytest.mark.parametrize(
    ("fit", "data", "errors", "error", "words"),
    [
        ({"ridge": 1.0}, None, "HC1", UsageError, "without a penalty"),
        ({}, None, "HC4", UsageError, "'HC4' is not a kind of errors; there are"),
        ({}, None, {"cluster": ("a", "b", "c")}, UsageError, "is not a kind of errors"),
        ({}, None, {"newey_west": -1}, UsageError, "is not a kind of errors"),
        ({}, None, {"cluster": "frim"}, NotFound, "did you mean 'firm'"),
        ({}, None, {"cluster": "x0"}, DataError, "does not name a group"),
        ({}, TABLE[:-1], "HC1", ChangedError, "5,999 rows can be used, and the fit used 6,000"),
        ({}, TABLE[:, [1, 0, *range(2, 10)]], "HC1", ChangedError, "residual sum of squares"),
        ({"weight_kind": "frequency"}, None, {"newey_west": 2}, UsageError, "Newey-West errors need rows in order"),
    ],
)
def test_what_is_refused(fit, data, errors, error, words):
    fitted = sr.Linear(**fit).fit(source())
    with pytest.raises(error, match=words):
        sr.robust(fitted, source(table=TABLE if data is None else data), errors)


def test_what_has_no_rows_or_rows_only_once_is_refused():
    with pytest.raises(UsageError, match="moments hold none; fit with errors='classical', then call"):
        sr.Linear(errors="HC1").fit(sr.scan(source()))
    with pytest.raises(UsageError, match="biased, so no errors are given"):
        sr.Linear(errors="HC1", ridge=1.0).fit(source())
    with pytest.raises(UsageError, match="take a second pass"):
        sr.Linear(errors="HC1").fit(sr.open(iter([(X, Y)])))
    with pytest.raises(UsageError, match="as many coefficients as rows"):
        sr.Linear(errors="HC1").fit((X[:5], Y[:5]))
    one = TABLE.copy()
    one[:, 5] = 3
    with pytest.raises(DataError, match="column 'firm' names one cluster only"):
        sr.Linear(errors={"cluster": "firm"}).fit(source(table=one))
    fit = sr.Linear(features=FEATURES, target="y").fit(sr.scan(source()))
    assert np.array_equal(sr.robust(fit, source(), "HC2").std_errors, sr.Linear(errors="HC2").fit(source()).std_errors)
