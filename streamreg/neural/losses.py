"""Losses of one row, as functions of the target y and the model's output eta: linear, a logit, or a log rate."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

import numpy as np

from streamreg.backend import load
from streamreg.errors import DataError
from streamreg.families import family, of_loss, spelt

Name = Literal[
    "squared_error",
    "binary_cross_entropy",
    "poisson",
    "huber",
    "gamma",
    "inverse_gaussian",
    "tweedie",
    "negative_binomial",
]
"""What the option `loss` can be: each is one class, here or in `log_losses`."""


@dataclass(frozen=True, slots=True)
class Loss(ABC):
    """A loss and what the training needs to know of it.

    Attributes
    ----------
    name : str
        One of `Name`.
    takes : str
        The option that it needs: that of its family; empty: none.
    delta : float
        Where the Huber loss turns from square to linear, in the units of the conditioned target.
    parameter : float
        Value of the option that it takes.
    scales_target : bool
        Whether the target may be centred and scaled: labels and counts may not.
    has_moments : bool
        Whether moments of the rows determine the minimum.
    bounded : bool
        Whether a minimum always exists: no rows can send it to infinity.
    """

    name: ClassVar[Name]
    takes: ClassVar[str] = ""
    scales_target: ClassVar[bool] = False
    has_moments: ClassVar[bool] = False
    bounded: ClassVar[bool] = False

    delta: float = 1.0
    parameter: float = float("nan")

    @staticmethod
    def of(name: str, delta: float = 1.0, parameter: float | None = None) -> "Loss":
        """Return the loss of that name."""
        return kind_of(name)(delta, float("nan") if parameter is None else parameter)

    @property
    def family(self) -> str:
        """The family whose likelihood is greatest where this loss is least; empty if there is none."""
        return spelt(of_loss(self.name), self.parameter if self.takes else None)

    @property
    def activation(self) -> str | None:
        """Keras's name of the function that makes a mean of the model's output; None where it is the mean itself."""
        return family(self.family).activation if self.family else None

    @abstractmethod
    def rows(self, y: Any, eta: Any) -> Any:
        """Return the loss of each row, shape (m,): squared error, Huber's, or half the deviance."""

    def slope(self, y: Any, eta: Any) -> Any:
        """Return the derivative of `rows` with respect to eta, shape (m,)."""
        return self.mean(eta) - y

    @abstractmethod
    def curvature(self, y: Any, eta: Any) -> Any:
        """Return what Newton's method takes for the second derivative of `rows` with respect to eta, shape (m,)."""

    def spread(self, y: Any, eta: Any) -> Any:
        """Return the terms of what a dispersion is estimated by, shape (m,): zeros, where it is known."""
        return load().ops.zeros_like(eta)

    def mean(self, eta: Any) -> Any:
        """Return the prediction that belongs to eta: a mean, a probability or a rate."""
        return eta

    def start(self, mean: float) -> float:
        """Return the eta whose prediction is the mean of the target: the model without slopes."""
        return 0.0

    def null(self, mean: float) -> float:
        """Return the mean loss of the model without slopes: of cross-entropy, and of the others a bound."""
        return np.inf

    @abstractmethod
    def bound(self, mean: float) -> float:
        """Return a bound of `curvature` (at the start, for Poisson), by which a learning rate is divided."""

    def check_target(self, label: str, target: str, low: float, high: float, mean: float, square: float) -> None:
        """Refuse targets that the loss is not made for.

        Parameters
        ----------
        label, target : str
            Names of source and column, for the message.
        low, high, mean, square : float
            Range of the target, its mean and the mean of its square: for labels of 0 and 1 these two agree.

        Raises
        ------
        DataError
            A label other than 0 and 1 for cross-entropy, a negative count for Poisson, or the same one in every row.
        """
        if not self.scales_target and low == high and low in (0, 1):
            raise DataError(f"{label}: column {target!r} is {low:g} in every row, so there is nothing to explain")


