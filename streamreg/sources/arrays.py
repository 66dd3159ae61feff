"""Arrays in memory: chunks are views of them, nothing is copied."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.sources.base import Roles
from streamreg.sources.checks import native
from streamreg.sources.rows import array, table
from streamreg.sources.stored.table import Read, Stored, TableSource

TARGET, WEIGHT = "y", "weight"
"""Names of the columns that come with a matrix in a tuple or batch."""


@dataclass(slots=True)
class ArrayStored(Stored):
    """Rows of an array in memory, the first of them numbered `first`."""

    array: NDArray[Any]
    label: str
    first: int = 0
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    chunk_rows: int = 1
    piece_bytes: int = 2**20

    def __post_init__(self) -> None:
        self.shape = self.array.shape
        self.dtype = native(self.array.dtype)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what slices the array; only a foreign byte order makes it copy."""
        array, first, dtype = self.array, self.first, self.dtype
        yield lambda a, b: array[a - first : b - first].astype(dtype, copy=False)

    def part(self, start: int, stop: int) -> "ArrayStored":
        """Return rows `start` to `stop` alone, so that a pickled partition carries no others."""
        return ArrayStored(self.array[start - self.first : stop - self.first], self.label, start)

    def fingerprint(self) -> str:
        """Return shape, type, strides and address."""
        a = self.array
        return f"array {a.shape} {a.dtype.str} {a.strides} @{a.__array_interface__['data'][0]:x}"


def open_arrays(arrays: Sequence[Any], columns: Sequence[str] | None = None) -> TableSource:
    """Return a source over arrays in memory.

    Parameters
    ----------
    arrays : sequence of one to three arrays
        X of shape (n, p), or a data frame; then y of shape (n,), called ``"y"``; then weights of shape (n,), called
        ``"weight"``.
    columns : sequence of str, optional
        Names of the columns of X; default: those of a data frame.

    Raises
    ------
    DataError
        A shape or type is not that of a table of numbers, or lengths differ.
    UsageError
        Other than one to three arrays.
    """
    if not 1 <= len(arrays) <= 3:
        raise UsageError(f"a tuple of {len(arrays)} arrays; pass X, (X, y) or (X, y, weight)")
    names = ("X", TARGET, WEIGHT)[: len(arrays)]
    x, found = table(arrays[0], "array X")
    values = [x, *(array(a, f"array {name}") for a, name in zip(arrays[1:], names[1:], strict=True))]
    matrix, *rest = (ArrayStored(v, f"array {name}") for v, name in zip(values, names, strict=True))
    beside = dict(zip(names[1:], rest, strict=True))
    source = TableSource("array", matrix, beside, found if columns is None else columns, given_roles(len(arrays)))
    source.in_memory = all(_in_memory(v) for v in values)
    return source


def _in_memory(values: Any) -> bool:
    """Return whether numbers lie in memory, each at a place of its own, rather than in a mapped file or nowhere."""
    owner = values
    while owner is not None:
        if isinstance(owner, np.memmap | mmap):
            return False
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return 0 not in getattr(values, "strides", ())


def given_roles(count: int) -> Roles:
    """Return the roles of X, (X, y) or (X, y, weight)."""
    return Roles(TARGET if count > 1 else None, WEIGHT if count > 2 else None)
