"""What terms learn of the data in a pass over it: levels, power sums, quantiles.

Each learner can be merged with its like, and the outcome has the same bits whatever the cuts between them: counts and
rational numbers add up exactly.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import expressions
from streamreg.errors import DataError, UsageError
from streamreg.kernels.gram import NAT
from streamreg.kernels.rowhash import uniform
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Level: TypeAlias = str | int | float | bool

MOST = 100_000
"""Levels that a category may have."""

_SAMPLE = 2**18  # values of which quantiles are taken, if there are more rows than that


class Learner(Protocol):
    """What is learned of some columns."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""

    def fresh(self) -> Self:
        """Return one that has seen no row."""

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Take in a block of rows, whose numbers are `rows`."""

    def join(self, other: Self) -> None:
        """Take in what another has learned of later rows."""


@dataclass(slots=True)
class Levels:
    """How often each level of a column occurs.

    Attributes
    ----------
    column : str
    counts : Counter
        By level; dates are texts.
    """

    column: str
    counts: Counter[Level] = field(default_factory=Counter)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def fresh(self) -> Self:
        """Return one without levels."""
        return type(self)(self.column)

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Count the levels of a block."""
        values = table[self.column]
        if isinstance(values, Coded):
            used, times = np.unique(values.codes, return_counts=True)
            found = [None if code < 0 else values.levels[code] for code in used.tolist()]
        else:
            used, times = np.unique(values, return_counts=True)
            found = named(used)
        for level, count in zip(found, times.tolist(), strict=True):
            if level is not None:
                self.counts[level] += count
        self._require_few(label)

    def join(self, other: Self) -> None:
        """Add the counts of later rows."""
        self.counts.update(other.counts)

    def _require_few(self, label: str) -> None:
        if len(self.counts) > MOST:
            raise UsageError(
                f"{label}: column {self.column!r} has more than {MOST:,} levels, too many for columns of their own; "
                "absorb it, or leave it out"
            )

    def levels(self) -> tuple[Level, ...]:
        """Return the levels in their order."""
        return tuple(sorted(self.counts))


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


@dataclass(slots=True)
class Quantiles:
    """A sample of an expression's values: all of them, or some 200,000 that a hash of the row number chooses.

    A quantile of the sample then lies within 0.4 % of the rows of the true one (four standard errors).

    Attributes
    ----------
    inner : str
    share : float
        Of the rows, which is halved when there are too many.
    values, hashes : list of ndarray
    low, high : float
        Least and greatest of all values.
    """

    inner: str
    share: float = 1.0
    values: list[Float] = field(default_factory=list)
    hashes: list[Float] = field(default_factory=list)
    low: float = math.inf
    high: float = -math.inf

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the expression."""
        return expressions.columns(self.inner)

    def fresh(self) -> Self:
        """Return one of no rows."""
        return type(self)(self.inner)

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Take values of a block."""
        x = expressions.value(self.inner, table, zones, label, rows.start)
        chance = uniform(rows.start, rows.stop - rows.start, use="quantiles")
        known = np.isfinite(x)
        if known.any():
            self.low, self.high = min(self.low, float(x[known].min())), max(self.high, float(x[known].max()))
        self._take(x[known], chance[known])

    def join(self, other: Self) -> None:
        """Take values of later rows."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.share = min(self.share, other.share)
        for x, chance in zip(other.values, other.hashes, strict=True):
            self._take(x, chance)

    def _take(self, x: Float, chance: Float) -> None:
        self.values.append(x)
        self.hashes.append(chance)
        if sum(map(len, self.values)) > _SAMPLE:
            x, chance = np.concatenate(self.values), np.concatenate(self.hashes)
            while (chance < self.share).sum() > _SAMPLE:
                self.share /= 2
            chosen = chance < self.share
            self.values, self.hashes = [x[chosen]], [chance[chosen]]

    def quantiles(self, shares: Float) -> tuple[float, ...]:
        """Return quantiles, linear between values, as `numpy.quantile` does; the ends are those of all values.

        Raises
        ------
        DataError
            There are no values.
        """
        x, chance = (np.concatenate([*parts, np.empty(0)]) for parts in (self.values, self.hashes))
        x = x[chance < self.share]
        if not len(x):
            raise DataError(f"{self.inner}: every value is missing")
        inner = np.quantile(np.sort(x), shares[1:-1])
        return (self.low, *map(float, inner), self.high)


def named(values: NDArray[Any]) -> list[Level | None]:
    """Return numbers or dates as levels: plain Python values, dates as text; None for what is missing."""
    if values.dtype.kind == "M":
        return [None if np.isnat(value) else str(value) for value in values]
    if values.dtype == np.int64:
        return [None if value == NAT else value for value in values.tolist()]
    return [None if value != value else value for value in values.tolist()]
