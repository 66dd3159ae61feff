"""Many columns: blocks that cores share, bounds in place of eigenvalues, and what the ladder does about the cost."""

import os

import numpy as np
import pytest
from reference import feed, named

import streamreg as sr
from streamreg.kernels.blas import one_thread
from streamreg.kernels.gram import mirrored
from streamreg.problem import Problem
from streamreg.solve import cholesky, ladder, triangular
from streamreg.stats.moments import Moments


def gram(p, kappa=1.0, seed=0):
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((p, p)))[0]
    matrix = left * np.geomspace(1, 1 / kappa, p) @ left.T
    norm = np.sqrt(np.diag(matrix))
    return mirrored(matrix / norm / norm[:, None])


def posed(matrix, rhs, n=10**6):
    """Return the problem of centred columns with these second moments."""
    p = len(rhs)
    cross = np.empty((p + 1, p + 1))
    cross[:p, :p], cross[:p, p], cross[p, :p] = matrix, rhs, rhs
    cross[p, p] = 2.0 * float(rhs @ np.linalg.solve(matrix, rhs))
    zero = np.zeros(p + 1)
    names = tuple(f"x{k}" for k in range(p))
    return Problem(names, "y", cross, np.zeros(p + 1, dtype=np.int64), (zero, zero), n, float(n), True)


@pytest.mark.parametrize("p", [1, 127, 128, 129, 255, 257, 501, 700])
@pytest.mark.parametrize("kappa", [1.0, 1e10])
def test_blocks_are_as_good_as_lapack(p, kappa):
    matrix = gram(p, kappa)
    with one_thread():
        lower = triangular.cholesky(matrix)
        root = triangular.inverse(lower)
        inverse = triangular.gram(root)
    assert not np.triu(lower, 1).any()
    assert (
        abs(lower @ lower.T - matrix).max()
        <= 3 * abs(np.linalg.cholesky(matrix) @ np.linalg.cholesky(matrix).T - matrix).max() + 1e-15
    )
    plain = np.linalg.solve(lower, np.eye(p))
    assert abs(root @ lower - np.eye(p)).max() <= 4 * abs(plain @ lower - np.eye(p)).max() + 1e-15
    np.testing.assert_allclose(inverse, root.T @ root, atol=1e-13 * abs(inverse).max())
    assert np.array_equal(inverse, inverse.T)


def test_a_triangle_is_mirrored():
    for p in (0, 1, 127, 128, 300):
        lower = np.random.default_rng(p).standard_normal((p, p))
        assert np.array_equal(mirrored(lower), np.tril(lower) + np.tril(lower, -1).T)


def test_bits_do_not_depend_on_the_cores(monkeypatch):
    problem = posed(gram(600, 1e3), np.random.default_rng(1).standard_normal(600))
    many = cholesky.solve(problem)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    one = cholesky.solve(problem)
    assert one.coef.tobytes() == many.coef.tobytes()
    assert one.inverse.tobytes() == many.inverse.tobytes()


@pytest.mark.parametrize("kappa", [1.0, 1e2, 1e6, 1e9])
def test_bounds_and_eigenvalues_give_one_verdict(kappa, monkeypatch):
    problem = posed(gram(520, kappa), np.random.default_rng(2).standard_normal(520))
    bounded = cholesky.solve(problem)
    monkeypatch.setattr(cholesky, "_EIGENVALUES", 1000)
    found = cholesky.solve(problem)
    assert (bounded.status, bounded.rank) == (found.status, found.rank) == ("ok", 520)
    np.testing.assert_array_equal(bounded.coef, found.coef)
    np.testing.assert_array_equal(bounded.digits, found.digits)
    assert 0.8 * found.condition <= bounded.condition <= found.condition * (1 + 1e-6)


def test_wide_dependent_columns_are_not_taken_for_independent():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((700, 510))
    x[:, 509] = x[:, 3] - x[:, 5]
    found = cholesky.solve(feed(Moments(named(x)), x, rng.standard_normal(700)).problem("y"))
    assert found.status == "uncertain"
    assert found.rank == 509
    # As many columns as rows fix nothing more.
    assert cholesky.solve(feed(Moments(named(x)), x[:400], x[:400, 0]).problem("y")).status == "uncertain"


def test_orthogonal_columns_have_condition_one():
    codes = np.repeat(np.arange(520), 2)
    x = (codes[:, None] == np.arange(520)).astype(float)
    y = np.random.default_rng(4).standard_normal(len(codes))
    fit = sr.Linear(intercept=False, precision="float64").fit((x, y))
    assert fit.condition == pytest.approx(1.0)
    np.testing.assert_allclose(fit.coef, y.reshape(-1, 2).mean(axis=1), rtol=1e-12)


def test_whole_numbers_come_back_from_a_wide_table():
    rng = np.random.default_rng(5)
    x = rng.integers(-9, 10, (900, 520)).astype(float)
    x[:, 1] = x[:, 0] * 1000 + x[:, 1]
    coef = rng.integers(1, 10, 520)
    fit = sr.Linear(precision="float64").fit((x, x @ coef))
    assert fit.status == "ok"
    true = -np.log10(np.maximum(abs(fit.coef / coef - 1), 1e-16))
    assert (fit.digits - true).max() <= 0.3


def test_a_small_coefficient_is_not_worth_an_exact_pass():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((4000, 200))
    y = x[:, :100] @ rng.standard_normal(100) + rng.standard_normal(4000)
    fit = sr.Linear().fit((x, y))
    assert (fit.method, fit.status, fit.passes) == ("float64", "ok", 1)
    assert "Where fewer than 10 digits are shown, the error is below 1e-08 standard errors." in fit.summary()
    exact = sr.Linear(precision="exact", features=fit.names).fit((x, y))
    assert (abs(fit.coef - exact.coef) <= np.maximum(1e-10 * abs(exact.coef), 1e-8 * exact.std_errors)).all()
    # In a small table it costs nothing.
    few, many = (posed(np.eye(3), np.ones(3), n) for n in (10**6, 10**8))
    assert ladder.resolution(few) == pytest.approx(1e-5 * ladder.resolution(many))


def test_a_residual_pass_comes_before_an_exact_one():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((4000, 200))
    x[:, 199] = x[:, 0] + 1e-4 * x[:, 199]
    fit = sr.Linear().fit((x, x[:, 1] + rng.standard_normal(4000)))
    assert (fit.method, fit.status, fit.passes) == ("residuals", "ok", 2)
