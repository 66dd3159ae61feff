"""Factors of several columns that are smooth functions of one number: polynomials and splines."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.block import Block
from streamreg.design.formula.coders import Coder
from streamreg.design.formula.expressions import Call, Expression
from streamreg.design.formula.levels import Unseen
from streamreg.design.formula.rows import Rows
from streamreg.kernels import doubledouble as dd

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Smooth(Coder):
    """A basis of functions of one number."""

    @property
    def call(self) -> Call:
        """The factor."""
        assert isinstance(self.factor, Call)
        return self.factor

    @property
    def inner(self) -> Expression:
        """What it is a function of."""
        return self.call.args[0]

    def _named(self, numbers: Any) -> tuple[str, ...]:
        return tuple(f"{self.factor.text}[{k}]" for k in numbers)

    def _inside(self, rows: Rows, x: Float, lower: float, upper: float) -> tuple[Float, NDArray[np.bool_]]:
        """Return the numbers that the basis is evaluated at, and where it is zero, as `extrapolation` says."""
        how = self.call.option("extrapolation")
        outside = (x < lower) | (x > upper)
        if how == "raise" and outside.any():
            rows.refuse(
                outside,
                self.factor.text,
                lambda i: f"{self.inner.text} = {x[i]}",
                f"lies outside of {lower} to {upper}, where the splines are; say what they are there, as in "
                f"{self.call.function}(..., extrapolation='clip')",
            )
        if how == "clip":
            x = np.clip(x, lower, upper)
        if how in ("na", "raise"):
            x = np.where(outside, np.nan, x)
        return x, outside if how == "zero" else np.zeros(len(x), bool)


@dataclass(frozen=True, slots=True)
class Polynomial(Smooth):
    """poly(x, degree): polynomials that are orthonormal over the rows that were fitted.

    Attributes
    ----------
    alpha : tuple of (float, float)
        Of the recurrence ``p[k+1] = (x - alpha[k]) p[k] - beta[k] p[k-1]``, as double-doubles, for x may be far from
        zero (Gautschi 2004, *Orthogonal Polynomials*, 1.3).
    beta, norm : tuple of float
        Of the same, and the lengths of p[1], p[2], ...
    """

    alpha: tuple[tuple[float, float], ...]
    beta: tuple[float, ...]
    norm: tuple[float, ...]

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return ``poly(x, 3)[1]``, ..."""
        return self._named(range(1, len(self.alpha) + 1))

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the polynomials, without the constant."""
        x = rows.pair(self.inner)
        out = np.empty((len(self.alpha), len(x[0])))
        before, here = np.zeros(len(x[0])), np.ones(len(x[0]))
        for k, (alpha, beta, norm) in enumerate(zip(self.alpha, self.beta, self.norm, strict=True)):
            away, _ = dd.subtract(x, _number(alpha))
            before, here = here, away * here - beta * before
            out[k] = here / norm
        return Block(out.T)


@dataclass(frozen=True, slots=True)
class Powers(Smooth):
    """poly(x, degree, raw=True): x, its square, and so on."""

    degree: int

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return the names, from [0] on, as formulaic has them."""
        return self._named(range(self.degree))

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the powers."""
        x = rows.pair(self.inner)
        high, low = (np.empty((len(x[0]), self.degree)) for _ in range(2))
        term = x
        for k in range(self.degree):
            with np.errstate(over="ignore", invalid="ignore"):
                term = dd.multiply(term, x) if k else x
            high[:, k], low[:, k] = term
        bad = ~np.isfinite(high[:, -1]) & np.isfinite(x[0])
        if bad.any():
            rows.refuse(bad, self.factor.text, lambda i: f"{self.inner.text} = {x[0][i]}", "has a power beyond 1e308")
            high[bad] = np.nan
        return Block(high, low)


@dataclass(frozen=True, slots=True)
class BSpline(Smooth):
    """bs(x, df, knots, degree): B-splines.

    Attributes
    ----------
    knots : tuple of float
        The bounds and the knots between them.
    """

    knots: tuple[float, ...]

    @property
    def spans(self) -> bool:
        """Whether the basis is complete: then it sums to 1."""
        return bool(self.call.option("include_intercept"))

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return ``bs(x, df=5)[1]``, ...; [0] is there if the basis is complete."""
        count = len(self.knots) + self.call.option("degree") - 1
        return self._named(range(0 if self.spans and not reduced else 1, count))

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the basis by the recurrence of Cox and de Boor (1972, *J. Approx. Theory* 6)."""
        degree, knots = int(self.call.option("degree")), np.array(self.knots)
        high, low = rows.pair(self.inner)
        x, zero = self._inside(rows, high + low, knots[0], knots[-1])
        edges = np.concatenate([np.repeat(knots[0], degree), knots, np.repeat(knots[-1], degree)])
        # In which piece a number lies: right-continuous but for the last one; outside, the first and the last go on.
        piece = np.clip(np.searchsorted(edges, x, side="right") - 1, degree, len(edges) - degree - 2)
        while (flat := edges[piece] == edges[piece + 1]).any() and (piece[flat] > degree).any():
            piece = np.where(flat, np.maximum(piece - 1, degree), piece)
        basis = np.zeros((len(edges) - degree - 1, len(x)))
        for k, values in enumerate(_near(x, edges, piece, degree)):
            basis[piece - degree + k, np.arange(len(x))] = values
        basis = basis.T
        basis[zero] = 0.0
        basis[np.isnan(x)] = np.nan
        return Block(basis[:, 0 if self.spans and not reduced else 1 :])


@dataclass(frozen=True, slots=True)
class NaturalSpline(Smooth):
    """cr(x, df, knots): natural cubic splines, each column 1 at one knot and 0 at the others.

    Wood (2017), *Generalized Additive Models*, 5.3.1.

    Attributes
    ----------
    knots : tuple of float
        The bounds and the knots between them.
    """

    knots: tuple[float, ...]

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return ``cr(x, df=4)[1]``, ..."""
        return self._named(range(1, len(self.knots) + 1))

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the splines, straight lines beyond the bounds."""
        from scipy.interpolate import CubicSpline

        knots = np.array(self.knots)
        high, low = rows.pair(self.inner)
        x, zero = self._inside(rows, high + low, knots[0], knots[-1])
        spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
        near = np.clip(x, knots[0], knots[-1])
        known = ~np.isnan(x)
        out = np.full((len(x), len(knots)), np.nan)
        out[known] = spline(near[known]) + (x - near)[known, None] * spline(near[known], 1)
        out[zero] = 0.0
        return Block(out)


def _near(x: Float, edges: Float, piece: NDArray[np.intp], degree: int) -> list[Float]:
    """Return the degree + 1 B-splines that are not zero on the piece of each x."""
    found = [np.ones(len(x))]
    left = [np.empty(0), *(x - edges[piece + 1 - k] for k in range(1, degree + 1))]
    right = [np.empty(0), *(edges[piece + k] - x for k in range(1, degree + 1))]
    for k in range(1, degree + 1):
        carried = np.zeros(len(x))
        for r in range(k):
            share = found[r] / (right[r + 1] + left[k - r])
            found[r] = carried + right[r + 1] * share
            carried = left[k - r] * share
        found.append(carried)
    return found


def _number(pair: tuple[float, float]) -> dd.DD:
    return np.array([pair[0]]), np.array([pair[1]])
