"""NIST's eleven linear sets at each level, streamed in batches of any size."""

from fractions import Fraction

import numpy as np
import pytest
from reference import SETS, digits, estimates, feed, named, nist

from streamreg.solve import cholesky, exact
from streamreg.solve.ladder import next_level
from streamreg.solve.refine import refine
from streamreg.stats.integer_moments import Grid, IntegerMoments
from streamreg.stats.moments import Moments
from streamreg.stats.residuals import Residuals

SIZES = (1, 7, None)


def sized(statistic, size):
    if size is not None:
        statistic.block_rows = size
    return statistic


def agreement(values, references):
    return min(digits(v, t) for v, t in zip(values, references, strict=True))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SETS)
def test_exact_level(name, size):
    x, low, y, data = nist(name)
    for given, against in ((None, "f64"), (low, "f64x")):
        state = feed(sized(IntegerMoments(named(x)), size), x, y, None, given)
        problem = state.problem("y", intercept=data["intercept"])
        found = exact.solve(problem)
        coef, errors = estimates(problem, found)
        assert found.status == "ok"
        assert agreement(coef, data["exact"][against]["beta"]) >= 15.0
        assert agreement(errors, data["exact"][against]["se"]) >= 14.0
        assert digits(np.ldexp(found.rss, 2 * found.target_exponent), data["exact"][against]["rss"]) >= 15.0
        if low is None or given is not None:
            assert agreement(coef, data["certified"]["beta"]) >= 13.0
            assert agreement(errors, data["certified"]["se"]) >= 12.5


def test_filip_from_float64_columns_is_what_those_columns_say():
    x, _, y, data = nist("Filip")
    problem = feed(IntegerMoments(named(x)), x, y).problem("y")
    coef, _ = estimates(problem, exact.solve(problem))
    assert 7.0 < agreement(coef, data["certified"]["beta"]) < 8.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SETS)
def test_digits_promised_below_the_exact_level_are_kept(name, size):
    x, _, y, data = nist(name)
    problem = feed(sized(Moments(named(x)), size), x, y).problem("y", intercept=data["intercept"])
    found = cholesky.solve(problem)
    levels = [found]
    if found.digits_after_residuals:
        levels.append(refine(problem, found, feed(sized(Residuals.of(problem, found), size), x, y)))
    for level in levels:
        coef, errors = estimates(problem, level)
        promised = np.append(level.digits, level.digits_intercept if problem.intercept else 16.0).min()
        assert agreement(coef, data["exact"]["f64"]["beta"]) >= promised - 0.3
        if Fraction(data["exact"]["f64"]["rss"]) and level.status == "ok":
            assert max(agreement(errors, data["exact"]["f64"]["se"]), 0.0) >= level.digits_se - 0.3


@pytest.mark.parametrize("name", SETS)
def test_climbing_the_ladder_for_ten_and_thirteen_digits(name):
    x, low, y, data = nist(name)
    for wanted in (10, 13):
        moments = feed(Moments(named(x)), x, y, None, low)
        problem = moments.problem("y", intercept=data["intercept"])
        found = cholesky.solve(problem)
        level = next_level(found, wanted)
        if level == "residuals":
            found = refine(problem, found, feed(Residuals.of(problem, found), x, y, None, low))
        elif level == "exact":
            problem = feed(IntegerMoments(named(x), Grid.of(moments)), x, y, None, low).problem(
                "y", intercept=data["intercept"]
            )
            found = exact.solve(problem)
        coef, errors = estimates(problem, found)
        assert agreement(coef, data["certified"]["beta"]) >= wanted
        assert agreement(errors, data["certified"]["se"]) >= 6.0
