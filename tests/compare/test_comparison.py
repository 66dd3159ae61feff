"""The comparator catches what should be caught, and passes what should pass."""

import dataclasses
import json

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(2)
N = 1000
X = RNG.standard_normal((N, 5)) * [1, 2, 3, 4, 5] + 3
Y = X @ np.arange(1, 6.0) + 1 + RNG.standard_normal(N)
FIT = sr.Linear().fit((X, Y))


def other(fit, coef=None, intercept=None, **changes):
    """Return bare coefficients, as another program would hand them over."""
    coef = fit.coef if coef is None else np.asarray(coef, dtype=float)
    intercept = fit.intercept if intercept is None else intercept
    bare = {"centre": np.zeros(len(coef)), "at_centre": intercept, "geometry": None, "model": {"kind": "other"}}
    bare |= {"digits": np.full(len(coef), np.nan), "digits_intercept": np.nan}
    return dataclasses.replace(fit, coef=coef, intercept=intercept, **(bare | changes))


def solved(x, y, weight):
    """Return coefficients and intercept of weighted least squares, by numpy alone."""
    root = np.sqrt(weight)[:, None]
    found = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]) * root, y * root[:, 0], rcond=None)[0]
    return found[:-1], found[-1]


def descended(x, y, epochs, rate, batch=32):
    """Return coefficients and intercept after mini-batch gradient descent on standardised columns."""
    rng = np.random.default_rng(0)
    z = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    b = np.zeros(z.shape[1])
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for k in range(0, len(x), batch):
            rows = order[k : k + batch]
            b -= rate / (1 + epoch) * z[rows].T @ (z[rows] @ b - y[rows]) / len(rows)
    coef = b[:-1] / x.std(0)
    return coef, b[-1] - coef @ x.mean(0)


# What it must pass.


def test_the_same_estimates_agree():
    found = sr.compare(FIT, other(FIT))
    assert found
    assert found.verdict == "agree"
    assert found.max_distance < 1e-9
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "agree"
    assert "Verdict: agree" in str(found)


def test_a_converged_run_passes():
    z = np.column_stack([X - X.mean(0), np.ones(N)])
    b = np.zeros(6)
    rate = 1 / np.linalg.eigvalsh(z.T @ z)[-1]
    for _ in range(400):
        b -= rate * z.T @ (z @ b - Y)
    found = sr.compare(FIT, other(FIT, b[:5], b[5] - b[:5] @ X.mean(0), method="mini-batch"))
    assert found.verdict == "agree"
    assert found.newton < 0.01


def test_columns_are_matched_by_name():
    order = [3, 1, 4, 0, 2]
    permuted = sr.Linear().fit(sr.open((X[:, order], Y), columns=[f"x{k}" for k in order]))
    assert sr.compare(FIT, permuted).verdict == "agree"
    assert sr.compare(permuted, other(FIT)).verdict == "agree"


def test_differences_along_the_null_space_are_free():
    x1 = np.arange(1.0, 6)
    fit = sr.Linear().fit((np.column_stack([x1, x1 + 1]), 2 * x1 + 1))
    found = sr.compare(fit, other(fit, [1.15, 0.85], -0.85 + 1))
    assert found.verdict == "agree where identifiable"
    assert "x1 = x0 + 1" in found.reason
    assert np.isnan(found.distance).all()
    assert np.isnan(found.intercept_distance)
    assert sr.compare(fit, other(fit, [1.15, 0.85], 0.2)).verdict == "differ"
    without = sr.Linear(intercept=False).fit((np.column_stack([x1, x1 + 1]), 2 * x1 + 1))
    np.testing.assert_allclose(without.coef, [1, 1], rtol=1e-9)
    assert sr.compare(without, other(without, [1.15, 0.85], 0.0)).verdict == "differ"


def test_a_noisy_null_space():
    x = np.column_stack([X, X[:, 0] - X[:, 1]])
    fit = sr.Linear().fit((x, Y))
    free = other(fit, fit.coef + 7 * np.array([1, -1, 0, 0, 0, -1]))
    found = sr.compare(fit, free)
    assert found.verdict == "agree where identifiable"
    assert np.isfinite(found.distance).sum() == 3
    assert found.fitted_distance < 1e-12
    assert sr.compare(fit, other(fit, fit.coef + 0.5 * (np.arange(6) == 0))).verdict == "differ"


