"""Double-double arithmetic: a number is an unevaluated sum (high, low) of two float64, about 106 bits.

Everything is elementwise on arrays. Error-free transformations after Dekker (1971, *Numerische Mathematik* 18) and
Knuth (*TAOCP* vol. 2, 4.2.2); the accurate sum and product after Li et al. (2002, *ACM TOMS* 28, XBLAS). No fused
multiply-add is assumed, so every machine gives the same bits.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
DD = tuple[Float, Float]

_SPLITTER = 2.0**27 + 1.0


def two_sum(a: ArrayLike, b: ArrayLike) -> DD:
    """Return (s, e) with ``s = fl(a + b)`` and ``s + e = a + b`` exactly."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def quick_two_sum(a: Float, b: Float) -> DD:
    """Return `two_sum` of numbers known to satisfy ``|a| >= |b|``."""
    s = a + b
    return s, b - (s - a)


def split(a: Float) -> DD:
    """Cut float64 numbers into two halves of 26 bits, whose products are exact."""
    t = _SPLITTER * a
    high = t - (t - a)
    return high, a - high


def two_prod(a: ArrayLike, b: ArrayLike) -> DD:
    """Return (p, e) with ``p = fl(a * b)`` and ``p + e = a * b`` exactly, short of over- and underflow."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def add(a: DD, b: DD) -> DD:
    """Return ``a + b``."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    s, e = quick_two_sum(s, e + t)
    return quick_two_sum(s, e + f)


def negative(a: DD) -> DD:
    """Return ``-a``."""
    return -a[0], -a[1]


def subtract(a: DD, b: DD) -> DD:
    """Return ``a - b``."""
    return add(a, negative(b))


def add_float(a: DD, b: ArrayLike) -> DD:
    """Return ``a + b`` for a float64 `b`."""
    s, e = two_sum(a[0], b)
    return quick_two_sum(s, e + a[1])


def multiply(a: DD, b: DD) -> DD:
    """Return ``a * b``."""
    p, e = two_prod(a[0], b[0])
    return quick_two_sum(p, e + (a[0] * b[1] + a[1] * b[0]))


def multiply_float(a: DD, b: ArrayLike) -> DD:
    """Return ``a * b`` for a float64 `b`."""
    p, e = two_prod(a[0], b)
    return quick_two_sum(p, e + a[1] * np.asarray(b, dtype=np.float64))


def divide(a: DD, b: DD) -> DD:
    """Return ``a / b``."""
    q1 = a[0] / b[0]
    r = subtract(a, multiply_float(b, q1))
    q2 = r[0] / b[0]
    r = subtract(r, multiply_float(b, q2))
    return add_float(quick_two_sum(q1, q2), r[0] / b[0])


def sqrt(a: DD) -> DD:
    """Return the square root of numbers that are not negative."""
    root = np.sqrt(a[0])
    rest = subtract(a, two_prod(root, root))
    correction = np.divide(rest[0], 2.0 * root, out=np.zeros_like(root), where=root > 0)
    return quick_two_sum(root, correction)


def from_float(a: ArrayLike) -> DD:
    """Return float64 numbers as double-doubles."""
    high = np.array(a, dtype=np.float64)
    return high, np.zeros_like(high)


def zeros(shape: int | tuple[int, ...]) -> DD:
    """Return an array of double-double zeros."""
    return np.zeros(shape), np.zeros(shape)


def take(a: DD, index: Any) -> DD:
    """Return ``a[index]``."""
    return a[0][index], a[1][index]


def sum_rows(a: DD) -> DD:
    """Return the sum along axis 0, by pairwise halving."""
    high, low = a
    while len(high) > 1:
        half = len(high) // 2
        paired = add((high[:half], low[:half]), (high[half : 2 * half], low[half : 2 * half]))
        if len(high) % 2:
            high, low = np.concatenate([paired[0], high[-1:]]), np.concatenate([paired[1], low[-1:]])
        else:
            high, low = paired
    if not len(high):
        return zeros(high.shape[1:])
    return high[0], low[0]


def dot(a: DD, b: DD) -> DD:
    """Return the inner product of two vectors."""
    return sum_rows(multiply(a, b))


def powers(x: ArrayLike, degree: int) -> DD:
    """Return x, x**2, ..., x**degree as the columns of a pair of arrays of shape (n, degree)."""
    x = np.asarray(x, dtype=np.float64)
    high, low = np.empty((len(x), degree)), np.empty((len(x), degree))
    power = from_float(x)
    for k in range(degree):
        high[:, k], low[:, k] = power
        power = multiply_float(power, x)
    return high, low
