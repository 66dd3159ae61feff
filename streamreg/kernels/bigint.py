"""Matrices of Python integers with powers of two: what float64 sums become when nothing may be rounded."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd

Float = NDArray[np.float64]
Integers = NDArray[Any]
"""Object arrays of Python integers."""


@dataclass(slots=True)
class BigMatrix:
    """A symmetric matrix whose entry (i, j) is ``entries[i, j] * 2**(exponent[i] + exponent[j])``."""

    entries: Integers
    exponent: NDArray[np.int64]

    @classmethod
    def zeros(cls, columns: int) -> "BigMatrix":
        """Return a matrix of zeros."""
        return cls(np.zeros((columns, columns), dtype=object), np.zeros(columns, dtype=np.int64))

    @classmethod
    def counting(cls, entries: Integers, unit: NDArray[np.int64], depth: int) -> "BigMatrix":
        """Return the matrix of entries that count ``2**(unit[i] + unit[j] - depth)``."""
        odd = depth % 2  # it is shared out as 1 and 0
        return cls(entries << odd, unit - (depth + odd) // 2)

    def __add__(self, other: "BigMatrix") -> "BigMatrix":
        if not self.entries.any():
            return other
        if not other.entries.any():
            return self
        exponent = np.minimum(self.exponent, other.exponent)
        return BigMatrix(self._at(exponent) + other._at(exponent), exponent)

    def _at(self, exponent: NDArray[np.int64]) -> Integers:
        by = (self.exponent - exponent).astype(object)
        return self.entries << np.add.outer(by, by) if by.any() else self.entries

    def take(self, index: NDArray[np.intp]) -> "BigMatrix":
        """Return the matrix of some columns."""
        return BigMatrix(self.entries[np.ix_(index, index)], self.exponent[index])


def cross_product(rows: Float, low: Float | None, weight: Float | None) -> BigMatrix:
    """Return ``sum w [1, z]' [1, z]`` over rows of any magnitude, for the few that nothing faster fits.

    Notes
    -----
    Cost: about 0.1 microseconds for each of ``m q**2`` products.
    """
    m, q = rows.shape
    parts = [from_float(rows)] + ([] if low is None else [from_float(low)])
    exponent = np.zeros(q + 1, dtype=np.int64)
    exponent[1:] = np.min([e.min(axis=0, initial=0) for _, e in parts], axis=0)
    table = np.ones((m, q + 1), dtype=object)
    table[:, 1:] = sum(v << (e - exponent[1:]).astype(object) for v, e in parts)
    if weight is None:
        return BigMatrix(table.T.dot(table), exponent)
    value, scale = from_float(weight)
    least = int(scale.min(initial=0)) // 2 * 2
    factor = value << (scale - least).astype(object)
    return BigMatrix((table * factor[:, None]).T.dot(table), exponent + least // 2)


def from_float(values: Float) -> tuple[Integers, NDArray[np.int64]]:
    """Return integers and exponents with ``values == integers * 2**exponents``."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    return whole.astype(object), np.where(whole != 0, exponent.astype(np.int64) - 53, 0)


def to_dd(values: Integers, exponent: NDArray[np.int64] | int) -> dd.DD:
    """Return ``values * 2**exponent`` rounded to double-double: each half correctly, ties to even."""
    near, rest = np.empty(values.shape), np.empty(values.shape)
    size = np.empty(values.shape, dtype=np.int64)
    for index, value in np.ndenumerate(values):
        near[index], rest[index], size[index] = _round(value)
    size += exponent
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(near, size), np.ldexp(rest, size)


def _round(value: int) -> tuple[float, float, int]:
    """Return the nearest float64 to ``value / 2**bits``, that to the rest, and bits."""
    bits = value.bit_length()
    # Python divides integers with correct rounding.
    near = value / (1 << bits)
    if bits <= 53:
        return near, 0.0, bits
    return near, (value - (int(near * 2.0**53) << (bits - 53))) / (1 << bits), bits


def from_dd(values: dd.DD, bits: int) -> Integers:
    """Return ``values * 2**bits`` as integers, rounded towards minus infinity."""
    total = np.zeros(np.shape(values[0]), dtype=object)
    for part in values:
        whole, exponent = from_float(part)
        by = (exponent + bits).astype(object)
        total = total + np.where(by >= 0, whole << np.maximum(by, 0), whole >> np.maximum(-by, 0))
    return total


def to_bytes(values: Integers) -> NDArray[np.uint8]:
    """Return integers as fixed-width little-endian two's complement, shape ``(*values.shape, width)``."""
    flat = [int(v) for v in values.flat]
    width = max(max(flat, default=0).bit_length(), min(flat, default=0).bit_length()) // 8 + 1
    raw = b"".join([v.to_bytes(width, "little", signed=True) for v in flat])
    return np.frombuffer(raw, dtype=np.uint8).reshape(*values.shape, width)


def from_bytes(raw: NDArray[np.uint8]) -> Integers:
    """Undo `to_bytes`."""
    width, data = raw.shape[-1], raw.tobytes()
    flat = [int.from_bytes(data[k : k + width], "little", signed=True) for k in range(0, len(data), width)]
    return np.array(flat, dtype=object).reshape(raw.shape[:-1])
