"""The Poisson family, with the log link and others."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Family, Float, xlogx
from streamreg.families.linked import Linked
from streamreg.families.links import POSITIVE, Link, link


class Poisson(Family):
    """Counts, whose mean has the linear predictor as its logarithm."""

    name, link, requirement = "poisson", "log", "0 or more"
    activation = "exponential"
    losses = ("poisson",)
    whole = True

    @classmethod
    def of(cls, parameter: str, link_name: str) -> "Poisson":
        """Return the family with a link by name; that of another link than the log is of a class of its own."""
        if parameter:
            raise UsageError(f"family {cls.name!r} has no parameter")
        return cls() if link_name in ("", cls.link) else cls.other(link(link_name, POSITIVE))

    @classmethod
    def other(cls, link: Link) -> "Poisson":
        """Return the family with another link."""
        return PoissonWith(link)

    def mean(self, eta: Float) -> Float:
        """Return the exponential of eta."""
        # Beyond e**200 a trial step is refused, not computed.
        return np.exp(np.minimum(eta, 200.0))

    def linked(self, mean: ArrayLike) -> Float:
        """Return the logarithm of the mean."""
        return np.asarray(np.log(mean))

    def variance(self, mean: Float) -> Float:
        """Return the mean."""
        return mean

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return ``2 (y log(y / mean) - (y - mean))``."""
        return self.unit_deviance(y, np.maximum(self.mean(eta), 1e-250))  # so that counts divided by it do not overflow

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return the deviance of each row, given its mean."""
        excess = (y - mean) / mean
        # y log(y / mean) - (y - mean), without the cancellation of large counts.
        return np.asarray(2.0 * mean * ((1.0 + excess) * np.log1p(np.maximum(excess, -1 + 1e-16)) - excess))

    def saturated(self, y: Float) -> Float:
        """Return ``y log y - y - log y!``."""
        from scipy.special import gammaln

        return np.asarray(xlogx(y) - y - gammaln(y + 1.0))

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (q - y log mean + mean)``."""
        inner = max(mean, 1e-300)
        return 2.0 * inner, float(-2.0 * np.log(inner)), 2.0

    def curved(self, y: Float) -> Float:
        """Return ``y log y - y``."""
        return xlogx(y) - y

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is not negative."""
        return np.asarray(y >= 0)

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far counts of zero move up, and others move at all."""
        return np.where(y > 0, np.abs(move), move)

    def start(self, y: Float) -> Float:
        """Return the counts, and a little more: their logarithm is finite."""
        return y + 0.1

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return the words of counts that are all zero on one side."""
        return -1.0, "no finite maximum: where ", " is high, all counts are zero"

    def bounded(self, mean: Float) -> Float:
        """Return rates above zero."""
        return np.maximum(mean, 1e-300)

    def unlike_means(self, low: float, high: float) -> str:
        """Return what to do about predictions that are no rates."""
        if low >= 0:
            return ""
        return (
            f"predictions go down to {low:.3g}, and rates are not negative; end the model with an exponential, or "
            "score it with family='gaussian'"
        )


class PoissonWith(Linked, Poisson):
    """Counts, with another link than the log."""

    null_terms, start, bounded, unlike_means = Poisson.null_terms, Poisson.start, Poisson.bounded, Poisson.unlike_means
    unit_deviance, variance = Poisson.unit_deviance, Poisson.variance


class QuasiPoisson(Poisson):
    """Targets of 0 or more whose variance is their mean times a dispersion, which is estimated."""

    name, dispersion_known, quasi, whole = "quasi_poisson", False, True, False

    @classmethod
    def other(cls, link: Link) -> Poisson:
        """Return the family with another link."""
        return QuasiPoissonWith(link)


class QuasiPoissonWith(PoissonWith):
    """The same, with another link than the log."""

    name, dispersion_known, quasi, whole = "quasi_poisson", False, True, False
