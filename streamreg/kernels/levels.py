"""Levels of factors: codes of keys, integer sums by level, tables of two factors. In C, or in NumPy with the same bits.

A number is cut, toward zero, in three digits of 32 bits below a power of two, and the digits are added as integers, so
sums do not depend on the order of the rows (Demmel & Nguyen 2015, *IEEE Transactions on Computers* 64, in integers).
"""

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels import gram

try:
    from streamreg.kernels import _levels
except ImportError:
    _COMPILED = False
else:
    _COMPILED = gram.number() is not None

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Codes = NDArray[np.int32]

DIGITS = 3
BITS = 32
"""Bits of a digit."""

_CHUNK = 2**16  # levels that NumPy works on at a time
_RUN, _AT_ONCE = 128, 3  # rows, and factors, of one call of the compiled kernel
_RADIX = 2.0**32


def largest(z: Float, weight: Float | None) -> Float:
    """Return the largest magnitude of each column of z, shape (m, q), times the weights."""
    if _COMPILED:
        out = np.empty(z.shape[1])
        _levels.largest(z, weight, out)
        return out
    size = np.abs(z if weight is None else z * weight[:, None])
    return np.asarray(size.max(axis=0, initial=0.0))


def add(
    z: Float,
    low: Float | None,
    weight: Float | None,
    scale: Float,
    codes: list[Codes],
    sums: list[Int],
    counts: list[Int],
) -> None:
    """Add rows to the sums of their levels, for several factors.

    Parameters
    ----------
    z : ndarray of shape (m, q)
    low : ndarray of shape (m, q) or None
        What `z` lacks to the exact values.
    weight : ndarray of shape (m,) or None
        Sums are then of the products, which are not rounded, and of the weights as one more column.
    scale : ndarray of shape (width,)
        Powers of two: every number times its scale is below 2**32. The width is q, or q + 1 with weights.
    codes : list of int32 ndarrays of shape (m,)
        The level of each row, for each factor.
    sums : list of int64 ndarrays of shape (at least L, 3 * width)
        What is added to: first digits of all columns, then second, then third ones.
    counts : list of int64 ndarrays of shape (at least L,)
        Rows of each level.
    """
    if _COMPILED:
        scratch = np.empty(_RUN * DIGITS * len(scale), dtype=np.int64)
        for k in range(0, len(codes), _AT_ONCE):
            three = zip(*(part[k : k + _AT_ONCE] for part in (codes, sums, counts)), strict=True)
            _levels.add(z, low, weight, scale, scratch, tuple(array for one in three for array in one))
        return
    digits = _digits(z, low, weight, scale)
    for code, total, count in zip(codes, sums, counts, strict=True):
        np.add.at(total, code, digits)
        np.add.at(count, code, 1)


def _digits(z: Float, low: Float | None, weight: Float | None, scale: Float) -> Int:
    """Return the digits of rows, shape (m, 3 * width)."""
    q = z.shape[1]
    if weight is None:
        cut = _cut(z * scale)
        return cut if low is None else cut + _cut(low * scale)
    product, rest = dd.two_prod(z, weight[:, None])
    parts = [_cut(product * scale[:q]), _cut(rest * scale[:q])]
    if low is not None:
        parts.append(_cut(low * weight[:, None] * scale[:q]))
    own = _cut(weight[:, None] * scale[q:])
    digits = np.sum(parts, axis=0).reshape(len(z), DIGITS, q)
    return np.concatenate([digits, own[:, :, None]], axis=2).reshape(len(z), DIGITS * (q + 1))


def _cut(left: Float) -> Int:
    """Return three digits of each number, first ones first; shape (m, 3 * q)."""
    out = np.empty((len(left), DIGITS, left.shape[1]), dtype=np.int64)
    for k in range(DIGITS):
        whole = np.trunc(left)
        out[:, k] = whole
        left = (left - whole) * _RADIX
    return out.reshape(len(left), DIGITS * left.shape[1])


