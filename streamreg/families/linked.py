"""Families whose link is chosen: a distribution in terms of its mean, and a link from the table.

With a link that is not canonical, Newton's method with the expected information is Fisher scoring: the score of a row
is
``(y - mean) slope / variance`` and its expected information ``slope**2 / variance`` (McCullagh & Nelder 1989,
*Generalized Linear Models*, section 2.5).
"""

from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Family, Float
from streamreg.families.links import POSITIVE, Link, link

IMPOSSIBLE = 1e200
"""Deviance of a row whose linear predictor has no mean: a step there is always too far."""

_APART = 1e-5  # of a linear predictor: over which the change of the information is taken


class Linked(Family):
    """A family with one of several links.

    Attributes
    ----------
    links : tuple of str
        Those it can have, its own first.
    natural : str
        The canonical one, if it is among them.
    """

    links: ClassVar[tuple[str, ...]] = POSITIVE
    natural: ClassVar[str] = ""

    def __init__(self, link: Link) -> None:
        self.canonical = link.name == self.natural
        self._link, self.link, self.activation = link, link.name, link.activation

    @classmethod
    def of(cls, parameter: str, link_name: str) -> Self:
        """Return the family with that link."""
        if parameter:
            raise UsageError(f"family {cls.name!r} has no parameter")
        return cls(link(link_name or cls.links[0], cls.links))

    @abstractmethod
    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return the deviance of each row, given its mean."""

    def possible(self, mean: Float) -> NDArray[np.bool_]:
        """Return which numbers can be means."""
        return np.asarray((mean > 0) & np.isfinite(mean))

    def mean(self, eta: Float) -> Float:
        """Return the mean of the target."""
        return self._link.mean(eta)

    def linked(self, mean: ArrayLike) -> Float:
        """Return the linear predictor of a mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._link.linked(np.asarray(mean, dtype=np.float64))

    def slope(self, mean: Float) -> Float:
        """Return the derivative of the mean by the linear predictor."""
        return self._link.slope(self.linked(mean))

    def derivative(self, eta: Float) -> Float:
        """Return the derivative of the mean by the linear predictor."""
        return self._link.slope(eta)

    def information(self, mean: Float) -> Float:
        """Return the expected information of a row about its linear predictor."""
        with np.errstate(all="ignore"):
            return np.asarray(self.slope(mean) ** 2 / self.variance(mean))

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return the score and the expected information of each row; zero where the predictor has no mean."""
        mean, slope = self._link.mean(eta), self._link.slope(eta)
        good = self.possible(mean) & np.isfinite(slope)
        mean, slope = np.where(good, mean, 0.5), np.where(good, slope, 0.0)
        variance = self.variance(mean)
        return np.asarray((y - mean) * slope / variance), np.asarray(slope**2 / variance)

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return the deviance of each row."""
        mean = self._link.mean(eta)
        good = self.possible(mean)
        return np.where(good, self.unit_deviance(y, np.where(good, mean, 0.5)), IMPOSSIBLE)

    def stiffness(self, y: Float, eta: Float) -> Float:
        """Return how fast the logarithm of the information changes with the linear predictor, by a small difference."""
        apart = _APART * np.maximum(np.abs(eta), 1.0 if self.link in _UNBOUNDED else 0.0)
        with np.errstate(all="ignore"):
            up, down = (self.score(y, eta + sign * apart)[1] for sign in (1.0, -1.0))
            change = np.abs(np.log(up / down)) / (2.0 * apart)
        return np.where(np.isfinite(change), change, np.inf)

    def violation(self, y: Float, move: Float) -> Float:
        """Return the size of the move: every row opposes it."""
        return np.abs(move)

    def start(self, y: Float) -> Float:
        """Return the target, which is a mean itself."""
        return y

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return general words."""
        return 1.0, "no finite maximum along ", ""

    def bounded(self, mean: Float) -> Float:
        """Return means above zero."""
        return np.maximum(mean, 1e-300)

    def unlike_means(self, low: float, high: float) -> str:
        """Return what to do about predictions that are not positive."""
        if low >= 0:
            return ""
        return (
            f"predictions go down to {low:.3g}, and means of this family are positive; end the model with an "
            "exponential, or score it with family='gaussian'"
        )


_UNBOUNDED = ("logit", "probit", "cloglog", "cauchit", "log", "identity")
