"""Correct a solution by its residuals: twice the digits of float64 moments, up to those of the residuals."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.problem import Problem, Solution
from streamreg.solve.digits import Errors
from streamreg.solve.ladder import resolution
from streamreg.solve.products import inner

Float = NDArray[np.float64]


class ResidualSums(Protocol):
    """What a pass over the rows finds about a solution."""

    centre: dd.DD
    """The point that the line goes through, shape (p + 1,)."""
    coef: Float
    """Slopes in the scaled units, shape (p,)."""
    exponent: NDArray[np.int64]
    """The scaled units: 2**exponent, shape (p + 1,)."""

    @property
    def sums(self) -> dd.DD:
        """``(sum w r, sum w r**2, sum w r z)``, shape (p + 2,)."""


def refine(problem: Problem, solution: Solution, residuals: ResidualSums) -> Solution:
    """Take one step of iterative refinement, ``b += G**-1 X'r`` (Björck 1996, *Least Squares Problems*, section 2.9).

    Parameters
    ----------
    problem, solution : Problem, Solution
        Of float64 moments, certain about the rank.
    residuals : ResidualSums
        Of a pass over the same rows about that solution.

    Notes
    -----
    Cost: ``2 p**2`` operations.
    """
    p, kept = len(problem.names), solution.kept
    units, target_unit = residuals.exponent[:p][kept], int(residuals.exponent[p])
    first, square, products = (dd.take(residuals.sums, k)[0] for k in (0, 1, 2 + kept))
    # The columns were centred on the rounded means.
    offset = np.ldexp(residuals.centre[1][:p][kept], -units)
    gradient = products - offset * float(first)
    norm = np.ldexp(solution.scale[kept], solution.exponent[kept] - units)
    ridge = np.ldexp(problem.ridge, -2 * units)
    gradient -= ridge * residuals.coef[kept]
    step = solution.inverse @ (gradient / norm) / norm

    slopes = dd.two_sum(residuals.coef[kept], step)
    mean_residual = float(first) / problem.weight if problem.intercept else 0.0
    # The penalised sum falls by gradient'step; what the penalty itself changes by is no residual.
    fall = gradient + ridge * (2.0 * residuals.coef[kept] + step)
    rss = float(square) - float(fall @ step) - mean_residual * float(first)
    rss = float(np.ldexp(max(rss, 0.0), 2 * (target_unit - solution.target_exponent)))

    back = target_unit - units
    exact: dd.DD = dd.zeros(p)
    for part, values in zip(exact, slopes, strict=True):
        part[kept] = np.ldexp(values, back)
    coef = exact[0]
    basic = np.full(p, np.nan)
    basic[kept] = coef[kept]
    intercept = 0.0
    if problem.intercept:
        at = dd.subtract(dd.take(problem.mean, p), inner(dd.take(problem.mean, slice(p)), exact))
        intercept = float(dd.add_float(at, np.ldexp(mean_residual, target_unit))[0])

    errors = Errors(
        inverse=solution.inverse,
        slopes=slopes[0] * np.ldexp(norm, target_unit - solution.target_exponent),
        yy=solution.tss,
        rss=rss,
        df=problem.df(len(kept)),
        mean=np.ldexp(problem.mean[0][kept], -units) / norm if problem.intercept else None,
        weight=problem.weight,
        resolution=resolution(problem),
        penalty=ridge / norm**2 if problem.ridge else None,
        data=np.ldexp(np.diag(problem.cross)[kept], 2 * (problem.exponent[kept] - units)) / norm**2
        if problem.ridge
        else None,
    )
    digits = np.full(p, np.nan)
    digits[kept] = errors.coefficient_digits(refined=True)
    digits[~solution.identifiable] = np.nan
    value = float(np.ldexp(intercept, -solution.target_exponent))
    after, se_after = errors.after_residuals(value)
    return replace(
        solution,
        coef=coef,
        basic=basic,
        intercept=intercept,
        basic_intercept=intercept,
        rss=rss,
        digits=digits,
        digits_intercept=errors.intercept_digits(value, refined=True),
        digits_se=errors.se_digits(errors.refined_rss_error()),
        digits_rss=errors.rss_digits(errors.refined_rss_error()),
        least_digits=after,
        digits_after_residuals=after,
        digits_se_after_residuals=se_after,
    )
