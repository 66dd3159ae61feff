"""Exact cross-products in compiled code: rows in, 64-bit words out.

Numbers on a grid are integers, cut into pieces so small that no sum of their products over a run of rows overflows or
rounds. There are two ways to cut them.

**Slices**, on any processor: numbers are cut as in `slices`, 128 rows at a time. In so short a run a slice may be the
sum of two, so the products of different slices come from symmetric products alone: see ``_integer_kernel.h``. The words
are therefore sums of ``B' B``, for B one slice or the sum of two, apart for runs whose numbers take one, two or three
slices; the products by pair of levels are their differences. Wider numbers have four slices, and products ``w z`` of a
weight and a number, exact as sums of two float64, up to seven: then pairs are taken one by one.

**Tiles**, where the processor multiplies matrices of 8-bit integers (AMX), some forty times as many a second as
float64: a number is a sum of signed digits, ``sum d[s] 256**-s`` units with ``-128 <= d[s] < 128``, as the bytes of a
64-bit integer are but for one addition. Sums of products of digits s and t with the same ``s + t`` stay below
``2**26`` in a run of at most 512 rows; one word holds those of three such levels. Digits that are zero throughout a run
and 16 columns cost nothing. Eight digits hold float64 numbers down to a thousandth of the greatest. What few numbers
have below the last digit, 16 bits at most, is multiplied on its own; where many have more, more digits are taken, of 3,
5 or 8; wider numbers have 14, and products ``w z`` up to 21.

From a row that does not fit, the rest of a block goes the next way. Words differ between processors, their total does
not.
"""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import gram
from streamreg.kernels.bigint import BigMatrix
from streamreg.kernels.words import FARTHEST, Exponents, Float, Shares, Sums

with contextlib.suppress(ImportError):  # then no kernel is ever chosen
    from streamreg.kernels import _gram

_SLICE_BITS = 23  # 2 * 23 + log2(128) = 53
_COARSE = 24  # of exponents: three digits, which are zero where weights are smaller


class IntegerProducts:
    """Sums of products of ``[1, z]``, exact, of rows that lie on the grid and do not reach far below it.

    Parameters
    ----------
    exponent : int ndarray of shape (q,)
        Numbers of column j are below ``2**exponent[j]``.
    bits : int
        Bits of a slice.

    Notes
    -----
    Cost: ``(q + 1)**2 / 2`` multiplications of float64 a row for numbers of one slice, three times that for two and six
    times for three. As many words, of 64 bits and twice that for many rows, and four more for numbers that reach below.
    On tiles half the square of the number of digits, times ``(q + 1)**2``, of 8 bits; with weights half the product of
    both numbers. Five words, and three more for each number of digits that has strays; ten or twelve with weights.
    """

    def __init__(self, exponent: Exponents, bits: int) -> None:
        self.columns = len(exponent) + 1
        self._exponent, self._bits = exponent, bits
        self.slices, self.tiles = Slices(exponent, bits), Tiles(exponent)
        self.wide: dict[int, Wide] = {}  # by the power of two where weights begin

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(way.nbytes for way in (self.slices, self.tiles, *self.wide.values()))

    def add(self, parts: list[NDArray[Any]], weight: Float | None = None) -> int:
        """Add rows, given as columns side by side; say how many of them, from the first on, were added.

        At most ``2**(9 + 2 * (23 - bits))`` rows at a time.
        """
        if len(parts) > 2 or (len(parts) == 2 and parts[1].shape[1] != 1):
            return 0
        x, y = parts[0], parts[1][:, 0] if len(parts) == 2 else None
        if weight is not None:
            top = _above(float(weight.max(initial=0.0)))
            if weight.min(initial=np.inf) < np.ldexp(1.0, top - FARTHEST):
                return 0  # to scale it might round
            return self._wide(top).add(x, y, np.ldexp(weight, -top))
        done, wide = 0, self._wide(0)
        for way in (self.tiles, wide, self.slices) if gram.has_tiles() else (self.slices, wide):
            if done < len(x):
                done += way.add(x[done:], None if y is None else y[done:])
        return done

    def _wide(self, top: int) -> "Wide":
        if top not in self.wide:
            self.wide[top] = Wide(self._exponent, self._bits, top)
        return self.wide[top]

    def merge(self, other: "IntegerProducts") -> None:
        """Add the sums of the same columns on the same grid."""
        self.slices.merge(other.slices)
        self.tiles.merge(other.tiles)
        for top, way in other.wide.items():
            self._wide(top).merge(way)

    def total(self) -> BigMatrix:
        """Return the sums."""
        total = self.slices.total() + self.tiles.total()
        for way in self.wide.values():
            total = total + way.total()
        return total


