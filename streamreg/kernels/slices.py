"""Exact cross-products out of float64 BLAS: numbers are cut into integer slices whose products no sum can round.

A slice is an integer of at most ``bits`` bits with its sign. Where ``2 (bits - 1) + log2(rows) <= 53`` every partial
sum of a slice-by-slice matrix product is an integer below 2**53, hence exact in float64 in any order, with or without
fused multiply-add, on any number of threads (Ozaki, Ogita, Oishi & Rump 2012, *Numerical Algorithms* 59). This asks for
a classical float64 matrix product: no TF32, no Strassen.

Nothing is ever dropped: values that stick out of the three dense slices, above or below, go on as slices of the few
rows and columns that need them. The grid therefore decides the speed, never the result.

Common numbers are worked on in compiled code, where it is built: see `integers`. This is the way of all others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd

Float = NDArray[np.float64]
Index = NDArray[np.intp]

DENSE = 3  # slices kept whole: 3 x 23 bits hold float64 numbers within a factor 2**16 of the greatest
DENSE_PRODUCT = 6  # the same for products of two
_SAMPLE = 16  # one row in so many is looked at to tell a dense remainder from a sparse one


def slice_bits(rows: int) -> int:
    """Return the bits of a slice, sign included, such that products over `rows` rows stay exact."""
    return (53 - (rows - 1).bit_length()) // 2 + 1


@dataclass(slots=True)
class Slice:
    """Integers at one level: the value is ``values * 2**(-bits * level)`` in units of the grid.

    Attributes
    ----------
    level : int
        Negative above the grid.
    rows : int ndarray or None
        Rows that have a share in this level; None for all.
    columns : int ndarray
    values : ndarray of shape (len(rows), len(columns))
    """

    level: int
    rows: Index | None
    columns: Index
    values: Float


def cut(high: Float, low: Float | None, bits: int, stack: Float) -> tuple[int, list[Slice]]:
    """Cut numbers ``high + low``, in units of the grid, into integer slices. Destroys its arguments.

    Parameters
    ----------
    high, low : ndarrays of shape (m, q)
    bits : int
        Bits of a slice.
    stack : ndarray of shape (m, k * q)
        Receives the slices that are dense, side by side, from level 0: at most k of them.

    Returns
    -------
    dense : int
        Slices in `stack`.
    sparse : list of Slice
        The rest, with at most one for each level.
    """
    q = high.shape[1]
    base = 2.0**bits
    if low is not None:
        high, low = dd.two_sum(high, low)
    sparse = _above(high, low, bits)
    dense = 0
    while True:
        piece = stack[:, dense * q : (dense + 1) * q]
        high, low = _take(high, low, piece)
        dense += 1
        if not high.any() and (low is None or not low.any()):
            return dense, sparse
        high *= base
        if low is not None:
            low *= base
        sample = high[::_SAMPLE]
        if dense * q == stack.shape[1] or 8 * np.count_nonzero(sample) < sample.size:
            break
    return dense, sparse + _below(high, low, bits, dense)


def _take(high: Float, low: Float | None, out: Float) -> tuple[Float, Float | None]:
    """Move the integer part into `out`; what is left is at most one half."""
    np.rint(high, out=out)
    high -= out
    return (high, None) if low is None else dd.two_sum(high, low)


def _above(high: Float, low: Float | None, bits: int) -> list[Slice]:
    """Take off, in place, what is too great for level 0."""
    limit = 2.0 ** (bits - 1)
    largest = max(float(high.max(initial=0.0)), -float(high.min(initial=0.0)))
    if largest <= limit:
        return []
    rows = np.flatnonzero((np.abs(high) > limit).any(axis=1))
    values, rest = high[rows], None if low is None else low[rows]
    found = []
    for level in range(-(-(int(np.frexp(largest)[1]) - bits + 1) // bits), 0, -1):
        unit = 2.0 ** (bits * level)
        whole = np.rint(values / unit)
        values -= whole * unit
        if rest is not None:
            values, rest = dd.two_sum(values, rest)
        columns = np.flatnonzero(whole.any(axis=0))
        if len(columns):
            found.append(Slice(-level, rows, columns, whole[:, columns]))
    high[rows] = values
    if low is not None and rest is not None:
        low[rows] = rest
    return found


def _below(high: Float, low: Float | None, bits: int, level: int) -> list[Slice]:
    """Cut what is left, in units of `level`, by the rows and columns that have any of it."""
    found = []
    alive = high != 0 if low is None else (high != 0) | (low != 0)
    rows, columns = np.flatnonzero(alive.any(axis=1)), np.flatnonzero(alive.any(axis=0))
    high = high[np.ix_(rows, columns)]
    low = None if low is None else low[np.ix_(rows, columns)]
    while high.any() or (low is not None and low.any()):
        gap = (bits - 2 - int(np.frexp(np.abs(high).max())[1])) // bits if low is None else 0
        if gap > 0:
            level += gap
            high = np.ldexp(high, bits * gap)
        whole = np.empty_like(high)
        high, low = _take(high, low, whole)
        live = np.flatnonzero(whole.any(axis=0))
        if len(live):
            found.append(Slice(level, rows, columns[live], whole[:, live]))
        level += 1
        high *= 2.0**bits
        if low is not None:
            low *= 2.0**bits
    return found


def product(a: Slice, b: Slice) -> Float:
    """Return ``a' b`` over the rows that both have, exactly."""
    left, right = a.values, b.values
    if a.rows is not b.rows:
        if a.rows is None:
            left = left[b.rows]
        elif b.rows is None:
            right = right[a.rows]
        else:
            _, i, j = np.intersect1d(a.rows, b.rows, assume_unique=True, return_indices=True)
            left, right = left[i], right[j]
    return np.asarray(np.matmul(left.T, right))


