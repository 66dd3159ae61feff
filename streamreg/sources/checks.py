"""What a table of numbers must look like, and what to say of one that does not."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreg.errors import CorruptError, DataError

_ABSENT_BYTES = 2**36
"""From here on, it is asked how much of an array is there before the rest is read as its fill value."""

_SPARSEST = 1000
"""Of so many chunks of a large array, more than one is there."""


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the plain type in the machine's byte order, free of metadata."""
    return np.dtype(dtype.newbyteorder("=").str) if dtype.kind in "fiub" else dtype


def check_matrix(label: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is not a two-dimensional array of numbers with at least one row and column."""
    check_numeric(label, dtype)
    if len(shape) != 2:
        advice = (
            "reshape one feature to (n, 1)" if len(shape) == 1 else "reshape it to two dimensions, one row per sample"
        )
        raise DataError(f"{label}: shape is {shape}, and the features must be a matrix (rows, columns); {advice}")
    if shape[0] == 0:
        raise DataError(f"{label}: has no rows (shape {shape}); there is nothing to fit, check how it was written")
    if shape[1] == 0:
        raise DataError(f"{label}: has no columns (shape {shape}); there is nothing to fit, check how it was written")


def check_vector(
    label: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], matrix_label: str, n_rows: int
) -> None:
    """Refuse a target or weights that are not one number per row of the matrix."""
    check_numeric(label, dtype)
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)):
        raise DataError(f"{label}: shape is {shape}, and {name!r} must hold one number per row; reshape it to (n,)")
    if shape[0] != n_rows:
        raise DataError(
            f"{label}: {name!r} has {shape[0]:,} rows and {matrix_label} has {n_rows:,}; "
            "they must be equally long, so check how the two were written"
        )


def check_numeric(label: str, dtype: np.dtype[Any]) -> None:
    """Refuse types that are not plain real numbers."""
    if dtype.names is not None:
        raise DataError(
            f"{label}: holds records with fields {', '.join(dtype.names)}; "
            "store the fields side by side as one numeric matrix (numpy.lib.recfunctions.structured_to_unstructured)"
        )
    if dtype.kind in "OSUTV":
        what = "Python objects" if dtype.kind == "O" else "text" if dtype.kind in "SUT" else "raw bytes"
        advice = "convert it with astype('float64') first"
        if dtype.kind != "V":
            advice = (
                "where these are numbers, convert them with astype('float64'); where there is text, pass a data frame, "
                "whose text columns are categories in a formula, 'y ~ a + C(town)'"
            )
        raise DataError(f"{label}: has type {dtype} ({what}), not numbers; {advice}")
    if dtype.kind == "c":
        raise DataError(f"{label}: has type {dtype}; store real and imaginary parts as two columns")
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise DataError(
            f"{label}: has type {dtype}; float16/32/64, integers and bool can be read, convert with astype('float64')"
        )


def require_some(label: str, shape: tuple[int, ...], itemsize: int, there: int, expected: int) -> None:
    """Refuse to take an array for fill values if it is huge and next to nothing of it is stored.

    Then it is more likely that its header is damaged, and reading it may never end.

    Parameters
    ----------
    label : str
    shape : tuple of int
    itemsize : int
        Bytes of a number.
    there, expected : int
        How many chunks are stored, and how many the header claims.
    """
    absent = math.prod(shape) * itemsize * (expected - there) // max(expected, 1)
    if absent > _ABSENT_BYTES and there * _SPARSEST <= expected:
        raise CorruptError(
            f"{label}: its header claims {shape[0]:,} rows in {expected:,} chunks, of which {there:,} are stored; that "
            "is too little to take the rest for fill values, so check how it was written, or write a shorter one"
        )


def column_names(columns: Sequence[str] | None, width: int, label: str) -> tuple[str, ...]:
    """Return the names given, or x0, x1, ...; refuse a wrong number of them."""
    if columns is None:
        return tuple(f"x{i}" for i in range(width))
    if isinstance(columns, str):
        columns = (columns,)
    names = tuple(str(c) for c in columns)
    if len(names) != width:
        raise DataError(f"{label}: {len(names)} column names for {width} columns; give one for each")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{label}: two columns are called {name!r}, the first is column {names.index(name)}; rename one"
        )
    return names


def span(what: str, a: int, b: int) -> str:
    """Say which rows or columns, from `a` up to but not including `b`."""
    return f"{what}s {a:,}-{b - 1:,} (counted from 0)" if b - a > 1 else f"{what} {a:,} (counted from 0)"