def encode(keys: Int, table: Int, levels: Int, room: int, used: int, codes: Codes) -> tuple[int, int]:
    """Write the code of each key into `codes`, and give new keys the next ones.

    Parameters
    ----------
    keys : int64 ndarray of shape (m,)
    table : int64 ndarray of shape (2**k, 2)
        Open addressing: keys and codes + 1, zero at first. Its layout differs between the compiled and the NumPy path.
    levels : int64 ndarray of shape (at least room,)
        Keys by code.
    room : int
        Codes that may be taken; less than 2**k.
    used : int
        Codes taken so far.
    codes : int32 ndarray of shape (m,)

    Returns
    -------
    used, done : int
        Codes taken, and rows whose codes are written: fewer than m where there is no room for another key.
    """
    if _COMPILED:
        return _levels.encode(keys, table, levels, room, used, codes)
    # The table holds the keys in order here.
    held = table[:used]
    new, first = np.unique(keys, return_index=True)
    new = new[np.argsort(first)]  # codes in the order of appearance, as in the compiled kernel
    new = new[~np.isin(new, held[:, 0])]
    if used + len(new) > room:
        return used, 0
    if len(new):
        levels[used : used + len(new)] = new
        joined = np.concatenate([held, np.column_stack([new, np.arange(used + 1, used + 1 + len(new))])])
        used += len(new)
        table[:used] = joined[np.argsort(joined[:, 0], kind="stable")]
    codes[:] = table[np.searchsorted(table[:used, 0], keys), 1] - 1
    return used, len(keys)


def full_table(
    a: Codes, b: Codes, weight: Float | None, scale: float, counts: NDArray[np.uint32], digits: Int | None
) -> None:
    """Count pairs of codes in a full table.

    Parameters
    ----------
    a, b : int32 ndarrays of shape (m,)
    weight, scale
        Every weight times the scale, a power of two, is below 2**32.
    counts : uint32 ndarray of shape (A, B)
    digits : int64 ndarray of shape (A, B, 3) or None
        Of the sums of weights.
    """
    if _COMPILED:
        _levels.table(a, b, weight, scale, counts, digits)
        return
    np.add.at(counts, (a, b), 1)
    if weight is not None:
        assert digits is not None
        np.add.at(digits, (a, b), _cut(weight[:, None] * scale))


def about(
    sums: Int, codes: Codes, counts: Int, top: Int, mean: dd.DD, exponent: NDArray[np.int64]
) -> tuple[Float, Float]:
    """Return the weights of some levels, shape (m,), and their sums about the means, shape (m, q).

    Parameters
    ----------
    sums : int64 ndarray of shape (L, 3 * width)
        Digits, as `add` sums them; of weights too if the width is q + 1.
    codes : int32 ndarray of shape (m,)
    counts : int64 ndarray of shape (L,)
        The weights where there are none.
    top : int64 ndarray of shape (width,)
        Places of the first digits.
    mean : pair of ndarrays of shape (q,)
    exponent : int ndarray of shape (q,)
        Sums are multiplied by ``2**-exponent``.
    """
    q, m = len(exponent), len(codes)
    if _COMPILED and not exponent.any():
        units = np.ldexp(1.0, BITS * (top[:, None] + 1 - np.arange(DIGITS + 1)))
        weights, out = np.empty(m), np.empty((m, q))
        _levels.about(sums, codes, counts, units, np.array(mean), np.ones(q), weights, out)
        return weights, out
    weights, out = counts[codes].astype(np.float64), np.empty((m, q))
    for start in range(0, m, _CHUNK):
        here = slice(start, min(start + _CHUNK, m))
        digits = values(carried(sums[codes[here]].reshape(-1, DIGITS, len(top))), top)
        own = dd.from_float(weights[here, None])
        if len(top) > q:
            own = dd.take(digits, (slice(None), slice(q, None)))
            weights[here] = own[0][:, 0]
        centre = tuple(np.broadcast_to(part, (len(own[0]), q)) for part in mean)
        left = dd.subtract(dd.take(digits, (slice(None), slice(q))), dd.multiply(centre, own))  # type: ignore[arg-type]
        out[here] = np.ldexp(left[0], -exponent)
    return weights, out


def carried(digits: Int) -> Int:
    """Return digits, shape (..., 3, width), of which all but the first lie in 0 to 2**32: one form for each value."""
    out = digits.copy()
    for k in range(DIGITS - 1, 0, -1):
        over = out[..., k, :] >> BITS
        out[..., k, :] -= over << BITS
        out[..., k - 1, :] += over
    return out


def values(digits: Int, top: Int) -> dd.DD:
    """Return what carried digits, shape (..., 3, width), come to, in double-double."""
    first = digits[..., 0, :] >> BITS
    parts = [first, digits[..., 0, :] - (first << BITS), *(digits[..., k, :] for k in range(1, DIGITS))]
    unit = BITS * (top + 1)
    total = dd.from_float(np.ldexp(parts[0].astype(np.float64), unit))
    for k, part in enumerate(parts[1:], 1):
        total = dd.add_float(total, np.ldexp(part.astype(np.float64), unit - BITS * k))
    return total


def compiled() -> bool:
    """Say whether the compiled kernel runs."""
    return _COMPILED
