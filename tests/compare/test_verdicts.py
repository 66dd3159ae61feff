"""The comparator's verdict where fits are nearly perfect, digits are few, or the minimum is not known."""

import json

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(11)
X = RNG.standard_normal((1000, 3))


def imported(fit, coef=None, intercept=None):
    """Return estimates as another program would hand them over; the intercept keeps the fitted mean."""
    coef = fit.coef if coef is None else np.asarray(coef)
    intercept = fit.at_centre - fit.centre @ coef if intercept is None else intercept
    return sr.coefficients(dict(zip(fit.names, coef, strict=True)) | {"intercept": intercept}, family=fit.family)


def verdicts(a, b, data=None):
    """Return the verdict, which does not depend on the order."""
    found, back = sr.compare(a, b, data), sr.compare(b, a, data)
    assert found.verdict == back.verdict
    assert found.bounds == back.bounds
    return found


@pytest.mark.parametrize("noise", [1e-7, 1e-9, 1e-11])
@pytest.mark.parametrize("precision", ["auto", "exact"])
def test_a_good_fit_is_not_a_perfect_one(noise, precision):
    y = X @ [1.0, 2.0, 3.0] + 1 + noise * RNG.standard_normal(1000)
    fit = sr.Linear(precision=precision).fit((X, y))
    assert 1 - fit.rsquared < 1e-13
    far = verdicts(fit, imported(fit, fit.coef + 100 * fit.std_errors * [0, 1, 0]))
    assert far.verdict == "differ"
    np.testing.assert_allclose(far.distance, [0, 100, 0], rtol=1e-2, atol=1e-2)
    assert verdicts(fit, imported(fit)).verdict == "agree"


def test_residuals_that_float64_moments_cannot_tell_from_zero():
    y = X @ [1.0, 2.0, 3.0] + 1 + 1e-8 * RNG.standard_normal(1000)
    exact, rough = (sr.Linear(precision=precision).fit((X, y)) for precision in ("exact", "float64"))
    theirs = imported(exact, exact.coef + 100 * exact.std_errors * [0, 1, 0])
    found = verdicts(rough, theirs)
    assert found.verdict == "cannot tell"
    assert not found
    assert "do not tell the residuals from zero" in found.reason
    assert "precision='exact'" in found.advice
    told = verdicts(rough, theirs, (X, y))
    assert told.verdict == "differ"
    assert (found.passes, told.passes) == (0, 1)
    several = sr.compare_all({"rough": rough, "theirs": theirs, "copy": imported(rough), "again": theirs}, (X, y))
    assert [pair.verdict for pair in several.pairs.values()] == ["differ", "agree", "differ"]
    assert [pair.passes for pair in several.pairs.values()] == [1, 0, 0]
    assert verdicts(rough, imported(exact)).verdict == "agree"


def test_a_polynomial_that_float64_cannot_solve():
    t = np.linspace(1, 3, 200)[:, None]
    y = 1 + t[:, 0] ** 3 + 1e-7 * RNG.standard_normal(200)
    source = sr.open((t, y), columns=["t"])
    auto, rough = (sr.Linear(powers={"t": 10}, precision=p).fit(source) for p in ("auto", "float64"))
    found = verdicts(auto, rough)
    assert found.verdict == "cannot tell"
    assert found.max_distance > 23
    assert found.bounds[0] < 0.01
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "cannot tell"
    assert verdicts(rough, imported(rough, rough.coef + 0.01 * (auto.coef - rough.coef))).verdict == "cannot tell"
    assert verdicts(auto, imported(auto, auto.coef + auto.std_errors * (np.arange(10) == 4))).verdict == "differ"


def test_few_digits_that_are_right_all_the_same_agree_with_a_fit_that_has_them():
    x = np.column_stack([X, X[:, 0] + 1e-5 * RNG.standard_normal(1000)])
    y = x.sum(axis=1) + RNG.standard_normal(1000)
    exact, rough = (sr.Linear(precision=precision).fit((x, y)) for precision in ("exact", "float64"))
    assert rough.digits.min() < 6
    assert verdicts(exact, rough).verdict == "agree"


