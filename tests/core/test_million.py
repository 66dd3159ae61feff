"""The size where it starts: 1,000,000 x 100 on disk, read once, against a QR factorisation of the whole matrix."""

import numpy as np
import pytest
from helpers import Counting

import streamreg as sr


@pytest.mark.slow
def test_a_million_rows_equal_a_factorisation_of_all(tmp_path):
    path = tmp_path / "million.npy"
    sr.generate(path, rows=1_000_000, columns=100, correlation=0.5)
    source = Counting(sr.open(path, target="y"))
    fit = sr.Linear().fit(source)
    assert fit.passes == 1
    assert (source.reads == 1).all()

    table = np.load(path)
    x, y = table[:, :-1], table[:, -1]
    n, p = x.shape
    mean, norm = x.mean(0), x.std(0)
    # One QR factorisation of the centred columns beside the target holds coefficients, residual and errors.
    r = np.linalg.qr(np.column_stack([(x - mean) / norm, y - y.mean()]), mode="r")
    inverse = np.linalg.inv(r[:p, :p]) / norm[:, None]
    coef, rss = inverse @ r[:p, p], r[p, p] ** 2
    cov = inverse @ inverse.T * rss / (n - p - 1)
    np.testing.assert_allclose(fit.coef, coef, rtol=1e-11)
    np.testing.assert_allclose(fit.intercept, y.mean() - mean @ coef, rtol=1e-11)
    np.testing.assert_allclose(fit.std_errors, np.sqrt(np.diag(cov)), rtol=1e-9)
    error = np.sqrt(rss / (n - p - 1) / n + mean @ cov @ mean)
    np.testing.assert_allclose(fit.intercept_std_error, error, rtol=1e-9)
    np.testing.assert_allclose(fit.rsquared, 1 - rss / np.sum((y - y.mean()) ** 2), rtol=1e-9)
