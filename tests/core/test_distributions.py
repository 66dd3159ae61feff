"""Tails and quantiles against SciPy's, far out and for all sorts of degrees of freedom."""

import mpmath
import numpy as np
import pytest
from scipy import special

from streamreg.inference.distributions import f_tail, t_quantile, t_tails

DF = [0.7, 1, 2, 5, 30, 989, 1e6]


@pytest.mark.parametrize("d1", DF)
@pytest.mark.parametrize("d2", DF)
def test_f(d1, d2):
    f = np.geomspace(1e-6, 1e6, 61)
    expected = special.fdtrc(d1, d2, f)
    there = expected > 1e-290
    np.testing.assert_allclose(f_tail(f, d1, d2)[there], expected[there], rtol=1e-10)  # as far as SciPy is right


@pytest.mark.parametrize("d1", [2, 10, 30, 200])
@pytest.mark.parametrize("d2", [1, 7.5, 1e3, 1e6, 2e9])
@pytest.mark.parametrize("f", [1e-3, 0.9, 1.0, 2.0, 10.0])
def test_f_by_its_finite_sum(d1, d2, f):
    """An even number of degrees of freedom above: ``x**a sum (a)_j / j! (1 - x)**j``, j below d1 / 2."""
    with mpmath.workdps(50):
        a, ratio = mpmath.mpf(d2) / 2, mpmath.mpf(d1) * mpmath.mpf(f) / mpmath.mpf(d2)
        y = ratio / (1 + ratio)
        expected = (1 + ratio) ** -a * sum(mpmath.rf(a, j) / mpmath.factorial(j) * y**j for j in range(d1 // 2))
        assert abs(float(f_tail(f, d1, d2) / expected - 1) if expected > 1e-300 else 0.0) < 1e-12


@pytest.mark.parametrize("df", DF)
def test_t_and_its_quantiles(df):
    t = np.array([-8.0, -1.0, 0.0, 1e-3, 0.3, 2.0, 30.0])
    np.testing.assert_allclose(t_tails(t, df), 2 * special.stdtr(df, -np.abs(t)), rtol=1e-10)
    for level in (0.01, 0.5, 0.9, 0.95, 0.999, 1 - 1e-10):
        found = t_quantile(1 - level, df)
        assert t_tails(found, df) == pytest.approx(1 - level, rel=1e-11)
        assert found == pytest.approx(-special.stdtrit(df, (1 - level) / 2), rel=1e-9)


def test_without_end_they_are_the_normal_and_chi_square():
    z = np.array([0.0, 0.1, 1.0, 1.96, 10.0, 35.0])
    np.testing.assert_allclose(t_tails(z, np.inf), special.erfc(z / np.sqrt(2)), rtol=3e-12)
    assert t_quantile(0.05, np.inf) == pytest.approx(special.ndtri(0.975), rel=1e-13)
    for k in (1, 3, 80):
        x = np.array([0.01, 1.0, 30.0, 400.0])
        np.testing.assert_allclose(f_tail(x / k, k, np.inf), special.chdtrc(k, x), rtol=3e-12)


def test_cauchy():
    t = np.array([1e-9, 1e-3, 1.0, 1e5, 1e12])
    np.testing.assert_allclose(t_tails(t, 1), 2 / np.pi * np.arctan(1 / t), rtol=1e-13)


def test_ends_and_what_is_undefined():
    assert f_tail([0.0, np.inf, np.nan, -1.0], 3, 4).tolist() == pytest.approx([1, 0, np.nan, np.nan], nan_ok=True)
    assert t_tails([np.inf, -np.inf, 1e300], 5).tolist() == [0, 0, 0]
    assert np.isnan([f_tail(1.0, 0, 3), f_tail(1.0, 3, np.nan), t_tails(1.0, -1), t_quantile(0.1, 0)]).all()
    assert (t_quantile(1.0, 3), t_quantile(0.0, 3)) == (0.0, np.inf)
