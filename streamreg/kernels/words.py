"""Sums of products in 64-bit words that compiled code adds to, of many kinds, and what they count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.bigint import BigMatrix
from streamreg.kernels.scratch import scratch

Float = NDArray[np.float64]
Exponents = NDArray[np.int64]
Words = NDArray[np.int64]
Shares = tuple[tuple[dict[int, int], ...], ...]
"""By kind and by word, what it counts: ``{k: n}`` for n times ``2**-k`` units."""

FARTHEST = 800  # of exponents: units of every slice and digit stay far from the ends of float64's range


class Sums:
    """Sums of products in 64-bit words, by kind; a second word each once there have been many rows.

    Parameters
    ----------
    unit : int ndarray of shape (q + 1,)
        Exponents of the unit of each column of ``[1, z]``.
    shares : Shares
    half : collection of (kind, word)
        Those that stand for themselves and for their mirror image.
    """

    _RIPE: int  # of what `_fill` counts: then words are carried

    def __init__(self, unit: Exponents, shares: Shares, half: set[tuple[int, int]]) -> None:
        self._exponent, self._shares, self._half = unit, shares, half
        self._kernel: int | None = None
        self._unit = np.ldexp(1.0, unit) if np.abs(unit).max() <= FARTHEST else None
        self.lower: list[Words | None] = [None] * len(shares)
        self.upper: list[Words | None] = [None] * len(shares)
        self._added = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(words.nbytes for words in (*self.lower, *self.upper) if words is not None)

    def _room(self) -> tuple[int, int]:
        """Return how many float64 to work in, and the width of words."""
        raise NotImplementedError

    def _call(self, x: NDArray[Any], y: NDArray[Any] | None, weight: Float | None, work: Float) -> tuple[int, int]:
        """Return how many rows were added, and what the next ones need."""
        raise NotImplementedError

    def _fill(self, rows: int) -> int:
        """Say how much fuller so many rows, or words just carried, make the lower words."""
        raise NotImplementedError

    def add(self, x: NDArray[Any], y: NDArray[Any] | None, weight: Float | None = None) -> int:
        """Add rows; say how many of them, from the first on, were added."""
        if self._kernel is None or self._unit is None:
            return 0
        numbers, width = self._room()
        work = scratch(1, numbers, "integers")[0]
        done = 0
        while True:
            y_rest, weights = (None if v is None else v[done:] for v in (y, weight))
            added, need = self._call(x[done:], y_rest, weights, work)
            done += added
            if need <= 0:
                break
            self.lower[need - 1] = _zeros((len(self._shares[need - 1]), width, width))
        self._added += self._fill(done)
        if self._added >= self._RIPE:
            self._carry()
        return done

    def _carry(self) -> None:
        for kind, lower in enumerate(self.lower):
            if lower is not None:
                upper = self.upper[kind]
                self.upper[kind] = lower >> 32 if upper is None else upper + (lower >> 32)
                lower &= 0xFFFFFFFF
        self._added = self._fill(0)

    def merge(self, other: "Sums") -> None:
        """Add the sums of the same columns on the same grid."""
        for mine, theirs in ((self.lower, other.lower), (self.upper, other.upper)):
            for kind, words in enumerate(theirs):
                held = mine[kind]
                if words is not None:
                    mine[kind] = words.copy() if held is None else held + words
        self._added += other._added
        if self._added >= self._RIPE:
            self._carry()

    def total(self) -> BigMatrix:
        """Return the sums."""
        q = len(self._exponent)
        rows, across = np.tril_indices(q)
        halves: dict[int, list[Words]] = {}  # by power: lower and upper words
        for part, held in enumerate((self.lower, self.upper)):
            for kind, words in enumerate(held):
                for word, shares in enumerate(self._shares[kind] if words is not None else ()):
                    assert words is not None
                    entries = words[word][rows, across]
                    if (kind, word) in self._half:
                        entries = entries + words[word][across, rows]
                    for power, times in shares.items():
                        into = halves.setdefault(power, [np.zeros(len(rows), dtype=np.int64) for _ in range(2)])
                        into[part] += times * entries
        live = {power: pair for power, pair in halves.items() if pair[0].any() or pair[1].any()}
        depth = max(live, default=0)
        total = np.zeros(len(rows), dtype=object)
        for power, (lower, upper) in live.items():
            total = total + ((lower.astype(object) + (upper.astype(object) << 32)) << (depth - power))
        square = np.zeros((q, q), dtype=object)
        square[rows, across] = square[across, rows] = total
        return BigMatrix.counting(square, self._exponent, depth)


def _zeros(shape: tuple[int, int, int]) -> Words:
    """Return zeros on a border of 64 bytes, as vectors like it."""
    flat = np.zeros(int(np.prod(shape)) + 8, dtype=np.int64)
    start = -flat.ctypes.data % 64 // 8
    return flat[start : start + flat.size - 8].reshape(shape)