# What it must catch.


def test_one_epoch_is_not_enough():
    coef, intercept = descended(X, Y, epochs=1, rate=0.05)
    status = "not converged: 1 epoch"
    found = sr.compare(FIT, other(FIT, coef, intercept, status=status, method="mini-batch"))
    assert found.verdict == "not converged"
    assert found.max_distance > 1
    assert "raise epochs" in found.advice
    assert sr.compare(FIT, other(FIT, coef, intercept)).verdict == "differ"


def test_a_wrong_intercept():
    found = sr.compare(FIT, other(FIT, None, FIT.intercept + 0.5))
    assert found.verdict == "differ"
    assert "all of it in the intercept" in found.reason
    assert found.distance.max() == 0
    assert "centred columns" in sr.compare(FIT, other(FIT, None, FIT.at_centre)).advice
    assert "left out" in sr.compare(FIT, other(FIT, None, 0.0)).advice


def test_two_columns_swapped():
    found = sr.compare(FIT, other(FIT, FIT.coef[[1, 0, 2, 3, 4]]))
    assert found.verdict == "differ"
    assert "swapped" in found.advice
    assert "another order" in sr.compare(FIT, other(FIT, FIT.coef[[1, 2, 0, 3, 4]])).advice


def test_one_column_scaled():
    found = sr.compare(FIT, other(FIT, FIT.coef * [1, 1, 1000, 1, 1]))
    assert found.verdict == "differ"
    assert "all of it in x2" in found.reason
    assert "1000 to 1" in found.advice


def test_one_coefficient_moved_by_a_tenth_of_its_error():
    moved = other(FIT, FIT.coef + FIT.std_errors * [0, 0.1, 0, 0, 0])
    found = sr.compare(FIT, moved, tolerance=0.05)
    assert found.verdict == "differ"
    assert "all of it in x1" in found.reason
    np.testing.assert_allclose(found.distance, [0, 0.1, 0, 0, 0], atol=1e-9)
    assert sr.compare(FIT, moved, tolerance=0.2)


def test_an_unweighted_partial_batch():
    # Batches of 96 in order: the last holds 40 rows, and its mean gradient counts like that of the others.
    weight = np.ones(N)
    weight[N - N % 96 :] = 96 / (N % 96)
    coef, intercept = solved(X, Y, weight)
    found = sr.compare(FIT, other(FIT, coef, intercept, method="mini-batch"), tolerance=0.05)
    assert found.verdict == "differ"
    assert 0.05 < found.max_distance < 2
    assert found.excess_loss > 0


def test_other_units_of_everything():
    deviation = X.std(0)
    scaled = sr.compare(FIT, other(FIT, FIT.coef * deviation))
    assert "standardised columns" in scaled.advice
    assert "target's units" in sr.compare(FIT, other(FIT, FIT.coef * 1000, FIT.intercept * 1000)).advice


def test_coefficients_written_with_few_digits():
    rounded = [float(f"{value:.3g}") for value in FIT.coef]
    for pair in ((FIT, other(FIT, rounded)), (other(FIT, rounded), FIT)):
        found = sr.compare(*pair)
        assert found.verdict == "cannot tell"
        assert not found
        assert "same to 3 digits" in found.advice
    assert sr.compare(FIT, other(FIT, rounded), tolerance=10)
    moved = [rounded[0] + 20 * FIT.std_errors[0], *rounded[1:]]
    assert sr.compare(FIT, other(FIT, moved)).verdict == "differ"


def test_flat_directions_are_named():
    z = RNG.standard_normal((1000, 2))
    x = np.column_stack([z, z[:, 0] + 0.01 * RNG.standard_normal(1000)])
    fit = sr.Linear().fit((x, x.sum(1) + RNG.standard_normal(1000)))
    found = sr.compare(fit, other(fit, fit.coef + np.array([0.3, 0, -0.3]), method="mini-batch"))
    assert str(found.directions[0]) in ("x0 - x2", "x2 - x0")
    assert "nearly flat" in found.reason
    assert "whiten" in found.advice