class SquaredError(Loss):
    """Squared error: least squares."""

    __slots__ = ()
    name = "squared_error"
    scales_target = has_moments = bounded = True

    def rows(self, y: Any, eta: Any) -> Any:
        """Return ``(y - eta)**2``."""
        return load().ops.square(y - eta)

    def slope(self, y: Any, eta: Any) -> Any:
        """Return ``2 (eta - y)``."""
        return 2.0 * (eta - y)

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return 2."""
        return 2.0 * load().ops.ones_like(eta)

    def bound(self, mean: float) -> float:
        """Return 2."""
        return 2.0


class Huber(Loss):
    """Huber's loss: square near zero, linear beyond `delta`."""

    __slots__ = ()
    name = "huber"
    scales_target = bounded = True

    def rows(self, y: Any, eta: Any) -> Any:
        """Return half the square, and what is linear beyond `delta`."""
        ops = load().ops
        size = ops.abs(y - eta)
        inner = ops.clip(size, 0.0, self.delta)
        return inner * (size - 0.5 * inner)

    def slope(self, y: Any, eta: Any) -> Any:
        """Return ``eta - y``, within `delta` of zero."""
        return load().ops.clip(eta - y, -self.delta, self.delta)

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return the curvature of the parabola that touches the loss from above: its own is zero far out.

        Steps then never overshoot (Huber & Ronchetti 2009, *Robust Statistics*, section 7.8).
        """
        ops = load().ops
        return self.delta / ops.clip(ops.abs(y - eta), self.delta, np.inf)

    def spread(self, y: Any, eta: Any) -> Any:
        """Return which rows are in the square part, as 0 or 1."""
        ops = load().ops
        return ops.cast(ops.abs(y - eta) <= self.delta, eta.dtype)

    def bound(self, mean: float) -> float:
        """Return 1."""
        return 1.0


class CrossEntropy(Loss):
    """Cross-entropy of labels 0 and 1, given a logit."""

    __slots__ = ()
    name = "binary_cross_entropy"

    def rows(self, y: Any, eta: Any) -> Any:
        """Return the cross-entropy."""
        ops = load().ops
        return ops.relu(eta) - y * eta + ops.softplus(-ops.abs(eta))

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return ``mean (1 - mean)``."""
        ops = load().ops
        return ops.sigmoid(eta) * ops.sigmoid(-eta)

    def mean(self, eta: Any) -> Any:
        """Return the probability."""
        return load().ops.sigmoid(eta)

    def start(self, mean: float) -> float:
        """Return the logit of the share of ones."""
        return float(np.log(mean) - np.log1p(-mean)) if 0.0 < mean < 1.0 else float(np.sign(mean - 0.5) * 10.0)

    def null(self, mean: float) -> float:
        """Return the entropy of the share of ones."""
        rest = 1.0 - mean
        return float(-mean * np.log(mean) - rest * np.log(rest)) if 0.0 < mean < 1.0 else 1.0

    def bound(self, mean: float) -> float:
        """Return 1/4."""
        return 0.25

    def check_target(self, label: str, target: str, low: float, high: float, mean: float, square: float) -> None:
        """Refuse other labels than 0 and 1."""
        if low < 0 or high > 1 or abs(square - mean) > 1e-9:
            raise DataError(
                f"{label}: column {target!r} ranges from {low:g} to {high:g} and cross-entropy needs labels 0 and 1; "
                "recode it, or use loss: squared_error"
            )
        super().check_target(label, target, low, high, mean, square)


class PoissonLoss(Loss):
    """Half the deviance of counts, given a log rate."""

    __slots__ = ()
    name = "poisson"

    def rows(self, y: Any, eta: Any) -> Any:
        """Return half the deviance."""
        ops = load().ops
        return ops.exp(eta) - y * eta + y * ops.log(ops.where(y > 0, y, 1.0)) - y

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return the rate."""
        return load().ops.exp(eta)

    def mean(self, eta: Any) -> Any:
        """Return the rate."""
        return load().ops.exp(eta)

    def start(self, mean: float) -> float:
        """Return the logarithm of the mean count."""
        return float(np.log(mean)) if mean > 0 else -10.0

    def bound(self, mean: float) -> float:
        """Return the mean count."""
        return max(mean, 1e-6)

    def check_target(self, label: str, target: str, low: float, high: float, mean: float, square: float) -> None:
        """Refuse negative counts."""
        super().check_target(label, target, low, high, mean, square)
        if low < 0:
            raise DataError(f"{label}: column {target!r} goes down to {low:g}, and counts are not negative")


HOMES = ("streamreg.neural.losses", "streamreg.neural.log_losses")
"""Where the classes of losses are, one for each name."""


def kind_of(name: str) -> type[Loss]:
    """Return the class of the loss of that name."""
    classes = [kind for home in HOMES for kind in vars(import_module(home)).values() if isinstance(kind, type)]
    return next(kind for kind in classes if issubclass(kind, Loss) and getattr(kind, "name", "") == name)
