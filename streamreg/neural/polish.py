"""Full-batch steps: from a gradient summed over all rows to the next weights. p-sized algebra; no TensorFlow."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float64]

_FLOOR = 1e-10


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


def newton_step(gradient: Float, hessian: Float) -> tuple[Float, Float]:
    """Return the Newton step, to be subtracted, and the pseudo-inverse of the Hessian.

    Directions without curvature are left alone.
    """
    values, vectors = np.linalg.eigh(hessian)
    keep = values > _FLOOR * max(values[-1], 0.0)
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    return inverse @ gradient, inverse
