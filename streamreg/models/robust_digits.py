"""How many digits standard errors from scores have."""

import numpy as np
from numpy.typing import NDArray

from streamreg.families import family
from streamreg.results.base import FitResult
from streamreg.solve.digits import EPS, FULL
from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]

NONE = 1e-13  # a variance below this, relative to what it is a sum or a difference of, is rounding
SAFE = 8.0  # rounding errors of a row add up in a sum of several terms


def digits(fit: FitResult, meat: Float, gross: Float) -> float:
    """Return the digits to trust of the standard errors that a sum of scores gives; for `gross` see `_corrected`.

    The coordinates t = R z of a row are off by about ``u |R| |z|``, R being nearly dependent columns' great
    coefficients, and so is its residual by ``u |z| |b|``. With s the coordinates of a coefficient, its variance
    ``sum e**2 (s't)**2`` is off by twice the root of ``sum e**2 (s'dt)**2`` relative to its own. Where the fit is of
    float64 moments, R is off by more: ``R (I + E)`` with ``|E| <= eps |R|**2``, and the variance by
    ``2 |E s| |M s|``.
    """
    assert fit.geometry is not None
    geometry = fit.geometry
    root, r = geometry.root, len(geometry.kept)
    if not r or not fit.rss > 0:
        return FULL
    own = gross[1:, 1:]
    lower = _inverse_lower(root)
    spread = np.sqrt(np.maximum(((lower @ own) * lower).sum(axis=1), 0.0))  # of each column times the residuals
    terms = np.maximum(((own @ root) * root).sum(axis=0), 0.0)
    variance = ((meat[1:, 1:] @ root) * root).sum(axis=0)
    known = variance > NONE * terms
    if not known.any():
        return 0.0
    moved = np.abs(root).T @ (np.abs(root) @ spread)
    variance = np.where(known, variance, np.inf)
    relative = UNIT * moved * np.sqrt(terms) / variance
    if fit.method != "exact":
        inverse = geometry.inverse
        strength = EPS * float(np.linalg.norm(root, 2))
        relative = relative + strength * np.linalg.norm(inverse, axis=0) * np.linalg.norm(own @ root, axis=0) / variance
    worst = float(np.max(relative)) + rounding(fit)
    return float(np.clip(-np.log10(max(SAFE * worst, 1e-16)), 0.0, FULL))


def rounding(fit: FitResult) -> float:
    """Return what the residuals of a pass are off by, relative to themselves."""
    assert fit.geometry is not None
    if not family(fit.family).least_squares:
        # A predictor off by d moves the score by d times the information: relative to the score by d / sigma.
        spans = float(np.abs(fit.geometry.basic(fit.coef)).sum()) / float(np.sqrt(fit.geometry.weight))
        return UNIT * (abs(fit.at_centre) + spans) / fit.sigma if fit.sigma > 0 else 0.0
    size = float(np.sqrt(fit.tss) + np.abs(fit.geometry.basic(fit.coef)).sum())
    return UNIT * size / float(np.sqrt(fit.rss)) if fit.rss > 0 else 0.0


def _inverse_lower(root: Float) -> Float:
    """Return the inverse of a lower triangular matrix, shape (r, r): the Cholesky factor itself."""
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(root, np.eye(len(root)), lower=True))
