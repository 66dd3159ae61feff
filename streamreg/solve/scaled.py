"""A problem in units of column norms, which is how penalties, subsets and restrictions are solved."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from streamreg.kernels import doubledouble as dd
from streamreg.problem import Problem
from streamreg.solve import rank as ranks
from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]

_HUGE = 1e300


@dataclass(frozen=True, slots=True)
class Scaled:
    """Second moments of p columns and a target, each divided by its norm (centred if there is an intercept).

    Attributes
    ----------
    problem : Problem
    gram : ndarray of shape (p, p)
        Unit diagonal; zero in rows and columns of constant columns, which therefore never get a coefficient.
    rhs : ndarray of shape (p,)
        Correlations with the target.
    rounding : ndarray of shape (p,)
        The rounding already in each column, relative to its norm.
    live : bool ndarray of shape (p,)
        Columns that are not constant.
    norm : ndarray of shape (p,)
        Times ``2**exponent``; 1 for constant columns.
    exponent : int ndarray of shape (p,)
    target_norm : float
        Times ``2**target_exponent``; 1 for a constant target.
    target_exponent : int
    """

    problem: Problem
    gram: Float
    rhs: Float
    rounding: Float
    live: NDArray[np.bool_]
    norm: Float
    exponent: NDArray[np.int64]
    target_norm: float
    target_exponent: int

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Scale a problem."""
        p, cross = len(problem.names), problem.cross
        norm = np.sqrt(np.maximum(np.diag(cross), 0.0))
        exponent = problem.exponent[:p]
        deviation = np.ldexp(norm[:p], exponent) / np.sqrt(problem.weight)
        size = np.hypot(problem.mean[0][:p], deviation) if problem.intercept else deviation
        rounding = ranks.input_rounding(size, deviation)
        live = (norm[:p] > 0) & (rounding < ranks.CONSTANT)
        scale = np.where(live, norm[:p], 1.0)
        target_norm = float(norm[p]) or 1.0
        alive = np.where(live, 1.0, 0.0)
        gram = cross[:p, :p] / scale[:, None] / scale * alive[:, None] * alive
        rhs = cross[:p, p] / scale / target_norm * alive
        return cls(problem, gram, rhs, rounding, live, scale, exponent, target_norm, int(problem.exponent[p]))

    @property
    def tss(self) -> float:
        """Total sum of squares in the units of the data."""
        p = len(self.norm)
        with np.errstate(over="ignore"):
            return float(np.ldexp(max(self.problem.cross[p, p], 0.0), 2 * self.target_exponent))

    def variances(self) -> Float:
        """Return the mean squared deviation of each column in the units of the data, shape (p,)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(self.norm * self.norm / self.problem.weight, 2 * self.exponent))

    def coefficients(self, scaled: Float) -> Float:
        """Turn coefficients of scaled columns, shape (..., p), into the units of the data."""
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(scaled * (self.target_norm / self.norm), self.target_exponent - self.exponent))

    def rss(self, coef: Float) -> Float:
        """Return the residual sum of squares of each row of slopes, with its best intercept if there is one.

        `coef` has shape (m, p), in the units of the data; so has the result, of shape (m,).
        """
        p = len(self.norm)
        yy = max(float(self.problem.cross[p, p]), 0.0)
        moved = np.ldexp(coef * self.norm, self.exponent - self.target_exponent)
        found = yy - 2.0 * self.target_norm * (moved @ self.rhs) + np.einsum("ij,ij->i", moved @ self.gram, moved)
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(np.maximum(found, 0.0), 2 * self.target_exponent))

    def at_means(self, coef: Float, centre: Float) -> Float:
        """Return the fitted values at `centre`, a point near the means, good to the last digit; shape (m,)."""
        p = len(self.norm)
        if not self.problem.intercept:
            return np.zeros(len(coef))
        offset = dd.add_float(dd.take(self.problem.mean, slice(p)), -centre)[0]
        mean = dd.take(self.problem.mean, p)
        return np.asarray(dd.add_float((np.full(len(coef), mean[0]), np.full(len(coef), mean[1])), -coef @ offset)[0])

    def intercepts(self, coef: Float) -> Float:
        """Return ``mean(y) - mean(x)'b`` for each row of `coef`, summed in double-double; shape (m,)."""
        p = len(self.norm)
        if not self.problem.intercept:
            return np.zeros(len(coef))
        high, low = (part[:p, None] for part in self.problem.mean)
        sloped = dd.sum_rows(dd.multiply_float((high, low), coef.T))
        mean = dd.take(self.problem.mean, p)
        return np.asarray(dd.subtract((mean[0] + np.zeros(len(coef)), mean[1] + np.zeros(len(coef))), sloped)[0])

    def penalties(self, l1: float, l2: float, standardised: bool) -> tuple[Float, Float]:
        """Return the weights of ``|b|`` and ``b**2 / 2`` in units of column norms.

        The penalty is ``W (l1 sum|b_j| + l2 / 2 sum b_j**2)`` with W the sum of weights, in the units of the data, or
        on columns divided by their standard deviation (root of the mean squared deviation) if `standardised`; the loss
        is half the residual sum of squares. Both are divided by the squared norm of the target.
        """
        weight = self.problem.weight
        if standardised:
            first = np.full(len(self.norm), np.ldexp(l1 * np.sqrt(weight) / self.target_norm, -self.target_exponent))
            second = np.full(len(self.norm), l2)
        else:
            with np.errstate(over="ignore", under="ignore"):
                shift = -(self.exponent + self.target_exponent)
                first = np.ldexp(l1 * weight / self.norm / self.target_norm, shift)
                second = np.ldexp(l2 * weight / self.norm / self.norm, -2 * self.exponent)
        return np.minimum(first, _HUGE), np.minimum(second, _HUGE)


def least_squares(gram: Float, rhs: Float) -> Float:
    """Return the solution of ``gram @ b = rhs``; of minimum norm in scaled units where columns are dependent.

    Notes
    -----
    Cost: ``p**3 / 3`` operations; ten times as many for dependent columns.
    """
    p = len(rhs)
    if not p:
        return np.zeros(0)
    factor, found, info = lapack.dposv(gram, rhs, lower=1)
    if info == 0 and (np.diag(factor) ** 2 > floor(p) * np.diag(gram)).all():
        return np.asarray(found)
    values, vectors = np.linalg.eigh(gram)
    live = values > floor(p) * values[-1]
    return np.asarray(vectors[:, live] @ ((vectors[:, live].T @ rhs) / values[live]))


def floor(p: int) -> float:
    """Return the squared distance, relative to its squared norm, at which float64 calls a column dependent."""
    return 16.0 * p * UNIT
