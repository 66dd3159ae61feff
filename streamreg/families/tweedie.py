"""The Tweedie family: variance proportional to a power of the mean; between 1 and 2, zeros and positive amounts."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Float
from streamreg.families.linked import Linked
from streamreg.families.links import Link, link
from streamreg.families.parameters import ByParameters
from streamreg.families.wright import log_wright

_APART = 1e-3  # of powers and logarithms of dispersions, over which differences are taken
_OTHERS = {0.0: "gaussian", 1.0: "quasi_poisson", 2.0: "gamma", 3.0: "inverse_gaussian"}


class Tweedie(Linked):
    """Amounts, with variance ``dispersion * mean**power``.

    Parameters
    ----------
    link : Link
    power : float
        Between 1 and 2 (zeros and positive amounts), or above 2 (positive amounts).
    """

    losses = ("tweedie",)
    name, parameter, parameters = "tweedie", "power", 2
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
        p = self.power
        a = (2.0 - p) / (p - 1.0)
        if not (some := y > 0).all():
            found = np.zeros_like(y)
            found[some] = self.base_measure(y[some], precision[some])
            return found
        inner = y
        log_x = a * np.log(inner) - a * np.log(p - 1.0) + (1.0 + a) * np.log(precision) - np.log(2.0 - p)
        series = log_wright(a, log_x) - np.log(inner)
        # At mean y, (y theta - kappa) k is -k y**(2-p) / ((1-p)(2-p)) with the sign of the deviance's first term.
        perfect = inner ** (2.0 - p) / ((1.0 - p) * (2.0 - p)) * precision
        return np.asarray(series + perfect)

    def by_parameters(self, y: Float, eta: Float, times: Float, precision: Float, dispersion: float) -> ByParameters:
        """Return the derivatives by the power and the logarithm of the dispersion, by differences of each row."""
        mean, slope = np.maximum(self.mean(eta), 1e-300), self.derivative(eta)
        apart = min(_APART, (self.power - 1.0) / 4.0, (2.0 - self.power) / 4.0)

        def at(i: int, j: int) -> Float:
            other = Tweedie(self._link, self.power + i * apart)
            inverse = precision / (dispersion * np.exp(j * _APART))
            return np.asarray(other.base_measure(y, inverse) - inverse * other.unit_deviance(y, mean) / 2.0)

        middle, steps = at(0, 0), (apart, _APART)
        up, down = (np.array([at(sign, 0), at(0, sign)]) for sign in (1, -1))
        first = (up - down) / (2.0 * np.array(steps)[:, None])
        mixed = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4.0 * apart * _APART)
        own = (up - 2.0 * middle + down) / np.array(steps)[:, None] ** 2
        inverse = times * precision / dispersion
        score = inverse * (y - mean) * slope / self.variance(mean)
        return ByParameters(
            times * middle,
            times * first,
            times * np.array([[own[0], mixed], [mixed, own[1]]]),
            np.array([-score * np.log(mean), -score]),
            inverse * slope**2 / self.variance(mean),
        )

    def moved(self, step: Float, dispersion: float) -> tuple[float, float]:
        """Return the power, half of the way to 1 or 2 at most, and the dispersion times an exponential."""
        power = float(np.clip(self.power + step[0], (self.power + 1.0) / 2.0, (self.power + 2.0) / 2.0))
        return power, float(dispersion * np.exp(step[1]))

    def parameter_end(self) -> str:
        """Return the words of a power at 1 or 2."""
        if 1.001 < self.power < 1.999:
            return ""
        near, other = (1, "poisson, or quasi_poisson") if self.power < 1.5 else (2, "gamma, if no target is 0")
        return f"the likelihood rises until the power is {near}, where the family is {other}; fit that, or give power"

    def parameter_error(self, covariance: Float) -> float:
        """Return that of the power."""
        return float(np.sqrt(covariance[0, 0]))

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