def test_a_column_that_float64_moments_take_for_dependent():
    x = np.column_stack([X, X[:, 0] + 1e-9 * RNG.standard_normal(1000)])
    y = x.sum(axis=1) + RNG.standard_normal(1000)
    exact, rough = sr.Linear(precision="exact").fit((x, y)), sr.Linear().fit(sr.scan(sr.open((x, y))))
    assert rough.rank < exact.rank
    assert verdicts(exact, rough).verdict == "cannot tell"
    assert verdicts(rough, imported(exact)).verdict == "cannot tell"


def test_copies_say_how_far_they_are_from_the_minimum():
    y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(1000)
    fit = sr.Linear().fit((X, y))
    bad = imported(fit, fit.coef + 30 * fit.std_errors * [0, 0, 1])
    found = sr.compare(bad, bad, (X, y))
    assert found.verdict == "agree"
    assert "Both are 30" in found.reason
    np.testing.assert_allclose(found.from_minimum, found.newton, rtol=1e-12)
    assert "Both" not in sr.compare(fit, imported(fit)).reason
    with pytest.raises(UsageError, match="give the data"):
        sr.compare(bad, bad)
    label = (X[:, 0] + RNG.standard_normal(1000) > 0).astype(float)
    curve = sr.Logistic().fit((X, label))
    bad = imported(curve, curve.coef + 30 * curve.std_errors)
    assert "from the maximum of the likelihood" in sr.compare(bad, bad, (X, label)).reason
    assert "SE from the least-squares solution" in sr.compare(*[sr.Linear(ridge=500.0).fit((X, y))] * 2, (X, y)).reason


def test_fits_that_are_not_at_the_minimum_do_not_measure_it():
    y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(1000)
    held, free = sr.Constrained(restrictions="x0 = x1").fit((X, y)), sr.Linear().fit((X, y))
    assert verdicts(held, free).verdict == "differ"
    np.testing.assert_allclose(verdicts(held, free).newton, np.sqrt(held.rss - free.rss) / free.sigma, rtol=1e-6)
    found = verdicts(held, held)
    assert found.verdict == "agree"
    assert "is not known" in found.reason
    assert np.isnan([found.newton, found.gradient, found.excess_loss, *found.from_minimum]).all()
    near = imported(held, held.coef + 1e-3 * free.std_errors)
    assert verdicts(held, near).verdict == "cannot tell"
    assert verdicts(held, near, (X, y)).verdict == "agree"


def test_what_was_not_asked_the_same_is_said():
    y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(1000)
    fit = sr.Linear().fit((X, y))
    assert "1,000 and 500 rows" in sr.compare(fit, sr.Linear().fit((X[:500], y[:500]))).advice
    assert "penalised" in verdicts(fit, sr.Linear(ridge=100.0).fit((X, y))).advice
    assert "raise max_iterations" in verdicts_of_unfinished()


def verdicts_of_unfinished():
    label = (X[:, 0] + 0.3 * RNG.standard_normal(1000) > 0).astype(float)
    found = verdicts(sr.Logistic(max_iterations=2).fit((X, label)), sr.Logistic().fit((X, label)))
    assert found.verdict == "not converged"
    return found.advice


def test_one_row_and_constant_targets():
    one = sr.Linear().fit((X[:1], np.array([2.0])))
    assert verdicts(one, one).verdict == "agree where identifiable"
    assert verdicts(one, imported(one, one.coef, 5.0)).verdict == "differ"
    zero = sr.Linear().fit((X, np.zeros(1000)))
    assert verdicts(zero, imported(zero)).verdict == "agree"
    assert verdicts(zero, imported(zero, zero.coef + 1)).verdict == "differ"


def test_the_command_line_ends_with_1_where_it_cannot_tell(tmp_path):
    from streamreg.cli import main

    y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(1000)
    fit = sr.Linear().fit((X, y))
    fit.save(tmp_path / "mine.npz")
    lines = [f"x{k},{value:.2g}" for k, value in enumerate(fit.coef)]
    (tmp_path / "theirs.csv").write_text("\n".join(["name,coef", f"(intercept),{fit.intercept}", *lines]))
    assert main(["compare", str(tmp_path / "mine.npz"), str(tmp_path / "theirs.csv")]) == 1
