"""Solve a least-squares problem from float64 moments, and say how many digits came out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.problem import Problem, Solution
from streamreg.solve import rank as ranks
from streamreg.solve.digits import Errors
from streamreg.solve.products import inner
from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]


@dataclass(slots=True)
class _Factor:
    """Cholesky factor of the kept columns, and the dependent columns' coefficients on them."""

    kept: NDArray[np.int64]
    lower: Float
    combination: Float


@dataclass(frozen=True, slots=True)
class Factored:
    """What the columns of a problem fix, whatever its target: factor once, solve for many targets."""

    factor: _Factor
    certain: bool
    scale: Float
    gram: Float
    root: Float
    inverse: Float
    kappa: float


def factor(problem: Problem) -> Factored:
    """Factor the centred Gram matrix of a problem's columns, scaled to unit diagonal."""
    p = len(problem.names)
    cross, exponent = problem.cross, problem.exponent[:p]
    norm = np.sqrt(np.maximum(np.diag(cross)[:p], 0.0))
    scale = np.where(norm > 0, norm, 1.0)
    gram = cross[:p, :p] / scale[:, None] / scale
    deviation = np.ldexp(norm, exponent) / np.sqrt(problem.weight)
    size = np.hypot(problem.mean[0][:p], deviation) if problem.intercept else deviation
    nu = ranks.input_rounding(size, deviation)
    live = np.flatnonzero((norm > 0) & (nu < ranks.CONSTANT))
    found, certain = _factor(gram, live, nu, problem.n - problem.intercept)
    # What looks like a constant with rounding noise may be an integer far from zero, which has none.
    certain &= not np.any((norm > 0) & (nu >= ranks.CONSTANT))
    kept = found.kept
    # NumPy has no triangular solver; SciPy has, and takes a quarter of a second to import.
    root = np.asarray(np.linalg.solve(found.lower, np.eye(len(kept))), dtype=np.float64)
    eigenvalues = np.linalg.eigvalsh(gram[np.ix_(kept, kept)]) if len(kept) else np.ones(1)
    kappa = float(eigenvalues[-1] / max(eigenvalues[0], UNIT / 16 * eigenvalues[-1]))
    return Factored(found, certain, scale, gram, root, root.T @ root, kappa)


def solve(problem: Problem, factored: Factored | None = None) -> Solution:
    """Solve by Cholesky of the centred Gram matrix scaled to unit diagonal.

    Parameters
    ----------
    problem : Problem
    factored : Factored, optional
        `factor` of a problem with the same columns and rows.

    Returns
    -------
    Solution
        With status "uncertain" where float64 cannot decide whether columns are dependent; the answer is then the one
        that the rank rule gives with what is known.

    Notes
    -----
    Cost: ``p**3`` operations, ``24 p**2`` bytes. For the predicted digits see `Errors`.
    """
    with one_thread(len(problem.names)):
        return _solve(problem, factor(problem) if factored is None else factored)


