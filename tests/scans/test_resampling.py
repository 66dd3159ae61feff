"""Jackknife and bootstrap from moments, against doing it with the rows."""

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import Counting

import streamreg as sr
from streamreg.errors import UsageError
from streamreg.kernels.rowhash import fold_numbers

RNG = np.random.default_rng(6)
N, P, G = 2000, 4, 25
SHIFT = np.array([0, 1e6, 5, 0])
X = RNG.standard_normal((N, P)) + SHIFT
Y = X @ [1.0, 2.0, -1.0, 0.0] + RNG.standard_normal(N) * (1 + np.abs(X[:, 0]))
W = RNG.uniform(0.5, 2, N)
BLOCK = np.arange(N) // (N // G)


def brute(keys, times, weights=None):
    """Fit the rows, group k taken ``times[k]`` times."""
    counts = np.asarray(times)[np.searchsorted(np.unique(keys), keys)].astype(float)
    data = (X - SHIFT, Y - 2e6 + 5, counts if weights is None else counts * weights)
    fit = sr.Linear().fit(data)
    return fit.coef


@pytest.mark.parametrize(
    ("options", "keys"), [({"blocks": G}, BLOCK), ({"folds": G, "seed": 3}, fold_numbers(0, N, G, 3))]
)
@pytest.mark.parametrize("weighted", [True, False])
def test_they_equal_resampling_the_rows(options, keys, weighted):
    data = Counting(sr.open((X, Y, W) if weighted else (X, Y)))
    state = sr.scan(data, **options)
    weights = W if weighted else None
    found = sr.jackknife(sr.Linear(), state)
    expected = np.array([brute(keys, np.arange(G) != k, weights) for k in range(G)])
    np.testing.assert_allclose(found.replicates[:, 1:], expected, rtol=1e-8, atol=1e-9)
    away = expected - expected.mean(0)
    np.testing.assert_allclose(found.std_errors[1:], np.sqrt((away**2).sum(0) * (G - 1) / G), rtol=1e-7)
    boot = sr.bootstrap(sr.Linear(), state, replicates=70, seed=1)
    draws = np.random.default_rng(1).integers(0, G, (70, G))
    expected = np.array([brute(keys, np.bincount(draw, minlength=G), weights) for draw in draws])
    np.testing.assert_allclose(boot.replicates[:, 1:], expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(boot.std_errors[1:], expected.std(0, ddof=1), rtol=1e-7)
    np.testing.assert_allclose(boot.conf_int()[1:, 0], np.quantile(expected, 0.025, axis=0), rtol=1e-7, atol=1e-9)
    assert (data.reads == 1).all()


def test_leaving_out_clusters_is_statsmodels_cluster_jackknife():
    firm = RNG.integers(0, 40, N)
    table = np.column_stack([X, firm, Y])
    state = sr.scan(sr.open(table, columns=["a", "b", "c", "d", "firm", "y"], target="y"), by="firm")
    ref = sm.OLS(Y, sm.add_constant(X - SHIFT)).fit(cov_type="cluster-jk", cov_kwds={"groups": firm})
    found = sr.jackknife(sr.Linear(), state)
    np.testing.assert_allclose(found.std_errors[1:], ref.bse[1:], rtol=1e-7)


def test_the_errors_are_those_of_theory():
    x = RNG.standard_normal((20_000, 2))
    y = x.sum(1) + RNG.standard_normal(20_000)
    state = sr.scan((x, y), blocks=200)
    fit = sr.Linear().fit(state)
    for found in (sr.jackknife(sr.Linear(), state), sr.bootstrap(sr.Linear(), state)):
        np.testing.assert_allclose(found.estimates, [fit.intercept, *fit.coef], rtol=1e-10)
        np.testing.assert_allclose(found.std_errors[1:], fit.std_errors, rtol=0.2)
        low, high = found.conf_int().T
        assert (low < found.estimates).all()
        assert (found.estimates < high).all()
        assert np.abs(found.bias).max() < 0.1 * found.std_errors.max()
        assert "std error" in str(found)


def test_any_model_and_any_function_of_moments(tmp_path):
    sr.scan((X, Y), blocks=20).save(tmp_path / "t.moments")
    ridge = sr.jackknife(sr.Linear(ridge=10.0, features=("x0", "x2")), tmp_path / "t.moments")
    assert ridge.names == ("intercept", "x0", "x2")
    assert (ridge.std_errors > 0).all()
    lasso = sr.jackknife(sr.Penalised(alphas=(0.1,)), tmp_path / "t.moments")
    assert lasso.replicates.shape == (20, P + 1)
    ratio = sr.bootstrap(lambda m: sr.Linear().fit(m).coef[1] / sr.Linear().fit(m).coef[0], tmp_path / "t.moments", 50)
    assert ratio.estimates.shape == (1,)
    assert ratio.std_errors[0] > 0


def test_replicates_that_determine_less_are_left_out_and_counted():
    x = np.column_stack([X[:, 0], BLOCK == 3])
    found = sr.bootstrap(sr.Linear(), sr.scan((x, Y), blocks=G), replicates=60)
    assert 5 < found.degenerate < 40
    assert len(found.replicates) + found.degenerate == 60
    assert "were left out" in found.summary()
    with pytest.raises(UsageError, match="make larger groups"):
        sr.jackknife(lambda m: sr.Linear().fit(m), sr.scan((np.column_stack([BLOCK == 0, BLOCK == 1]), Y), blocks=2))


def test_what_is_refused():
    with pytest.raises(UsageError, match="kept no rows apart"):
        sr.jackknife(sr.Linear(), sr.scan((X, Y)))
    with pytest.raises(UsageError, match="exact moments are not resampled"):
        sr.jackknife(sr.Linear(), sr.scan((X, Y), folds=3, precision="exact"))
    with pytest.raises(UsageError, match="replicates is 1"):
        sr.bootstrap(sr.Linear(), sr.scan((X, Y), folds=3), 1)
