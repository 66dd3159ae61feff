"""The hot loop: centre one cache-sized block of rows and take its cross-product.

A block is the work of one compiled call where the package was built with a C compiler, and of NumPy and BLAS otherwise.
The environment variable ``STREAMREG_KERNEL`` chooses: ``amx``, ``avx512``, ``avx2``, ``neon`` or ``portable``
(compiled), or ``blas``; if it is not set, the first of them that is there. Each gives the same bits for any cut of the
rows and any number of threads; between them, sums differ by rounding.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, UsageError

try:
    from streamreg.kernels import _gram
except ImportError as error:
    _NAMES: tuple[str | None, ...] = ()
    _ABSENT = f"the compiled kernel is not built: {error}"
else:
    _NAMES = _gram.kernels()
    _ABSENT = "the compiled kernel is built"

Float = NDArray[np.float64]

_FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}
_PLAIN = _FLOATS | {np.dtype(kind) for kind in ("?", "i1", "i2", "i4", "u1", "u2", "u4")}
"""Types of columns that float64 holds, and that are written side by side in C."""

VARIABLE = "STREAMREG_KERNEL"
_STRIP = 128
_LABELS = {
    "amx": "AVX-512, exact products on AMX",
    "avx512": "AVX-512",
    "avx2": "AVX2",
    "neon": "NEON",
    "portable": "portable C",
}


def _choose(wanted: str | None, names: tuple[str | None, ...]) -> int | None:
    """Return the number of the kernel to run; None for BLAS."""
    if not wanted:
        return len(names) - 1 - next(k for k, n in enumerate(reversed(names)) if n) if names else None
    if wanted == "blas":
        return None
    if wanted not in names:
        there = ", ".join(["blas", *(n for n in names if n)])
        raise UsageError(
            f"{VARIABLE}={wanted}: there is no such kernel on this machine ({_ABSENT}); choose among {there}"
        )
    return names.index(wanted)


_KERNEL = _choose(os.environ.get(VARIABLE), _NAMES)


def describe() -> str:
    """Say which kernel runs, and why: a line for reports."""
    wanted = os.environ.get(VARIABLE)
    why = f"chosen by {VARIABLE}" if wanted else "the fastest that this processor has"
    if _KERNEL is not None:
        return f"compiled, {_LABELS[str(_NAMES[_KERNEL])]} ({why})"
    return f"BLAS ({why if wanted else _ABSENT})"


def room(rows: int, columns: int) -> int:
    """Return the rows, of `columns` numbers each, of the scratch in which a block of `rows` rows is worked on."""
    return rows if _KERNEL is None or not columns else -(-_gram.room(rows, columns) // columns)


def block(
    parts: list[NDArray[Any]], weight: Float | None, total: float, buffer: Float
) -> tuple[Float, Float, Float, Float, Float] | None:
    """Return what one compiled call finds in a block.

    Parameters
    ----------
    parts : list of ndarrays of shape (m, k)
        Columns side by side, q of them.
    weight : ndarray of shape (m,) or None
    total : float
        Sum of the weights, or m.
    buffer : ndarray
        Scratch of `room` rows.

    Returns
    -------
    tuple or None
        Least and greatest values, both halves of the means, and the centred cross-products, lower triangle. None if the
        block needs the general path: more than one column beside a matrix, unusual types, or numbers so large or small
        (or not finite) that they need a scale.

    Notes
    -----
    Cost: ``m q**2`` multiplications and one reading of the block; no memory but the result and `buffer`.
    """
    if _KERNEL is None or len(parts) > 2 or (len(parts) == 2 and parts[1].shape[1] != 1):
        return None
    # Half precision: exact in float64, and too rare to be read in C.
    parts = [part.astype(np.float64) if part.dtype == np.float16 else part for part in parts]
    q = buffer.shape[1]
    low, high, mean, rest, cross = (*np.empty((4, q)), np.empty((q, q)))
    y = parts[1][:, 0] if len(parts) == 2 else None
    if _gram.block(_KERNEL, parts[0], y, weight, total, buffer, low, high, mean, rest, cross):
        return low, high, mean, rest, cross
    return None


def number() -> int | None:
    """Return the number of the compiled kernel that runs; None where BLAS does."""
    return _KERNEL


def has_tiles() -> bool:
    """Say whether the kernel that runs multiplies integers on matrix tiles."""
    return _KERNEL is not None and _NAMES[_KERNEL] == "amx"


def merge(a: tuple[NDArray[Any], ...], b: tuple[NDArray[Any], ...], weight_a: float, weight_b: float) -> bool:
    """Merge moments `b` into `a`; say False, with nothing changed, where they need the general path.

    Each is a tuple of cross-products, of which only the lower triangle is touched, both halves of the means, least and
    greatest values, and exponents.
    """
    return _KERNEL is not None and _gram.merge(a, b, weight_a, weight_b)  # type: ignore[arg-type]  # six arrays


NAT = np.iinfo(np.int64).min


def finite(values: NDArray[Any]) -> bool:
    """Say whether a block holds neither NaN nor infinity, nor the least int64: NaT, and NA of 64-bit integers in R."""
    if values.dtype == np.int64:
        return not values.size or bool(values.min() > NAT)
    if values.dtype.kind != "f":
        return True
    found = None if _KERNEL is None else _gram.finite(_KERNEL, values)
    if found is None and values.ndim == 2:
        with np.errstate(all="ignore"):  # sums are quicker to find, and show all that is not finite; they may overflow
            found = bool(np.isfinite(np.ones(len(values), values.dtype) @ values).all()) or None
    return bool(np.isfinite(values).all()) if found is None else found


def rows(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], bool] | None:
    """Return columns of one length, shape (m,), side by side in rows, and whether all of their numbers are finite.

    Rows are of float32 where all columns are, and else of float64. None where there is no compiled kernel, and for
    columns of one type of integers, of 64-bit integers and of half precision, which take more care.
    """
    types = {column.dtype for column in columns}
    if _KERNEL is None or not types <= _PLAIN or (len(types) == 1 and not types <= _FLOATS):
        return None
    out = np.empty((len(columns[0]), len(columns)), types.pop() if len(types) == 1 else np.float64)
    fine = _gram.rows(_KERNEL, tuple(columns), out)
    return None if fine is None else (out, fine)


# Room for a difference, and for the splitting of a double-double product.
_LARGEST = 2.0**990
_SPAN = 2.0**300

_SAMPLE = 64  # rows whose mean places a column, as in the compiled kernel


def shift(values: NDArray[Any], low: Float, high: Float) -> Float:
    """Return a point amid each column of a block, from which the block's values differ by exact subtractions.

    The mean of some rows, or the constant itself for a constant column. For values within a factor of two of it the
    subtraction is exact (Sterbenz 1974, *Floating-Point Computation*, theorem 4.3.1); otherwise it is good to half an
    ulp of the difference. For integers that float64 cannot hold it is an integer that their type holds.
    """
    some = values[:: -(-len(values) // _SAMPLE)]
    centre = place(np.add.reduce(some, axis=0, dtype=np.float64) / len(some), low, high)
    if values.dtype.kind in "iu" and max(high.max(initial=0.0), -low.min(initial=0.0)) > 2.0**53:
        bounds = np.iinfo(values.dtype)
        # float64 has no number just below 2**63 or 2**64, hence the 2048.
        centre = np.clip(np.rint(centre), float(bounds.min), float(bounds.max - 2048))
    return centre


def place(mean: Float, low: Float, high: Float) -> Float:
    """Return the point near the mean of each column from which to take differences; for a constant, itself.

    It lies on a grid of a thousandth of the spread: columns of few values, such as 0 and 1, then have exact products.
    Else the same roundings recur row after row, and add up instead of averaging out.
    """
    with np.errstate(all="ignore"):  # at the ends of float64's range there is no such grid
        unit = np.ldexp(1.0, np.frexp(high - low)[1] - 10)
        placed = np.rint(mean / unit) * unit
    return np.where(low == high, low, np.where(np.isfinite(placed), placed, mean))


def plain(low: Float, high: Float) -> bool:
    """Say whether columns in this range are finite and need no scale: no product of deviations over- or underflows."""
    with np.errstate(all="ignore"):
        span = high - low
        fits = (np.maximum(np.abs(low), np.abs(high)) <= _LARGEST) & (span < _SPAN) & ((span > 1 / _SPAN) | (span == 0))
    return bool(fits.all())


def extremes(values: NDArray[Any]) -> tuple[Float, Float]:
    """Return the least and greatest value of each column, as float64.

    Raises
    ------
    DataError
        A value too large to centre in float64.
    """
    low = np.minimum.reduce(values, axis=0).astype(np.float64)
    high = np.maximum.reduce(values, axis=0).astype(np.float64)
    if max(high.max(initial=0.0), -low.min(initial=0.0)) > _LARGEST:
        raise DataError("a value is beyond 1e298; rescale that column, its deviations would overflow float64")
    return low, high


def subtract(values: NDArray[Any], centre: Float, out: Float) -> None:
    """Write ``values - centre`` into `out`; 64-bit integers are subtracted as integers, before any rounding."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        # Two's complement: the wrapped difference is right, signed or not, whenever the true one fits 63 bits.
        pivot = np.rint(centre)
        whole = np.ascontiguousarray(values).view(np.int64) - pivot.astype(values.dtype).view(np.int64)
        rough = values.astype(np.float64) - centre
        out[...] = np.where(np.abs(rough) < 2.0**62, whole.astype(np.float64) - (centre - pivot), rough)
    else:
        np.subtract(values, centre, out=out, dtype=np.float64)