# What it measures.


def test_distances_are_those_of_the_loss_surface():
    coef = FIT.coef + FIT.std_errors * [3, -1, 0.5, 0, 2]
    found = sr.compare(FIT, other(FIT, coef, FIT.intercept + 0.1))
    np.testing.assert_allclose(found.distance, [3, 1, 0.5, 0, 2], rtol=1e-9)
    residual = Y - (X @ coef + FIT.intercept + 0.1)
    np.testing.assert_allclose(found.excess_loss, residual @ residual / FIT.rss - 1, rtol=1e-8)
    moved = X @ (coef - FIT.coef) + 0.1
    np.testing.assert_allclose(found.fitted_distance, np.sqrt(moved @ moved / FIT.tss), rtol=1e-9)
    np.testing.assert_allclose(found.wald, np.sqrt(moved @ moved / 6) / FIT.sigma, rtol=1e-9)
    np.testing.assert_allclose(found.newton, np.sqrt(moved @ moved) / FIT.sigma, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_distance, 0.1 / FIT.intercept_std_error, rtol=1e-9)
    centred = X - X.mean(0)
    score = [*(centred.T @ residual / np.linalg.norm(centred, axis=0)), residual.sum() / np.sqrt(N)]
    np.testing.assert_allclose(found.gradient, np.abs(score).max() / FIT.sigma, rtol=1e-8)
    assert max(found.distance.max(), found.intercept_distance) <= found.newton * (1 + 1e-12)


def test_a_reference_that_is_neither_of_the_two():
    a, b = other(FIT), other(FIT, FIT.coef + FIT.std_errors)
    with pytest.raises(UsageError, match="second moments"):
        sr.compare(a, b)
    for data in ((X, Y), sr.open((X, Y)), sr.scan(sr.open((X, Y)))):
        found = sr.compare(a, b, data)
        np.testing.assert_allclose(found.distance, 1, rtol=1e-9)
        np.testing.assert_allclose(found.newton, sr.compare(FIT, b).newton, rtol=1e-9)
    assert sr.compare(a, a, (X, Y)).verdict == "agree"
    assert sr.compare(b, b, (X, Y)).excess_loss > 0


def test_weights_are_in_the_measure():
    w = RNG.uniform(0.1, 5, N)
    fit = sr.Linear().fit((X, Y, w))
    b = other(fit, fit.coef + fit.std_errors * [1, 0, 2, 0, 0], fit.intercept - 0.05)
    found = sr.compare(fit, b)
    np.testing.assert_allclose(found.distance, [1, 0, 2, 0, 0], rtol=1e-9)
    moved = X @ (b.coef - fit.coef) - 0.05
    np.testing.assert_allclose(found.newton, np.sqrt(w @ moved**2) / fit.sigma, rtol=1e-8)


@pytest.mark.parametrize("units", [(1, 1e200), (1, 1e-200), (1e200, 1e150), (1e-200, 1e-150)])
def test_units_do_not_matter(units):
    fit = sr.Linear().fit((X * units[0], Y * units[1]))
    b = other(fit, fit.coef + fit.std_errors * [0, 2, 0, 0, 0])
    found = sr.compare(fit, b)
    np.testing.assert_allclose(found.distance, [0, 2, 0, 0, 0], rtol=1e-9, atol=1e-9)
    plain = sr.compare(FIT, other(FIT, FIT.coef + FIT.std_errors * [0, 2, 0, 0, 0]))
    for field in ("wald", "newton", "gradient", "excess_loss", "fitted_distance", "max_distance"):
        np.testing.assert_allclose(getattr(found, field), getattr(plain, field), rtol=1e-8)
    assert found.verdict == "differ"
    assert sr.compare(fit, other(fit)).verdict == "agree"


def test_offsets_do_not_matter():
    x = np.round(X * 2**10) / 2**10 + [1e9, 0, -1e6, 0, 1e12]
    fit = sr.Linear().fit((x, Y))
    assert sr.compare(fit, other(fit)).verdict == "agree"
    found = sr.compare(fit, other(fit, fit.coef + fit.std_errors * [0, 0, 0, 2, 0]))
    np.testing.assert_allclose(found.distance, [0, 0, 0, 2, 0], atol=1e-9)


