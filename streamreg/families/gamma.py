"""The gamma family: positive targets whose standard deviation is proportional to their mean."""

import numpy as np
from numpy.typing import NDArray

from streamreg.families.base import Float
from streamreg.families.linked import Linked


class Gamma(Linked):
    """Positive targets, with variance ``dispersion * mean**2``."""

    losses = ("gamma",)
    name, requirement = "gamma", "above 0"
    dispersion_known = False
    natural = "inverse"

    def variance(self, mean: Float) -> Float:
        """Return the squared mean."""
        return np.asarray(mean**2)

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return ``2 ((y - mean) / mean - log(y / mean))``."""
        excess = (y - mean) / mean
        return np.asarray(2.0 * (excess - np.log1p(np.maximum(excess, -1.0 + 1e-16))))

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (y / mean - 1 + log(mean) + q)``."""
        inner = max(mean, 1e-300)
        return 2.0 * float(np.log(inner)) - 2.0, 2.0 / inner, 2.0

    def curved(self, y: Float) -> Float:
        """Return ``-log y``."""
        return np.asarray(-np.log(y))

    def saturated(self, y: Float) -> Float:
        """Return 0: the likelihood of a perfect fit is in `choices` and `normaliser`."""
        return np.zeros_like(y)

    def choices(self, y: Float, weight: Float) -> Float:
        """Return ``-log y``."""
        return np.asarray(-np.log(y))

    def normaliser(self, precision: Float) -> Float:
        """Return ``k log k - k - log gamma(k)``, k being the precision."""
        from scipy.special import gammaln

        return np.asarray(precision * np.log(precision) - precision - gammaln(precision))

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is positive."""
        return np.asarray(y > 0)
