"""Where the digits of sums stand: three windows of 32 bits below the largest value met so far.

Windows begin at multiples of 32 bits. A larger value moves them up and drops the lowest; as tops only rise, what the
windows that are left have taken does not depend on the order of the rows.
"""

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.kernels.levels import BITS, DIGITS

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LOWEST, HIGHEST = -28, 28
"""Places that the first window can take: multiples of 32 bits."""


def tops(largest: Float) -> Int:
    """Return the place of the first window for numbers of that magnitude.

    Raises
    ------
    DataError
        A number is beyond 1e270.
    """
    places = np.where(largest > 0, (np.frexp(largest)[1] - 1) // BITS, LOWEST)
    if places.max(initial=LOWEST) > HIGHEST:
        raise DataError("a value is beyond 1e270, and cannot be summed by level; rescale that column")
    return np.maximum(places, LOWEST).astype(np.int64)


def limits(top: Int) -> Float:
    """Return the magnitude that numbers must stay below, for windows that begin there."""
    return np.asarray(np.ldexp(1.0, BITS * (top + 1)))


def scales(top: Int) -> Float:
    """Return what numbers are multiplied by, so that they are below 2**32."""
    return np.asarray(np.ldexp(1.0, -BITS * top))


def shifted(digits: Int, by: Int, axis: int = -2) -> Int:
    """Return digits moved so many windows down, what falls out at the end being dropped.

    Parameters
    ----------
    digits : int64 ndarray
        With the windows, first ones first, along `axis`.
    by : int64 ndarray
        Windows to move by, not negative; its shape is that of the axes after `axis`.
    """
    if not by.any():
        return digits
    out = np.zeros_like(digits)
    source, target = np.moveaxis(digits, axis, 0), np.moveaxis(out, axis, 0)
    for k in range(DIGITS):
        for step in range(DIGITS - k):
            target[k + step] += np.where(by == step, source[k], 0)
    return out
