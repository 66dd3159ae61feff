"""The gaussian family, with the identity link and others."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Family, Float
from streamreg.families.linked import Linked
from streamreg.families.links import POSITIVE, Link, link


class Gaussian(Family):
    """Real targets, whose mean is the linear predictor."""

    name, link, requirement = "gaussian", "identity", "any number"
    activation = None
    scores: tuple[tuple[str, str], ...] = (("R2", "explained"), ("+-", "explained_error"), ("RMSE", "rmse"))
    least_squares = True
    dispersion_known = False
    losses: tuple[str, ...] = ("squared_error", "mean_squared_error", "mse")

    @classmethod
    def of(cls, parameter: str, link_name: str) -> "Gaussian":
        """Return the family with a link by name; with any, the identity too, it is fitted by passes over the rows."""
        if parameter:
            raise UsageError(f"family {cls.name!r} has no parameter")
        return cls() if not link_name else GaussianWith(link(link_name, POSITIVE))

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


class GaussianWith(Linked, Gaussian):
    """Real targets, with a link that was asked for."""

    least_squares = False
    natural = "identity"
    scores = Family.scores
    null_terms, unlike_means, constant = Gaussian.null_terms, Gaussian.unlike_means, Gaussian.constant
    variance, violation = Gaussian.variance, Gaussian.violation

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.concentrated = link.name == "identity"

    def possible(self, mean: Float) -> NDArray[np.bool_]:
        """Return where the mean is finite."""
        return np.isfinite(mean)

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return squared errors."""
        return np.asarray((y - mean) ** 2)

    def start(self, y: Float) -> Float:
        """Return the target, where that can be linked."""
        return y if self.link == "identity" else np.maximum(y, 0.1)

    def normaliser(self, precision: Float) -> Float:
        """Return ``log(k / (2 pi)) / 2``, k being the precision."""
        return np.asarray(np.log(precision / (2.0 * np.pi)) / 2.0)

    def bounded(self, mean: Float) -> Float:
        """Return the means, moved to where they can be linked."""
        return mean if self.link == "identity" else np.maximum(mean, 1e-300)
