"""Row-wise facts of the exponential families with their canonical links.

With a canonical link the score of a row is ``(y - mean) x`` and its Fisher information ``variance(mean) x x'``
(McCullagh & Nelder 1989, *Generalized Linear Models*, sections 2.2 and 2.5). Everything is a function of the target y
and the linear predictor eta, elementwise on arrays of shape (m,).
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError, nearest

Float = NDArray[np.float64]


class Family(ABC):
    """A distribution of the target, given the linear predictor.

    Attributes
    ----------
    name : str
    link : str
        What the linear predictor is of the mean.
    requirement : str
        What targets must be.
    """

    name: str
    link: str
    requirement: str

    @abstractmethod
    def mean(self, eta: Float) -> Float:
        """Return the mean of the target."""

    @abstractmethod
    def linked(self, mean: ArrayLike) -> Float:
        """Return the linear predictor of a mean."""

    @abstractmethod
    def variance(self, mean: Float) -> Float:
        """Return the variance of the target, which with a canonical link is the derivative of the mean, too."""

    @abstractmethod
    def deviance(self, y: Float, eta: Float) -> Float:
        """Return twice the log-likelihood ratio of a perfect fit to this one, for each row."""

    @abstractmethod
    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return a, b, c such that the deviance of y at this mean is ``a + b y + c q``, q being `curved` of y."""

    @abstractmethod
    def curved(self, y: Float) -> Float:
        """Return the one function of y, beside y itself, that deviances at a constant mean are made of."""

    @abstractmethod
    def saturated(self, y: Float) -> Float:
        """Return the log-likelihood of a perfect fit, for each row."""

    @abstractmethod
    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return which targets can be."""

    @abstractmethod
    def violation(self, y: Float, move: Float) -> Float:
        """Return by how much each row opposes that the linear predictor moves on in this direction for ever.

        If no row does, there is no finite maximum of the likelihood (Albert & Anderson 1984, *Biometrika* 71).
        """

    @abstractmethod
    def start(self, y: Float) -> Float:
        """Return a mean that can be, near each target: where Newton's method begins."""

    def choices(self, y: Float, weight: Float) -> Float:
        """Return what the weights add to the log-likelihood of each row, whatever its mean; NaN if unknown."""
        return np.zeros_like(y)

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return ``y - mean`` and the variance, each to full relative precision where it is small."""
        mean = self.mean(eta)
        return y - mean, self.variance(mean)


class Gaussian(Family):
    """Real targets, whose mean is the linear predictor."""

    name, link, requirement = "gaussian", "identity", "any number"

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


class Binomial(Family):
    """Labels 0 and 1, or shares between them, whose mean has the linear predictor as its logit."""

    name, link, requirement = "binomial", "logit", "between 0 and 1"

    def mean(self, eta: Float) -> Float:
        """Return the logistic function of eta."""
        small = np.exp(-np.abs(eta))
        return np.where(eta >= 0, 1.0, small) / (1.0 + small)

    def linked(self, mean: ArrayLike) -> Float:
        """Return the logit of the mean."""
        mean = np.asarray(mean, dtype=np.float64)
        return np.asarray(np.log(mean) - np.log1p(-mean))

    def variance(self, mean: Float) -> Float:
        """Return ``mean (1 - mean)``."""
        return np.asarray(mean * (1.0 - mean))

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return ``y - mean`` and the variance, without the cancellation of means near 1."""
        small = np.exp(-np.abs(eta))
        near, far = small / (1.0 + small), 1.0 / (1.0 + small)
        up = eta >= 0
        return np.asarray(y * np.where(up, near, far) - (1.0 - y) * np.where(up, far, near)), near * far

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return twice the cross-entropy, less that of a perfect fit."""
        crossed = y * np.maximum(-eta, 0.0) + (1.0 - y) * np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
        return np.asarray(2.0 * (crossed + self.saturated(y)))

    def saturated(self, y: Float) -> Float:
        """Return ``y log y + (1 - y) log(1 - y)``, which is 0 for labels."""
        if ((y == 0) | (y == 1)).all():
            return np.zeros_like(y)
        return _xlogx(y) + _xlogx(1.0 - y)

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (q - y log mean - (1 - y) log(1 - mean))``."""
        inner = min(max(mean, 1e-300), 1.0 - 2.0**-53)
        return float(-2.0 * np.log1p(-inner)), float(-2.0 * self.linked(inner)), 2.0

    def curved(self, y: Float) -> Float:
        """Return the log-likelihood of a perfect fit."""
        return self.saturated(y)

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is a label or a share."""
        return np.asarray((y >= 0) & (y <= 1))

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far labels 1 move down, labels 0 move up, and shares move at all."""
        return np.where(y == 1, -move, np.where(y == 0, move, np.abs(move)))

    def start(self, y: Float) -> Float:
        """Return 1/2."""
        return np.full_like(y, 0.5)

    def choices(self, y: Float, weight: Float) -> Float:
        """Return ``log binomial(w, w y)``: a row of weight w and share y is w y successes in w trials, as in R.

        It is 0 for labels. Where the numbers of a share are not whole the trials are not known, and it is NaN.
        """
        share = (y > 0) & (y < 1)
        out = np.zeros_like(y)
        if not share.any():
            return out
        from scipy.special import gammaln

        trials, successes = weight[share], weight[share] * y[share]
        # Shares are quotients that were rounded, perhaps to float32.
        near = np.minimum(1e-3, 1e-6 * np.maximum(successes, 1.0))
        whole = (trials == np.rint(trials)) & (np.abs(successes - np.rint(successes)) <= near)
        successes = np.rint(successes)
        chosen = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(trials - successes + 1.0)
        out[share] = np.where(whole, chosen, np.nan)
        return out


class Poisson(Family):
    """Counts, whose mean has the linear predictor as its logarithm."""

    name, link, requirement = "poisson", "log", "0 or more"

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
        mean = np.maximum(self.mean(eta), 1e-250)  # so that counts divided by it do not overflow
        excess = (y - mean) / mean
        # y log(y / mean) - (y - mean), without the cancellation of large counts.
        return np.asarray(2.0 * mean * ((1.0 + excess) * np.log1p(np.maximum(excess, -1 + 1e-16)) - excess))

    def saturated(self, y: Float) -> Float:
        """Return ``y log y - y - log y!``."""
        from scipy.special import gammaln

        return np.asarray(_xlogx(y) - y - gammaln(y + 1.0))

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (q - y log mean + mean)``."""
        inner = max(mean, 1e-300)
        return 2.0 * inner, float(-2.0 * np.log(inner)), 2.0

    def curved(self, y: Float) -> Float:
        """Return ``y log y - y``."""
        return _xlogx(y) - y

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is not negative."""
        return np.asarray(y >= 0)

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far counts of zero move up, and others move at all."""
        return np.where(y > 0, np.abs(move), move)

    def start(self, y: Float) -> Float:
        """Return the counts, and a little more: their logarithm is finite."""
        return y + 0.1


FAMILIES: dict[str, Family] = {family.name: family for family in (Gaussian(), Binomial(), Poisson())}


def family(name: str) -> Family:
    """Return the family of that name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in FAMILIES:
        raise UsageError(f"no family {name!r}{nearest(name, FAMILIES)}")
    return FAMILIES[name]


def _xlogx(y: Float) -> Float:
    """Return ``y log y``, which is 0 at 0."""
    return np.asarray(y * np.log(np.where(y > 0, y, 1.0)))
