"""Tests of linear restrictions on the coefficients of a fit."""

from streamreg.errors import require, typed
from streamreg.results.base import FitResult
from streamreg.results.restricted import RestrictionTest, test_of
from streamreg.solve.restrictions import parse


@typed
def wald_test(fit: FitResult, restrictions: str) -> RestrictionTest:
    """Test linear restrictions jointly, by ``(R b - r)' (R cov R')^-1 (R b - r)``.

    Parameters
    ----------
    fit : FitResult
        With a covariance: of `sr.Linear` without ridge, or of a generalised linear model.
    restrictions : str
        For example ``"x1 = x2, x3 = 0, 2 x1 + x4 = 1"``; ``intercept`` is the constant.

    Raises
    ------
    NotFound
        A name is not one of the fit's.
    UsageError
        The text cannot be read, a restriction follows from others, the data do not determine what it restricts, or the
        fit has no covariance.

    Notes
    -----
    Combinations that the data determine can be tested even where single coefficients are not identifiable: with
    ``x2 = 2 x1``, ``x1 + 2 x2`` is. Cost: ``q p**2`` operations.
    """
    require(fit, FitResult, "tests of restrictions are for the fit that sr.Linear(...).fit(data) returns")
    return test_of(fit, parse(restrictions, fit.names))
