"""What each row contributes to the estimating equations of a line, in coordinates in which the line is simple."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.kernels.scratch import scratch
from streamreg.line import Line

Float = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows in orthonormal coordinates.

    Attributes
    ----------
    basis : ndarray of shape (m, k)
        Features t, with ``sum w t t'`` the identity; the first is constant if the line has an intercept.
    residual : ndarray of shape (m,)
        In units of ``2**unit``.
    weight : ndarray of shape (m,) or None
    """

    basis: Float
    residual: Float
    weight: Float | None

    @property
    def force(self) -> Float:
        """Weight times residual, shape (m,): the score of row i is ``force[i] * basis[i]``."""
        return self.residual if self.weight is None else self.weight * self.residual

    @property
    def leverage(self) -> Float:
        """Diagonal of the hat matrix, shape (m,)."""
        size: Float = np.einsum("ij,ij->i", self.basis, self.basis)
        return size if self.weight is None else self.weight * size

    @property
    def rss(self) -> float:
        """Weighted sum of squared residuals."""
        return float(self.force @ self.residual)


@dataclass(frozen=True, slots=True)
class Scores:
    """A fitted line, ready to be asked for the scores of rows.

    Attributes
    ----------
    line : Line
        With the low part of its value at the centre.
    offset : ndarray of shape (p,)
        What the centre lacks to the means, where these are known to twice float64's digits.
    basis : ndarray of shape (p, r)
        Turns centred features into orthonormal ones.
    level : float
        The constant coordinate, ``1 / sqrt(sum of weights)``; 0 for a line without intercept.
    unit : int
        Residuals are in units of ``2**unit``, so that no product overflows.
    """

    line: Line
    offset: Float
    basis: Float
    level: float
    unit: int

    @property
    def width(self) -> int:
        """Number k of orthonormal features."""
        return int(self.basis.shape[1]) + (self.level > 0)

    def rows(self, batch: Batch) -> Rows:
        """Return the coordinates and residuals of a batch.

        Notes
        -----
        Cost: ``2 p r`` operations a row.
        """
        assert batch.y is not None
        m, p = batch.x.shape
        z = self.line.centred(batch.x, batch.low, scratch(m, p, "scores"))
        residual = self.line.residuals(batch.y, z)
        t = np.empty((m, self.width))
        first = self.width - self.basis.shape[1]
        t[:, :first] = self.level
        np.matmul(z, self.basis, out=t[:, first:])
        t[:, first:] -= self.offset @ self.basis
        return Rows(t, np.ldexp(residual, -self.unit), batch.weight)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the line as plain arrays."""
        own = {f"scores.{f.name}": np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "line"}
        return own | {f"scores.line.{f.name}": np.asarray(getattr(self.line, f.name)) for f in fields(self.line)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the line."""
        at, low = (float(arrays[f"scores.line.{name}"]) for name in ("at", "at_low"))
        line = Line(arrays["scores.line.centre"], arrays["scores.line.coef"], at, low)
        level, unit = float(arrays["scores.level"]), int(arrays["scores.unit"])
        return cls(line, arrays["scores.offset"], arrays["scores.basis"], level, unit)
