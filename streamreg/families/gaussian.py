"""The gaussian family, with the identity link."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.families.base import Family, Float


class Gaussian(Family):
    """Real targets, whose mean is the linear predictor."""

    name, link, requirement = "gaussian", "identity", "any number"
    activation = None
    scores = (("R2", "explained"), ("+-", "explained_error"), ("RMSE", "rmse"))
    least_squares = True
    dispersion_known = False

    def mean(self, eta: Float) -> Float:
        """Return eta itself."""
        return eta

    def linked(self, mean: ArrayLike) -> Float:
        """Return the mean itself."""
        return np.asarray(mean, dtype=np.float64)

    def variance(self, mean: Float) -> Float:
        """Return 1: the variance is the same for all rows, and estimated."""
        return np.ones_like(mean)

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return squared errors."""
        return np.asarray((y - eta) ** 2)

    def saturated(self, y: Float) -> Float:
        """Return 0, short of a constant that depends on the variance."""
        return np.zeros_like(y)

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``(y - mean)**2``."""
        return mean * mean, -2.0 * mean, 1.0

    def curved(self, y: Float) -> Float:
        """Return ``y**2``."""
        return np.asarray(y * y)

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is finite."""
        return np.isfinite(y)

    def violation(self, y: Float, move: Float) -> Float:
        """Return the size of the move: every row opposes it."""
        return np.abs(move)

    def start(self, y: Float) -> Float:
        """Return the target."""
        return y

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return general words: least squares always has a finite solution."""
        return 1.0, "no finite maximum along ", ""

    def constant(self, mean: float) -> bool:
        """Return that every mean is a finite intercept."""
        return False
