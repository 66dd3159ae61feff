"""The logarithm of Wright's generalised Bessel function at b = 0, quickly for many arguments."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_DEGREE = 20  # of a piece of length 1 in log x, where the function is so smooth that this is exact in float64
_SMALL = -300.0  # below this log x the first term of the series is all of it


def log_wright(a: float, log_x: Float) -> Float:
    """Return ``log W(a, 0, x)`` given log x, by interpolation between Chebyshev's points of pieces of length 1.

    A piece is the same whatever the arguments are, so an argument has the same value wherever it stands.
    """
    from scipy.special import gammaln

    out = log_x - float(gammaln(a))
    piece = np.floor(log_x)
    for k in np.unique(piece[log_x > _SMALL]):
        here = piece == k
        out[here] = np.polynomial.chebyshev.chebval(2.0 * (log_x[here] - k) - 1.0, _piece(a, float(k)))
    return out


@lru_cache(maxsize=4096)
def _piece(a: float, start: float) -> Float:
    """Return the coefficients of the Chebyshev polynomials on ``start <= log x < start + 1``."""
    from scipy.special import log_wright_bessel

    def at(nodes: Float) -> Float:
        return np.asarray(log_wright_bessel(a, 0.0, np.exp(start + (nodes + 1.0) / 2.0)))

    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.polynomial.Chebyshev.interpolate(at, _DEGREE).coef)
