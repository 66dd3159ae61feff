"""What there is to know of a column before it can be coded: range, sums of powers, quantiles, levels.

The state is the same for any order of the rows and any cut: counts and sums are exact integers, and the values that are
counted become coarser only as far as all rows together need it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.counts import Counts
from streamreg.design.formula.expressions import Expression, names
from streamreg.design.formula.rows import Rows, Scalings
from streamreg.errors import DataError, UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.sources.chunk import Column, missing

Float = NDArray[np.float64]

_UNIT = 1127  # every float64 is a whole multiple of 2**-1127 as `exactly_summed` takes it apart


@dataclass(frozen=True, slots=True)
class Need:
    """What is wanted of a column or expression.

    Attributes
    ----------
    levels : bool
        The values themselves, each told from the others, in rows where nothing else is missing; then nothing more.
    counts : bool
        How often numbers occur: for quantiles.
    powers : int
        Sums of powers up to this one.
    bounded : bool
        Whether levels may be too many to be told apart, which else is an error.
    """

    levels: bool = False
    counts: bool = False
    powers: int = 0
    bounded: bool = False

    def joined(self, other: "Need") -> "Need":
        """Return what serves both."""
        both = self.counts or other.counts, max(self.powers, other.powers), self.bounded and other.bounded
        return Need(self.levels, *both)


Key = tuple[str, bool]
"""The text of an expression, and whether its levels are wanted."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What to find out in one pass.

    Attributes
    ----------
    wanted : dict
        Expressions, and what to know of them.
    complete : tuple of str
        Levels count in rows where none of these columns misses a value.
    scalings, zones : dict
        See `rows.Rows`.
    origins : dict of Key to float
        Numbers near the values of expressions whose high powers are wanted; see `opened`.
    """

    wanted: dict[Key, tuple[Expression, Need]]
    complete: tuple[str, ...] = ()
    scalings: Scalings = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    origins: dict[Key, float] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        read = [name for found, _ in self.wanted.values() for name in names(found)]
        levels = any(key[1] for key in self.wanted)
        return tuple(dict.fromkeys([*read, *(self.complete if levels else ())]))

    @property
    def opens(self) -> bool:
        """Whether high powers are wanted, and so `opened`."""
        return any(need.powers > 2 for _, need in self.wanted.values())

    def opened(self, columns: Mapping[str, Column]) -> "Inquiry":
        """Return this inquiry with the medians of some rows as origins; any parts of it then merge."""
        rows, origins = Rows(columns, self.scalings, self.zones), {}
        for key, (found, need) in self.wanted.items():
            if need.powers > 2:
                high, _ = rows.pair(found)
                known = high[np.isfinite(high)]
                origins[key] = float(np.median(known)) if len(known) else 0.0
        return replace(self, origins=origins)

    def profiles(self) -> "dict[Key, Profile]":
        """Return profiles of no rows yet."""
        return {
            key: Profile(found.text, need, self.origins.get(key, 0.0)) for key, (found, need) in self.wanted.items()
        }

    def absorb(
        self,
        profiles: "dict[Key, Profile]",
        columns: Mapping[str, Column],
        start: int = 0,
        label: str = "rows",
        kept: NDArray[np.int64] | None = None,
    ) -> None:
        """Add some rows to profiles; `kept`: where they stand among those from `start` on."""
        rows = Rows(columns, self.scalings, self.zones, start, kept, label=label)
        complete = None
        if self.complete and any(key[1] for key in self.wanted):
            complete = ~np.logical_or.reduce([missing(rows.column(name)) for name in self.complete])
        for key, (found, _) in self.wanted.items():
            profiles[key].absorb(rows, found, complete)


def exactly_summed(values: Float) -> int:
    """Return the sum of float64 numbers in units of 2**-1127, without rounding and so in any order."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    shift = exponent.astype(np.int64) - exponent.min(initial=0)
    upper, lower = np.divmod(whole, 2**27)
    total = 0
    for part, by in ((upper, 27), (lower, 0)):
        sums = np.bincount(shift, weights=part.astype(np.float64))  # exact: 27 bits, fewer than 2**26 rows
        for place in np.flatnonzero(sums).tolist():
            total += int(sums[place]) << (place + by)
    return total << (int(exponent.min(initial=0)) - 53 + _UNIT)


