"""The negative binomial family: counts that vary more than Poisson's."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Float, xlogx
from streamreg.families.linked import Linked
from streamreg.families.links import Link, link
from streamreg.families.parameters import ByParameters


def xlogx_ratio(y: Float, x: Float) -> Float:
    """Return ``y log x``, which is 0 where y is."""
    return np.asarray(y * np.log(np.where(y > 0, x, 1.0)))


class NegativeBinomial(Linked):
    """Counts, with variance ``mean + alpha * mean**2``.

    Parameters
    ----------
    link : Link
    alpha : float
        Above 0; near 0 it is Poisson's.
    """

    losses = ("negative_binomial",)
    name, requirement = "negative_binomial", "0 or more"
    whole, parameter, parameters = True, "alpha", 1

    def __init__(self, link: Link, alpha: float) -> None:
        super().__init__(link)
        self.alpha, self.name = alpha, f"negative_binomial({alpha!r})" if alpha != 1 else "negative_binomial"

    @classmethod
    def of(cls, parameter: str, link_name: str) -> Self:
        """Return the family with that alpha, by default 1."""
        alpha = float(parameter or 1.0)
        if not 0 < alpha < np.inf:
            raise UsageError(f"negative_binomial: alpha is {alpha:g}; it is above 0 (at 0 the family is poisson)")
        return cls(link(link_name or cls.links[0], cls.links), alpha)

    def variance(self, mean: Float) -> Float:
        """Return ``mean + alpha mean**2``."""
        return np.asarray(mean * (1.0 + self.alpha * mean))

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return ``2 (y log(y / mean) - (y + 1 / alpha) log((1 + alpha y) / (1 + alpha mean)))``."""
        alpha, excess = self.alpha, y - mean
        log = np.log1p(np.maximum(excess / mean, -1.0 + 1e-16))
        return np.asarray(2.0 * (y * log - (y + 1.0 / alpha) * np.log1p(alpha * excess / (1.0 + alpha * mean))))

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (q - y log mean + (y + 1 / alpha) log(1 + alpha mean))``."""
        inner = max(mean, 1e-300)
        far = float(np.log1p(self.alpha * inner))
        return 2.0 * far / self.alpha, 2.0 * (far - float(np.log(inner))), 2.0

    def curved(self, y: Float) -> Float:
        """Return ``y log y - (y + 1 / alpha) log(1 + alpha y)``."""
        return np.asarray(xlogx(y) - (y + 1.0 / self.alpha) * np.log1p(self.alpha * y))

    def saturated(self, y: Float) -> Float:
        """Return the log-likelihood where the mean is y."""
        from scipy.special import gammaln

        r = 1.0 / self.alpha
        ways = gammaln(y + r) - gammaln(r) - gammaln(y + 1.0)
        return np.asarray(ways + self.curved(y) + y * np.log(self.alpha))

    def by_parameters(self, y: Float, eta: Float, times: Float, precision: Float, dispersion: float) -> ByParameters:
        """Return the derivatives by the logarithm of alpha (Lawless 1987, *Canadian Journal of Statistics* 15)."""
        from scipy.special import digamma, gammaln, polygamma

        alpha, r, times = self.alpha, 1.0 / self.alpha, times * precision
        mean, slope = np.maximum(self.mean(eta), 1e-300), self.derivative(eta)
        far, excess = 1.0 + alpha * mean, y - mean
        log = np.log1p(alpha * mean)
        found = gammaln(y + r) - gammaln(r) - gammaln(y + 1.0) + xlogx_ratio(y, alpha * mean) - (y + r) * log
        ways = digamma(y + r) - digamma(r)
        first = r**2 * (log - ways) + excess / (alpha * far)
        second = 2.0 * r**3 * (ways - log) + r**4 * (polygamma(1, y + r) - polygamma(1, r)) + r**2 * mean / far
        second = second - excess * (1.0 + 2.0 * alpha * mean) / (alpha * far) ** 2
        across = -alpha * excess * slope / far**2
        information = mean * (1.0 + alpha * y) / far**2 if self.link == "log" else slope**2 / (mean * far)
        return ByParameters(
            times * found,
            (times * alpha * first)[None],
            (times * (alpha**2 * second + alpha * first))[None, None],
            (times * across)[None],
            times * information,
        )

    def moved(self, step: Float, dispersion: float) -> tuple[float, float]:
        """Return alpha times the exponential of the step."""
        return float(self.alpha * np.exp(step[0])), dispersion

    def parameter_end(self) -> str:
        """Return the words of an alpha next to nothing."""
        if self.alpha > 1e-7:
            return ""
        return (
            "counts vary no more than Poisson's do, so that alpha has no maximum above 0; fit family='poisson', or "
            "give alpha"
        )

    def parameter_error(self, covariance: Float) -> float:
        """Return that of the logarithm, times alpha."""
        return float(self.alpha * np.sqrt(covariance[0, 0]))

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is not negative."""
        return np.asarray(y >= 0)

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far counts of zero move up, and others move at all."""
        return np.where(y > 0, np.abs(move), move) if self.link == "log" else np.abs(move)

    def start(self, y: Float) -> Float:
        """Return the counts, and a little more."""
        return y + 0.1

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return the words of counts that are all zero on one side."""
        return -1.0, "no finite maximum: where ", " is high, all counts are zero"
