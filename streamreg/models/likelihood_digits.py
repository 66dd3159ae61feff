"""What is known of estimates that maximise a likelihood: their digits, or that there is no maximum."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.solve.digits import FULL

Float = NDArray[np.float64]


def without_errors(fit: FitResult) -> FitResult:
    """Return a fit whose likelihood has no maximum: no coefficient has an error, nor a digit to trust."""
    none = np.full(len(fit.coef), NAN)
    digits0 = 0.0 if fit.has_intercept else NAN
    return dataclasses.replace(
        fit,
        std_errors=none,
        intercept_std_error=NAN,
        digits=np.zeros(len(fit.coef)),
        digits_intercept=digits0,
        digits_se=0.0,
        geometry=None,
    )


def digits_of(wrong: ArrayLike, value: ArrayLike, error: ArrayLike) -> Float:
    """Return decimal digits, given a bound of the error; below a thousandth of a standard error they mean nothing."""
    size = np.maximum(np.abs(value), 1e-3 * np.asarray(error))
    # The value that is sought may be smaller than the one found, by as much.
    least = np.maximum(size - wrong, 1e-3 * np.asarray(error))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(wrong < size, wrong / least, np.where(np.isnan(wrong + size), NAN, 1.0))
    return np.asarray(np.clip(-np.log10(np.maximum(relative, 1e-16)), 0.0, FULL))