def test_perfect_fits_are_compared_by_fitted_values():
    y = X @ [1.0, 2, 3, 4, 5] + 1
    fit = sr.Linear(precision="exact").fit((np.round(X), np.round(X) @ [1.0, 2, 3, 4, 5] + 1))
    assert fit.rss == 0
    assert sr.compare(fit, other(fit)).verdict == "agree"
    assert sr.compare(fit, other(fit, fit.coef * (1 + 1e-12))).verdict == "agree"
    found = sr.compare(fit, other(fit, fit.coef * (1 + 1e-4)))
    assert found.verdict == "differ"
    assert "target's spread" in found.reason
    nearly = sr.Linear().fit((X, y))
    assert sr.compare(nearly, other(nearly, [1, 2, 3, 4, 5], 1)).verdict == "agree"
    assert sr.compare(nearly, other(nearly, [1, 2, 3, 4, 5.001], 1)).verdict == "differ"


def test_fewer_rows_than_columns():
    fit = sr.Linear().fit((X[:4], Y[:4]))
    assert sr.compare(fit, other(fit)).verdict == "agree where identifiable"
    assert sr.compare(fit, other(fit, fit.coef + (np.arange(5) == 2))).verdict == "differ"


def test_a_constant_target():
    fit = sr.Linear().fit((X, np.full(N, 7.0)))
    assert sr.compare(fit, other(fit, np.zeros(5), 7.0)).verdict == "agree"
    assert sr.compare(fit, other(fit, np.zeros(5), 7.1)).verdict == "differ"


def test_without_intercept():
    fit = sr.Linear(intercept=False).fit((X, Y))
    found = sr.compare(fit, other(fit, fit.coef + fit.std_errors * [1, 0, 0, 0, 0]))
    np.testing.assert_allclose(found.distance, [1, 0, 0, 0, 0], rtol=1e-9)
    assert np.isnan(found.intercept_distance)
    assert found.verdict == "differ"
    assert sr.compare(fit, other(fit)).verdict == "agree"


def test_one_with_and_one_without_intercept():
    without = sr.Linear(intercept=False).fit((X, Y))
    found = sr.compare(FIT, without)
    assert found.verdict == "differ"
    assert "intercept" in found.reason
    # A line through zero does not know the means, and cannot measure a line with an intercept.
    with pytest.raises(UsageError, match="give the data"):
        sr.compare(without, other(FIT))
    assert sr.compare(without, other(FIT), (X, Y)).verdict == "differ"


def test_penalised_fits_do_not_measure():
    ridge = sr.Linear(ridge=50.0).fit((X, Y))
    found = sr.compare(ridge, FIT)
    assert found.verdict == "differ"
    np.testing.assert_allclose(found.distance, np.abs(ridge.coef - FIT.coef) / FIT.std_errors, rtol=1e-6)
    with pytest.raises(UsageError, match="give the data"):
        sr.compare(ridge, other(FIT))


def test_digits_of_the_reference_count():
    assert sr.compare(FIT, other(FIT, FIT.coef + FIT.std_errors * 0.5)).verdict == "differ"
    rough = dataclasses.replace(FIT, digits=np.full(5, 1.0))
    moved = FIT.coef + FIT.std_errors * 0.5
    theirs = other(FIT, moved, FIT.at_centre - FIT.centre @ moved)
    for pair in ((rough, theirs), (theirs, rough)):
        found = sr.compare(*pair)
        assert found.verdict == "cannot tell"
        np.testing.assert_allclose(found.distance, 0.5, rtol=1e-9)
        assert found.bounds[0] < found.tolerance < found.max_distance
        assert "precision='exact'" in found.advice


