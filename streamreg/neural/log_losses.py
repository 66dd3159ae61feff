"""Losses of amounts and counts whose mean is the exponential of the model's output: half the deviance of a row.

Of a variance V the slope by the output is ``(mean - y) mean / V(mean)`` and the expected curvature
``mean**2 / V(mean)``, which is what Newton's method takes for the second derivative (McCullagh & Nelder 1989,
*Generalized Linear Models*, section 2.5).
"""

from abc import abstractmethod
from typing import Any

import numpy as np

from streamreg.backend import load
from streamreg.errors import DataError
from streamreg.families import family
from streamreg.neural.losses import Loss

_FARTHEST = 80.0  # output beyond which float32 holds no exponential


class LogLoss(Loss):
    """Half the deviance, given the logarithm of the mean."""

    __slots__ = ()

    @abstractmethod
    def variance(self, mean: Any) -> Any:
        """Return the variance of a mean, of tensors and numbers."""

    def slope(self, y: Any, eta: Any) -> Any:
        """Return ``(mean - y) mean / V(mean)``."""
        mean = self.mean(eta)
        return (mean - y) * mean / self.variance(mean)

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return ``mean**2 / V(mean)``."""
        mean = self.mean(eta)
        return mean * mean / self.variance(mean)

    def spread(self, y: Any, eta: Any) -> Any:
        """Return the term of Pearson's statistic."""
        mean = self.mean(eta)
        return load().ops.square(y - mean) / self.variance(mean)

    def mean(self, eta: Any) -> Any:
        """Return the exponential."""
        ops = load().ops
        return ops.exp(ops.clip(eta, -_FARTHEST, _FARTHEST))

    def start(self, mean: float) -> float:
        """Return the logarithm of the mean."""
        return float(np.log(mean)) if mean > 0 else -10.0

    def bound(self, mean: float) -> float:
        """Return twice the curvature at the mean, as rows far above it bend more."""
        inner = max(mean, 1e-6)
        return float(2.0 * inner**2 / self.variance(inner))

    def check_target(self, label: str, target: str, low: float, high: float, mean: float, square: float) -> None:
        """Refuse targets that the family cannot have."""
        super().check_target(label, target, low, high, mean, square)
        facts = family(self.family)
        if not facts.valid(np.array([low]))[0]:
            raise DataError(
                f"{label}: column {target!r} goes down to {low:g}, and a {facts.name} target is {facts.requirement}"
            )


class GammaLoss(LogLoss):
    """Of positive amounts whose variance is proportional to the square of the mean."""

    __slots__ = ()
    name = "gamma"

    def variance(self, mean: Any) -> Any:
        """Return the square of the mean."""
        return mean * mean

    def rows(self, y: Any, eta: Any) -> Any:
        """Return ``y / mean - 1 - log(y / mean)``."""
        ops = load().ops
        return y / self.mean(eta) - 1.0 - ops.log(y) + eta


class InverseGaussianLoss(LogLoss):
    """Of positive amounts whose variance is proportional to the cube of the mean."""

    __slots__ = ()
    name = "inverse_gaussian"

    def variance(self, mean: Any) -> Any:
        """Return the cube of the mean."""
        return mean * mean * mean

    def rows(self, y: Any, eta: Any) -> Any:
        """Return ``(y / mean - 1)**2 / (2 y)``."""
        return load().ops.square(y / self.mean(eta) - 1.0) / (2.0 * y)


class TweedieLoss(LogLoss):
    """Of amounts, between powers 1 and 2 also of zeros, whose variance is proportional to a power of the mean."""

    __slots__ = ()
    name, takes = "tweedie", "power"

    def variance(self, mean: Any) -> Any:
        """Return the power of the mean."""
        return mean**self.parameter

    def rows(self, y: Any, eta: Any) -> Any:
        """Return ``y**(2-p) / ((1-p)(2-p)) - y mean**(1-p) / (1-p) + mean**(2-p) / (2-p)``."""
        ops, p = load().ops, self.parameter
        mean = self.mean(eta)
        own = ops.where(y > 0, ops.power(ops.where(y > 0, y, 1.0), 2.0 - p), 0.0) / ((1.0 - p) * (2.0 - p))
        return own - y * ops.power(mean, 1.0 - p) / (1.0 - p) + ops.power(mean, 2.0 - p) / (2.0 - p)


class NegativeBinomialLoss(LogLoss):
    """Of counts whose variance is ``mean + alpha mean**2``."""

    __slots__ = ()
    name, takes = "negative_binomial", "alpha"

    def variance(self, mean: Any) -> Any:
        """Return ``mean + alpha mean**2``."""
        return mean * (1.0 + self.parameter * mean)

    def rows(self, y: Any, eta: Any) -> Any:
        """Return ``y log(y / mean) - (y + 1 / alpha) log((1 + alpha y) / (1 + alpha mean))``."""
        ops, alpha = load().ops, self.parameter
        mean = self.mean(eta)
        log = y * (ops.log(ops.where(y > 0, y, 1.0)) - eta)
        return log - (y + 1.0 / alpha) * ops.log((1.0 + alpha * y) / (1.0 + alpha * mean))
