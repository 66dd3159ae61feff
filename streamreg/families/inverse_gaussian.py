"""The inverse Gaussian family: positive targets with a long upper tail."""

import numpy as np
from numpy.typing import NDArray

from streamreg.families.base import Float
from streamreg.families.linked import Linked


class InverseGaussian(Linked):
    """Positive targets, with variance ``dispersion * mean**3``."""

    losses = ("inverse_gaussian",)
    name, requirement = "inverse_gaussian", "above 0"
    dispersion_known = False
    natural = "inverse_squared"

    def variance(self, mean: Float) -> Float:
        """Return the mean to the third power."""
        return np.asarray(mean**3)

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return ``(y - mean)**2 / (y mean**2)``."""
        return np.asarray(((y - mean) / mean) ** 2 / y)

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``y / mean**2 - 2 / mean + q``."""
        return -2.0 / mean, 1.0 / mean**2, 1.0

    def curved(self, y: Float) -> Float:
        """Return ``1 / y``."""
        return np.asarray(1.0 / y)

    def saturated(self, y: Float) -> Float:
        """Return 0: the likelihood of a perfect fit is in `choices` and `normaliser`."""
        return np.zeros_like(y)

    def choices(self, y: Float, weight: Float) -> Float:
        """Return ``-3/2 log y``."""
        return np.asarray(-1.5 * np.log(y))

    def normaliser(self, precision: Float) -> Float:
        """Return ``log(k / (2 pi)) / 2``, k being the precision."""
        return np.asarray(np.log(precision / (2.0 * np.pi)) / 2.0)

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is positive."""
        return np.asarray(y > 0)
