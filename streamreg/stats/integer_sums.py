"""Sums of products in fixed point: rows in, integers out, whatever their range."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import bigint, slices
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.bigint import BigMatrix
from streamreg.kernels.integers import IntegerProducts
from streamreg.kernels.scratch import scratch

Float = NDArray[np.float64]

_RANGE = 2.0**400  # scaled numbers beyond this, or below its inverse, go row by row through Python integers


class IntegerSums:
    """``sum w [1, z]' [1, z]`` without a rounding.

    Parameters
    ----------
    exponent : int ndarray of shape (q,)
        The grid: most values of column j are below ``2**exponent[j]``. It decides the speed, never the result.
    rows : int
        The most rows that will be added at a time.
    """

    def __init__(self, exponent: NDArray[np.int64], rows: int) -> None:
        self.exponent = exponent
        self._bits = slices.slice_bits(rows)
        self._compiled = IntegerProducts(exponent, self._bits)
        self._plain = slices.Sums(len(exponent) + 1, symmetric=True)
        self._weighted = slices.Sums(len(exponent) + 1, symmetric=False)
        self._stray = BigMatrix.zeros(len(exponent) + 1)

    @property
    def scale(self) -> NDArray[np.int64]:
        """Powers of two that bring numbers to the units of the grid, shape (q,)."""
        return self._bits - 1 - self.exponent

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly."""
        return self._compiled.nbytes + self._plain.nbytes + self._weighted.nbytes + 40 * self._plain.columns**2

    def add_stored(self, parts: list[NDArray[Any]], weight: Float | None) -> int:
        """Add rows as they are stored, in a type whose values float64 holds, columns side by side.

        Returns how many of them, from the first on, were added: all, as a rule, where there is a compiled kernel.
        """
        return self._compiled.add(parts, weight)

    def add(self, high: Float, low: Float | None, weight: Float | None) -> None:
        """Add rows ``high + low`` of any magnitude.

        Parameters
        ----------
        high, low : ndarrays of shape (m, q)
        weight : ndarray of shape (m,) or None
        """
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(high, self.scale)
            rest = None if low is None else np.ldexp(low, self.scale)
        tame = _tame(scaled) & ((scaled != 0) | (high == 0))
        if low is not None and rest is not None:
            tame &= _tame(rest) & ((rest != 0) | (low == 0))
        fits = tame.all(axis=1)
        if weight is not None:
            # A product must stay within range too.
            fits &= weight >= weight.max() / _RANGE
        if not fits.all():
            part = [None if v is None else v[~fits] for v in (low, weight)]
            self._stray += bigint.cross_product(high[~fits], *part)
            scaled = scaled[fits]
            rest, weight = (None if v is None else v[fits] for v in (rest, weight))
        if not len(scaled):
            return
        if weight is None:
            self.add_scaled(scaled, rest)
        else:
            self._add_weighted(scaled, rest, weight)

    def add_scaled(self, high: Float, low: Float | None) -> None:
        """Add rows in units of the grid, none of which left the range of float64; they are overwritten.

        One symmetric product of the dense slices side by side, and thin ones for the rest.
        """
        m, q = high.shape
        stack = scratch(m, 1 + slices.DENSE * q, "slices")
        stack[:, 0] = 1.0
        dense, sparse = slices.cut(high, low, self._bits, stack[:, 1:])
        whole = stack[:, : 1 + dense * q]
        product = np.matmul(whole.T, whole)
        spans = [slice(0, q + 1)] + [slice(1 + k * q, 1 + (k + 1) * q) for k in range(1, dense)]
        places = [slice(0, q + 1)] + [slice(1, q + 1)] * (dense - 1)
        for i in range(dense):
            for j in range(i, dense):
                self._plain.add((i, j), places[i], places[j], product[spans[i], spans[j]])
        for number, one in enumerate(sparse):
            here = one.columns + 1
            beside = one.values.T @ (whole if one.rows is None or len(one.rows) == m else whole[one.rows])
            for j in range(dense):
                self._plain.add((one.level, j), here, places[j], beside[:, spans[j]])
            for two in sparse[number:]:
                self._plain.add((one.level, two.level), here, two.columns + 1, slices.product(one, two))
        self._plain.tick()

    def _add_weighted(self, high: Float, low: Float | None, weight: Float) -> None:
        """Add ``(w z)' z``, the products ``w z`` being exact in double-double."""
        m, width = len(high), high.shape[1] + 1
        parts = [np.column_stack([np.ones(m), high])]
        if low is not None:
            parts.append(np.column_stack([np.zeros(m), low]))
        right = scratch(m, slices.DENSE * width, "right")
        left = scratch(m, slices.DENSE_PRODUCT * width, "left")
        across, loose = slices.cut(parts[0].copy(), parts[1].copy() if low is not None else None, self._bits, right)
        right = right[:, : across * width]
        # A whole number of slices brings the weights near 1; it only renumbers the levels.
        level = -(-int(np.frexp(weight.max())[1]) // self._bits)
        weight = np.ldexp(weight, -self._bits * level)
        everything = slice(0, width)
        for part in parts:
            dense, sparse = slices.cut(*dd.two_prod(part, weight[:, None]), self._bits, left)
            product = np.matmul(left[:, : dense * width].T, right)
            for i in range(dense):
                for j in range(across):
                    block = product[i * width : (i + 1) * width, j * width : (j + 1) * width]
                    self._weighted.add((i - level, j), everything, everything, block)
                whole = slices.Slice(i, None, np.arange(width), left[:, i * width : (i + 1) * width])
                for two in loose:
                    self._weighted.add((i - level, two.level), everything, two.columns, slices.product(whole, two))
            for one in sparse:
                beside = one.values.T @ (right if one.rows is None or len(one.rows) == m else right[one.rows])
                for j in range(across):
                    block = beside[:, j * width : (j + 1) * width]
                    self._weighted.add((one.level - level, j), one.columns, everything, block)
                for two in loose:
                    levels = one.level - level, two.level
                    self._weighted.add(levels, one.columns, two.columns, slices.product(one, two))
            self._weighted.tick()

    def merge(self, other: "IntegerSums") -> None:
        """Add the sums of other rows."""
        if not np.array_equal(other.exponent, self.exponent) or other._bits != self._bits:
            self._stray += other.total()
            return
        self._compiled.merge(other._compiled)
        self._plain.merge(other._plain)
        self._weighted.merge(other._weighted)
        self._stray += other._stray

    def total(self) -> BigMatrix:
        """Return the sums, a constant 1 being the first column."""
        total = self._stray + self._compiled.total()
        unit = np.concatenate([[0], -self.scale])
        for sums in (self._plain, self._weighted):
            entries, level = sums.total(self._bits)
            total = total + BigMatrix.counting(entries, unit, self._bits * level)
        return total


def _tame(values: Float) -> NDArray[np.bool_]:
    """Say which numbers are zero or far from the ends of float64's range."""
    size = np.abs(values)
    return np.asarray((size < _RANGE) & ((size > 1.0 / _RANGE) | (size == 0)))
