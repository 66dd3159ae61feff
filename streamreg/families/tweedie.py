"""The Tweedie family: variance proportional to a power of the mean; between 1 and 2, zeros and positive amounts."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Float
from streamreg.families.linked import Linked
from streamreg.families.links import Link, link

_OTHERS = {0.0: "gaussian", 1.0: "quasi_poisson", 2.0: "gamma", 3.0: "inverse_gaussian"}


class Tweedie(Linked):
    """Amounts, with variance ``dispersion * mean**power``.

    Parameters
    ----------
    link : Link
    power : float
        Between 1 and 2 (zeros and positive amounts), or above 2 (positive amounts).
    """

    name, parameter = "tweedie", "power"
    dispersion_known = False
    separable = False

    def __init__(self, link: Link, power: float) -> None:
        super().__init__(link)
        self.power, self.name = power, f"tweedie({power!r})" if power != 1.5 else "tweedie"
        self.requirement = "0 or more" if power < 2 else "above 0"

    @classmethod
    def of(cls, parameter: str, link_name: str) -> Self:
        """Return the family of that power, by default 1.5."""
        power = float(parameter or 1.5)
        if power in _OTHERS:
            raise UsageError(f"tweedie of power {power:g} is family {_OTHERS[power]!r}; ask for that")
        if not 1 < power < np.inf:
            raise UsageError(f"tweedie: the power is {power:g}; it is between 1 and 2, or above 2")
        return cls(link(link_name or cls.links[0], cls.links), power)

    def variance(self, mean: Float) -> Float:
        """Return the power of the mean."""
        return np.asarray(mean**self.power)

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return ``2 (y**(2-p) / ((1-p)(2-p)) - y mean**(1-p) / (1-p) + mean**(2-p) / (2-p))``."""
        p = self.power
        own = y ** (2.0 - p) / ((1.0 - p) * (2.0 - p))
        rest = mean ** (2.0 - p) / (2.0 - p) - y * mean ** (1.0 - p) / (1.0 - p)
        return np.maximum(2.0 * (own + rest), 0.0)

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of the deviance at one mean."""
        p, inner = self.power, max(mean, 1e-300)
        return 2.0 * inner ** (2.0 - p) / (2.0 - p), -2.0 * inner ** (1.0 - p) / (1.0 - p), 2.0

    def curved(self, y: Float) -> Float:
        """Return ``y**(2-p) / ((1-p)(2-p))``."""
        p = self.power
        return np.asarray(y ** (2.0 - p) / ((1.0 - p) * (2.0 - p)))

    def saturated(self, y: Float) -> Float:
        """Return 0: the likelihood of a perfect fit is in `base_measure`."""
        return np.zeros_like(y)

    def base_measure(self, y: Float, precision: Float) -> Float:
        """Return the log-likelihood of each row where its mean is y, as a Wright function; NaN for powers above 2.

        Between 1 and 2 the density is ``W(-a, 0, x) / y exp(...)`` (Dunn & Smyth 2005, *Statistics and Computing* 15).
        """
        if self.power > 2:
            return np.full_like(y, np.nan)
        from scipy.special import log_wright_bessel

        p = self.power
        a = (2.0 - p) / (p - 1.0)
        inner = np.where(y > 0, y, 1.0)
        log_x = a * np.log(inner) - a * np.log(p - 1.0) + (1.0 + a) * np.log(precision) - np.log(2.0 - p)
        series = log_wright_bessel(a, 0.0, np.exp(log_x)) - np.log(inner)
        # At mean y, (y theta - kappa) k is -k y**(2-p) / ((1-p)(2-p)) with the sign of the deviance's first term.
        perfect = inner ** (2.0 - p) / ((1.0 - p) * (2.0 - p)) * precision
        return np.where(y > 0, series + perfect, 0.0)

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return which targets can be."""
        return np.asarray(y >= 0) if self.power < 2 else np.asarray(y > 0)

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far zeros move up, and others move at all."""
        return np.where(y > 0, np.abs(move), move) if self.link == "log" else np.abs(move)

    def start(self, y: Float) -> Float:
        """Return the target, and where that may be zero a little more."""
        return y + 0.1 if self.power < 2 else y

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return the words of amounts that are all zero on one side."""
        return -1.0, "no finite maximum: where ", " is high, all targets are zero"
