"""Codes of keys, and counts of pairs of codes, for any number of them."""

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import levels as kernel
from streamreg.kernels.levels import DIGITS
from streamreg.stats.levels.windows import shifted

Int = NDArray[np.int64]
Float = NDArray[np.float64]

_FIRST = 2**6  # places that a table begins with
_FEW = 32  # levels of a factor whose table with any other is full
_SMALL = 2**24  # bytes of a full table of any two factors


class Codes:
    """Numbers from 0 for keys, in the order in which they are met.

    Notes
    -----
    Memory: 24 to 60 bytes for each key.
    """

    def __init__(self) -> None:
        self._table = np.zeros((_FIRST, 2), dtype=np.int64)
        self._levels = np.zeros(_room(_FIRST), dtype=np.int64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def keys(self) -> Int:
        """The keys, by code."""
        return self._levels[: self._used]

    @property
    def nbytes(self) -> int:
        """Memory taken up."""
        return self._table.nbytes + self._levels.nbytes

    def of(self, keys: Int) -> kernel.Codes:
        """Return the code of each key, shape (m,); new keys get the next ones."""
        codes = np.empty(len(keys), dtype=np.int32)
        at = 0
        while True:
            self._used, done = kernel.encode(
                keys[at:], self._table, self._levels, len(self._levels), self._used, codes[at:]
            )
            at += done
            if at == len(keys):
                return codes
            self._grow(self._used + (0 if done or kernel.compiled() else len(keys)))

    def known(self, keys: Int) -> kernel.Codes | None:
        """Return the code of each key, shape (m,), or None if one is new; nothing changes."""
        codes = np.empty(len(keys), dtype=np.int32)
        done = kernel.encode(keys, self._table, self._levels, self._used, self._used, codes)[1]
        return codes if done == len(keys) else None

    def _grow(self, least: int) -> None:
        size = 2 * len(self._table)
        while _room(size) <= least:
            size *= 2
        keys = self.keys
        self._table = np.zeros((size, 2), dtype=np.int64)
        self._levels = np.zeros(_room(size), dtype=np.int64)
        again = np.empty(len(keys), dtype=np.int32)
        kernel.encode(keys, self._table, self._levels, len(self._levels), 0, again)


def _room(size: int) -> int:
    """Return how many of so many places may be taken: beyond two thirds it takes long to find a free one."""
    return size * 2 // 3


def grown(array: NDArray[np.generic], least: int) -> NDArray[np.generic]:
    """Return an array with at least so many rows: itself, or four times as long with zeros at the end.

    Memory that was never written to is not taken.
    """
    if len(array) >= least:
        return array
    out = np.zeros((max(least, 4 * len(array)), *array.shape[1:]), dtype=array.dtype)
    out[: len(array)] = array
    return out


class Numbered(Codes):
    """Codes of keys that are numbers from 0 themselves.

    Parameters
    ----------
    size : int
        The keys are below.
    """

    def __init__(self, size: int) -> None:
        self._levels = np.arange(size)
        self._used = size

    @property
    def nbytes(self) -> int:
        """Memory taken up."""
        return self._levels.nbytes

    def of(self, keys: Int) -> kernel.Codes:
        """Return the code of each key, shape (m,)."""
        return keys.astype(np.int32)


class Pairs:
    """How often each level of one factor met each of another, and with what sum of weights.

    Parameters
    ----------
    weighted : bool

    Notes
    -----
    A full table of 4 bytes a place where one factor has few levels; else 40 to 80 bytes for each pair that occurs. With
    weights 24 bytes more.
    """

    def __init__(self, weighted: bool) -> None:
        self._weighted = weighted
        self._full: NDArray[np.uint32] | None = np.zeros((8, 8), dtype=np.uint32)
        self._digits = np.zeros((8, 8, DIGITS if weighted else 0), dtype=np.int64)
        self._codes = Codes()
        self._counts = np.zeros(0, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Memory taken up."""
        full = 0 if self._full is None else self._full.nbytes
        return full + self._digits.nbytes + self._codes.nbytes + self._counts.nbytes

    def add(self, a: kernel.Codes, b: kernel.Codes, weight: Float | None, scale: float, sizes: tuple[int, int]) -> None:
        """Count rows of codes a and b, shape (m,), which are below `sizes`."""
        self._fit(sizes)
        if self._full is not None:
            kernel.full_table(a, b, weight, scale, self._full, self._digits if self._weighted else None)
            return
        entries = self._entries(a, b)
        nothing = np.empty((len(a), 0))
        scales = np.full(int(self._weighted), scale)
        kernel.add(nothing, None, weight, scales, [entries], [self._digits], [self._counts])

    def moved(self, by: int) -> "Pairs":
        """Return the same with the digits of weights so many places further down."""
        out = copy(self)
        out._digits = shifted(self._digits, np.array(by), axis=self._digits.ndim - 1)
        return out

    def full(self, sizes: tuple[int, int]) -> NDArray[np.uint32] | None:
        """Return how often each level below `sizes` met each, if there is a full table of that."""
        return None if self._full is None else self._full[: sizes[0], : sizes[1]]

    def entries(self) -> tuple[kernel.Codes, kernel.Codes, Int, Int]:
        """Return the codes a and b of the pairs that occur, their counts, and digits of weights, shape (P, 3 or 0)."""
        if self._full is not None:
            flat = np.flatnonzero(self._full)
            counts = self._full.ravel()[flat].astype(np.int64)
            digits = (
                self._digits.reshape(self._full.size, -1)[flat]
                if self._weighted
                else np.zeros((len(flat), 0), np.int64)
            )
            across = self._full.shape[1]
            return (flat // across).astype(np.int32), (flat % across).astype(np.int32), counts, digits
        keys, used = self._codes.keys, len(self._codes)
        a, b = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
        return a, b, self._counts[:used], self._digits[:used]

    def join(self, other: "Pairs", new: Callable[[int, kernel.Codes], kernel.Codes], sizes: tuple[int, int]) -> None:
        """Add the pairs of another part of the rows; ``new(0, a)`` and ``new(1, b)`` are the codes here."""
        a, b, counts, digits = other.entries()
        self.put(new(0, a), new(1, b), counts, digits, sizes)

    def put(self, a: kernel.Codes, b: kernel.Codes, counts: Int, digits: Int, sizes: tuple[int, int]) -> None:
        """Add counts and digits of pairs, each of which is named once."""
        self._fit(sizes)
        if self._full is not None:
            self._full[a, b] += counts.astype(np.uint32)
            self._digits[a, b] += digits
            return
        at = self._entries(a, b)
        self._counts[at] += counts
        self._digits[at] += digits

    def _entries(self, a: kernel.Codes, b: kernel.Codes) -> kernel.Codes:
        at = self._codes.of((a.astype(np.int64) << 32) | b)
        used = len(self._codes)
        self._counts, self._digits = grown(self._counts, used), grown(self._digits, used)  # type: ignore[assignment]
        return at

    def _fit(self, sizes: tuple[int, int]) -> None:
        """Make room for levels of both factors."""
        if self._full is None or (sizes[0] <= self._full.shape[0] and sizes[1] <= self._full.shape[1]):
            return
        shape = tuple(
            max(held, 1 << (size - 1).bit_length()) for held, size in zip(self._full.shape, sizes, strict=True)
        )
        full, digits = self._full, self._digits
        if min(sizes) <= _FEW or shape[0] * shape[1] * (4 + 8 * digits.shape[2]) <= _SMALL:
            here = (slice(full.shape[0]), slice(full.shape[1]))
            self._full, self._digits = np.zeros(shape, full.dtype), np.zeros((*shape, digits.shape[2]), digits.dtype)
            self._full[here], self._digits[here] = full, digits
            return
        a, b, counts, own = self.entries()
        self._full, self._digits = None, np.zeros((0, digits.shape[2]), dtype=np.int64)
        self.put(a, b, counts, own, sizes)
