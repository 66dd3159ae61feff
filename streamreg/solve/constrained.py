"""Least squares under linear equality constraints, by the null-space method."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.problem import Problem
from streamreg.solve.scaled import Scaled

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reduced:
    """A constrained problem as a free one with fewer columns.

    Attributes
    ----------
    problem : Problem
        Of ``y - X particular`` on ``X basis``: p - q columns.
    particular : ndarray of shape (p,)
        A solution of the constraints, in the units of the data.
    basis : ndarray of shape (p, p - q)
        Orthonormal in units of column norms: every solution is ``particular + basis @ u``.
    """

    problem: Problem
    particular: Float
    basis: Float


def reduce(problem: Problem, matrix: Float, value: Float) -> Reduced:
    """Remove the constraints ``matrix @ coef = value`` from a problem (Golub & Van Loan 2013, section 6.2.3).

    Parameters
    ----------
    problem : Problem
    matrix : ndarray of shape (q, p)
        Of full row rank.
    value : ndarray of shape (q,)

    Notes
    -----
    Cost: ``4 p**3`` operations.
    """
    p, q = len(problem.names), len(value)
    scaled = Scaled.of(problem)
    unit = np.ldexp(scaled.norm, scaled.exponent)
    rows = matrix / unit
    greatest = np.abs(rows).max(axis=1)
    sizes = np.linalg.norm(rows / greatest[:, None], axis=1) * greatest
    orthogonal, upper = np.linalg.qr((rows / sizes[:, None]).T, mode="complete")
    start = orthogonal[:, :q] @ np.linalg.solve(upper[:q].T, value / sizes)
    basis = orthogonal[:, q:]

    # Columns of norm one, and a target in units of 2**target_exponent.
    shrunk = np.ldexp(start, -scaled.target_exponent)
    change = np.zeros((p + 1, p - q + 1))
    change[:p, : p - q], change[:p, -1], change[p, -1] = basis, -shrunk, 1.0
    cross = np.empty((p + 1, p + 1))
    cross[:p, :p], cross[p, p] = scaled.gram, problem.cross[p, p]
    cross[:p, p] = cross[p, :p] = scaled.rhs * scaled.target_norm
    exponent = np.zeros(p - q + 1, dtype=np.int64)
    exponent[-1] = scaled.target_exponent
    names = tuple(f"u{k}" for k in range(p - q))
    combined = np.concatenate([basis / unit[:, None], -(start / unit)[:, None]], axis=1)
    mean = _means(problem, combined)
    free = Problem(
        names, problem.target, change.T @ cross @ change, exponent, mean, problem.n, problem.weight, problem.intercept
    )
    return Reduced(free, start / unit, basis / unit[:, None])


def _means(problem: Problem, combined: Float) -> tuple[Float, Float]:
    p = len(combined)
    high, low = (part[:p, None] for part in problem.mean)
    sums = dd.sum_rows(dd.multiply_float((high, low), combined)) if p else dd.zeros(combined.shape[1])
    last = dd.add(dd.take(sums, -1), dd.take(problem.mean, p))
    sums[0][-1], sums[1][-1] = last
    return sums
