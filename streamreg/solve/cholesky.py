"""Solve a least-squares problem from float64 moments, and say how many digits came out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.problem import Problem, Solution
from streamreg.solve import rank as ranks
from streamreg.solve import triangular
from streamreg.solve.digits import EPS, Errors
from streamreg.solve.ladder import resolution
from streamreg.solve.products import inner
from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]


# Up to so many columns eigenvalues are found to the last digit; of more they are bounded, and estimated.
_EIGENVALUES = 500

_NOISE = 4.0  # times the rounding of a difference, below which nothing is left

_TOLD = 1e-8  # a squared distance that rounding hides more than this of is not told from none


@dataclass(slots=True)
class _Factor:
    """The kept columns, the inverse of their Cholesky factor, and the dependent columns' coefficients on them."""

    kept: NDArray[np.int64]
    root: Float
    inverse: Float
    combination: Float
    kappa: float


@dataclass(frozen=True, slots=True)
class Factored:
    """What the columns of a problem fix, whatever its target: factor once, solve for many targets."""

    factor: _Factor
    certain: bool
    scale: Float
    gram: Float

    @property
    def root(self) -> Float:
        """The inverse of the Cholesky factor of the kept columns' Gram matrix, lower triangular, shape (r, r)."""
        return self.factor.root


