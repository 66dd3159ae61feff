"""Links: what the linear predictor is of the mean. One entry of a table for each."""

from abc import ABC, abstractmethod
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, nearest

Float = NDArray[np.float64]

_FARTHEST = 200.0  # beyond e**200 a trial step is refused, not computed


class Link(ABC):
    """A link function and its inverse, elementwise on arrays of shape (m,).

    Attributes
    ----------
    name : str
    activation : str or None
        The Keras activation that is the mean; None if there is none.
    """

    name: str
    activation: str | None = None

    @abstractmethod
    def mean(self, eta: Float) -> Float:
        """Return the mean of a linear predictor; NaN or infinite where there is none."""

    @abstractmethod
    def linked(self, mean: Float) -> Float:
        """Return the linear predictor of a mean."""

    @abstractmethod
    def slope(self, eta: Float) -> Float:
        """Return the derivative of the mean by the linear predictor."""

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return the mean and one less the mean, each to full relative precision where that is small."""
        mean = self.mean(eta)
        return mean, 1.0 - mean


class Identity(Link):
    """The mean itself."""

    name = "identity"

    def mean(self, eta: Float) -> Float:
        """Return eta."""
        return eta

    def linked(self, mean: Float) -> Float:
        """Return the mean."""
        return mean

    def slope(self, eta: Float) -> Float:
        """Return 1."""
        return np.ones_like(eta)


class Log(Link):
    """The logarithm."""

    name, activation = "log", "exponential"

    def mean(self, eta: Float) -> Float:
        """Return the exponential of eta."""
        return np.exp(np.clip(eta, -_FARTHEST, _FARTHEST))

    def linked(self, mean: Float) -> Float:
        """Return the logarithm of the mean."""
        return np.asarray(np.log(mean))

    def slope(self, eta: Float) -> Float:
        """Return the mean."""
        return self.mean(eta)

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return the exponential of eta, and what it lacks to 1."""
        return self.mean(eta), np.asarray(-np.expm1(np.minimum(eta, _FARTHEST)))


class Logit(Link):
    """The logarithm of the odds."""

    name, activation = "logit", "sigmoid"

    def mean(self, eta: Float) -> Float:
        """Return the logistic function of eta."""
        return self.tails(eta)[0]

    def linked(self, mean: Float) -> Float:
        """Return the logit of the mean."""
        return np.asarray(np.log(mean) - np.log1p(-mean))

    def slope(self, eta: Float) -> Float:
        """Return ``mean (1 - mean)``."""
        near, far = self.tails(eta)
        return near * far

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return the logistic functions of eta and -eta."""
        small = np.exp(-np.abs(eta))
        near, far = small / (1.0 + small), 1.0 / (1.0 + small)
        up = eta >= 0
        return np.where(up, far, near), np.where(up, near, far)


class Probit(Link):
    """The quantile of the normal distribution."""

    name = "probit"

    def mean(self, eta: Float) -> Float:
        """Return the normal distribution function of eta."""
        return self.tails(eta)[0]

    def linked(self, mean: Float) -> Float:
        """Return the quantile."""
        from scipy.special import ndtri

        return np.asarray(ndtri(mean))

    def slope(self, eta: Float) -> Float:
        """Return the normal density."""
        return np.asarray(np.exp(-(eta**2) / 2.0) / np.sqrt(2.0 * np.pi))

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return the normal distribution functions of eta and -eta."""
        from scipy.special import ndtr

        return np.asarray(ndtr(eta)), np.asarray(ndtr(-eta))


class Cauchit(Link):
    """The quantile of the Cauchy distribution."""

    name = "cauchit"

    def mean(self, eta: Float) -> Float:
        """Return the Cauchy distribution function of eta."""
        return self.tails(eta)[0]

    def linked(self, mean: Float) -> Float:
        """Return the quantile."""
        return np.asarray(-1.0 / np.tan(np.pi * mean))

    def slope(self, eta: Float) -> Float:
        """Return the Cauchy density."""
        return np.asarray(1.0 / (np.pi * (1.0 + eta**2)))

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return the angles that eta and -eta are seen at."""
        return np.asarray(np.arctan2(1.0, -eta) / np.pi), np.asarray(np.arctan2(1.0, eta) / np.pi)


class Cloglog(Link):
    """The complementary log-log: the logarithm of a hazard."""

    name = "cloglog"

    def mean(self, eta: Float) -> Float:
        """Return ``1 - exp(-exp(eta))``."""
        return np.asarray(-np.expm1(-np.exp(np.minimum(eta, _FARTHEST))))

    def linked(self, mean: Float) -> Float:
        """Return ``log(-log(1 - mean))``."""
        return np.asarray(np.log(-np.log1p(-mean)))

    def slope(self, eta: Float) -> Float:
        """Return ``exp(eta - exp(eta))``."""
        eta = np.minimum(eta, _FARTHEST)
        return np.exp(eta - np.exp(eta))

    def tails(self, eta: Float) -> tuple[Float, Float]:
        """Return both from the hazard."""
        hazard = np.exp(np.minimum(eta, _FARTHEST))
        return np.asarray(-np.expm1(-hazard)), np.exp(-hazard)


class Power(Link):
    """A power of the mean, which is positive.

    Parameters
    ----------
    exponent : float
        Not 0.
    name : str
    """

    def __init__(self, exponent: float, name: str) -> None:
        self.exponent, self.name = exponent, name

    def mean(self, eta: Float) -> Float:
        """Return the root of eta."""
        with np.errstate(all="ignore"):
            return np.asarray(np.where(eta > 0, eta, np.nan) ** (1.0 / self.exponent))

    def linked(self, mean: Float) -> Float:
        """Return the power of the mean."""
        with np.errstate(all="ignore"):
            return np.asarray(mean**self.exponent)

    def slope(self, eta: Float) -> Float:
        """Return the derivative of the root."""
        with np.errstate(all="ignore"):
            return np.asarray(np.where(eta > 0, eta, np.nan) ** (1.0 / self.exponent - 1.0) / self.exponent)


LINKS: dict[str, Link] = {
    **{link.name: link for link in (Logit(), Probit(), Cloglog(), Cauchit(), Log(), Identity())},
    **{name: Power(k, name) for name, k in (("inverse", -1.0), ("inverse_squared", -2.0), ("sqrt", 0.5))},
}
"""The links by name; ``power(k)`` is any other power."""

SHARES = ("logit", "probit", "cloglog", "cauchit", "log", "identity")
POSITIVE = ("log", "identity", "inverse", "inverse_squared", "sqrt", "power(k)")


@cache
def link(name: str, allowed: tuple[str, ...]) -> Link:
    """Return the link of that name.

    Raises
    ------
    UsageError
        There is none, or a family does not have it.
    """
    power = name.startswith("power(") and name.endswith(")")
    if ("power(k)" if power else name) not in allowed:
        raise UsageError(f"no link {name!r}{nearest(name, allowed)}; it can be {', '.join(allowed)}")
    if not power:
        return LINKS[name]
    try:
        exponent = float(name[6:-1])
    except ValueError:
        exponent = np.nan
    if not np.isfinite(exponent) or exponent == 0:
        raise UsageError(f"link {name!r}: the power is a number other than 0, as in power(0.5)")
    return Identity() if exponent == 1 else Power(exponent, name)
