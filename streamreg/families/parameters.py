"""Derivatives of a log-likelihood by parameters of the family itself: what their estimates are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ByParameters:
    """Terms of the rows, of which a log-likelihood and its derivatives are the sums.

    Attributes
    ----------
    log_lik : ndarray of shape (m,)
    first : ndarray of shape (k, m)
    second : ndarray of shape (k, k, m)
    across : ndarray of shape (k, m)
        Derivative of the score by a linear predictor.
    information : ndarray of shape (m,)
        Minus the second derivative by the linear predictor.
    """

    log_lik: Float
    first: Float
    second: Float
    across: Float
    information: Float