def _above(size: float) -> int:
    """Return a power of two that is not less: of few, so that weights of one size count in one unit."""
    return -(-int(np.frexp(size)[1]) // _COARSE) * _COARSE


class Slices(Sums):
    """By float64 products of slices."""

    _RIPE = 32  # calls, each below 2**55: differences of three do not overflow

    # By kind and by word, the levels at which it counts: (A0 + A1)' (A0 + A1) less A0' A0 less A1' A1 is level 1.
    _LEVELS: Shares = (
        ({0: 1},),
        ({0: 1, 1: -1}, {2: 1, 1: -1}, {1: 1}),
        ({0: 1, 1: -1, 2: -1}, {2: 1, 1: -1, 3: -1}, {1: 1}, {4: 1, 2: -1, 3: -1}, {2: 1}, {3: 1}),
        ({3: 1}, {4: 1}, {5: 1}, {6: 1}),
    )

    def __init__(self, exponent: Exponents, bits: int) -> None:
        shares = tuple(tuple({bits * level: n for level, n in word.items()} for word in kind) for kind in self._LEVELS)
        unit = np.concatenate([[0], exponent - (bits - 1)])
        super().__init__(unit, shares, {(3, word) for word in range(3)})
        self._bits = bits
        self._kernel = gram.number() if bits <= _SLICE_BITS else None

    def _room(self) -> tuple[int, int]:
        return _gram.integer_room(len(self._exponent))

    def _fill(self, rows: int) -> int:
        return 1

    def _call(self, x: NDArray[Any], y: NDArray[Any] | None, weight: Float | None, work: Float) -> tuple[int, int]:
        assert self._unit is not None
        assert self._kernel is not None
        return _gram.integers(self._kernel, x, y, self._unit, self._bits, work, tuple(self.lower))


class Tiles(Sums):
    """By products of 8-bit digits."""

    _RIPE = 2**15  # rows, each below 2**46: the sum of two states, and of mirror images, does not overflow

    _DIGITS = (3, 5, 8)  # of numbers of each kind
    _EXTRA = 16  # bits below the last digit that few numbers have

    def __init__(self, exponent: Exponents) -> None:
        strays = []
        for digits in self._DIGITS:  # times the upper and the lower half of a number, and each other
            power = 16 * (digits - 1) + self._EXTRA
            strays.append(({power - 32: 1}, {power: 1}, {power + self._EXTRA: 1}))
        dense = tuple({8 * level: 1} for level in range(2, 2 * max(self._DIGITS) - 1 + 2, 3))
        half = {(kind, word) for kind in (1, 2, 3) for word in (0, 1)}
        super().__init__(np.concatenate([[0], exponent - 7]), (dense, *strays), half)
        self._kernel = gram.number() if gram.has_tiles() else None
        self._kind = 0

    def _room(self) -> tuple[int, int]:
        return _gram.tile_room(len(self._exponent))

    def _fill(self, rows: int) -> int:
        return rows

    def _call(self, x: NDArray[Any], y: NDArray[Any] | None, weight: Float | None, work: Float) -> tuple[int, int]:
        assert self._unit is not None
        assert self._kernel is not None
        done, need, self._kind = _gram.tiles(self._kernel, x, y, self._unit, self._kind, work, tuple(self.lower))
        return done, need


class Wide(Sums):
    """By products of numbers of many digits or slices, for rows with weights of at most ``2**top`` or without.

    Words are of either way, by the kernel that runs.
    """

    _RIPE = 2**14  # rows, each below 2**47; on tiles below 2**34

    def __init__(self, exponent: Exponents, bits: int, top: int) -> None:
        slices = 2 * (bits - 8) - top  # where they begin: the unit of the first is less than that of a first digit
        shares = (
            tuple({8 * level - top: 1} for level in range(2, 36, 3)),
            tuple({bits * level + slices: 1} for level in range(10)),
        )
        super().__init__(np.concatenate([[0], exponent - 7]), shares, set())
        self._kernel = gram.number() if bits <= _SLICE_BITS else None
        self._bits, self._top = bits, top

    def _room(self) -> tuple[int, int]:
        assert self._kernel is not None
        return _gram.wide_room(self._kernel, len(self._exponent))

    def _fill(self, rows: int) -> int:
        return rows // 2**7 + 1 if gram.has_tiles() else rows

    def _call(self, x: NDArray[Any], y: NDArray[Any] | None, weight: Float | None, work: Float) -> tuple[int, int]:
        assert self._unit is not None
        assert self._kernel is not None
        return _gram.wide(self._kernel, x, y, self._unit, self._bits, work, tuple(self.lower), weight)
