"""Second moments of a set of rows, and the pairwise merge of two sets.

The merge is that of Chan, Golub & LeVeque (1983, *The American Statistician* 37, eq. 2.1b), extended to weights and to
cross-products. Means are kept in double-double and cross-products scaled by powers of two, so neither an offset of 1e12
nor a unit of 1e200 costs digits.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels import gram
from streamreg.kernels.gram import centred, cross_product, extremes, mirrored, shift

if TYPE_CHECKING:
    from streamreg.kernels.device import Device

Float = NDArray[np.float64]

# Columns whose deviations lie between 2**-300 and 2**300 need no scale: their products neither over- nor underflow.
_PLAIN = 300


@dataclass(slots=True)
class Centred:
    """Moments of some rows of q columns.

    Attributes
    ----------
    weight : float
        Sum of the weights (the number of rows when there are none).
    log_weight : float
        Sum of the logarithms of the weights, which the likelihood needs.
    mean : pair of ndarrays of shape (q,)
        Double-double, in the units of the data.
    cross : ndarray of shape (q, q)
        Centred cross-products ``sum w (z - mean)(z - mean)'``, times ``2**-(exponent_i + exponent_j)``: the lower
        triangle. What is above it counts only after `whole`.
    exponent : int ndarray of shape (q,)
        Zero unless a column's deviations are beyond 1e+-90.
    low, high : ndarrays of shape (q,)
        Least and greatest value.
    """

    weight: float
    log_weight: float
    mean: dd.DD
    cross: Float
    exponent: NDArray[np.int64]
    low: Float
    high: Float


def of_block(parts: list[NDArray[Any]], weight: Float | None, buffer: Float, low_parts: Float | None = None) -> Centred:
    """Return the moments of one block.

    Parameters
    ----------
    parts : list of ndarrays of shape (m, k)
        Columns side by side; their widths add up to q.
    weight : ndarray of shape (m,) or None
    buffer : ndarray of shape (at least m, q)
        Scratch, with the room that `gram.room` asks for.
    low_parts : ndarray of shape (m, k) or None
        What the first k columns lack to the exact values.
    """
    m, q = len(parts[0]), buffer.shape[1]
    total, logs = _weights(m, weight)
    if low_parts is None and (done := gram.block(parts, weight, total, buffer)) is not None:
        return _plain(total, logs, done)
    z = buffer[:m]
    low, high, centre = np.empty(q), np.empty(q), np.empty(q)
    column = 0
    for part in parts:
        here = slice(column, column := column + part.shape[1])
        low[here], high[here] = extremes(part)
        centre[here] = shift(part, low[here], high[here])
    centred(parts, centre, z)
    if low_parts is not None:
        z[:, : low_parts.shape[1]] += low_parts
    span = np.maximum(high - centre, centre - low)
    exponent = _exponents(np.frexp(span)[1], span > 0)
    if exponent.any():
        np.ldexp(z, -exponent, out=z)
    if weight is None:
        rest = np.ones(m) @ z / total
        correction = np.zeros(q)
    else:
        rest = weight @ z / total
        # A heavy row would drown the others if it were not centred before the products.
        z -= rest
        centre, correction = dd.two_sum(centre, np.ldexp(rest, exponent))
        rest = weight @ z / total
        z *= np.sqrt(weight)[:, None]
    cross = cross_product(z)
    cross -= total * np.multiply.outer(rest, rest)
    mean = dd.add_float((centre, correction), np.ldexp(rest, exponent))
    return Centred(total, logs, mean, cross, exponent, low, high)


def on_device(device: "Device", parts: list[NDArray[Any]], weight: Float | None) -> Centred | None:
    """Return the moments of rows whose products are taken on a device; None if they need `of_block`."""
    total, logs = _weights(len(parts[0]), weight)
    done = device.block(parts, weight, total)
    return None if done is None else _plain(total, logs, done)


def _weights(m: int, weight: Float | None) -> tuple[float, float]:
    return (float(m), 0.0) if weight is None else (float(weight.sum()), float(np.log(weight).sum()))


def _plain(total: float, logs: float, found: tuple[Float, Float, Float, Float, Float]) -> Centred:
    low, high, near, rest, cross = found
    return Centred(total, logs, (near, rest), cross, np.zeros(len(low), np.int64), low, high)


def merge(a: Centred, b: Centred) -> Centred:
    """Return the moments of both sets of rows; the arrays of `a` may be used again."""
    total = a.weight + b.weight
    if gram.merge(_arrays(a), _arrays(b), a.weight, b.weight):
        a.weight, a.log_weight = total, a.log_weight + b.log_weight
        return a
    delta = dd.subtract(b.mean, a.mean)
    step, cross, added = delta[0], a.cross, b.cross
    if a.exponent.any() or b.exponent.any() or (np.abs(step) > 2.0**_PLAIN).any():
        exponent = _common_exponents(a, b, step)
        cross, added = _rescale(a.cross, a.exponent - exponent), _rescale(b.cross, b.exponent - exponent)
        step = np.ldexp(step, -exponent)
    else:
        exponent = a.exponent
    cross += added
    # The root on both sides keeps the matrix symmetric to the last bit, so that one triangle is the whole of it.
    step = step * np.sqrt(a.weight * (b.weight / total))
    cross += np.multiply.outer(step, step)
    mean = dd.add(a.mean, dd.multiply_float(delta, b.weight / total))
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    return Centred(total, a.log_weight + b.log_weight, mean, cross, exponent, low, high)


def copy(a: Centred) -> Centred:
    """Return moments that `merge` may reuse."""
    mean = (a.mean[0].copy(), a.mean[1].copy())
    return replace(a, mean=mean, cross=a.cross.copy(), low=a.low.copy(), high=a.high.copy())


def whole(a: Centred) -> Centred:
    """Return moments with both triangles of the cross-products."""
    return replace(a, cross=mirrored(a.cross))


def _arrays(a: Centred) -> tuple[NDArray[Any], ...]:
    return a.cross, *a.mean, a.low, a.high, a.exponent


def _exponents(wanted: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(live & (np.abs(wanted) > _PLAIN), wanted, 0).astype(np.int64)


def exponents_about_zero(cross: Float, exponent: NDArray[np.int64], mean: Float) -> NDArray[np.int64]:
    """Return exponents at which centred cross-products and those of the means can be added."""
    lowest = np.iinfo(np.int64).min // 4
    size = np.diag(cross)
    wanted = np.where(mean != 0, np.frexp(mean)[1].astype(np.int64), lowest)
    wanted = np.maximum(wanted, np.where(size > 0, np.frexp(size)[1] // 2 + exponent, lowest))
    return _exponents(wanted, wanted > lowest)


def _common_exponents(a: Centred, b: Centred, step: Float) -> NDArray[np.int64]:
    """Return exponents at which the cross-products of both sides and of the step between their means can be added."""
    lowest = np.iinfo(np.int64).min // 4
    wanted = np.where(step != 0, np.frexp(step)[1].astype(np.int64), lowest)
    for side in (a, b):
        size = np.diag(side.cross)
        wanted = np.maximum(wanted, np.where(size > 0, np.frexp(size)[1] // 2 + side.exponent, lowest))
    return _exponents(wanted, wanted > lowest)


def _rescale(cross: Float, by: NDArray[np.int64]) -> Float:
    if not by.any():
        return cross
    # One column at a time: a two-sided power of two can leave the range that the product itself stays in.
    scaled: Float = np.ldexp(np.ldexp(cross, by[:, None]), by[None, :])
    return scaled
