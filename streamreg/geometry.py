"""How the columns of a design lie to each other: what covariances and comparisons need of the rows."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the columns of a design lie to each other: what comparisons and covariances need of the rows.

    Attributes
    ----------
    gram : ndarray of shape (p, p)
        Cross-products of the columns (centred if there is an intercept) scaled to unit diagonal.
    inverse : ndarray of shape (r, r)
        Inverse of the part of `gram` that belongs to the independent columns.
    kept : int ndarray of shape (r,)
        The independent columns.
    scale : ndarray of shape (p,)
        Norm of each column, divided by ``2**exponent``.
    exponent : int ndarray of shape (p,)
    null_space : ndarray of shape (p, p - r)
        Directions that change no fitted value, in the units of the data.
    weight : float
        Sum of weights.
    offset : ndarray of shape (p,)
        What the result's `centre` lacks to the means of the columns, where these are known to twice float64's digits.
    """

    gram: Float
    inverse: Float
    kept: NDArray[np.int64]
    scale: Float
    exponent: NDArray[np.int64]
    null_space: Float
    weight: float
    offset: Float = field(default_factory=lambda: np.zeros(0))

    def norms(self) -> Float:
        """Return the norm of each column in the units of the data, shape (p,)."""
        return np.asarray(np.ldexp(self.scale, self.exponent))

    def unscaled(self, cov: Float) -> Float:
        """Return the covariance of the slopes, shape (p, p), from that of the independent ones times their norms.

        It is NaN for the other columns.
        """
        norms = self.norms()[self.kept]
        out = np.full((len(self.scale), len(self.scale)), np.nan)
        with np.errstate(over="ignore"):  # of columns in units of 1e-200: their variances are beyond float64
            out[np.ix_(self.kept, self.kept)] = cov / norms[:, None] / norms
        return out

    def basic(self, coef: Float) -> Float:
        """Return the slopes of the independent columns, times their norms, that fit what `coef` fits; shape (r,)."""
        coef, rest = np.nan_to_num(coef), np.delete(np.arange(len(self.scale)), self.kept)
        if len(rest):
            coef = coef - self.null_space @ np.linalg.solve(self.null_space[rest], coef[rest])
        return np.asarray((coef * self.norms())[self.kept])


@dataclass(frozen=True, slots=True)
class Sandwich:
    """A covariance that was estimated from the residuals of single rows.

    Attributes
    ----------
    kind : str
        "HC0" to "HC3", "cluster firm", "cluster firm, year" or "Newey-West 5".
    cov : ndarray of shape (r + 1, r + 1)
        Of the fitted value at `FitResult.centre`, and of the slopes of the independent columns times their norms.
    df : float
        Degrees of freedom of the tests.
    """

    kind: str
    cov: Float
    df: float
