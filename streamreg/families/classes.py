"""Row-wise likelihoods of classes: one linear predictor for each class but the base, or thresholds of a single one.

Rows come as columns about their means, scaled, and as the number of the class, from 0 to K - 1. Both likelihoods are
concave in their parameters.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class ClassLikelihood(ABC):
    """The probabilities of K classes, given linear predictors.

    Attributes
    ----------
    classes : int
    width : int
        Columns of the rows.
    """

    classes: int
    width: int

    @property
    @abstractmethod
    def size(self) -> int:
        """How many parameters there are, q."""

    @property
    def bends(self) -> float:
        """By how much at most a change of linear predictors by 1 changes the logarithm of the information.

        Infinite where there is no bound.
        """
        return 2.0

    @abstractmethod
    def start(self, share: Float) -> Float:
        """Return the parameters of the model without columns, shape (q,), given the share of each class."""

    @abstractmethod
    def rows(self, at: Float, z: Float, code: Codes, weight: Float) -> tuple[Float, Float, Float]:
        """Return log-likelihoods of shape (m,), and their weighted score of shape (q,) and information of shape (q, q).

        The information is minus the second derivative.
        """

    @abstractmethod
    def opposed(self, move: Float, z: Float, code: Codes) -> tuple[Float, Float]:
        """Return by how much each row opposes a move of the parameters, and by how much that moves its predictors.

        If no row opposes it, there is no finite maximum (Albert & Anderson 1984, *Biometrika* 71).
        """

    @abstractmethod
    def probabilities(self, at: Float, z: Float) -> Float:
        """Return the probability of each class, shape (m, K)."""

    @abstractmethod
    def reach(self, move: Float, norm: float) -> float:
        """Return how far a move changes predictors at most, in rows whose norm is at most this."""


@dataclass(frozen=True)
class Multinomial(ClassLikelihood):
    """Logarithms of the odds against the base are linear (Agresti 2013, *Categorical Data Analysis*, section 8.1).

    The parameters are K - 1 rows of `width`, without one for the base.

    Attributes
    ----------
    base : int
    constant : bool
        Whether the first column is 1.
    """

    base: int = 0
    constant: bool = True

    @property
    def size(self) -> int:
        """``(K - 1) width``."""
        return (self.classes - 1) * self.width

    def start(self, share: Float) -> Float:
        """Return the logarithms of the odds as constants."""
        at = np.zeros((self.classes - 1, self.width))
        if self.constant:
            at[:, 0] = np.log(np.delete(share, self.base) / share[self.base])
        return at.ravel()

    def predictors(self, at: Float, z: Float) -> Float:
        """Return the linear predictors, shape (m, K), which are 0 for the base."""
        own = z @ at.reshape(self.classes - 1, self.width).T
        return np.insert(own, self.base, 0.0, axis=1)

    def rows(self, at: Float, z: Float, code: Codes, weight: Float) -> tuple[Float, Float, Float]:
        """Return what differences of predictors give; no probability is taken from 1."""
        eta = self.predictors(at, z)
        each = np.arange(len(z))
        top = eta.argmax(axis=1)
        eta -= eta[each, top][:, None]
        share = np.exp(eta)
        share[each, top] = 0.0
        rest = share.sum(axis=1)
        share[each, top] = 1.0
        share /= (1.0 + rest)[:, None]
        other = 1.0 - share
        other[each, top] = rest / (1.0 + rest)
        found = eta[each, code] - np.log1p(rest)
        residual = -share
        residual[each, code] = other[each, code]
        share, other, residual = (np.delete(part, self.base, axis=1) for part in (share, other, residual))
        score = (residual * weight[:, None]).T @ z
        k, t = self.classes - 1, self.width
        information = np.empty((k, t, k, t))
        for j in range(k):
            own = weight * share[:, j]
            spread = -own[:, None] * share[:, j:]
            spread[:, 0] = own * other[:, j]
            block = z.T @ (spread[:, :, None] * z[:, None, :]).reshape(len(z), -1)
            information[j, :, j:, :] = block.reshape(t, k - j, t)
            information[j:, :, j, :] = information[j, :, j:, :].transpose(1, 2, 0)
        return found, score.ravel(), information.reshape(k * t, k * t)

    def opposed(self, move: Float, z: Float, code: Codes) -> tuple[Float, Float]:
        """Return how far other classes gain on a row's own one."""
        change = self.predictors(move, z)
        each = np.arange(len(z))
        change -= change[each, code][:, None]
        far = np.abs(change).max(axis=1)
        change[each, code] = -np.inf
        return change.max(axis=1), far

    def probabilities(self, at: Float, z: Float) -> Float:
        """Return the softmax of the predictors."""
        eta = self.predictors(at, z)
        share = np.exp(eta - eta.max(axis=1, keepdims=True))
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def reach(self, move: Float, norm: float) -> float:
        """Return the greatest of the classes."""
        return float(norm * np.linalg.norm(move.reshape(-1, self.width), axis=1).max(initial=0.0))


