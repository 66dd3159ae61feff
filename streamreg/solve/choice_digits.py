"""How many digits to believe of a penalised line, or of one on some of the columns, from float64 moments.

In units of column norms: H is the Gram matrix of the columns in use plus the ridge penalty, C its inverse, b the slopes
and 1 the squared norm of the target. Moments carry a backward error of about `EPS` in the Gram matrix and the inner
products with the target, so the slopes are off by ``EPS |C| sqrt(1 + b'b)`` and their own rounding, as in
`streamreg.solve.digits`. A column whose optimality condition rounding leaves open may be in use or not: it is taken in,
and its gradient's error with it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.digits import EPS, FULL
from streamreg.solve.rank import UNIT
from streamreg.solve.scaled import Scaled, floor

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


class LineDigits(NamedTuple):
    """Digits of the slopes, shape (p,), of the intercept (NaN without one), and of the residual sum of squares."""

    slopes: Float
    intercept: float
    rss: float


def line_digits(
    scaled: Scaled, coef: Float, used: Bool, l1: Float | None = None, l2: Float | None = None, nonnegative: bool = False
) -> LineDigits:
    """Predict the digits of one line.

    Parameters
    ----------
    scaled : Scaled
    coef : ndarray of shape (p,)
        In the units of the data.
    used : bool ndarray of shape (p,)
        Columns in use.
    l1, l2 : ndarrays of shape (p,), optional
        Weights of ``|b|`` and ``b**2 / 2``; see `Scaled.penalties`. Without them no column outside `used` may come in.
    nonnegative : bool

    Notes
    -----
    Cost: ``r**3`` operations for r columns in use.
    """
    p = len(coef)
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = np.ldexp(coef * (scaled.norm / scaled.target_norm), scaled.exponent - scaled.target_exponent)
    energy = float(np.sqrt(1.0 + slopes @ slopes))
    hessian = scaled.gram if l2 is None else scaled.gram + np.diag(l2)
    reach = _inverse(hessian, np.flatnonzero(used))
    if reach is None:
        return LineDigits(np.zeros(p), 0.0, 0.0)
    error = EPS * (np.linalg.norm(reach, axis=0) * energy + np.abs(slopes))
    doubtful = np.zeros(p, dtype=bool)
    if l1 is not None and l1.any():
        gradient = scaled.rhs - hessian @ slopes
        size = gradient if nonnegative else np.abs(gradient)
        slack = EPS * (1.0 + np.abs(slopes).sum()) + np.abs(hessian) @ error
        doubtful = scaled.live & ~used & (size > l1 - slack)
        if doubtful.any():
            wider = _inverse(hessian, np.flatnonzero(used | doubtful))
            if wider is None:
                return LineDigits(np.zeros(p), 0.0, 0.0)
            reach = wider
            error = EPS * (np.linalg.norm(reach, axis=0) * energy + np.abs(slopes))
            error += np.abs(reach[:, doubtful]) @ slack[doubtful]
    digits = np.where(used, _digits(error, np.abs(slopes)), FULL)
    digits[doubtful] = 0.0
    # The residual sum is a difference of greater numbers, and penalised slopes are not at its minimum.
    rss = 1.0 - 2.0 * float(slopes @ scaled.rhs) + float(slopes @ scaled.gram @ slopes)
    slope = np.abs(scaled.rhs - scaled.gram @ slopes)
    lost = 2.0 * EPS * energy**2 + 2.0 * float(slope @ error) + float(error.sum()) ** 2
    sums = float(_digits(np.array([lost]), np.array([max(rss, 0.0)]))[0])
    if not scaled.problem.intercept:
        return LineDigits(digits, float("nan"), sums)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.ldexp(scaled.problem.mean[0][:p] / scaled.norm, -scaled.exponent)
        level = float(np.ldexp(scaled.problem.mean[0][p] / scaled.target_norm, -scaled.target_exponent))
    mean = np.where(scaled.live, mean, 0.0)
    off = EPS * float(np.linalg.norm(reach @ mean)) * energy + 8.0 * UNIT * (abs(level) + np.abs(mean) @ np.abs(slopes))
    if doubtful.any():
        off += float(np.abs(mean @ reach[:, doubtful]) @ slack[doubtful])
    off += EPS / np.sqrt(scaled.problem.weight)
    return LineDigits(digits, float(_digits(np.array([off]), np.array([abs(level - mean @ slopes)]))[0]), sums)


def _inverse(hessian: Float, index: NDArray[np.intp]) -> Float | None:
    """Return the inverse of the part of some columns in a matrix of zeros; None if they depend on each other."""
    out = np.zeros_like(hessian)
    if not len(index):
        return out
    inner = hessian[np.ix_(index, index)]
    try:
        lower = np.linalg.cholesky(inner)
    except np.linalg.LinAlgError:
        return None
    if (np.diag(lower) ** 2 <= floor(len(index)) * np.diag(inner)).any():
        return None
    root = np.linalg.inv(lower)
    out[np.ix_(index, index)] = root.T @ root
    return out


def _digits(error: Float, size: Float) -> Float:
    relative = np.divide(error, size, out=np.full_like(error, np.inf), where=size > 0)
    relative[error == 0] = 0.0
    return np.asarray(np.clip(-np.log10(np.maximum(relative, 1e-16)), 0.0, FULL))