def centred(parts: list[NDArray[Any]], centre: Float, out: Float) -> None:
    """Write columns side by side into `out`, each less its centre."""
    stops = np.cumsum([part.shape[1] for part in parts])
    places = [slice(stop - part.shape[1], stop) for part, stop in zip(parts, stops, strict=True)]
    if any(part.dtype.kind in "iu" and part.dtype.itemsize == 8 for part in parts):
        for part, here in zip(parts, places, strict=True):
            subtract(part, centre[here], out[:, here])
        return
    for part, here in zip(parts, places, strict=True):
        out[:, here] = part
    out -= centre  # whole rows at once: NumPy takes half as long for these as for a part of them


def mirrored(lower: Float) -> Float:
    """Return a symmetric matrix from its lower triangle; what is above counts for nothing."""
    out = np.empty_like(lower)
    for start in range(0, len(lower), _STRIP):  # a strip at a time: transposes of wide matrices miss the cache
        end = start + _STRIP
        strip = np.tril(lower[start:end, :end], start)
        out[start:end, :end] = strip
        out[:end, start:end] = strip.T
        square = strip[:, start:]
        out[start:end, start:end] = square + np.tril(square, -1).T
    return out


def cross_product(rows: Float) -> Float:
    """Return ``rows.T @ rows``, shape (q, q); NumPy hands this to BLAS ``dsyrk``, which works on one triangle."""
    product: Float = np.matmul(rows.T, rows)
    return product