@dataclass(frozen=True)
class Ordered(ClassLikelihood):
    """Classes in order: ``P(class <= k) = F(threshold_k - predictor)`` (McCullagh 1980, *JRSS B* 42).

    The parameters are the K - 1 thresholds, then the slopes. The information is the observed one.

    Attributes
    ----------
    link : str
        "logit" or "probit".
    """

    link: str = "logit"

    @property
    def size(self) -> int:
        """``K - 1 + width``."""
        return self.classes - 1 + self.width

    @property
    def bends(self) -> float:
        """Of the logistic distribution 2."""
        return 2.0 if self.link == "logit" else float("inf")

    def start(self, share: Float) -> Float:
        """Return the quantiles of the shares as thresholds."""
        below = np.cumsum(share)[:-1] / share.sum()
        if self.link == "logit":
            at = np.log(below) - np.log1p(-below)
        else:
            from scipy.special import ndtri

            at = ndtri(below)
        return np.append(at, np.zeros(self.width))

    def bounds(self, at: Float, z: Float, code: Codes) -> tuple[Float, Float]:
        """Return the ends of what the classes of rows allow their errors to be, shape (m,) each."""
        cuts = at[: self.classes - 1]
        eta = z @ at[self.classes - 1 :]
        ends = np.concatenate([[-np.inf], cuts, [np.inf]])
        return ends[code + 1] - eta, ends[code] - eta

    def rows(self, at: Float, z: Float, code: Codes, weight: Float) -> tuple[Float, Float, Float]:
        """Return the derivatives by the ends, and from them those by thresholds and slopes."""
        upper, lower = self.bounds(at, z, code)
        slope = _logistic if self.link == "logit" else _normal
        with np.errstate(all="ignore"):  # thresholds out of order have no likelihood, and the step is halved
            found, up, down, up_up, up_down, down_down = slope(upper, lower)
        cuts, width = self.classes - 1, self.width
        up, down, up_up, up_down, down_down = (weight * part for part in (up, down, up_up, up_down, down_down))

        def by_class(values: Float) -> Float:
            return np.asarray(np.bincount(code, values, self.classes), np.float64)

        score = np.append(by_class(up)[:-1] + by_class(down)[1:], -(up + down) @ z)
        information = np.empty((cuts + width, cuts + width))
        own = by_class(up_up)[:-1] + by_class(down_down)[1:]
        beside = by_class(up_down)[1:-1]
        information[:cuts, :cuts] = -(np.diag(own) + np.diag(beside, 1) + np.diag(beside, -1))
        at_up, at_down = up_up + up_down, down_down + up_down
        for k in range(cuts):
            both = np.where(code == k, at_up, 0.0) + np.where(code == k + 1, at_down, 0.0)
            information[k, cuts:] = information[cuts:, k] = both @ z
        information[cuts:, cuts:] = z.T @ (-(at_up + at_down)[:, None] * z)
        return found, score, information

    def opposed(self, move: Float, z: Float, code: Codes) -> tuple[Float, Float]:
        """Return how far the ends of a row's own class close in on it."""
        upper, lower = self.bounds(move, z, code)
        first, last = code == 0, code == self.classes - 1
        inward = np.maximum(np.where(last, -np.inf, -upper), np.where(first, -np.inf, lower))
        return inward, np.maximum(np.where(last, 0.0, np.abs(upper)), np.where(first, 0.0, np.abs(lower)))

    def probabilities(self, at: Float, z: Float) -> Float:
        """Return the differences of the distribution function, taken in the nearer tail."""
        cuts, eta = at[: self.classes - 1], z @ at[self.classes - 1 :]
        ends = np.concatenate([[-np.inf], cuts, [np.inf]])
        out = np.empty((len(z), self.classes))
        slope = _logistic if self.link == "logit" else _normal
        for k in range(self.classes):
            out[:, k] = np.exp(slope(ends[k + 1] - eta, ends[k] - eta)[0])
        return out

    def reach(self, move: Float, norm: float) -> float:
        """Return the greatest of the thresholds, and that of the slopes."""
        cuts = self.classes - 1
        return float(np.abs(move[:cuts]).max() + norm * np.linalg.norm(move[cuts:]))


