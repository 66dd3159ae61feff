"""The hot loop: centre one cache-sized block of rows and take its cross-product."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError

# Room for a difference, and for the splitting of a double-double product.
_LARGEST = 2.0**990


def shift(values: NDArray[Any], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a point amid each column of a block, from which the block's values differ by exact subtractions.

    The mean, or the constant itself for a constant column. For values within a factor of two of it the subtraction is
    exact (Sterbenz 1974, *Floating-Point Computation*, theorem 4.3.1); otherwise it is good to half an ulp of the
    difference. For integers that float64 cannot hold it is an integer that their type holds.
    """
    mean = np.add.reduce(values, axis=0, dtype=np.float64) / len(values)
    centre = np.where(low == high, low, mean)
    if values.dtype.kind in "iu" and max(high.max(initial=0.0), -low.min(initial=0.0)) > 2.0**53:
        bounds = np.iinfo(values.dtype)
        # float64 has no number just below 2**63 or 2**64, hence the 2048.
        centre = np.clip(np.rint(centre), float(bounds.min), float(bounds.max - 2048))
    return centre


def extremes(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def subtract(values: NDArray[Any], centre: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write ``values - centre`` into `out`; 64-bit integers are subtracted as integers, before any rounding."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        # Two's complement: the wrapped difference is right, signed or not, whenever the true one fits 63 bits.
        pivot = np.rint(centre)
        whole = np.ascontiguousarray(values).view(np.int64) - pivot.astype(values.dtype).view(np.int64)
        rough = values.astype(np.float64) - centre
        out[...] = np.where(np.abs(rough) < 2.0**62, whole.astype(np.float64) - (centre - pivot), rough)
    else:
        np.subtract(values, centre, out=out, dtype=np.float64)


def cross_product(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``rows.T @ rows``, shape (q, q); NumPy hands this to BLAS ``dsyrk``, which works on one triangle."""
    product: NDArray[np.float64] = np.matmul(rows.T, rows)
    return product
