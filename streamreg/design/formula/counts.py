"""How often values occur, in bounded memory, the same for any order of the rows and any cut.

Values are integers that sort as the values do. If there are more than `MOST_VALUES` different ones, as many of their
last bits are dropped as all rows together need: parts that were seen apart need no more, so nothing depends on order.
Of float64 that keeps the leading bits: quantiles are then known to about 1 in 10,000, and ranks at the borders exactly.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_VALUES = 2**16
"""Different numbers that are told from one another for quantiles."""
MOST_LEVELS = 200_000
"""Levels of a category."""
_PENDING = 2**17


@dataclass(slots=True)
class Counts:
    """Counts of values.

    Attributes
    ----------
    dtype : str
        "" before the first value; "T": text; else the dtype of an array.
    texts : Counter
        Counts of texts.
    keys, counts : int64 ndarrays
        Counts of numbers and dates, by keys that sort as they do.
    shift : int
        How many bits of the keys were dropped.
    many : bool
        Whether there are more texts than are told apart, and so none are counted.
    """

    dtype: str = ""
    texts: Counter[str] = field(default_factory=Counter)
    keys: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    shift: int = 0
    many: bool = False
    _pending: list[Integers] = field(default_factory=list)

    def add(self, values: Column, exact: bool, text: str) -> None:
        """Count values, none of them missing; `exact`: refuse too many rather than drop bits."""
        self._become("T" if isinstance(values, Coded) else _family(values), text)
        if isinstance(values, Coded):
            found = np.bincount(values.codes, minlength=len(values.levels))
            for code in np.flatnonzero(found).tolist():
                self.texts[values.levels[code]] += int(found[code])
            self._limit_texts(exact, text)
            return
        self._pending.append(_keys(values))
        if sum(map(len, self._pending)) > _PENDING:
            self.settle(exact, text)

    def merge(self, other: "Counts", exact: bool, text: str) -> None:
        """Add other counts."""
        self.settle(exact, text)
        other.settle(exact, text)
        if not other.dtype:
            return
        self._become(other.dtype, text)
        self.texts.update(other.texts)
        self.many = self.many or other.many
        self._limit_texts(exact, text)
        self._join(other.keys, other.counts, other.shift)
        self._coarsen(exact, text)

    def settle(self, exact: bool, text: str) -> None:
        """Count what waits."""
        if self._pending:
            keys, counts = np.unique(np.concatenate(self._pending), return_counts=True)
            self._pending.clear()
            self._join(keys, counts, 0)
            self._coarsen(exact, text)

    def _become(self, dtype: str, text: str) -> None:
        if self.dtype and dtype != self.dtype:
            raise DataError(f"{text}: holds values of type {dtype} and of type {self.dtype}; make them one type")
        self.dtype = dtype

    def _join(self, keys: Integers, counts: Integers, shift: int) -> None:
        common = max(self.shift, shift)
        both = np.concatenate([self.keys >> (common - self.shift), keys >> (common - shift)])
        self.shift, number = common, np.concatenate([self.counts, counts])
        if not len(both):
            return
        order = np.argsort(both, kind="stable")  # two sorted runs, which are merged
        both = both[order]
        starts = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1]]))
        self.keys, self.counts = both[starts], np.add.reduceat(number[order], starts)

    def _coarsen(self, exact: bool, text: str) -> None:
        if exact:
            self._require_few(len(self.keys), text)
            return
        while len(self.keys) > MOST_VALUES:
            self._join(self.keys[:0], self.counts[:0], self.shift + 1)

    def _limit_texts(self, exact: bool, text: str) -> None:
        if exact:
            self._require_few(len(self.texts), text)
        elif self.many or len(self.texts) > MOST_LEVELS:
            self.many = True
            self.texts.clear()

    def _require_few(self, levels: int, text: str) -> None:
        if levels > MOST_LEVELS:
            raise DataError(
                f"{text}: more than {MOST_LEVELS:,} levels; absorb it, as in 'y ~ x | {text}', or leave it out"
            )

    @property
    def exact(self) -> bool:
        """Whether all values are told from one another."""
        return not self.shift and not self.many

    def levels(self) -> tuple[list[Any], list[int]]:
        """Return the values that occur, sorted, and how often: texts, numbers, truth values, or dates as ISO texts."""
        if self.dtype == "T":
            found = sorted(self.texts.items())
            return [value for value, _ in found], [count for _, count in found]
        if self.dtype.startswith("M8"):
            return [str(value) for value in self.keys.view(self.dtype)], self.counts.tolist()
        values = _values(self.keys, self.dtype).tolist()
        return [bool(value) for value in values] if self.dtype == "b" else values, self.counts.tolist()

    def quantiles(self, fractions: list[float], distinct: bool) -> tuple[float, ...]:
        """Return quantiles, interpolated between values as NumPy does it."""
        weight = np.ones(len(self.keys), np.int64) if distinct else self.counts
        ends = np.cumsum(weight)
        out = []
        for fraction in fractions:
            rank = (int(ends[-1]) - 1) * fraction
            below = int(rank)
            first, second = (self._at(min(r, int(ends[-1]) - 1), weight, ends) for r in (below, below + 1))
            out.append(first + (second - first) * (rank - below))
        return tuple(out)

    def _at(self, rank: int, weight: Integers, ends: Integers) -> float:
        place = int(np.searchsorted(ends, rank, side="right"))
        key = np.array([self.keys[place]], np.int64)
        if not self.shift:
            return float(_values(key, self.dtype)[0])
        start, stop = (float(_values(k << self.shift, self.dtype)[0]) for k in (key, key + 1))
        before = int(ends[place] - weight[place])
        return start + (stop - start) * (rank - before + 0.5) / int(weight[place])


def _family(values: NDArray[Any]) -> str:
    if values.dtype.kind == "M":
        return values.dtype.str[1:]
    return "i" if values.dtype.kind == "u" else values.dtype.kind


def _keys(values: NDArray[Any]) -> Integers:
    """Return integers that sort as the values do."""
    if values.dtype.kind == "M":
        return values.view(np.int64).copy()
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    bits = (values.astype(np.float64) + 0.0).view(np.int64)
    return bits ^ ((bits >> 63) & np.int64(2**63 - 1))


def _values(keys: Integers, dtype: str) -> NDArray[Any]:
    """Undo `_keys`."""
    if dtype != "f":
        return keys
    return (keys ^ ((keys >> 63) & np.int64(2**63 - 1))).view(np.float64)
