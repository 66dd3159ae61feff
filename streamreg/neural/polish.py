"""Full-batch steps: from sums over all rows to the next weights. p-sized algebra; no TensorFlow."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float64]
Arrays: TypeAlias = dict[str, NDArray[Any]]

_FLOOR = 1e-10
_BLUR = 16.0  # eigenvalues below so many roundings, relative to the largest, are rounding
_WORSE = 32.0  # roundings by which the loss may rise, relative to itself: it is a sum of as many rows as a batch has


@dataclass(slots=True)
class Secants:
    """Gradient steps accelerated by the differences between the passes before (Anderson 1965, *JACM* 12).

    For a quadratic loss this is GMRES (Walker & Ni 2011, *SIAM J. Numer. Anal.* 49, theorem 2.2), so k passes do as
    well as any method whose steps are combinations of k gradients. On whitened features the first step is Newton's.

    Attributes
    ----------
    rate : float
        Step length: one over the largest curvature.
    memory : int
        Earlier passes to remember; without any, these are plain gradient steps.
    """

    rate: float
    memory: int = 20
    points: list[Float] = field(default_factory=list)
    gradients: list[Float] = field(default_factory=list)

    def step(self, point: Float, gradient: Float) -> Float:
        """Return the next weights, given the mean gradient at `point`."""
        self.points = [*self.points, point][-self.memory - 1 :]
        self.gradients = [*self.gradients, gradient][-self.memory - 1 :]
        if len(self.points) == 1:
            return point - self.rate * gradient
        moves, changes = np.diff(self.points, axis=0).T, np.diff(self.gradients, axis=0).T
        sizes = np.linalg.norm(changes, axis=0)
        sizes[sizes == 0] = 1.0
        share = np.linalg.lstsq(changes / sizes, gradient, rcond=_FLOOR)[0] / sizes
        return np.asarray(point - moves @ share - self.rate * (gradient - changes @ share))

    def to_arrays(self) -> Arrays:
        """Return the state as plain arrays."""
        return {"points": np.array(self.points), "gradients": np.array(self.gradients)}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `to_arrays` returned."""
        self.points, self.gradients = list(arrays["points"]), list(arrays["gradients"])


@dataclass(slots=True)
class Newton:
    """Newton steps, halved as long as they make the loss worse.

    The curvature is looked at in units that give each weight a curvature of one, so that it is the same in any others.

    Attributes
    ----------
    loss : float
        Mean loss where the last step was taken.
    point, move : ndarray of shape (k,)
        That place, and the step.
    inverse : ndarray of shape (k, k)
        Generalised inverse of the mean Hessian there: directions without curvature are left alone.
    rank : int
        Directions that have one.
    halved : bool
        Whether the last step was a retreat.
    """

    loss: float = np.inf
    point: Float = field(default_factory=lambda: np.zeros(0))
    move: Float = field(default_factory=lambda: np.zeros(0))
    inverse: Float = field(default_factory=lambda: np.zeros((0, 0)))
    rank: int = 0
    halved: bool = False

    def step(self, point: Float, loss: float, gradient: Float, hessian: Float, rounding: float) -> Float:
        """Return the next weights, given mean loss, gradient and Hessian at `point`, each sum of products rounded so.

        They are NaN where there is none of these, nor a step to take back.
        """
        finite = bool(np.isfinite(gradient).all() and np.isfinite(hessian).all())
        self.halved = not (finite and loss <= self.loss + _WORSE * rounding * abs(self.loss))
        if self.halved:
            self.move = 0.5 * self.move
            return self.point + self.move if len(self.point) else np.full_like(point, np.nan)
        size = np.sqrt(np.maximum(np.diag(hessian), 0.0))
        size[size == 0] = 1.0
        values, vectors = np.linalg.eigh(hessian / size[:, None] / size)
        keep = values > _BLUR * rounding * max(values[-1], 0.0)
        self.rank, vectors = int(np.sum(keep)), vectors[:, keep] / size[:, None]
        self.inverse = (vectors / values[keep]) @ vectors.T
        self.loss, self.point, self.move = loss, point, -self.inverse @ gradient
        return point + self.move

    def to_arrays(self) -> Arrays:
        """Return the state as plain arrays."""
        known = np.array([self.loss, self.rank, self.halved], np.float64)
        return {"known": known, "point": self.point, "move": self.move, "inverse": self.inverse}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `to_arrays` returned."""
        loss, rank, halved = arrays["known"].tolist()
        self.loss, self.rank, self.halved = loss, int(rank), bool(halved)
        self.point, self.move, self.inverse = (arrays[name] for name in ("point", "move", "inverse"))
