"""The centred line: its algebra, against fractions."""

from fractions import Fraction

import numpy as np
import pytest

from streamreg.line import Line

RNG = np.random.default_rng(5)


def exact(centre, coef, at, point):
    terms = (Fraction(c) * (Fraction(x) - Fraction(m)) for c, x, m in zip(coef, point, centre, strict=True))
    return Fraction(at) + sum(terms)


@pytest.fixture
def line():
    return Line(RNG.normal(size=4) + 1e8, RNG.normal(size=4), 12.5)


def test_values_are_those_of_fractions_far_from_zero(line):
    rows = RNG.normal(size=(9, 4)) + 1e8
    for found, row in zip(line.values(rows), rows, strict=True):
        assert found == pytest.approx(float(exact(line.centre, line.coef, line.at, row)), rel=1e-14)
    assert line.value(rows[3]) == pytest.approx(line.values(rows)[3], rel=1e-15)


def test_the_intercept_is_correctly_rounded_or_next_to_it(line):
    true = float(exact(line.centre, line.coef, line.at, np.zeros(4)))
    assert abs(line.intercept - true) <= np.spacing(abs(true))
    assert line.about(np.zeros(4)).at == line.intercept


def test_another_centre_is_the_same_line(line):
    other = line.about(line.centre + 1e4)
    point = line.centre + 3.0
    assert other.value(point) == pytest.approx(line.value(point), abs=1e-11)


def test_a_step_and_low_parts(line):
    step = Line(line.centre, np.ones(4), 2.0)
    moved = line.moved(step, 0.5)
    rows = line.centre + RNG.normal(size=(5, 4))
    np.testing.assert_allclose(moved.values(rows), line.values(rows) + 0.5 * step.values(rows), rtol=1e-14)
    low = np.full(rows.shape, 1e-9)
    np.testing.assert_allclose(line.values(rows, low) - line.values(rows), 1e-9 * line.coef.sum(), atol=1e-14)


def test_residuals_keep_what_the_targets_size_would_lose():
    line = Line(np.zeros(1), np.ones(1), 1e16, at_low=0.25)
    y = np.array([1e16 + 2.0])
    assert line.residuals(y, line.centred(np.array([[1.0]])))[0] == 0.75


def test_several_lines_about_one_point(line):
    both = Line(line.centre, np.stack([line.coef, 2 * line.coef]), np.array([line.at, 1.0]))
    rows = line.centre + RNG.normal(size=(5, 4))
    np.testing.assert_allclose(both.values(rows)[:, 0], line.values(rows), rtol=1e-14)
    assert both.values(rows).shape == (5, 2)
