"""The centred line: a linear predictor that keeps the digits which ``intercept + x'coef`` loses."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.gram import subtract

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """A linear predictor, ``at + (x - centre)'coef``; or m of them about one point.

    Attributes
    ----------
    centre : ndarray of shape (p,)
    coef : ndarray of shape (p,) or (m, p)
    at : float, or ndarray of shape (m,)
        The value at the centre.
    at_low : float
        What `at` lacks to it, where twice float64's digits are known.
    """

    centre: Float
    coef: Float
    at: Any
    at_low: float = 0.0

    def centred(self, x: NDArray[Any], low: Float | None = None, out: Float | None = None) -> Float:
        """Return ``x - centre`` for rows of any type of number, shape (n, p).

        Parameters
        ----------
        x : ndarray of shape (n, p)
        low : ndarray of shape (n, p), optional
            What `x` lacks to the rows.
        out : float64 ndarray of shape (n, p), optional
            Where to put it.
        """
        z = np.empty(x.shape) if out is None else out
        subtract(x, self.centre, z)
        if low is not None:
            z += low
        return z

    def values(self, x: NDArray[Any], low: Float | None = None) -> Float:
        """Return the predictor of rows, shape (n,) or (n, m)."""
        return self.there(self.centred(x, low))

    def there(self, z: Float) -> Float:
        """Return the predictor of rows less the centre, shape (n,) or (n, m)."""
        return np.asarray(self.at + z @ self.coef.T)

    def residuals(self, y: NDArray[Any], z: Float) -> Float:
        """Return what is left of targets, shape (n,), at rows less the centre: `at` is subtracted first, exactly."""
        rest = np.empty((len(y), 1))
        subtract(y[:, None], np.array([self.at]), rest)
        rest[:, 0] -= z @ self.coef + self.at_low
        return rest[:, 0]

    def value(self, point: Float) -> float:
        """Return the predictor at one point."""
        return float(self.at + (point - self.centre) @ self.coef)

    def moved(self, step: Self, share: float = 1.0) -> "Line":
        """Return the line a share of a step further on; the step has the same centre."""
        return Line(self.centre, self.coef + share * step.coef, self.at + share * step.at)

    def about(self, centre: Float) -> "Line":
        """Return the same line about another point; the way there is summed in double-double."""
        way = dd.subtract(dd.from_float(centre), dd.from_float(self.centre))
        at = dd.add_float(dd.dot(way, dd.from_float(self.coef)), self.at)
        return Line(centre.copy(), self.coef, float(at[0]))

    @property
    def intercept(self) -> float:
        """The value at zero, summed in double-double: `at` and what is subtracted may be far larger than it."""
        sloped = dd.dot(dd.from_float(self.centre), dd.from_float(self.coef))
        return float(dd.subtract(dd.from_float(self.at), sloped)[0])
