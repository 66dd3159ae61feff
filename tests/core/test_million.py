"""The size where it starts: 1,000,000 x 100 on disk, read once, against numpy and statsmodels on the whole matrix."""

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import Counting

import streamreg as sr


@pytest.mark.slow
def test_a_million_rows_equal_numpy_and_statsmodels(tmp_path):
    path = tmp_path / "million.npy"
    sr.generate(path, rows=1_000_000, columns=100, correlation=0.5)
    source = Counting(sr.open(path, target="y"))
    fit = sr.Linear().fit(source)
    assert fit.passes == 1
    assert (source.reads == 1).all()

    table = np.load(path)
    x, y = table[:, :-1], table[:, -1]
    mean, norm = x.mean(0), x.std(0)
    scaled = (x - mean) / norm
    coef = np.linalg.lstsq(scaled, y - y.mean(), rcond=None)[0] / norm
    np.testing.assert_allclose(fit.coef, coef, rtol=1e-11)
    np.testing.assert_allclose(fit.intercept, y.mean() - mean @ coef, rtol=1e-11)
    del scaled
    reference = sm.OLS(y, sm.add_constant(x)).fit()
    np.testing.assert_allclose(fit.std_errors, reference.bse[1:], rtol=1e-9)
    np.testing.assert_allclose(fit.intercept_std_error, reference.bse[0], rtol=1e-9)
    np.testing.assert_allclose(fit.rsquared, reference.rsquared, rtol=1e-9)