Slopes = tuple[Float, Float, Float, Float, Float, Float]


def _logistic(upper: Float, lower: Float) -> Slopes:
    """Return ``log(F(upper) - F(lower))`` of the logistic distribution, and its first and second derivatives.

    ``F(u) - F(l) = F(u) (1 - F(l)) (1 - exp(l - u))``, of which nothing cancels.
    """
    gap = upper - lower
    over, under = np.exp(-np.abs(upper)), np.exp(-np.abs(lower))
    above = np.where(upper >= 0, over, 1.0) / (1.0 + over)  # 1 - F(upper)
    below = np.where(lower >= 0, 1.0, under) / (1.0 + under)  # F(lower)
    log = np.minimum(upper, 0.0) - np.log1p(over) - np.maximum(lower, 0.0) - np.log1p(under)
    log = np.where(gap > 0, log + np.log(-np.expm1(-gap)), -np.inf)
    near = np.where(np.isfinite(gap), 1.0 / np.expm1(np.minimum(gap, 700.0)), 0.0)
    curved = near * (1.0 + near)
    up_up, down_down = -above * (1.0 - above) - curved, -below * (1.0 - below) - curved
    return log, above + near, -below - near, up_up, curved, down_down


def _normal(upper: Float, lower: Float) -> Slopes:
    """Return the same of the normal distribution, taken in the tail that both ends are nearer to."""
    from scipy.special import log_ndtr

    turned = np.where(lower > -upper, True, False)
    high, low = np.where(turned, -lower, upper), np.where(turned, -upper, lower)
    top = log_ndtr(high)
    log = np.where(upper > lower, top + np.log1p(-np.exp(log_ndtr(low) - top)), -np.inf)
    up = np.exp(-0.5 * upper**2 - log) / np.sqrt(2.0 * np.pi)
    down = -np.exp(-0.5 * lower**2 - log) / np.sqrt(2.0 * np.pi)
    return (
        log,
        up,
        down,
        -np.where(np.isinf(upper), 0.0, upper) * up - up**2,
        -up * down,
        -np.where(np.isinf(lower), 0.0, lower) * down - down**2,
    )


def to_dict(likelihood: ClassLikelihood) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {"kind": type(likelihood).__name__, **asdict(likelihood)}


def from_dict(values: dict[str, Any]) -> ClassLikelihood:
    """Undo `to_dict`."""
    options = {name: value for name, value in values.items() if name != "kind"}
    return (Multinomial if values["kind"] == Multinomial.__name__ else Ordered)(**options)