def test_an_ill_conditioned_polynomial_measures_flat_directions_right():
    t = np.linspace(0, 1, 200)
    model = sr.Linear(powers={"t": 8}, precision="exact")
    y = t**3 + 0.1 * np.random.default_rng(0).standard_normal(200)
    fit = model.fit(sr.open((t[:, None], y), columns=["t"]))
    for k in (0, 3, 7):
        step = np.zeros(8)
        step[k] = fit.std_errors[k] / 100
        found = sr.compare(fit, dataclasses.replace(fit, coef=fit.coef + step, digits=np.full(8, np.nan)))
        np.testing.assert_allclose(found.distance[k], 0.01, rtol=1e-6)
        powers = t[:, None] ** np.arange(1, 9)
        moved = (powers - powers.mean(0)) @ step
        np.testing.assert_allclose(found.newton, np.linalg.norm(moved) / fit.sigma, rtol=1e-3)


def test_labels():
    found = sr.compare(FIT, other(FIT, FIT.coef * 2), labels=("mine", "theirs"))
    assert found.labels == ("mine", "theirs")
    assert found.reason.startswith("theirs is away from mine")
    assert sr.compare(FIT, FIT).labels == ("linear 1", "linear 2")
    with pytest.raises(UsageError, match="two fits have two"):
        sr.compare(FIT, FIT, labels=("one",))


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match="'x4' are in one only"):
        sr.compare(FIT, sr.Linear(features=("x0", "x1", "x2", "x3")).fit(sr.open((X, Y))))
    with pytest.raises(UsageError, match="targets are 'y' and 'z'"):
        sr.compare(FIT, dataclasses.replace(FIT, target="z"))
    with pytest.raises(UsageError, match="families are gaussian and binomial"):
        sr.compare(FIT, dataclasses.replace(FIT, family="binomial"))
    with pytest.raises(UsageError, match="tolerance"):
        sr.compare(FIT, FIT, tolerance=0)
    for thing in ("fit.npz", None, FIT.coef):
        with pytest.raises(UsageError, match="is no line, generalised or trained, to compare"):
            sr.compare(FIT, thing)


def test_several_at_once():
    fits = {
        "theirs": other(FIT, FIT.coef + FIT.std_errors),
        "exact": FIT,
        "again": other(FIT),
        "ridge": sr.Linear(ridge=50.0).fit((X, Y)),
    }
    found = sr.compare_all(fits)
    assert found.reference == "exact"
    assert not found
    assert [name for name, c in found.pairs.items() if c] == ["again"]
    assert found["theirs"].labels == ("exact", "theirs")
    text = str(found)
    assert all(name in text for name in fits)
    assert json.loads(json.dumps(found.to_dict()))["reference"] == "exact"
    assert sr.compare_all(fits, reference="theirs").reference == "theirs"
    np.testing.assert_allclose(sr.compare_all(fits, reference="theirs")["again"].distance, 1, rtol=1e-9)
    assert sr.compare_all({"a": FIT, "b": other(FIT)})
    with pytest.raises(UsageError, match="two or more"):
        sr.compare_all({"a": FIT})
    with pytest.raises(UsageError, match="no fit 'c'"):
        sr.compare_all({"a": FIT, "b": FIT}, reference="c")
    bare = {name: other(fit) for name, fit in fits.items()}
    assert sr.compare_all(bare, (X, Y)).reference == "theirs"


@pytest.mark.parametrize("target", ["constant", "line"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_never_near(target, value):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    fit = sr.Linear().fit((x, np.zeros(300) if target == "constant" else x.sum(axis=1) + random.normal(size=300)))
    diverged = "not converged: training diverged; lower the learning rate"
    broken = dataclasses.replace(fit, coef=np.full(3, value), intercept=value, at_centre=value, status=diverged)
    one = dataclasses.replace(fit, coef=np.where([True, False, False], value, fit.coef))
    for a, b, verdict in [(fit, broken, "not converged"), (broken, fit, "not converged"), (fit, one, "differ")]:
        found = sr.compare(a, b)
        assert found.verdict == verdict
        assert "are no numbers" in found.reason
        assert found.max_distance == np.inf
        assert np.isnan(found.newton)
        assert "some of the coefficients" in str(found)
    assert diverged in sr.compare(fit, broken).advice


def test_what_is_too_large_for_its_square_is_far():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    fit = sr.Linear().fit((x, x.sum(axis=1) + random.normal(size=300)))
    far = sr.compare(fit, dataclasses.replace(fit, coef=np.full(3, 1e300), at_centre=1e300))
    assert far.verdict == "differ"
    assert far.max_distance > 1e300
