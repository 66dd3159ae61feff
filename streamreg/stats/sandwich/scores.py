"""What each row contributes to the estimating equations of a line, in coordinates in which the line is simple."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families import family
from streamreg.kernels.scratch import scratch
from streamreg.line import Line
from streamreg.stats.response import Response

Float = NDArray[np.float64]

_APART = ("line", "family")


class Rows(NamedTuple):
    """Rows in orthonormal coordinates.

    Attributes
    ----------
    basis : ndarray of shape (m, k)
        Features t, with ``sum w t t'`` the identity; the first is constant if the line has an intercept.
    residual : ndarray of shape (m,)
        In units of ``2**unit``.
    weight : ndarray of shape (m,) or None
    information : ndarray of shape (m,) or None
        Of a likelihood: the expected information of each row about its linear predictor, and the residuals are its
        scores. None: ones, as of least squares.
    """

    basis: Float
    residual: Float
    weight: Float | None
    information: Float | None = None

    @property
    def force(self) -> Float:
        """Weight times residual, shape (m,): the score of row i is ``force[i] * basis[i]``."""
        return self.residual if self.weight is None else self.weight * self.residual

    @property
    def leverage(self) -> Float:
        """Diagonal of the hat matrix, shape (m,)."""
        size: Float = np.einsum("ij,ij->i", self.basis, self.basis)
        size = size if self.information is None else self.information * size
        return size if self.weight is None else self.weight * size

    @property
    def rss(self) -> float:
        """Weighted sum of squared residuals; of a likelihood Pearson's statistic, ``sum w score**2 / information``."""
        if self.information is not None:
            return float(self.force @ (self.residual / self.information))
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
    family : str
        Whose likelihood the scores are of; empty: least squares.
    """

    line: Line
    offset: Float
    basis: Float
    level: float
    unit: int
    family: str = ""

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
        t = np.empty((m, self.width))
        first = self.width - self.basis.shape[1]
        t[:, :first] = self.level
        np.matmul(z, self.basis, out=t[:, first:])
        t[:, first:] -= self.offset @ self.basis
        if not self.family:
            return Rows(t, np.ldexp(self.line.residuals(batch.y, z), -self.unit), batch.weight)
        facts = family(self.family)
        found, eta = Response.of(batch, facts, ""), self.line.there(z)
        score, information = facts.score(found.y, eta if found.offset is None else eta + found.offset)
        return Rows(t, np.ldexp(score, -self.unit), found.prior, information)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the line as plain arrays."""
        own = {f"scores.{f.name}": np.asarray(getattr(self, f.name)) for f in fields(self) if f.name not in _APART}
        own["scores.family"] = np.array(self.family)
        return own | {f"scores.line.{f.name}": np.asarray(getattr(self.line, f.name)) for f in fields(self.line)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the line."""
        at, low = (float(arrays[f"scores.line.{name}"]) for name in ("at", "at_low"))
        line = Line(arrays["scores.line.centre"], arrays["scores.line.coef"], at, low)
        level, unit = float(arrays["scores.level"]), int(arrays["scores.unit"])
        of = str(arrays["scores.family"]) if "scores.family" in arrays else ""
        return cls(line, arrays["scores.offset"], arrays["scores.basis"], level, unit, of)