def _solve(problem: Problem, factored: Factored) -> Solution:
    p = len(problem.names)
    cross, exponent = problem.cross, problem.exponent[:p]
    found, certain, scale = factored.factor, factored.certain, factored.scale
    kept, inverse = found.kept, factored.inverse
    rhs, yy = cross[:p, p] / scale, float(cross[p, p])
    half = np.linalg.solve(found.lower, rhs[kept])
    slopes = factored.root.T @ half
    rss = max(yy - float(half @ half), 0.0)

    unit = np.where(np.diag(cross)[:p] > 0, np.ldexp(scale, exponent), 1.0)
    target_exponent = int(problem.exponent[p])
    basic = np.full(p, np.nan)
    basic[kept] = np.ldexp(slopes / scale[kept], target_exponent - exponent[kept])
    directions, identifiable = ranks.null_space(found.combination, kept, unit)
    coef = ranks.minimum_norm(np.nan_to_num(basic), directions)

    relative_mean = np.ldexp(problem.mean[0][kept], -exponent[kept]) / scale[kept]
    intercepts = [_intercept(problem, c) if problem.intercept else 0.0 for c in (coef, np.nan_to_num(basic))]
    value = float(np.ldexp(intercepts[1], -target_exponent))
    errors = Errors(
        inverse=inverse,
        slopes=slopes,
        yy=yy,
        rss=rss,
        df=max(problem.n - len(kept) - problem.intercept, 1),
        mean=relative_mean if problem.intercept else None,
        weight=problem.weight,
    )
    digits = np.full(p, np.nan)
    digits[kept] = errors.coefficient_digits(errors.errors)
    digits[~identifiable] = np.nan
    after, se_after = errors.after_residuals(value)
    if not certain:
        # Which columns depend on which is a guess; so is everything that follows from it.
        digits, after, se_after = np.zeros(p), 0.0, 0.0
    return Solution(
        coef=coef,
        basic=basic,
        intercept=intercepts[0],
        basic_intercept=intercepts[1],
        kept=kept,
        scale=scale,
        exponent=exponent,
        gram=factored.gram,
        inverse=inverse,
        mean_leverage=float(1.0 / problem.weight + relative_mean @ inverse @ relative_mean)
        if problem.intercept
        else float("nan"),
        rss=rss,
        tss=yy,
        target_exponent=target_exponent,
        identifiable=identifiable,
        null_space=directions,
        dependencies=ranks.describe(
            problem.names, found.combination, kept, unit, problem.mean[0][:p], problem.intercept
        ),
        condition=float(np.sqrt(factored.kappa)),
        digits=digits,
        digits_intercept=errors.intercept_digits(errors.errors, value) if certain else 0.0,
        digits_se=errors.se_digits(errors.rss_error()) if certain else 0.0,
        digits_rss=errors.rss_digits(errors.rss_error()),
        status="uncertain" if not certain else "ok" if len(kept) == p else "dependent",
        least_digits=errors.least_digits(errors.errors, value) if certain else 0.0,
        digits_after_residuals=after,
        digits_se_after_residuals=se_after,
    )


def _factor(gram: Float, live: NDArray[np.int64], nu: Float, most: int) -> tuple[_Factor, bool]:
    """Factor the Gram matrix of the live columns, leaving out dependent ones if there are any.

    Returns the factor and whether its rank is beyond doubt.
    """
    p = len(gram)
    inner = gram[np.ix_(live, live)]
    if len(live) and len(live) <= most:
        eigenvalues = np.linalg.eigvalsh(inner)
        clear = eigenvalues[0] > 16.0 * len(live) * UNIT * eigenvalues[-1]
        # Coefficients of one column on others are at most about 1 / sqrt(smallest eigenvalue).
        if clear and eigenvalues[0] ** 2 > ranks.pivot_tolerance(float(nu[live].max()), np.zeros(0), np.zeros(0)):
            lower = np.asarray(np.linalg.cholesky(inner), dtype=np.float64)
            return _Factor(live, lower, np.zeros((len(live), p - len(live)))), True
    return _in_order(gram, live, nu), not len(live)


def _in_order(gram: Float, live: NDArray[np.int64], nu: Float) -> _Factor:
    """Cholesky in column order, skipping each column that those before it determine."""
    p = len(gram)
    floor = 16.0 * p * UNIT
    kept: list[int] = []
    lower = np.zeros((p, p))
    combinations: dict[int, Float] = {j: np.zeros(0) for j in range(p) if j not in set(live.tolist())}
    for j in live:
        r = len(kept)
        row = _solve_lower(lower[kept][:, :r], gram[kept, j])
        share = _solve_upper(lower[kept][:, :r], row)
        pivot = float(gram[j, j] - row @ row)
        if pivot <= max(floor, ranks.pivot_tolerance(nu[j], nu[kept], share)):
            combinations[int(j)] = share
            continue
        lower[j, :r], lower[j, r] = row, np.sqrt(pivot)
        kept.append(int(j))
    table = np.zeros((len(kept), p - len(kept)))
    for column, j in enumerate(sorted(combinations)):
        table[: len(combinations[j]), column] = combinations[j]
    return _Factor(np.array(kept, dtype=np.int64), lower[kept][:, : len(kept)], table)


def _solve_lower(lower: Float, rhs: Float) -> Float:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(lower, rhs, lower=True)) if len(lower) else rhs


def _solve_upper(lower: Float, rhs: Float) -> Float:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(lower, rhs, lower=True, trans="T")) if len(lower) else rhs


def _intercept(problem: Problem, coef: Float) -> float:
    """Return ``mean(y) - mean(x)'b``, summed in double-double: the means may be far larger than the difference."""
    p = len(coef)
    sloped = inner(dd.take(problem.mean, slice(p)), dd.from_float(coef))
    return float(dd.subtract(dd.take(problem.mean, p), sloped)[0])
