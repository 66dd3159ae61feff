"""Exact cross-products in compiled code: rows in, 64-bit words out.

Numbers are cut as in `slices`, 128 rows at a time. In so short a run a slice may be the sum of two, so the products of
different slices come from symmetric products alone: see ``_integer_kernel.h``. The words are therefore sums of
``B' B``, for B one slice or the sum of two, apart for runs whose numbers take one, two or three slices; the products
by pair of levels are their differences.
"""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import gram
from streamreg.kernels.scratch import scratch

with contextlib.suppress(ImportError):  # then no kernel is ever chosen
    from streamreg.kernels import _gram

Float = NDArray[np.float64]
Words = NDArray[np.int64]

_KINDS = 4  # words for numbers of one, two and three slices, and for what few numbers have below the third
_COUNT = (1, 3, 6, 4)
_LEVELS = 7  # of products: two of levels 0 to 3
_SLICE_BITS = 23  # 2 * 23 + log2(128) = 53
_FARTHEST = 800  # of exponents: units of every slice stay far from the ends of float64's range

# By kind and by word, the levels at which it counts, and how. (A0 + A1)' (A0 + A1) less A0' A0 less A1' A1 is level 1.
_SHARES: tuple[tuple[dict[int, int], ...], ...] = (
    ({0: 1},),
    ({0: 1, 1: -1}, {2: 1, 1: -1}, {1: 1}),
    ({0: 1, 1: -1, 2: -1}, {2: 1, 1: -1, 3: -1}, {1: 1}, {4: 1, 2: -1, 3: -1}, {2: 1}, {3: 1}),
    ({3: 1}, {4: 1}, {5: 1}, {6: 1}),
)


class IntegerProducts:
    """Sums of products of ``[1, z]``, exact, of rows that lie on the grid and do not reach far below it.

    Parameters
    ----------
    scale : int ndarray of shape (q,)
        ``2**scale[j]`` brings column j to units of the first slice.
    bits : int
        Bits of a slice.

    Notes
    -----
    Cost: ``(q + 1)**2 / 2`` multiplications a row for numbers of one slice, three times that for two and six times for
    three. As many words, of 64 bits and twice that for many rows, and four more for numbers that reach below.
    """

    _RIPE = 32  # additions, each below 2**55, after which words are carried: differences of three do not overflow

    def __init__(self, scale: NDArray[np.int64], bits: int) -> None:
        self.columns, self._bits = len(scale) + 1, bits
        near = bits <= _SLICE_BITS and np.abs(scale).max(initial=0) <= _FARTHEST
        self._kernel = gram.number() if near else None
        self._unit = np.ldexp(1.0, np.concatenate([[0], -scale])) if near else None
        self._lower: list[Words | None] = [None] * _KINDS
        self._upper: list[Words | None] = [None] * _KINDS
        self._added = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(words.nbytes for words in (*self._lower, *self._upper) if words is not None)

    def add(self, parts: list[NDArray[Any]]) -> int:
        """Add rows, given as columns side by side; say how many of them, from the first on, were added.

        At most ``2**(9 + 2 * (23 - bits))`` rows at a time.
        """
        if self._kernel is None or len(parts) > 2 or (len(parts) == 2 and parts[1].shape[1] != 1):
            return 0
        assert self._unit is not None
        numbers, width = _gram.integer_room(self.columns)
        work = scratch(1, numbers, "slices")[0]
        x, y = parts[0], parts[1][:, 0] if len(parts) == 2 else None
        done = 0
        while True:
            added, need = _gram.integers(self._kernel, x, y, self._unit, self._bits, work, tuple(self._lower))
            done += added
            if need <= 0:
                break
            self._lower[need - 1] = np.zeros((_COUNT[need - 1], width, width), dtype=np.int64)
            x, y = x[added:], None if y is None else y[added:]
        self._added += 1
        if self._added >= self._RIPE:
            self._carry()
        return done

    def _carry(self) -> None:
        for kind, lower in enumerate(self._lower):
            if lower is not None:
                upper = self._upper[kind]
                self._upper[kind] = lower >> 32 if upper is None else upper + (lower >> 32)
                lower &= 0xFFFFFFFF
        self._added = 1

    def merge(self, other: "IntegerProducts") -> None:
        """Add the sums of the same columns on the same grid."""
        for mine, theirs in ((self._lower, other._lower), (self._upper, other._upper)):
            for kind, words in enumerate(theirs):
                held = mine[kind]
                if words is not None:
                    mine[kind] = words.copy() if held is None else held + words
        self._added += other._added
        if self._added >= self._RIPE:
            self._carry()

    def total(self) -> tuple[NDArray[Any], int]:
        """Return Python integers of shape (columns, columns), and the level whose unit (squared) they count."""
        q = self.columns
        rows, across = np.tril_indices(q)
        lower, upper = (np.zeros((_LEVELS, len(rows)), dtype=np.int64) for _ in range(2))
        for into, held in ((lower, self._lower), (upper, self._upper)):
            for kind, words in enumerate(held):
                for word, shares in enumerate(_SHARES[kind] if words is not None else ()):
                    assert words is not None
                    entries = words[word][rows, across]
                    if kind == _KINDS - 1 and word < 3:  # with its mirror image; the last word has both
                        entries = entries + words[word][across, rows]
                    for level, times in shares.items():
                        into[level] += times * entries
        live = np.flatnonzero(lower.any(axis=1) | upper.any(axis=1))
        deepest = int(live.max(initial=0))
        total = np.zeros(len(rows), dtype=object)
        for level in map(int, live):
            value = lower[level].astype(object) + (upper[level].astype(object) << 32)
            total = total + (value << (self._bits * (deepest - level)))
        square = np.zeros((q, q), dtype=object)
        square[rows, across] = square[across, rows] = total
        return square, deepest
