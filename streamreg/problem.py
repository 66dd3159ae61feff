"""The waist of the house: the one value that crosses from rows to p-sized algebra, and the one that comes back."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """A least-squares problem of one target on p columns, as float64 second moments.

    Attributes
    ----------
    names : tuple of str
        The p columns.
    target : str
    cross : ndarray of shape (p + 1, p + 1)
        Cross-products of the columns and, last, the target: centred if `intercept`, else about zero. Entry (i, j) is
        to be multiplied by ``2**(exponent_i + exponent_j)``.
    exponent : int ndarray of shape (p + 1,)
    mean : pair of ndarrays of shape (p + 1,)
        Double-double means, in the units of the data.
    n : int
        Rows.
    weight : float
        Sum of weights.
    intercept : bool
    ridge : float
        Penalty ``ridge * sum(coef**2)`` in the units of the data, which `cross` does not hold.
    square_about_mean : float
        Sum of squares of the target about its mean, in the units of `cross`; NaN if that holds it.
    absorbed : int
        Degrees of freedom of absorbed effects beyond the constant; `cross` is then what is left within their levels.
    gross : ndarray of shape (p + 1,) or None
        Where `cross` is a difference: the diagonal of what it was taken from, which its rounding is relative to.
    spread : ndarray of shape (p,) or None
        Root mean square of the columns about their means, in the units of the data, if `cross` does not hold it.
    """

    names: tuple[str, ...]
    target: str
    cross: Float
    exponent: NDArray[np.int64]
    mean: tuple[Float, Float]
    n: int
    weight: float
    intercept: bool
    ridge: float = 0.0
    square_about_mean: float = float("nan")
    absorbed: int = 0
    gross: Float | None = None
    spread: Float | None = None

    def penalised(self, ridge: float) -> "Problem":
        """Return the problem whose least squares is this one's plus ``ridge * sum(coef**2)``."""
        return replace(self, ridge=ridge)

    def most(self) -> int:
        """Return how many columns can be independent of each other: any number under a penalty."""
        return len(self.names) if self.ridge else self.n - self.intercept - self.absorbed

    def df(self, rank: int) -> int:
        """Return residual degrees of freedom, at least 1; all rows under a penalty, which takes an unknown number."""
        return max(self.n if self.ridge else self.n - rank - self.intercept - self.absorbed, 1)


@dataclass(frozen=True, slots=True)
class ExactProblem:
    """A least-squares problem of one target on p columns, as exact sums over the rows.

    Attributes
    ----------
    names : tuple of str
        The p columns.
    target : str
    sums : object ndarray of Python integers, shape (p + 2, p + 2)
        ``sum w z z'`` of the constant 1, the columns, and the target, about zero. Entry (i, j) is to be multiplied by
        ``2**(exponent_i + exponent_j)``.
    exponent : int ndarray of shape (p + 2,)
    extended : bool ndarray of shape (p,)
        Columns known to twice float64's digits, whose values carry no rounding of the input.
    mean : pair of ndarrays of shape (p + 1,)
        Double-double means, in the units of the data.
    n : int
        Rows.
    weight : float
        Sum of weights.
    intercept : bool
    ridge : float
        Penalty ``ridge * sum(coef**2)`` in the units of the data, which `sums` does not hold.
    """

    names: tuple[str, ...]
    target: str
    sums: NDArray[Any]
    exponent: NDArray[np.int64]
    extended: NDArray[np.bool_]
    mean: tuple[Float, Float]
    n: int
    weight: float
    intercept: bool
    ridge: float = 0.0

    def penalised(self, ridge: float) -> "ExactProblem":
        """Return the problem whose least squares is this one's plus ``ridge * sum(coef**2)``."""
        return replace(self, ridge=ridge)

    def most(self) -> int:
        """Return how many columns can be independent of each other: any number under a penalty."""
        return len(self.names) if self.ridge else self.n - self.intercept