class Sums:
    """Sums of integer products by pair of levels, exact.

    Each pair of levels has one 64-bit word for every entry, and a second one, for ``2**32`` times as much, once there
    have been 512 blocks: room for 2**41.

    Parameters
    ----------
    columns : int
    symmetric : bool
        Only pairs with ``i <= j`` are added; the mirror image is understood.

    Notes
    -----
    Cost: ``8 columns**2`` bytes for each pair of levels, twice that for many rows; six pairs for full float64 columns.
    """

    _RIPE = 512  # additions below 2**53 that a 64-bit word holds

    def __init__(self, columns: int, symmetric: bool) -> None:
        self.columns, self.symmetric = columns, symmetric
        self._lower: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._upper: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._added = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return 8 * self.columns**2 * (len(self._lower) + len(self._upper))

    def add(self, levels: tuple[int, int], rows: Any, columns: Any, block: Float) -> None:
        """Add a block of integers below 2**53 at some rows and columns (index arrays, or slices)."""
        if self.symmetric and levels[0] > levels[1]:
            levels, rows, columns, block = levels[::-1], columns, rows, block.T
        if levels not in self._lower:
            self._lower[levels] = np.zeros((self.columns, self.columns), dtype=np.int64)
        if not (isinstance(rows, slice) and isinstance(columns, slice)):
            rows, columns = np.ix_(np.arange(self.columns)[rows], np.arange(self.columns)[columns])
        self._lower[levels][rows, columns] += block.astype(np.int64)

    def tick(self) -> None:
        """Count a block; carry when the lower words may be full."""
        self._added += 1
        if self._added >= self._RIPE:
            self._carry()

    def _carry(self) -> None:
        for levels, lower in self._lower.items():
            if levels in self._upper:
                self._upper[levels] += lower >> 32
            else:
                self._upper[levels] = lower >> 32
            lower &= 0xFFFFFFFF
        self._added = 1

    def merge(self, other: "Sums") -> None:
        """Add the sums of the same columns on the same grid."""
        for mine, theirs in ((self._lower, other._lower), (self._upper, other._upper)):
            for levels, words in theirs.items():
                if levels in mine:
                    mine[levels] += words
                else:
                    mine[levels] = words.copy()
        self._added += other._added
        if self._added >= self._RIPE:
            self._carry()

    def total(self, bits: int) -> tuple[NDArray[Any], int]:
        """Return Python integers of shape (columns, columns), and the level whose unit (squared) they count."""
        total = np.zeros((self.columns, self.columns), dtype=object)
        deepest = max((i + j for i, j in self._lower), default=0)
        for (i, j), lower in self._lower.items():
            value = lower.astype(object)
            if (i, j) in self._upper:
                value = value + (self._upper[i, j].astype(object) << 32)
            if self.symmetric and i != j:
                value = value + value.T
            total = total + (value << (bits * (deepest - i - j)))
        return total, deepest
