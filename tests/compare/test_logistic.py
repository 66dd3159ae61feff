"""Comparisons of logistic fits: by the Fisher information, and by the rows."""

import dataclasses

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(7)
N = 3000
X = RNG.standard_normal((N, 4)) + np.array([0, 1, 0, 5])
ETA = X @ [0.8, -0.4, 0.2, 0.1] - 0.3
Y = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)
SOURCE = sr.open((X, Y))
FIT = sr.Logistic().fit(SOURCE)


def bare(coef, intercept, **about):
    found = sr.coefficients(dict(zip(FIT.names, coef, strict=True)) | {"intercept": intercept}, family="binomial")
    return dataclasses.replace(found, **about)


def test_the_same_estimates_agree():
    found = sr.compare(FIT, bare(FIT.coef, FIT.intercept), SOURCE)
    assert found.verdict == "agree"
    assert found.from_rows
    assert found.newton < 1e-9
    assert found.gradient < 1e-9
    assert not sr.compare(FIT, bare(FIT.coef, FIT.intercept)).from_rows


def test_distances_come_from_the_information():
    step = FIT.std_errors * [0.02, 0, -0.01, 0]
    found = sr.compare(FIT, bare(FIT.coef + step, FIT.intercept))
    np.testing.assert_allclose(found.distance, [0.02, 0, 0.01, 0], atol=1e-9)
    chance = 1 / (1 + np.exp(-(X @ FIT.coef + FIT.intercept)))
    moved = X @ step
    np.testing.assert_allclose(found.newton, np.sqrt((chance * (1 - chance)) @ moved**2), rtol=1e-6)
    certified = sr.compare(FIT, bare(FIT.coef + step, FIT.intercept), SOURCE)
    np.testing.assert_allclose(certified.newton, found.newton, rtol=0.01)
    np.testing.assert_allclose(certified.gradient, found.gradient, rtol=0.01)

    def deviance(eta):
        return 2 * np.sum(np.logaddexp(0, eta) - Y * eta)

    excess = deviance(X @ (FIT.coef + step) + FIT.intercept) / FIT.deviance - 1
    np.testing.assert_allclose(certified.excess_loss, excess, rtol=1e-5)
    np.testing.assert_allclose(found.excess_loss, excess, rtol=0.01)


def test_certificate_is_the_newton_step_at_the_candidate():
    coef, intercept = np.array([0.5, 0, 0, 0]), 0.2
    found = sr.compare(FIT, bare(coef, intercept), SOURCE)
    z = np.column_stack([X, np.ones(N)])
    mean = 1 / (1 + np.exp(-(X @ coef + intercept)))
    score = z.T @ (Y - mean)
    information = (z * (mean * (1 - mean))[:, None]).T @ z
    np.testing.assert_allclose(found.newton, np.sqrt(score @ np.linalg.solve(information, score)), rtol=1e-9)
    assert found.verdict == "differ"


def test_a_model_without_slopes_and_one_moved_coefficient():
    found = sr.compare(FIT, bare(np.zeros(4), 0.0, status="not converged: 0 epochs", method="mini-batch"), SOURCE)
    assert found.verdict == "not converged"
    found = sr.compare(FIT, bare(FIT.coef + FIT.std_errors * [0, 0.1, 0, 0], FIT.intercept), tolerance=0.05)
    assert found.verdict == "differ"
    assert "all of it in x1" in found.reason
    assert "swapped" in sr.compare(FIT, bare(FIT.coef[[1, 0, 2, 3]], FIT.intercept)).advice


def test_columns_are_matched_by_name_on_the_rows_too():
    order = [2, 0, 3, 1]
    permuted = sr.Logistic().fit(sr.open((X[:, order], Y), columns=[f"x{k}" for k in order]))
    for pair in ((FIT, permuted), (permuted, FIT)):
        found = sr.compare(*pair, SOURCE)
        assert found.verdict == "agree"
        assert found.newton < 1e-8


def test_two_foreign_fits_are_measured_by_a_new_one():
    a, b = bare(FIT.coef, FIT.intercept), bare(FIT.coef + FIT.std_errors, FIT.intercept)
    with pytest.raises(UsageError, match="give the data"):
        sr.compare(a, b)
    np.testing.assert_allclose(sr.compare(a, b, SOURCE).distance, 1, rtol=1e-6)


def test_powers_and_units():
    model = sr.Logistic(powers={"x3": 2})
    source = sr.open((X * [1, 1e-200, 1, 1], Y))
    fit = model.fit(source)
    names = dict(zip(fit.names, fit.coef.tolist(), strict=True))
    theirs = sr.coefficients(names | {"intercept": fit.intercept}, family="binomial")
    found = sr.compare(fit, theirs, source)
    assert found.verdict == "agree"
    assert found.newton < 1e-7


def test_separated_labels_cannot_be_a_reference():
    y = (X[:, 0] > 0).astype(float)
    fit = sr.Logistic().fit((X, y))
    with pytest.raises(UsageError, match="complete separation"):
        sr.compare(fit, bare(FIT.coef, FIT.intercept), (X, y))
    with pytest.raises(UsageError, match="moments do not hold the rows"):
        sr.compare(FIT, FIT, sr.scan(SOURCE))


def test_poisson():
    counts = RNG.poisson(np.exp(ETA / 2)).astype(float)
    fit = sr.Glm(family="poisson").fit((X, counts))
    theirs = dict(zip(fit.names, fit.coef, strict=True)) | {"intercept": fit.intercept}
    assert sr.compare(fit, sr.coefficients(theirs, family="poisson"), (X, counts))
    theirs["x2"] += 5 * fit.std_errors[2]
    found = sr.compare(fit, sr.coefficients(theirs, family="poisson"), (X, counts))
    assert not found
    assert 3 < found.newton < 6
