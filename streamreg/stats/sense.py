"""Whether saved moments can be those of rows: shapes, counts, squares, places. A file may have been edited.

Each function raises `ValueError` that says what cannot be.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXPONENT = 2400  # beyond what products of two float64 reach
_LEVEL = 62  # of a tree over the numbers of blocks
_SLACK = 1e-6  # relative; rounding in sums is far below it


def require(sound: Any, what: str) -> None:
    """Raise `ValueError` if something is not as it must be."""
    if not sound:
        raise ValueError(what)


def counts(meta: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the rows used, read and missing."""
    found = [meta[name] for name in ("n", "n_read", "n_missing")]
    require(all(type(count) is int and count >= 0 for count in found), f"counts of rows are {found}")
    used, read, missing = found
    require(used + missing <= read, f"{used} rows used and {missing} missing are more than {read} rows read")
    return used, read, missing


def names(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the columns."""
    found = meta["names"]
    require(isinstance(found, list) and all(isinstance(name, str) for name in found), "names are not a list of texts")
    require(len(set(found)) == len(found), "two columns have the same name")
    require(meta["target"] is None or isinstance(meta["target"], str), "the target has no name")
    return tuple(found)


def array(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
    """Return an array, if it has the shape and one of the kinds of numbers; if these are floats, all finite."""
    found = arrays[name]
    require(found.shape == shape, f"{name} has shape {found.shape}, not {shape}")
    require(found.dtype.kind in kinds, f"{name} is of type {found.dtype}")
    if found.dtype.kind == "f":
        require(found.dtype == np.float64 and np.isfinite(found).all(), f"{name} has values that are not finite")
    return found


def exponents(found: NDArray[Any]) -> None:
    """Check powers of two of float64 numbers."""
    require((np.abs(found) <= _EXPONENT).all(), "an exponent is beyond that of any float64")


def places(found: NDArray[Any]) -> None:
    """Check levels and indices of the nodes of a tree, of shape (k, 2): one after the other, without overlap."""
    at = 0
    for level, index in found.tolist():
        require(0 <= level <= _LEVEL and 0 <= index < 2 ** (_LEVEL - level), f"no place ({level}, {index}) in a tree")
        require(index << level >= at, "places of the tree overlap")
        at = (index + 1) << level


def centred(weight: NDArray[Any], mean: NDArray[Any], cross: NDArray[Any], exponent: NDArray[Any], ends: NDArray[Any]
            ) -> None:  # fmt: skip
    """Check the moments of one set of rows.

    Parameters
    ----------
    weight : ndarray of shape (2,)
        Sum of weights, and of their logarithms.
    mean : ndarray of shape (2, q)
        Double-double.
    cross : ndarray of shape (q, q)
    exponent : ndarray of shape (q,)
    ends : ndarray of shape (2, q)
        Least and greatest value of each column.

    Notes
    -----
    The bounds are those of Cauchy and Schwarz, and of Popoviciu (1935): no variance is above a quarter of the squared
    range. Cost: ``q**2``.
    """
    require(weight[0] > 0, f"a sum of weights is {weight[0]:g}")
    low, high = ends
    require((low <= high).all(), "a least value is above the greatest")
    require((np.abs(mean[1]) <= np.spacing(np.abs(mean[0]))).all(), "a mean has parts that do not belong together")
    size = np.maximum(np.abs(low), np.abs(high))
    slack = _SLACK * (high / 2 - low / 2) + 4 * np.spacing(size)
    require(((mean[0] >= low - slack) & (mean[0] <= high + slack)).all(), "a mean lies outside its column's range")
    square = np.diag(cross)
    require((square >= 0).all(), "a sum of squares is negative")
    exponents(exponent)
    with np.errstate(over="ignore", under="ignore"):
        spread = np.ldexp(np.sqrt(square / weight[0]), exponent)
        require((spread <= (high / 2 - low / 2) * (1 + _SLACK) + 4 * np.spacing(size)).all(),
                "a variance is above what its column's range allows")  # fmt: skip
    root = np.sqrt(square)
    require((np.abs(cross) <= np.multiply.outer(root, root) * (1 + _SLACK) + np.finfo(float).tiny).all(),
            "a cross-product is above what the squares allow")  # fmt: skip


def integers(entries: NDArray[Any], rows: int) -> None:
    """Check exact sums of products of ``[1, z]``, of shape (q + 1, q + 1)."""
    square = np.diag(entries)
    require((square >= 0).all(), "a sum of squares is negative")
    require(square[0] > 0 or not rows, "the sum of weights is zero")
    require((entries * entries <= np.multiply.outer(square, square)).all(), "a product is above what squares allow")


def apart(keys: Sequence[Any], used: Iterable[int], rows: int) -> None:
    """Check groups: their keys, and that they have the rows of all together."""
    require(len(set(keys)) == len(keys), "two groups have the same key")
    require(all(type(key) in (int, str) for key in keys), "a key of a group is neither a number nor a text")
    require(sum(used) == rows, "the groups have other rows than all together")


def sizes(shapes: NDArray[Any], values: NDArray[Any], count: int) -> list[int]:
    """Return the sizes of arrays that lie one after the other, if they are all there is."""
    require(shapes.ndim == 2 and len(shapes) == count and shapes.dtype.kind in "iu", "shapes are not those of arrays")
    require(values.ndim == 1 and (shapes >= 0).all(), "a shape is negative")
    found = [int(np.prod(shape, dtype=object)) for shape in shapes]
    require(sum(found) == len(values), f"{len(values)} values are not {sum(found)}, as their shapes say")
    return found


def ends(found: Sequence[int]) -> list[tuple[int, int]]:
    """Return where arrays of these sizes begin and end."""
    return list(itertools.pairwise(itertools.accumulate(found, initial=0)))
