"""Some consecutive rows, on their way from a storage: a matrix, and columns beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.gram import NAT


class Texts(tuple[str, ...]):
    """Levels of a column of text, of many chunks as a rule.

    Attributes
    ----------
    kept : Any
        What a reader of the chunks has worked out of all levels, so that it need not be done for each chunk.
    """

    kept: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self),)


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of text: each value is the number of a level.

    Attributes
    ----------
    codes : int32 ndarray of shape (m,)
        Places in `levels`; -1: missing.
    levels : tuple of str
        Those of this chunk. Another chunk may have others, in another order.
    """

    codes: NDArray[np.int32]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> "Coded":
        return Coded(self.codes[rows], self.levels)

    def copy(self) -> "Coded":
        """Return the same values in memory of their own."""
        return Coded(self.codes.copy(), self.levels)

    def texts(self) -> list[str | None]:
        """Return the values, None where one is missing."""
        return [None if code < 0 else self.levels[code] for code in self.codes.tolist()]

    @classmethod
    def joined(cls, parts: "Sequence[Coded]") -> "Coded":
        """Return several columns, one below the other, with the levels of all of them."""
        if all(part.levels is parts[0].levels or part.levels == parts[0].levels for part in parts):
            return cls(np.concatenate([part.codes for part in parts]), parts[0].levels)
        place: dict[str, int] = {}
        codes = []
        for part in parts:
            moved = [place.setdefault(level, len(place)) for level in part.levels]
            codes.append(np.array([*moved, -1], np.int32)[part.codes])
        return cls(np.concatenate(codes), Texts(place))


Column: TypeAlias = NDArray[Any] | Coded
"""Values of a column: numbers, dates (datetime64) or text.

What is missing is NaN in floats, the least int64 in integers, NaT in dates, and the code -1 in text.
"""


def missing(values: Column) -> NDArray[np.bool_]:
    """Return where a column has no value."""
    if isinstance(values, Coded):
        return values.codes < 0
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == NAT if values.dtype == np.int64 else np.zeros(values.shape, bool)


@dataclass(slots=True)
class Chunk:
    """Some consecutive rows, as stored. Valid only until the next chunk is asked for; never written to.

    Attributes
    ----------
    start : int
        Number of the first row in the whole source.
    matrix : ndarray of shape (m, k)
        The columns stored side by side, in the storage's own type.
    names : tuple of str
        Names of the columns of `matrix`.
    vectors : dict of str to Column
        Columns stored apart: all those of a table that keeps columns, a target in a dataset of its own.
    low : float64 ndarray of shape (m, k) or None
        What `matrix` lacks to the exact values, where they are known to twice float64's digits.
    passed : bool ndarray of shape (m,) or None
        Rows that a filter lets pass; others are read and not looked at. None: all of them.
    read : bool
        False: the values are made up, as no row passes and so none was read.
    numbers : int64 ndarray of shape (m,) or None
        Numbers of the rows where they are not consecutive: those of `passing`.
    holes : dict of str to bool ndarray of shape (m,)
        Of columns that others were made of: where they have no value, if that is the case anywhere.
    """

    start: int
    matrix: NDArray[Any]
    names: tuple[str, ...]
    vectors: dict[str, Column] = field(default_factory=dict)
    low: NDArray[np.float64] | None = None
    passed: NDArray[np.bool_] | None = None
    read: bool = True
    numbers: NDArray[np.int64] | None = None
    holes: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.matrix)

    def column(self, name: str) -> Column:
        """Return one column. Raises KeyError if it is not there."""
        if name in self.vectors:
            return self.vectors[name]
        if name not in self.names:
            raise KeyError(name)
        return self.matrix[:, self.names.index(name)]

    def cut(self, start: int, stop: int) -> "Chunk":
        """Return rows `start` to `stop` of this chunk, as views."""
        vectors = {name: values[start:stop] for name, values in self.vectors.items()}
        low = None if self.low is None else self.low[start:stop]
        passed = None if self.passed is None else self.passed[start:stop]
        holes = {name: mask[start:stop] for name, mask in self.holes.items()}
        matrix = self.matrix[start:stop]
        return Chunk(self.start + start, matrix, self.names, vectors, low, passed, self.read, holes=holes)

    def passing(self) -> "Chunk":
        """Return the rows that pass, which keep their numbers; this chunk if all do."""
        if self.passed is None:
            return self
        rows = np.flatnonzero(self.passed)
        vectors = {name: values[rows] for name, values in self.vectors.items()}
        low = None if self.low is None else self.low[rows]
        holes = {name: mask[rows] for name, mask in self.holes.items()}
        return Chunk(self.start, self.matrix[rows], self.names, vectors, low, numbers=self.start + rows, holes=holes)

    @property
    def filtered(self) -> int:
        """How many rows do not pass."""
        return 0 if self.passed is None else len(self) - int(np.count_nonzero(self.passed))

    def number(self, row: int) -> int:
        """Return the number, in the source, of one of the rows."""
        return self.start + row if self.numbers is None else int(self.numbers[row])

    def owned(self) -> "Chunk":
        """Return a copy outside of its reader's buffer."""
        vectors = {name: values.copy() for name, values in self.vectors.items()}
        low = None if self.low is None else self.low.copy()
        return replace(self, matrix=self.matrix.copy(), vectors=vectors, low=low)

    @classmethod
    def joined(cls, chunks: "Sequence[Chunk]") -> "Chunk":
        """Return consecutive chunks, of which there is one at least, as one."""
        first = chunks[0]
        if len(chunks) == 1:
            return first
        vectors = {name: below([c.vectors[name] for c in chunks]) for name in first.vectors}
        low = None if first.low is None else np.concatenate([c.low for c in chunks if c.low is not None])
        passed = None
        if any(c.passed is not None for c in chunks):
            passed = np.concatenate([np.ones(len(c), bool) if c.passed is None else c.passed for c in chunks])
        matrix, read = np.concatenate([c.matrix for c in chunks]), all(c.read for c in chunks)
        found = dict.fromkeys(name for c in chunks for name in c.holes)
        holes = {n: np.concatenate([c.holes.get(n, np.zeros(len(c), bool)) for c in chunks]) for n in found}
        return cls(first.start, matrix, first.names, vectors, low, passed, read, holes=holes)


def below(parts: Sequence[Any]) -> Column:
    """Return several pieces of a column, one below the other."""
    return Coded.joined(parts) if isinstance(parts[0], Coded) else np.concatenate(parts)
