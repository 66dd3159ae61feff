"""Sums of powers of an expression, and what follows from them: mean, spread, orthogonal polynomials."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np

from streamreg.design.formula import expressions
from streamreg.errors import DataError
from streamreg.sources.chunk import Column


@dataclass(slots=True)
class Sums:
    """Sums of powers of an expression.

    Attributes
    ----------
    inner : str
    degree : int
        The highest power.
    sums : list of Fraction
        Of the powers 0, 1, ... about zero. Those of a block are taken in float64 about its mean, and are moved and
        added up exactly.
    low, high : float
        Least and greatest value.
    """

    inner: str
    degree: int
    sums: list[Fraction] = field(default_factory=list)
    low: float = math.inf
    high: float = -math.inf

    def __post_init__(self) -> None:
        self.sums = self.sums or [Fraction(0)] * (self.degree + 1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the expression."""
        return expressions.columns(self.inner)

    def fresh(self) -> Self:
        """Return one of no rows."""
        return type(self)(self.inner, self.degree)

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Add the powers of a block."""
        x = expressions.value(self.inner, table, zones, label, rows.start)
        x = x[~np.isnan(x)]
        if not len(x):
            return
        if not np.isfinite(x).all():
            raise DataError(f"{label}: {self.inner} is infinite in rows {rows.start:,} to {rows.stop:,}; mend them")
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        centre = float(x.mean())
        away, power = x - centre, np.ones(len(x))
        about = []
        for _ in range(self.degree + 1):
            about.append(Fraction(math.fsum(power.tolist())))
            power = power * away
        at = Fraction(centre)
        shifts = [at**k for k in range(self.degree + 1)]
        for k in range(self.degree + 1):
            self.sums[k] += sum(math.comb(k, i) * shifts[k - i] * about[i] for i in range(k + 1))

    def join(self, other: Self) -> None:
        """Add the powers of later rows."""
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def mean_and_std(self) -> tuple[float, float]:
        """Return the mean, and the standard deviation with divisor n - 1.

        Raises
        ------
        DataError
            There are no values.
        """
        n, first, second = self.sums[:3]
        if not n:
            raise DataError(f"{self.inner}: every value is missing")
        mean = first / n
        spread = second - n * mean * mean
        return float(mean), math.sqrt(spread / (n - 1)) if n > 1 else math.nan

    def recurrence(self, degree: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the recurrence of the polynomials that are orthogonal over the rows: centres, and squared norms.

        Raises
        ------
        ZeroDivisionError
            There are not more different values than the degree.
        """
        centre = self.sums[1] / self.sums[0]  # about which numbers stay short
        moments = [
            sum((math.comb(k, i) * (-centre) ** (k - i) * self.sums[i] for i in range(k + 1)), Fraction(0))
            for k in range(2 * degree + 1)
        ]

        def inner(a: list[Fraction], b: list[Fraction], shift: int = 0) -> Fraction:
            return sum((x * y * moments[i + j + shift] for i, x in enumerate(a) for j, y in enumerate(b)), Fraction(0))

        alpha, norms = [], []
        before, now = [Fraction(0)], [Fraction(1)]
        for k in range(degree + 1):
            norm = inner(now, now)
            if norm <= moments[0] * Fraction(2) ** -100 * (moments[2] / moments[0]) ** k:
                raise ZeroDivisionError
            norms.append(norm)
            if k == degree:
                break
            alpha.append(inner(now, now, 1) / norm)
            later = [Fraction(0), *now]
            for i, c in enumerate(now):
                later[i] -= alpha[-1] * c
            if k:
                for i, c in enumerate(before):
                    later[i] -= norms[-1] / norms[-2] * c
            before, now = now, later
        return tuple(float(a + centre) for a in alpha), tuple(map(float, norms))
