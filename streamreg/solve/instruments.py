"""Two-stage least squares and limited-information maximum likelihood, from second moments."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh, solve_triangular

from streamreg.errors import DataError
from streamreg.solve.digits import EPS, FULL
from streamreg.solve.scaled import Scaled

Float = NDArray[np.float64]

_UNTOLD = 16.0  # times its rounding: what a projection has left at least where the instruments identify anything


@dataclass(frozen=True, slots=True)
class Instrumented:
    """Coefficients and quadratic forms, in units of the column norms: exogenous columns first, then endogenous ones.

    Attributes
    ----------
    coef, digits : ndarrays of shape (k,)
    inverse : ndarray of shape (k, k)
        Times the residual variance, the covariance of `coef`.
    rss, rss_digits : float
        Residual sum of squares over that of the target, and its decimal digits.
    kappa : float
        Of the k-class: 1 for two-stage least squares.
    strength : ndarray of shape (w,)
        Share of each endogenous column, beside the exogenous ones, that the instruments explain: partial R2.
    least : float
        The smallest eigenvalue of the explained part relative to the rest, of all endogenous columns together.
    over : float
        Share of the residual sum of squares that the instruments explain.
    exogenous, augmented : float
        Residual sums of squares of least squares, without and with the residuals of the first stage.
    """

    coef: Float
    digits: Float
    inverse: Float
    rss: float
    rss_digits: float
    kappa: float
    strength: Float
    least: float
    over: float
    exogenous: float
    augmented: float


def solve(scaled: Scaled, exogenous: int, endogenous: int, method: Literal["2sls", "liml"]) -> Instrumented:
    """Solve for a problem whose columns are exogenous ones, endogenous ones, and instruments, in this order.

    Raises
    ------
    DataError
        The instruments do not determine the coefficients.

    Notes
    -----
    The exogenous columns are taken out of all others first. With R the cross-products of endogenous columns and target
    that are left, and P the part of them on the instruments, the coefficients solve ``(P - l (R - P)) b = p - l (r -
    p)``, where l = 0 for two stages and the smallest eigenvalue of P relative to R - P for LIML, whose kappa is 1 + l
    (Davidson and MacKinnon 1993, *Estimation and Inference in Econometrics*, section 18.5). The error bounds are of
    first order in the rounding of the moments. Cost: ``q**3`` operations.
    """
    x, w = exogenous, endogenous
    gram = np.block([[scaled.gram, scaled.rhs[:, None]], [scaled.rhs[None], np.ones((1, 1))]])
    gram[-1, -1] = scaled.problem.cross[-1, -1] / scaled.target_norm**2
    inverse_x = _inverse(gram[:x, :x])
    on_x = inverse_x @ gram[:x, x:]
    on_x += inverse_x @ (gram[:x, x:] - gram[:x, :x] @ on_x)
    left = gram[x:, x:] - gram[x:, :x] @ on_x
    pairs = [*range(w), len(left) - 1]
    root = np.linalg.cholesky(left[w:-1, w:-1])
    seen = solve_triangular(root, left[w:-1][:, pairs], lower=True)
    share = solve_triangular(root, seen, lower=True, trans="T")
    whole, told = left[np.ix_(pairs, pairs)], seen.T @ seen
    rest = whole - told
    # What rounding of the moments, relative to the norms, does to each of them.
    apart = 1.0 + np.abs(on_x).sum(axis=0)
    own, through = apart[pairs], apart[w:-1] @ np.abs(share)
    off_told = EPS * (np.outer(own, through) + np.outer(through, own) + np.outer(through, through))
    off_rest = EPS * np.outer(own + through, own + through)
    off_whole = EPS * np.outer(own, own)
    scale = np.sqrt(np.diag(told)[:w])
    unit = np.where(scale > 0, scale, 1.0)
    smallest = np.linalg.eigvalsh(told[:w, :w] / unit[:, None] / unit)[0]
    if np.any(scale == 0) or smallest <= _UNTOLD * float((off_told[:w, :w] / unit[:, None] / unit).sum()):
        raise DataError(
            "the instruments do not determine the coefficients of the endogenous columns: what they explain of them, "
            "beside the exogenous columns, is nothing or depends on each other; name other instruments"
        )
    excess, slack = 0.0, np.zeros_like(told)
    if method == "liml" and len(root) > w:
        values, vectors = _relative(told, rest)
        excess, v = float(values[0]), np.abs(vectors[:, 0])
        drift = float(v @ (off_told + excess * off_rest) @ v)
        slack = drift * np.abs(rest) + excess * off_rest
    own_part = told - excess * rest
    inner = _inverse(own_part[:w, :w])
    b = inner @ own_part[:w, w]
    b += inner @ (own_part[:w, w] - own_part[:w, :w] @ b)
    on_w, on_y = on_x[:, :w], on_x[:, -1]
    coef = np.concatenate([on_y - on_w @ b, b])
    off = off_told + slack
    off_b = np.abs(inner) @ (off[:w, w] + off[:w, :w] @ np.abs(b))
    reach = EPS * (1.0 + np.abs(coef).sum())
    off_x = np.abs(on_w) @ off_b + np.abs(inverse_x).sum(axis=1) * reach
    line = np.append(-b, 1.0)
    rss = float(line @ whole @ line)
    moved = np.append(off_b, 0.0)
    off_rss = float(np.abs(line) @ off_whole @ np.abs(line) + 2.0 * moved @ np.abs(whole @ line))
    cross = -on_w @ inner
    least = float(_relative(told[:w, :w], rest[:w, :w])[0][0])
    return Instrumented(
        coef,
        _digits(np.concatenate([off_x, off_b]), np.abs(coef)),
        np.block([[inverse_x - cross @ on_w.T, cross], [cross.T, inner]]),
        max(rss, 0.0),
        float(_digits(np.array([off_rss]), np.array([abs(rss)]))[0]),
        1.0 + excess,
        np.diag(told)[:w] / np.diag(whole)[:w],
        least,
        float(line @ told @ line) / rss if rss > 0 else float("nan"),
        _unexplained(whole[:w, :w], whole[:w, w], float(whole[w, w])),
        _unexplained(rest[:w, :w], rest[:w, w], _unexplained(told[:w, :w], told[:w, w], float(whole[w, w]))),
    )


def _inverse(matrix: Float) -> Float:
    return np.asarray(cho_solve(cho_factor(matrix, lower=True), np.eye(len(matrix)))) if len(matrix) else matrix


def _relative(told: Float, rest: Float) -> tuple[Float, Float]:
    """Return eigenvalues and vectors of one matrix relative to another."""
    try:
        values, vectors = eigh(told, rest)
    except np.linalg.LinAlgError:
        raise DataError(
            "the instruments explain an endogenous column, or the target, without a residual: there is nothing to "
            "instrument; use sr.Linear"
        ) from None
    return np.asarray(values), np.asarray(vectors)


def _unexplained(cross: Float, rhs: Float, square: float) -> float:
    return square - float(rhs @ np.linalg.solve(cross, rhs))


def _digits(off: Float, size: Float) -> Float:
    relative = np.divide(off, size, out=np.ones(len(off)), where=size > 0)
    return np.asarray(np.clip(-np.log10(np.maximum(relative, 1e-17)), 0.0, FULL))
