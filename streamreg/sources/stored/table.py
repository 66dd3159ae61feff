"""A table made of stored arrays: one matrix and, beside it, vectors of the same length.

Every storage but dask and iterators is a `Stored` array; the table around it is the same for all.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.sources.base import BLOCK, Partition, Roles, Schema, Source, row_ranges
from streamreg.sources.checks import check_matrix, check_vector, column_names
from streamreg.sources.chunk import Chunk, Column

Read = Callable[[int, int], NDArray[Any]]
"""Return rows `a` to `b`; the array may be overwritten by the next call."""

WINDOW = 65536
"""Rows of a chunked vector that are held at once, if its own chunks are not larger."""


class Stored(ABC):
    """One array in a storage, whose rows are read piece by piece; small and picklable.

    Attributes
    ----------
    label : str
        How error messages call it: file and dataset.
    shape : tuple of int
    dtype : dtype
        Type of the rows that a reader returns: the stored type in the machine's byte order.
    chunk_rows : int
        Rows of a storage chunk, which is decoded as a whole; 1 where the array can be cut anywhere.
    piece_bytes : int
        About how much to read at once.
    """

    label: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    piece_bytes: int

    @abstractmethod
    def reader(self) -> AbstractContextManager[Read]:
        """Open the storage and return what reads rows from it; closed at the end of the `with` block."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a short text that changes when the data change."""

    def narrowed(self, columns: Sequence[int]) -> "tuple[Stored, Sequence[int]]":
        """Return what reads some columns of a matrix, at least, if that is less work; and which columns it reads."""
        return self, range(self.shape[1])

    def prefetch(self, start: int, stop: int) -> None:  # noqa: B027  # for storages that know where rows lie
        """Have the system begin to read rows `start` to `stop` into its cache."""

    def part(self, start: int, stop: int) -> "Stored":
        """Return what is needed to read rows `start` to `stop` alone, numbered as before."""
        return self

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, decoded."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


@dataclass(slots=True)
class TablePartition(Partition):
    """Rows `start` to `stop` of a matrix and of the vectors beside it."""

    start: int
    stop: int
    matrix: Stored
    vectors: dict[str, Stored]
    names: tuple[str, ...]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, about `piece_bytes` at a time."""
        unit = rows if self.matrix.chunk_rows == 1 else self.matrix.chunk_rows
        step = unit * max(1, round(self.matrix.piece_bytes / (unit * self.matrix.row_bytes)))
        with ExitStack() as stack:
            read = stack.enter_context(self.matrix.reader())
            beside = {name: stack.enter_context(_windowed(v, self.stop)) for name, v in self.vectors.items()}
            for a, b in pieces(self.start, self.stop, step):
                vectors: dict[str, Column] = {name: read_vector(a, b) for name, read_vector in beside.items()}
                yield Chunk(a, read(a, b), self.names, vectors)

    def prefetch(self) -> None:
        """Have the system begin to read the rows of the matrix."""
        self.matrix.prefetch(self.start, self.stop)

    def cut(self, start: int, stop: int) -> Partition:
        """Return some of the rows, and read no others but those of their chunks."""
        return replace(self, start=start, stop=stop)


class TableSource(Source):
    """A matrix of shape (n, p), and vectors of length n beside it.

    Parameters
    ----------
    label : str
    matrix : Stored
    vectors : mapping of str to Stored
        Further columns by name, each of shape (n,) or (n, 1).
    columns : sequence of str, optional
        Names of the columns of the matrix; x0, x1, ... if not given.
    roles : Roles, optional

    Raises
    ------
    DataError
        A shape or type is not that of a table of numbers, or lengths differ.
    """

    def __init__(
        self,
        label: str,
        matrix: Stored,
        vectors: Mapping[str, Stored] | None = None,
        columns: Sequence[str] | None = None,
        roles: Roles | None = None,
    ) -> None:
        check_matrix(matrix.label, matrix.shape, matrix.dtype)
        self.label = label
        self._matrix = matrix
        self._vectors = dict(vectors or {})
        for name, vector in self._vectors.items():
            check_vector(vector.label, name, vector.shape, vector.dtype, matrix.label, matrix.shape[0])
        self._names = column_names(columns, matrix.shape[1], matrix.label)
        self.schema = Schema(
            (*self._names, *self._vectors),
            (*(matrix.dtype for _ in self._names), *(v.dtype for v in self._vectors.values())),
            matrix.shape[0],
        )
        self.roles = roles or Roles()

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the partitions, along the chunks of the matrix and, if these are small enough, the blocks."""
        matrix, names, vectors = self._matrix, self._names, self._vectors
        if columns is not None:
            wanted = set(columns)
            # The matrix says how many rows there are, even where all that is wanted lies beside it.
            matrix, held = matrix.narrowed([k for k, name in enumerate(names) if name in wanted] or [0])
            names, vectors = tuple(names[k] for k in held), {n: v for n, v in vectors.items() if n in wanted}
        return [
            TablePartition(a, b, matrix.part(a, b), {n: v.part(a, b) for n, v in vectors.items()}, names)
            for a, b in row_ranges(matrix.shape[0], matrix.row_bytes, matrix.chunk_rows, block)
        ]

    @property
    def table(self) -> str:
        """The matrix within its file, and the names of its columns."""
        return f"{self._matrix.label.removeprefix(self.label)} {self._names}"

    def fingerprint(self) -> str:
        """Return a short text that changes when the data change."""
        return " ".join(stored.fingerprint() for stored in (self._matrix, *self._vectors.values()))


def pieces(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut `start` to `stop` at multiples of `step` counted from row 0."""
    while start < stop:
        end = min(stop, (start // step + 1) * step)
        yield start, end
        start = end


@contextmanager
def _windowed(vector: Stored, end: int) -> Iterator[Read]:
    """Read a vector by its own chunks, whatever pieces of it are asked for, so that no chunk is decoded again."""
    with vector.reader() as read:
        if vector.chunk_rows == 1:
            yield lambda a, b: read(a, b).reshape(-1)
            return
        unit = vector.chunk_rows * max(1, WINDOW // vector.chunk_rows)
        last = min(-(-end // vector.chunk_rows) * vector.chunk_rows, vector.shape[0])
        lo = hi = 0
        held = np.empty(0, vector.dtype)

        def rows(a: int, b: int) -> NDArray[Any]:
            nonlocal lo, hi, held
            if not lo <= a <= b <= hi:
                lo = a // vector.chunk_rows * vector.chunk_rows
                hi = min(-(-b // unit) * unit, last)
                held = read(lo, hi).reshape(-1)
            return held[a - lo : b - lo]

        yield rows
