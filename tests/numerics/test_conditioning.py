"""Conditioning: variance inflation and Belsley's decomposition, against statsmodels and a textbook case."""

import numpy as np
import pytest
from reference import feed, named, nist

from streamreg.solve import exact
from streamreg.solve.conditioning import analyse
from streamreg.stats.integer_moments import IntegerMoments


def conditioning(x, y, intercept=True):
    names = named(x)
    found = exact.solve(feed(IntegerMoments(names), x, y).problem("y", intercept=intercept))
    return analyse(names[:-1], found.root, found.kept, found.identifiable)


def test_variance_inflation_is_that_of_statsmodels():
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    x, _, y, _ = nist("Longley")
    found = conditioning(x, y)
    design = np.column_stack([np.ones(len(x)), x])
    np.testing.assert_allclose(found.vif, [variance_inflation_factor(design, k + 1) for k in range(6)], rtol=1e-8)


def test_decomposition_by_definition():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    x[:, 3] = x[:, 0] + x[:, 1] + 0.003 * rng.standard_normal(300)
    found = conditioning(x, rng.standard_normal(300))
    scaled = x - x.mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    _, values, right = np.linalg.svd(scaled, full_matrices=False)
    np.testing.assert_allclose(found.indices, (values[0] / values)[::-1], rtol=1e-10)
    parts = (right / values[:, None]) ** 2
    np.testing.assert_allclose(found.proportions, (parts / parts.sum(axis=0))[::-1], rtol=1e-5)
    np.testing.assert_allclose(found.proportions.sum(axis=0), 1.0)
    np.testing.assert_allclose(found.vif, parts.sum(axis=0), rtol=1e-8)

    (worst,) = found.near
    assert {name for name, _ in worst.terms} == {"x0", "x1", "x3"}
    assert min(worst.shares) > 0.9
    assert worst.index == pytest.approx(found.indices[0])
    assert "x3" in str(worst)
    assert "nearly constant" in str(worst)


def test_a_healthy_design_has_nothing_to_say():
    x = np.random.default_rng(1).standard_normal((200, 3))
    found = conditioning(x + 1e6, x[:, 0])
    assert found.near == ()
    assert found.vif.max() < 1.1


def test_dependent_columns_have_no_finite_inflation():
    x = np.random.default_rng(2).standard_normal((50, 3))
    found = conditioning(np.column_stack([x, x[:, 0] + 1.0]), x[:, 1])
    assert list(np.isinf(found.vif)) == [True, False, False, True]
    assert conditioning(np.ones((5, 1)), np.arange(5.0)).near == ()
