"""How many digits to believe: predicted errors of a least-squares solution, from the solution itself.

Everything is in scaled units: columns of unit norm, G their Gram matrix, C its inverse, b the slopes, yy the squared
norm of the target. Moments computed in float64 carry a backward error of about ``eps`` in G and in ``X'y`` relative to
these norms (Higham 2002, *Accuracy and Stability of Numerical Algorithms*, sections 3.5 and 20.4).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]
ErrorsOf = Callable[[Float], Float]

# Bounds the error of a sum of products; checked against exact solutions in the tests. Random data would do with 6
# units, but a column that repeats one value row after row repeats its rounding too, and the sum over a block drifts.
EPS = 32.0 * UNIT
FULL = 15.3  # digits of a float64 that is right to a few units in the last place
_CONVERGES = 1e-2  # a residual pass must shrink errors at least a hundredfold


@dataclass(frozen=True, slots=True)
class Errors:
    """Predicted errors of a solution from float64 moments.

    Attributes
    ----------
    inverse : ndarray of shape (r, r)
    slopes : ndarray of shape (r,)
    yy, rss : float
    df : int
        Residual degrees of freedom, at least 1.
    mean : ndarray of shape (r,) or None
        Means of the columns; None without intercept.
    weight : float
        Sum of weights.
    """

    inverse: Float
    slopes: Float
    yy: float
    rss: float
    df: int
    mean: Float | None
    weight: float

    def errors(self, along: Float) -> Float:
        """Return absolute errors of ``along'b``: ``eps (||C v|| sqrt(yy + b'b) + |v|'|b|)`` for columns v of `along`.

        The slopes are the columns of the identity, and the intercept leans on the means: errors of slopes that are
        anti-correlated cancel there.
        """
        rounding = np.abs(along).T @ np.abs(self.slopes)
        return np.asarray(EPS * (self._reach(along) * self._energy() + rounding))

    def refined_errors(self, along: Float) -> Float:
        """Return absolute errors of ``along'b`` after a residual pass in float64.

        What the pass leaves of the old error (its contraction is that of C), the rounding of the residuals, and that
        of their products with the columns.
        """
        reach = self._reach(along)
        left = 2.0 * EPS * reach * np.linalg.norm(self.errors(self.each()))
        spread = np.sqrt(np.maximum(np.einsum("ij,ik,kj->j", along, self.inverse, along), 0.0))
        return np.asarray(left + spread * EPS * self._size() + EPS * reach * np.sqrt(self.rss))

    def each(self) -> Float:
        """Return the directions of the slopes themselves."""
        return np.eye(len(self.slopes))

    def contraction(self) -> float:
        """Return the factor by which a residual pass shrinks the error, ``eps`` over the smallest eigenvalue of G."""
        return float(EPS * np.linalg.norm(self.inverse, 2)) if len(self.slopes) else 0.0

    def coefficient_digits(self, errors: ErrorsOf) -> Float:
        """Return digits of the slopes; `errors` is one of the methods above."""
        return _digits(errors(self.each()), np.abs(self.slopes))

    def intercept_digits(self, errors: ErrorsOf, value: float) -> float:
        """Return digits of an intercept of that value; NaN without intercept."""
        if self.mean is None:
            return float("nan")
        return float(_digits(np.array([self._intercept_error(errors)]), np.array([abs(value)]))[0])

    def least_digits(self, errors: ErrorsOf, value: float) -> float:
        """Return the least digits of slopes and intercept, where a digit below a thousandth of the SE means nothing."""
        floor = 1e-3 * np.sqrt(np.maximum(np.diag(self.inverse), 0.0) * self.rss / self.df)
        least = _digits(errors(self.each()), np.maximum(np.abs(self.slopes), floor)).min(initial=FULL)
        if self.mean is not None:
            size = max(abs(value), 1e-3 * np.sqrt(self._leverage() * self.rss / self.df))
            least = min(least, _digits(np.array([self._intercept_error(errors)]), np.array([size]))[0])
        return float(least)

    def _intercept_error(self, errors: ErrorsOf) -> float:
        assert self.mean is not None
        error = float(errors(self.mean[:, None])[0]) + EPS * self._size() / np.sqrt(self.weight)
        # Means and their products with the slopes are carried to twice the digits.
        return float(error + EPS * UNIT * (np.abs(self.mean) @ np.abs(self.slopes)))

    def se_digits(self, rss_error: float) -> float:
        """Return digits of the standard errors, given the relative error of the residual sum of squares."""
        own = (self._reach(self.each()) ** 2 / np.diag(self.inverse)).max(initial=1.0)
        if self.mean is not None and len(self.mean):
            own = max(own, float(np.sum((self.inverse @ self.mean) ** 2)) / self._leverage())
        return float(_digits(np.array([0.5 * (EPS * own + rss_error)]), np.ones(1))[0])

    def rss_digits(self, rss_error: float) -> float:
        """Return digits of the residual sum of squares, given its relative error."""
        return float(_digits(np.array([rss_error]), np.ones(1))[0])

    def rss_error(self) -> float:
        """Return the relative error of the residual sum of squares, a difference of greater numbers."""
        if not self.rss:
            return float("inf") if self.yy else 0.0
        return float(EPS * self._energy() ** 2 / self.rss)

    def refined_rss_error(self, rss: float | None = None) -> float:
        """Return the same for squared residuals less what the step takes off them, up to the step's own error."""
        rss = self.rss if rss is None else rss
        if not rss:
            return float("inf") if self.yy else 0.0
        excess = (EPS * self._energy()) ** 2 * float(np.trace(self.inverse))
        left = (EPS + self.contraction()) * excess / rss
        return float(EPS * (1.0 + self._size() / np.sqrt(rss)) + left)

    def after_residuals(self, value: float) -> tuple[float, float]:
        """Return the digits that one residual pass reaches, of coefficients and of standard errors; 0: none."""
        if self.contraction() >= _CONVERGES:
            return 0.0, 0.0
        # The least that the residual sum may be: a perfect fit is not told from a good one here.
        least = max(self.rss - EPS * self._energy() ** 2, 0.0)
        return self.least_digits(self.refined_errors, value), self.se_digits(self.refined_rss_error(least))

    def _reach(self, along: Float) -> Float:
        return np.asarray(np.linalg.norm(self.inverse @ along, axis=0))

    def _energy(self) -> float:
        return float(np.sqrt(self.yy + self.slopes @ self.slopes))

    def _size(self) -> float:
        """Return the size of what a residual is the difference of."""
        return float(np.sqrt(self.yy) + np.abs(self.slopes).sum())

    def _leverage(self) -> float:
        assert self.mean is not None
        return float(1.0 / self.weight + self.mean @ self.inverse @ self.mean)


def _digits(error: Float, size: Float) -> Float:
    relative = np.divide(error, size, out=np.where(error > 0, np.inf, 0.0), where=size > 0)
    return np.asarray(np.clip(-np.log10(np.maximum(relative, 1e-16)), 0.0, FULL))
