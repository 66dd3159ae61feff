"""Losses of one row, as functions of the target y and the model's output eta: linear, a logit, or a log rate."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streamreg.backend import load
from streamreg.errors import DataError

Name = Literal["squared_error", "binary_cross_entropy", "poisson", "huber"]


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and what the training needs to know of it.

    Attributes
    ----------
    name : {"squared_error", "binary_cross_entropy", "poisson", "huber"}
    delta : float
        Where the Huber loss turns from square to linear, in the units of the conditioned target.
    """

    name: Name
    delta: float = 1.0

    @property
    def scales_target(self) -> bool:
        """Whether the target may be centred and scaled: labels and counts may not."""
        return self.name in ("squared_error", "huber")

    @property
    def activation(self) -> str | None:
        """Keras's name of the function that makes a mean of the model's output; None where it is the mean itself."""
        return {"binary_cross_entropy": "sigmoid", "poisson": "exponential"}.get(self.name)

    def rows(self, y: Any, eta: Any) -> Any:
        """Return the loss of each row, shape (m,): squared error, Huber's, or half the deviance."""
        ops = load().ops
        if self.name == "binary_cross_entropy":
            return ops.relu(eta) - y * eta + ops.softplus(-ops.abs(eta))
        if self.name == "poisson":
            return ops.exp(eta) - y * eta + y * ops.log(ops.where(y > 0, y, 1.0)) - y
        if self.name == "huber":
            size = ops.abs(y - eta)
            inner = ops.clip(size, 0.0, self.delta)
            return inner * (size - 0.5 * inner)
        return ops.square(y - eta)

    def slope(self, y: Any, eta: Any) -> Any:
        """Return the derivative of `rows` with respect to eta, shape (m,)."""
        if self.name == "huber":
            return load().ops.clip(eta - y, -self.delta, self.delta)
        if self.name == "squared_error":
            return 2.0 * (eta - y)
        return self.mean(eta) - y

    def curvature(self, y: Any, eta: Any) -> Any:
        """Return what Newton's method takes for the second derivative of `rows` with respect to eta, shape (m,).

        For the Huber loss, whose own is zero far out, the curvature of the parabola that touches it from above (Huber
        & Ronchetti 2009, *Robust Statistics*, section 7.8): steps then never overshoot.
        """
        ops = load().ops
        if self.name == "binary_cross_entropy":
            return ops.sigmoid(eta) * ops.sigmoid(-eta)
        if self.name == "poisson":
            return ops.exp(eta)
        if self.name == "huber":
            return self.delta / ops.clip(ops.abs(y - eta), self.delta, np.inf)
        return 2.0 * ops.ones_like(eta)

    def within(self, y: Any, eta: Any) -> Any:
        """Return which rows are in the square part of the Huber loss, as 0 or 1, shape (m,)."""
        ops = load().ops
        return ops.cast(ops.abs(y - eta) <= self.delta, eta.dtype)

    def mean(self, eta: Any) -> Any:
        """Return the prediction that belongs to eta: a mean, a probability or a rate."""
        ops = load().ops
        if self.name == "binary_cross_entropy":
            return ops.sigmoid(eta)
        return ops.exp(eta) if self.name == "poisson" else eta

    def start(self, mean: float) -> float:
        """Return the eta whose prediction is the mean of the target: the model without slopes."""
        if self.name == "binary_cross_entropy":
            return float(np.log(mean) - np.log1p(-mean)) if 0.0 < mean < 1.0 else float(np.sign(mean - 0.5) * 10.0)
        if self.name == "poisson":
            return float(np.log(mean)) if mean > 0 else -10.0
        return 0.0

    def null(self, mean: float) -> float:
        """Return the mean loss of the model without slopes: of cross-entropy, and of the others a bound."""
        if self.name == "binary_cross_entropy":
            rest = 1.0 - mean
            return float(-mean * np.log(mean) - rest * np.log(rest)) if 0.0 < mean < 1.0 else 1.0
        return np.inf

    def bound(self, mean: float) -> float:
        """Return a bound of `curvature` (at the start, for Poisson), by which a learning rate is divided."""
        sizes = {"squared_error": 2.0, "huber": 1.0, "binary_cross_entropy": 0.25, "poisson": max(mean, 1e-6)}
        return sizes[self.name]

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
        if self.name == "binary_cross_entropy" and (low < 0 or high > 1 or abs(square - mean) > 1e-9):
            raise DataError(
                f"{label}: column {target!r} ranges from {low:g} to {high:g} and cross-entropy needs labels 0 and 1; "
                "recode it, or use loss: squared_error"
            )
        if not self.scales_target and low == high and low in (0, 1):
            raise DataError(f"{label}: column {target!r} is {low:g} in every row, so there is nothing to explain")
        if self.name == "poisson" and low < 0:
            raise DataError(f"{label}: column {target!r} goes down to {low:g}, and counts are not negative")
