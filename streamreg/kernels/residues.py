"""Exact products of matrices of large integers: one float64 matrix product for each of some forty small moduli.

An integer is known by what it leaves when divided by numbers without a common factor, if it is smaller than their
product (Knuth, *TAOCP* vol. 2, 4.3.2). Sums and products are formed of what is left alone. The moduli are so small that
no such sum reaches 2**53, hence it is exact in float64 in any order, with or without fused multiply-add, on any number
of threads.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import bigint
from streamreg.kernels.bigint import Integers

Float = NDArray[np.float64]

_LARGEST = 24  # bits of a modulus: float32 holds what it leaves
_CHUNK = 256  # rows of a triangle that are multiplied at once
_LIMB = 16  # bits
_BLOCK = 1024  # integers that are converted at once


class Moduli:
    """Numbers without a common factor, which tell integers of a given size apart.

    Parameters
    ----------
    bits : int
        Integers are at most ``2**bits``, in absolute value.
    inner : int
        The greatest number of products that are summed.

    Notes
    -----
    Cost: with 900 bits a few milliseconds, and 2 microseconds to convert an integer there and back.
    """

    def __init__(self, bits: int, inner: int) -> None:
        size = min(_LARGEST, (52 - max(inner - 1, 1).bit_length()) // 2 + 1)
        moduli: list[int] = []
        candidate, whole = 1 << size, 1
        while whole.bit_length() <= bits + 2:  # so that a quotient never comes near one half
            if math.gcd(candidate, whole) == 1:
                moduli.append(candidate)
                whole *= candidate
            candidate -= 1
        self._moduli = np.array(moduli, dtype=np.float64)[:, None]
        self._inverses = 1.0 / self._moduli
        # What `split` needs, the residues of powers of 256; and `join`: inverses of the other moduli, and their limbs.
        others = [whole // q for q in moduli]
        self._weights = _centred([[pow(m, -1, q)] for m, q in zip(others, moduli, strict=True)], moduli)
        self._bytes = _centred([[pow(256, k, q) for k in range(bits // 8 + 1)] for q in moduli], moduli)
        raw = bigint.to_bytes(np.array([*others, whole], dtype=object))
        limbs = np.zeros((len(raw), -(-raw.shape[1] * 8 // _LIMB) + 1), dtype="<u2")
        limbs.view(np.uint8)[:, : raw.shape[1]] = raw
        self._limbs = limbs.T * np.append(np.ones(len(moduli)), -1.0)

    def __len__(self) -> int:
        return len(self._moduli)

    def split(self, values: Integers) -> Float:
        """Return what division by each of the k moduli leaves of integers, shape ``(k, *values.shape)``."""
        raw = bigint.to_bytes(values)
        raw = raw.reshape(values.size, raw.shape[-1])
        found = np.empty((len(self), values.size))
        for part in _blocks(values.size):
            digits = raw[part].T.astype(np.float64)
            digits[-1] -= 256.0 * (digits[-1] >= 128.0)
            np.matmul(self._bytes[:, : len(digits)], digits, out=found[:, part])
            self._reduce(found[:, part])
        return found.reshape(len(self), *values.shape)

    def join(self, sums: Float, drop: int) -> Integers:
        """Return the integers of which sums of products are known, divided by ``2**drop`` and rounded down.

        `drop` is a multiple of 16.
        """
        flat = sums.reshape(len(self), -1)
        words = np.empty((flat.shape[1], len(self._limbs) - drop // _LIMB), dtype="<u2")
        for part in _blocks(len(words)):
            # Chinese remainder theorem: parts times the product of the other moduli, less multiples of that of all.
            parts = self._reduce(flat[:, part].copy())
            parts *= self._weights
            self._reduce(parts)
            limbs = self._limbs @ np.vstack([parts, np.rint((parts * self._inverses).sum(axis=0))])
            for k in range(len(limbs) - 1):
                carry = np.floor(limbs[k] * 2.0**-_LIMB)
                limbs[k] -= carry * 2.0**_LIMB
                limbs[k + 1] += carry
            words[part] = limbs[drop // _LIMB :].astype(np.int64).T
        return bigint.from_bytes(words.view(np.uint8)).reshape(sums.shape[1:])

    def _reduce(self, values: Float) -> Float:
        """Turn float64 integers below 2**53, shape (k, m), into what is left of them, in place: nearest to zero."""
        multiple = values * self._inverses
        np.rint(multiple, out=multiple)
        multiple *= self._moduli
        values -= multiple
        return values


def _blocks(size: int) -> list[slice]:
    """Return slices of a length whose intermediate results stay in cache."""
    return [slice(start, start + _BLOCK) for start in range(0, size, _BLOCK)]


def _centred(table: list[list[int]], moduli: list[int]) -> Float:
    return np.array([[v - q if 2 * v > q else v for v in row] for row, q in zip(table, moduli, strict=True)], float)


class Triangle:
    """A lower triangular matrix of large integers that grows by rows, to be multiplied from both sides.

    Parameters
    ----------
    moduli : Moduli
        Of an inner dimension that is the greatest number of rows.

    Notes
    -----
    Cost: ``2 k rows**2`` bytes for k moduli; a product with a matrix of m columns takes ``k m rows**2`` operations.
    """

    def __init__(self, moduli: Moduli) -> None:
        self.moduli, self.rows = moduli, 0
        self._chunks: list[NDArray[np.float32]] = []

    def append(self, rows: Integers) -> None:
        """Add rows of shape (m, `rows` + m)."""
        split = self.moduli.split(rows)
        done = 0
        while done < len(rows):
            at = self.rows % _CHUNK
            if at == 0:
                self._chunks.append(np.zeros((len(self.moduli), _CHUNK, self.rows + _CHUNK), dtype=np.float32))
            some = split[:, done : done + _CHUNK - at]
            width = min(rows.shape[1], self._chunks[-1].shape[2])
            self._chunks[-1][:, at : at + some.shape[1], :width] = some[:, :, :width]
            done += some.shape[1]
            self.rows += some.shape[1]

    def times(self, split: Float) -> Float:
        """Return ``self @ values``, of and as what the moduli leave: shapes (k, rows, m)."""
        found = np.empty((len(self.moduli), self.rows, split.shape[2]))
        for k, rows, columns, entries in self._pieces():
            np.matmul(entries, split[k, columns], out=found[k, rows])
        return found

    def transposed_times(self, split: Float) -> Float:
        """Return ``self.T @ values``, likewise."""
        found = np.zeros((len(self.moduli), self.rows, split.shape[2]))
        for k, rows, columns, entries in self._pieces():
            found[k, columns] += entries.T @ split[k, rows]
        return found

    def _pieces(self) -> Iterator[tuple[int, slice, slice, Float]]:
        """Yield which modulus, which rows and columns, and what is left there."""
        for start, chunk in zip(range(0, self.rows, _CHUNK), self._chunks, strict=True):
            end = min(start + _CHUNK, self.rows)
            for k, entries in enumerate(chunk):
                yield k, slice(start, end), slice(0, end), entries[: end - start, :end].astype(np.float64)