def factor(problem: Problem) -> Factored:
    """Factor the centred Gram matrix of a problem's columns, scaled to unit diagonal."""
    p = len(problem.names)
    cross, exponent = problem.cross, problem.exponent[:p]
    square = np.diag(cross)[:p] + np.ldexp(problem.ridge, -2 * exponent)
    lost = 0.0
    certain = True
    if problem.gross is not None:
        # What is left of a column after the effects, where it is no more than the rounding of both.
        noise = square <= _NOISE * EPS * problem.gross[:p]
        certain, square = not np.any(noise & (square != 0)), np.where(noise, 0.0, square)
        left = square > 0
        lost = EPS * float(np.max(problem.gross[:p][left] / square[left], initial=0.0))
    norm = np.sqrt(np.maximum(square, 0.0))
    scale = np.where(norm > 0, norm, 1.0)
    gram = cross[:p, :p] / scale[:, None]
    gram /= scale
    gram[np.arange(p), np.arange(p)] = square / scale / scale
    deviation = np.ldexp(norm, exponent) / np.sqrt(problem.weight)
    spread = deviation if problem.spread is None else problem.spread
    size = np.hypot(problem.mean[0][:p], spread) if problem.intercept else deviation
    nu = ranks.input_rounding(size, deviation)
    live = np.flatnonzero((norm > 0) & (nu < ranks.CONSTANT))
    found, whole = _factor(gram, live, nu, problem.most(), lost)
    certain &= whole
    # What looks like a constant with rounding noise may be an integer far from zero, which has none.
    certain &= not np.any((norm > 0) & (nu >= ranks.CONSTANT))
    return Factored(found, certain, scale, gram)


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
    Cost: ``1.2 p**3`` operations, ``40 p**2`` bytes: 0.3 s for 2000 columns, on one core but for the products. Rounding
    is the same on any number of cores. For the predicted digits see `Errors`.
    """
    with one_thread():
        return _solve(problem, factor(problem) if factored is None else factored)


def _solve(problem: Problem, factored: Factored) -> Solution:
    p = len(problem.names)
    cross, exponent = problem.cross, problem.exponent[:p]
    found, certain, scale = factored.factor, factored.certain, factored.scale
    kept, inverse = found.kept, found.inverse
    rhs, yy = cross[:p, p] / scale, float(cross[p, p])
    own = factored.gram if len(kept) == p else factored.gram[np.ix_(kept, kept)]
    slopes = inverse @ rhs[kept]
    # An inverse loses digits that a triangular solution keeps; one step of refinement brings them back.
    slopes = slopes + found.root.T @ (found.root @ (rhs[kept] - own @ slopes))
    rss = yy - float(slopes @ (2.0 * rhs[kept] - own @ slopes))
    penalty = data = None
    if problem.ridge:
        penalty = np.ldexp(problem.ridge, -2 * exponent[kept]) / scale[kept] ** 2
        data = np.diag(cross)[kept] / scale[kept] ** 2
        rss -= float(penalty @ slopes**2)
    summed = yy
    if problem.gross is not None:
        data, summed = problem.gross[kept] / scale[kept] ** 2, float(problem.gross[p])
    rss = max(rss, 0.0)

    unit = np.where(np.diag(factored.gram) > 0, np.ldexp(scale, exponent), 1.0)
    target_exponent = int(problem.exponent[p])
    basic = np.full(p, np.nan)
    basic[kept] = np.ldexp(slopes / scale[kept], target_exponent - exponent[kept])
    directions, identifiable = ranks.null_space(found.combination, kept, unit)
    coef = ranks.minimum_norm(np.nan_to_num(basic), directions)

    relative_mean = np.ldexp(problem.mean[0][kept], -exponent[kept]) / scale[kept]
    leans = found.root @ relative_mean
    intercepts = [_intercept(problem, c) if problem.intercept else 0.0 for c in (coef, np.nan_to_num(basic))]
    value = float(np.ldexp(intercepts[1], -target_exponent))
    errors = Errors(
        inverse=inverse,
        slopes=slopes,
        yy=summed,
        rss=rss,
        df=problem.df(len(kept)),
        mean=relative_mean if problem.intercept else None,
        weight=problem.weight,
        resolution=resolution(problem),
        penalty=penalty,
        data=data,
    )
    digits = np.full(p, np.nan)
    digits[kept] = errors.coefficient_digits()
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
        root=found.root,
        mean_leverage=1.0 / problem.weight + float(leans @ leans) if problem.intercept else float("nan"),
        rss=rss,
        tss=yy,
        target_exponent=target_exponent,
        identifiable=identifiable,
        null_space=directions,
        dependencies=ranks.describe(
            problem.names, found.combination, kept, unit, problem.mean[0][:p], problem.intercept
        ),
        condition=float(np.sqrt(found.kappa)),
        digits=digits,
        digits_intercept=errors.intercept_digits(value) if certain else 0.0,
        digits_se=errors.se_digits(errors.rss_error()) if certain else 0.0,
        digits_rss=errors.rss_digits(errors.rss_error()),
        status="uncertain" if not certain else "ok" if len(kept) == p else "dependent",
        least_digits=errors.least_digits(value) if certain else 0.0,
        digits_after_residuals=after,
        digits_se_after_residuals=se_after,
        constant=not problem.intercept
        and not problem.ridge
        and _constant(problem.weight, leans, inverse @ relative_mean),
        square_about_mean=problem.square_about_mean,
    )


def _constant(weight: float, leans: Float, slopes: Float) -> bool:
    """Say whether the columns that the means are of add up to a constant: whether it has no distance to them.

    `leans` are the coordinates of the constant, times its norm, and `slopes` its coefficients, both over `weight`.
    """
    distance = 1.0 - weight * float(leans @ leans)
    rounding = EPS * (1.0 + weight * float(slopes @ slopes))
    return bool(len(leans) and abs(distance) <= rounding <= _TOLD)


def _factor(gram: Float, live: NDArray[np.int64], nu: Float, most: int, lost: float = 0.0) -> tuple[_Factor, bool]:
    """Factor the Gram matrix of the live columns, leaving out dependent ones if there are any.

    `lost` is what its entries may be off by, where they are differences of greater numbers. Returns the factor and
    whether its rank is beyond doubt.
    """
    p = len(gram)
    inner = gram if len(live) == p else gram[np.ix_(live, live)]
    if 0 < len(live) <= most:
        rounding = float(nu[live].max())
        found = _whole(inner, rounding, lost)
        if found is not None:
            root, inverse, kappa = found
            return _Factor(live, root, inverse, np.zeros((len(live), p - len(live))), kappa), True
    kept, lower, combination = _in_order(gram, live, nu, lost)
    root = triangular.inverse(lower)
    inverse = triangular.gram(root)
    kappa = _kappa(np.linalg.eigvalsh(gram[np.ix_(kept, kept)])) if len(kept) else 1.0
    return _Factor(kept, root, inverse, combination, kappa), not len(live)


def _whole(gram: Float, nu: float, lost: float) -> tuple[Float, Float, float] | None:
    """Return inverse factor, inverse and condition number if all columns are independent beyond doubt."""
    p = len(gram)
    if p <= _EIGENVALUES:
        eigenvalues = np.linalg.eigvalsh(gram)
        if not _clear(p, eigenvalues[0], eigenvalues[-1], nu, lost):
            return None
        root = triangular.inverse(triangular.cholesky(gram))
        return root, triangular.gram(root), _kappa(eigenvalues)
    try:
        root = triangular.inverse(triangular.cholesky(gram))
    except np.linalg.LinAlgError:
        return None
    inverse = triangular.gram(root)
    # Norms that take p**2 operations bound eigenvalues; where that is not enough they are found.
    if not _clear(p, float(1.0 / np.linalg.norm(inverse)), float(np.linalg.norm(gram)), nu, lost):
        eigenvalues = np.linalg.eigvalsh(gram)
        return (root, inverse, _kappa(eigenvalues)) if _clear(p, eigenvalues[0], eigenvalues[-1], nu, lost) else None
    return root, inverse, triangular.condition(gram, inverse)


def _clear(p: int, least: float, greatest: float, nu: float, lost: float) -> bool:
    """Say whether eigenvalues in that range, found in float64, leave no column dependent on others."""
    # Coefficients of one column on others are at most about 1 / sqrt(smallest eigenvalue).
    tolerance = ranks.pivot_tolerance(nu, np.zeros(0), np.zeros(0))
    return bool(least > max(16.0 * p * UNIT * greatest, p * lost) and least**2 > tolerance)


def _kappa(eigenvalues: NDArray[np.floating[Any]]) -> float:
    return float(eigenvalues[-1] / max(eigenvalues[0], UNIT / 16 * eigenvalues[-1]))


def _in_order(gram: Float, live: NDArray[np.int64], nu: Float, lost: float) -> tuple[NDArray[np.int64], Float, Float]:
    """Cholesky in column order, skipping each column that those before it determine."""
    p = len(gram)
    floor = max(16.0 * p * UNIT, lost)
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
    return np.array(kept, dtype=np.int64), lower[kept][:, : len(kept)], table


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