@dataclass(slots=True)
class Profile:
    """What was found of a column or expression; absorbs rows and merges with its like, in any order.

    Attributes
    ----------
    text : str
        What it is called.
    need : Need
    origin : float
        About which the powers are taken. Those above the second lose digits where it is far from the values.
    n, missing : int
        Rows with and without a value.
    low, high : float
        The extremes; of dates since 1970, in days or seconds.
    counts : Counts
        How often values occur.
    sums : list of int
        Sums of powers about the origin, in units of 2**-1127.
    """

    text: str
    need: Need
    origin: float = 0.0
    n: int = 0
    missing: int = 0
    low: float = np.inf
    high: float = -np.inf
    sums: list[int] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def absorb(self, rows: Rows, found: Expression, complete: NDArray[np.bool_] | None = None) -> None:
        """Add some rows; levels are looked for in `complete` ones only."""
        raw = rows.raw(found)
        absent = missing(raw)
        self.n += len(absent) - int(absent.sum())
        self.missing += int(absent.sum())
        if self.need.levels:
            wanted = ~absent if complete is None else ~absent & complete
            self.counts.add(raw if wanted.all() else raw[wanted], not self.need.bounded, self.text)
            return
        high, low = rows.pair(found)
        infinite = np.isinf(high)
        if infinite.any():
            rows.refuse(infinite, self.text, lambda i: high[i], "is infinite; mend it")
        high, low = high[~absent], low[~absent]
        if not len(high):
            return
        self.low, self.high = min(self.low, float(high.min())), max(self.high, float(high.max()))
        if self.need.counts:
            self.counts.add(high, False, self.text)
        self._add_powers(high, low)

    def _add_powers(self, high: Float, low: Float) -> None:
        if not self.need.powers:
            return
        origin = np.float64(self.origin), np.float64(0.0)
        base = dd.subtract((high, low), origin)  # type: ignore[arg-type]  # scalars
        term, found = base, []
        for k in range(self.need.powers):
            with np.errstate(over="ignore", invalid="ignore"):
                term = dd.multiply(term, base) if k else base
            if not (np.isfinite(term[0]).all() and np.isfinite(term[1]).all()):
                raise DataError(f"{self.text}: powers up to {self.need.powers} are beyond 1e308; rescale the column")
            found.append(exactly_summed(term[0]) + exactly_summed(term[1]))
        self.sums = [a + b for a, b in zip(self.sums or [0] * len(found), found, strict=True)]

    def merge(self, other: "Profile") -> None:
        """Add what another one has found."""
        if self.origin != other.origin or self.need != other.need:
            raise UsageError(f"{self.text}: profiles of different kinds do not merge")
        self.n, self.missing = self.n + other.n, self.missing + other.missing
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if other.sums:
            self.sums = [a + b for a, b in zip(self.sums or [0] * len(other.sums), other.sums, strict=True)]
        self.counts.merge(other.counts, self._exact, self.text)

    def settle(self) -> None:
        """Count what waits."""
        self.counts.settle(self._exact, self.text)

    @property
    def _exact(self) -> bool:
        return self.need.levels and not self.need.bounded

    def levels(self) -> tuple[list[Any], list[int]]:
        """Return the values that occur, sorted, and how often; see `Counts.levels`."""
        self.settle()
        return self.counts.levels()

    def moment(self, k: int) -> Fraction:
        """Return the sum of the powers about the origin."""
        return Fraction(self.sums[k - 1], 2**_UNIT) if k and self.sums else Fraction(self.n if not k else 0)

    @property
    def mean(self) -> Fraction:
        """The mean of the values, exactly."""
        self.require_values()
        return Fraction(self.origin) + self.moment(1) / self.n

    def variance(self, ddof: float, about: Fraction) -> Fraction:
        """Return the sum of squares about a number, divided by n - ddof."""
        shift = about - Fraction(self.origin)
        total = self.moment(2) - 2 * shift * self.moment(1) + self.n * shift * shift
        if self.n <= ddof:
            raise DataError(f"{self.text}: {self.n} values are too few for a standard deviation")
        return max(total, Fraction(0)) / (Fraction(self.n) - Fraction(ddof))

    def quantiles(self, fractions: list[float], distinct: bool = False) -> tuple[float, ...]:
        """Return quantiles, interpolated as NumPy does it; `distinct`: of the values that occur, each counted once."""
        self.require_values()
        self.settle()
        return self.counts.quantiles(fractions, distinct)

    def require_values(self) -> None:
        """Raise `DataError` if all values are missing."""
        if not self.n:
            raise DataError(f"{self.text}: all values are missing")