@dataclass(frozen=True, slots=True)
class Dependency:
    """One column that others determine: ``column = sum of coefficient * column + constant``.

    Or, beside the columns, the effects of the factors in `absorbed`, which hold any constant.
    """

    column: str
    terms: tuple[tuple[str, float], ...]
    constant: float
    absorbed: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = ""
        for name, value in self.terms:
            size = f"{abs(value):.6g}"
            text += _signed(value, first=not text) + ("" if size == "1" else f"{size} ") + name
        if self.absorbed:
            text += _signed(1.0, first=not text) + f"effects of {', '.join(self.absorbed)}"
        elif self.constant or not text:
            text += _signed(self.constant, first=not text) + f"{abs(self.constant):.6g}"
        return f"{self.column} = {text}"


def _signed(value: float, first: bool) -> str:
    if first:
        return "-" if value < 0 else ""
    return " - " if value < 0 else " + "


@dataclass(frozen=True, slots=True)
class Solution:
    """What the algebra knows about a `Problem`. A value with a status, never an exception.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        Slopes in the units of the data. With dependent columns: the solution of minimum norm.
    basic : ndarray of shape (p,)
        The solution that uses the columns of `kept` only; NaN for the others. Equal to `coef` at full rank.
    intercept, basic_intercept : float
        Zero for a problem without intercept.
    kept : int ndarray of shape (r,)
        Columns that are linearly independent of those before them.
    scale : ndarray of shape (p,)
        Norm of each column (centred if there is an intercept, with the root of a penalty as one more row), in the
        units of the data, divided by 2**`exponent`.
    exponent : int ndarray of shape (p,)
        Power of two that goes with `scale`.
    gram : ndarray of shape (p, p)
        Cross-products of the columns (centred if there is an intercept) scaled to unit diagonal.
    inverse : ndarray of shape (r, r)
        Inverse of the kept columns' cross-products scaled to unit diagonal.
    root : ndarray of shape (r, r)
        Inverse of the lower Cholesky factor of these cross-products: ``inverse = root'root``.
    mean_leverage : float
        Variance of the intercept in units of the error variance; NaN without intercept.
    rss, tss : float
        Residual and total sum of squares (total about the mean if there is an intercept), times
        ``2**(-2 * target_exponent)``.
    target_exponent : int
    identifiable : bool ndarray of shape (p,)
    null_space : ndarray of shape (p, p - r)
        Directions, in the units of the data, along which the coefficients may move without changing a fitted value.
    dependencies : tuple of Dependency
    condition : float
        Condition number of the scaled design of the kept columns; with more than 500 of them, what eight Lanczos steps
        find of it, which is some percent less.
    digits : ndarray of shape (p,)
        Decimal digits of `coef` to trust; NaN for those that are not identifiable.
    digits_intercept, digits_se, digits_rss : float
        Likewise for the intercept, the standard errors, and the residual sum of squares.
    status : {"ok", "dependent", "uncertain"}
        "uncertain": float64 moments cannot tell whether columns are dependent; take the exact Gram matrix.
    least_digits : float
        The least of the digits of coefficients and intercept, each relative to the larger of itself and a number of
        standard errors (`streamreg.solve.ladder`): what decides whether another pass is worth it.
    digits_after_residuals, digits_se_after_residuals : float
        Digits that one residual pass would reach, of the coefficients and of the standard errors (zero: it would not
        converge).
    constant : bool
        Without an intercept: whether a combination of the columns is constant.
    square_about_mean : float
        Sum of squares of the target about its mean, in the units of `tss`.
    """

    coef: Float
    basic: Float
    intercept: float
    basic_intercept: float
    kept: NDArray[np.int64]
    scale: Float
    exponent: NDArray[np.int64]
    gram: Float
    inverse: Float
    root: Float
    mean_leverage: float
    rss: float
    tss: float
    target_exponent: int
    identifiable: NDArray[np.bool_]
    null_space: Float
    dependencies: tuple[Dependency, ...]
    condition: float
    digits: Float
    digits_intercept: float
    digits_se: float
    digits_rss: float
    status: str = "ok"
    least_digits: float = 0.0
    digits_after_residuals: float = 0.0
    digits_se_after_residuals: float = 0.0
    constant: bool = False
    square_about_mean: float = float("nan")

    @property
    def rank(self) -> int:
        """Number of independent columns, the intercept not counted."""
        return len(self.kept)
