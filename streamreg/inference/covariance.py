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
    root : ndarray of shape (r, r)
        Inverse of the lower Cholesky factor of the part of `gram` that belongs to the independent columns, as accurate
        as the fit; ``inverse = root'root``. It turns these columns, over their norms, into orthonormal ones.
    at_offset : float
        What the result's `at_centre` lacks to the fitted value there.
    """

    gram: Float
    inverse: Float
    kept: NDArray[np.int64]
    scale: Float
    exponent: NDArray[np.int64]
    null_space: Float
    weight: float
    offset: Float = field(default_factory=lambda: np.zeros(0))
    root: Float = field(default_factory=lambda: np.zeros((0, 0)))
    at_offset: float = 0.0

    def __post_init__(self) -> None:
        if len(self.root) < len(self.kept):  # saved by an earlier version
            object.__setattr__(self, "root", _root_of(self.inverse))

    def orthonormal(self, coef: Float) -> Float:
        """Return what `coef` adds to the fitted values in terms of the orthonormal columns, shape (r,)."""
        return solve_lower(np.flip(self.root.T), np.flip(self.basic(coef)))[::-1]

    def along(self, directions: Float) -> Float:
        """Return combinations of the slopes, shape (q, p), as vectors whose length is their standard error over sigma.

        Shape (q, r). What directions do to columns that are not independent is left out.
        """
        scaled = directions[:, self.kept] / self.norms()[self.kept]
        return np.asarray(scaled @ self.root.T)

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
    meat : ndarray of shape (r + 1, r + 1)
        The same covariance, of the coefficients of the constant and the orthonormal columns of `Geometry.root`.
    rank : int
        How many linear combinations of the coefficients have a variance that these residuals can estimate.
    reason : str
        Why there are no more, if there are fewer than coefficients.
    """

    kind: str
    cov: Float
    df: float
    meat: Float = field(default_factory=lambda: np.zeros((0, 0)))
    rank: int = -1
    reason: str = ""


def _root_of(inverse: Float) -> Float:
    """Return the lower triangular matrix R with ``R'R = inverse``, as good as the inverse allows."""
    # Of the flipped matrix: the factor of the inverse that is lower triangular from the right.
    values, vectors = np.linalg.eigh(inverse)
    half = vectors * np.sqrt(np.maximum(values, np.finfo(float).tiny))
    # R'R = half half', R lower triangular: QR of half', with columns in reverse order.
    upper = np.linalg.qr(half.T[:, ::-1], mode="r")
    lower = np.flip(np.asarray(upper))
    return np.asarray(lower * np.where(np.diag(lower) < 0, -1.0, 1.0)[:, None])


def solve_lower(lower: Float, rhs: Float) -> Float:
    """Solve a lower triangular system by substitution: no rounding but its own, however small the pivots."""
    out = np.zeros_like(rhs)
    for i in range(len(rhs)):
        out[i] = (rhs[i] - lower[i, :i] @ out[:i]) / lower[i, i]
    return out
