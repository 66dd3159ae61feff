"""How many digits to believe: predicted errors of a least-squares solution, from the solution itself.

Everything is in scaled units: columns of unit norm, G their Gram matrix, C its inverse, b the slopes, yy the squared
norm of the target. Moments computed in float64 carry a backward error of about ``eps`` in G and in ``X'y`` relative to
these norms (Higham 2002, *Accuracy and Stability of Numerical Algorithms*, sections 3.5 and 20.4).

A ridge penalty is part of the norms, of G and of C; the backward error is relative to what the data have of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]

# Bounds the error of a sum of products; checked against exact solutions in the tests. Random data would do with 6
# units, but a column that repeats one value row after row repeats its rounding too, and the sum over a block drifts.
EPS = 32.0 * UNIT
FULL = 15.3  # digits of a float64 that is right to a few units in the last place
_CONVERGES = 1e-2  # a residual pass must shrink errors at least a hundredfold


@dataclass(frozen=True, slots=True)
class Along:
    """What the errors of linear functions ``v'b`` of the slopes depend on: one number for each v.

    Attributes
    ----------
    reach, data_reach : ndarray of shape (k,)
        ``||C v||``, and the same with each entry times the part of its column's norm that is data.
    spread : ndarray of shape (k,)
        ``sqrt(v'C v)``.
    rounding : ndarray of shape (k,)
        ``|v|'|b|``, and what the rounding of penalised diagonals adds.
    """

    reach: Float
    data_reach: Float
    spread: Float
    rounding: Float


@dataclass(frozen=True)
class Errors:
    """Predicted errors of a solution from float64 moments.

    Attributes
    ----------
    inverse : ndarray of shape (r, r)
    slopes : ndarray of shape (r,)
    yy, rss : float
        The squared norm of the target, before effects were taken from it; and of the residuals.
    df : float
        Residual degrees of freedom, at least 1.
    mean : ndarray of shape (r,) or None
        Means of the columns; None without intercept.
    weight : float
        Sum of weights.
    resolution : float
        How many standard errors a coefficient must have for its own digits to be asked for.
    penalty : ndarray of shape (r,) or None
        Part of each column's squared norm that is a ridge penalty; None without.
    data : ndarray of shape (r,) or None
        The other part; or, where the cross-products are what effects left of greater ones, the norm of these. Rounding
        is relative to it.

    Notes
    -----
    Cost: ``6 p**2`` operations.
    """

    inverse: Float
    slopes: Float
    yy: float
    rss: float
    df: float
    mean: Float | None
    weight: float
    resolution: float = 1.0
    penalty: Float | None = None
    data: Float | None = None

    @cached_property
    def each(self) -> Along:
        """The slopes themselves."""
        squares = self._squares(None)
        data = squares if self.data is None else self._squares(self.data)
        rounding = np.abs(self.slopes)
        if self.penalty is not None:
            rounding = rounding + np.abs(self.inverse) @ (self.penalty * np.abs(self.slopes))
        return Along(np.sqrt(squares), np.sqrt(data), np.sqrt(np.maximum(np.diag(self.inverse), 0.0)), rounding)

    @cached_property
    def means(self) -> Along:
        """What the intercept leans on: errors of slopes that are anti-correlated cancel there."""
        assert self.mean is not None
        reach = self.inverse @ self.mean
        data = reach if self.data is None else reach * np.sqrt(self.data)
        rounding = float(np.abs(self.mean) @ np.abs(self.slopes))
        if self.penalty is not None:
            rounding += float(np.abs(reach) @ (self.penalty * np.abs(self.slopes)))
        spread = np.sqrt(max(float(self.mean @ reach), 0.0))
        return Along(*(np.array([v]) for v in (np.linalg.norm(reach), np.linalg.norm(data), spread, rounding)))

    def errors(self, along: Along) -> Float:
        """Return absolute errors of linear functions: ``eps (||C v|| sqrt(yy + b'b) + |v|'|b|)``."""
        return np.asarray(EPS * (along.data_reach * self._energy() + along.rounding))

    def refined_errors(self, along: Along) -> Float:
        """Return the same after a residual pass in float64.

        What the pass leaves of the old error (its contraction is that of C), the rounding of the residuals, and that
        of their products with the columns.
        """
        left = 2.0 * EPS * along.reach * np.linalg.norm(self.errors(self.each))
        return np.asarray(left + along.spread * EPS * self._size() + EPS * along.reach * np.sqrt(self.rss))

    def contraction(self) -> float:
        """Return a bound of the factor by which a residual pass shrinks the error, ``eps ||C||``."""
        return float(EPS * np.sqrt(np.sum(self.each.reach**2)))

    def coefficient_digits(self, refined: bool = False) -> Float:
        """Return digits of the slopes, relative to each of them, before or after a residual pass."""
        return _digits(self._of(self.each, refined), np.abs(self.slopes))

    def intercept_digits(self, value: float, refined: bool = False) -> float:
        """Return digits of an intercept of that value; NaN without intercept."""
        if self.mean is None:
            return float("nan")
        return float(_digits(np.array([self._intercept_error(refined)]), np.array([abs(value)]))[0])

    def least_digits(self, value: float, refined: bool = False) -> float:
        """Return the least digits of slopes and intercept, relative to the larger of each and `resolution` SE."""
        sizes = np.maximum(np.abs(self.slopes), self.resolution * self._standard_errors())
        least = _digits(self._of(self.each, refined), sizes).min(initial=FULL)
        if self.mean is not None:
            size = max(abs(value), self.resolution * np.sqrt(self._leverage() * self.rss / self.df))
            least = min(least, _digits(np.array([self._intercept_error(refined)]), np.array([size]))[0])
        return float(least)

    def se_digits(self, rss_error: float) -> float:
        """Return digits of the standard errors, given the relative error of the residual sum of squares."""
        reach = np.maximum(self.each.reach, self.each.data_reach)
        own = (reach**2 / np.diag(self.inverse)).max(initial=1.0)
        if self.mean is not None and len(self.mean):
            at_mean = max(float(self.means.reach[0]), float(self.means.data_reach[0]))
            own = max(own, at_mean**2 / self._leverage())
        return float(_digits(np.array([0.5 * (EPS * own + rss_error)]), np.ones(1))[0])

    def rss_digits(self, rss_error: float) -> float:
        """Return digits of the residual sum of squares, given its relative error."""
        return float(_digits(np.array([rss_error]), np.ones(1))[0])

    def rss_error(self) -> float:
        """Return the relative error of the residual sum of squares, a difference of greater numbers."""
        if not self.rss:
            return float("inf") if self.yy else 0.0
        return float((EPS * self._energy() ** 2 + self._off_minimum(refined=False)) / self.rss)

    def refined_rss_error(self, rss: float | None = None) -> float:
        """Return the same for squared residuals less what the step takes off them, up to the step's own error."""
        rss = self.rss if rss is None else rss
        if not rss:
            return float("inf") if self.yy else 0.0
        excess = (EPS * self._energy()) ** 2 * float(np.trace(self.inverse))
        left = ((EPS + self.contraction()) * excess + self._off_minimum(refined=True)) / rss
        return float(EPS * (1.0 + self._size() / np.sqrt(rss)) + left)

    def after_residuals(self, value: float) -> tuple[float, float]:
        """Return the digits that one residual pass reaches, of coefficients and of standard errors; 0: none."""
        if self.contraction() >= _CONVERGES:
            return 0.0, 0.0
        # The least that the residual sum may be: a perfect fit is not told from a good one here.
        least = max(self.rss - EPS * self._energy() ** 2, 0.0)
        return self.least_digits(value, refined=True), self.se_digits(self.refined_rss_error(least))

    def _of(self, along: Along, refined: bool) -> Float:
        return self.refined_errors(along) if refined else self.errors(along)

    def _intercept_error(self, refined: bool) -> float:
        assert self.mean is not None
        error = float(self._of(self.means, refined)[0]) + EPS * self._size() / np.sqrt(self.weight)
        # Means and their products with the slopes are carried to twice the digits.
        return float(error + EPS * UNIT * (np.abs(self.mean) @ np.abs(self.slopes)))

    def _off_minimum(self, refined: bool) -> float:
        """Return the error of the residual sum that is due to errors of penalised slopes: it is least elsewhere."""
        if self.penalty is None:
            return 0.0
        return float(2.0 * (self.penalty * np.abs(self.slopes)) @ self._of(self.each, refined))

    def _standard_errors(self) -> Float:
        """Return the standard errors; of penalised slopes those of ``C X'X C``, whose bias they do not count."""
        spread = np.diag(self.inverse)
        if self.penalty is not None:
            spread = spread - self._squares(self.penalty)
        return np.asarray(np.sqrt(np.maximum(spread, 0.0) * self.rss / self.df))

    def _squares(self, by: Float | None) -> Float:
        """Return the squared norm of each column of C, its entries' squares weighted."""
        if by is None:
            return np.asarray(np.einsum("ij,ij->i", self.inverse, self.inverse))
        return np.asarray(np.einsum("ij,ij,j->i", self.inverse, self.inverse, by))

    def _energy(self) -> float:
        slopes = self.slopes if self.data is None else self.slopes * np.sqrt(self.data)
        return float(np.sqrt(self.yy + slopes @ slopes))

    def _size(self) -> float:
        """Return the size of what a residual is the difference of."""
        slopes = self.slopes if self.data is None else self.slopes * np.sqrt(self.data)
        return float(np.sqrt(self.yy) + np.abs(slopes).sum())

    def _leverage(self) -> float:
        return float(1.0 / self.weight + self.means.spread[0] ** 2)


def _digits(error: Float, size: Float) -> Float:
    relative = np.divide(error, size, out=np.where(error > 0, np.inf, 0.0), where=size > 0)
    return np.asarray(np.clip(-np.log10(np.maximum(relative, 1e-16)), 0.0, FULL))
