"""Where rows live: the contract that every storage fulfils.

A `Source` names its columns and splits its rows into `Partition` objects along storage borders. A partition, opened by
one worker, yields `Chunk` after `Chunk`. Nothing here knows what the rows are for.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np

from streamreg.errors import DataError, NotFound, UsageError, nearest
from streamreg.kernels.rowhash import Sample
from streamreg.sources.chunk import Chunk
from streamreg.sources.ranges import Known

BLOCK = 1024
"""Rows that a reader takes at a time unless it says otherwise."""

PARTITION_BYTES = 2**25
"""About how much a worker takes at a time, of storage that can be cut anywhere."""

TEXT: np.dtype[Any] = np.dtypes.StringDType()
"""Type of a column of text in a schema; its values come as `Coded`."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Names, storage types and number of rows of a table.

    Attributes
    ----------
    names : tuple of str
    dtypes : tuple of dtype
        Kinds "f", "i", "u", "b": numbers; "M": dates and times; "T": text; "O": what cannot be used. Which of them a
        model can use is up to the design.
    n_rows : int or None
        None until an iterator has been read.
    zones : dict of str to str
        Time zones of columns that have one: their values are UTC.
    refused : dict of str to str
        Why columns of kind "O" cannot be used, where more is known: ``"holds numbers, and others such as '?'; ..."``.
    """

    names: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]
    n_rows: int | None
    zones: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise DataError(f"two columns are called {name!r}; rename one")
            seen.add(name)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of a column."""
        return self.dtypes[self.names.index(name)]

    def numeric(self, name: str) -> bool:
        """Return whether a column holds numbers that a regression can use."""
        dtype = self.dtype(name)
        return dtype.kind in "fiub" and dtype.itemsize <= 8

    def require(self, name: str, where: str) -> str:
        """Return `name` if it is a column, else raise `NotFound` with the nearest name."""
        if not isinstance(name, str):
            raise UsageError(
                f"{where}: column {name!r} is a {type(name).__name__}; columns go by name{nearest('', self.names)}"
            )
        if name not in self.names:
            raise NotFound(f"{where}: no column {name!r}{nearest(name, self.names)}")
        return name


@dataclass(frozen=True, slots=True)
class Roles:
    """What each column is for. `features` None means: every column that has no other role; `sample`: which rows."""

    target: str | None = None
    weights: str | None = None
    features: tuple[str, ...] | None = None
    sample: Sample | None = None


class Partition(ABC):
    """A run of consecutive rows that one worker reads alone; small and picklable."""

    start: int
    stop: int | None

    @abstractmethod
    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the partition's rows in order.

        Parameters
        ----------
        rows : int
            The reader's favourite chunk length. Storage that can be cut anywhere cuts at multiples of `rows` (counted
            from row 0 of the source); storage with chunks of its own yields those.
        """

    def prefetch(self) -> None:
        """Have the system begin to read the rows from their file into its cache, where that can be said beforehand."""
        inner = getattr(self, "inner", None)
        if inner is not None:
            inner.prefetch()

    def cut(self, start: int, stop: int) -> "Partition":
        """Return rows `start` to `stop` of this partition; what lies before them may be read, but not what follows."""
        return _Cut(self, start, stop)


@dataclass
class _Cut(Partition):
    inner: Partition
    start: int
    stop: int

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        for chunk in self.inner.chunks(rows):
            a, b = (min(max(row - chunk.start, 0), len(chunk)) for row in (self.start, self.stop))
            if a < b:
                yield chunk.cut(a, b)
            if chunk.start + len(chunk) >= self.stop:
                return


Watch: TypeAlias = Callable[[Iterator[Chunk]], Iterator[Chunk]]
"""What looks at chunks as they pass."""


class Source(ABC):
    """A table somewhere. Restartable: reading twice gives the same rows, unless `one_pass` is true.

    Attributes
    ----------
    schema : Schema
    label : str
        How error messages call this source: its path, or what kind of object it is.
    roles : Roles
    one_pass : bool
        True for iterators, whose rows are gone once read.
    in_memory : bool
        True for arrays whose rows lie in memory.
    paths : tuple of str
        The files of a table in several; else it is empty, and the label is the path of the one.
    """

    schema: Schema
    label: str
    roles: Roles = Roles()
    one_pass: bool = False
    in_memory: bool = False
    paths: tuple[str, ...] = ()

    @abstractmethod
    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions, in row order; always the same ones for the same arguments.

        Parameters
        ----------
        block : int
            Rows that the reader takes at a time. Where the storage allows it partitions end at multiples of `block`,
            so that each can be worked on without its neighbours' rows.
        columns : sequence of str, optional
            What the reader needs; default: all. Chunks hold these, and others that cost nothing more to read.
        """

    def runs(self, columns: Sequence[str] | None = None) -> Sequence[Sequence[Partition]]:
        """Return partitions for reading in any order: those of a run are read one after the other.

        Storage that can only be decoded from certain rows on has its runs begin there. Elsewhere a run is a partition.
        """
        return [[part] for part in self.partitions(columns=columns)]

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a short text that changes when the data change; cheap (no rows are read)."""

    @property
    def table(self) -> str:
        """Which of the tables in its file or folder this is; empty where there is one only."""
        return ""

    @property
    def where(self) -> str:
        """The condition that rows must meet; empty where all are used."""
        return ""

    def recipe(self) -> dict[str, Any]:
        """Return what makes the columns of other ones, as plain values; empty where they are as stored."""
        return {}

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield what the storage knows of some columns in runs of rows, without reading any."""
        return iter(())

    def nbytes(self) -> int | None:
        """Return the bytes that one pass delivers (decoded), or None if the number of rows is not known."""
        if self.schema.n_rows is None:
            return None
        return self.schema.n_rows * sum(8 if d.kind in "TO" else d.itemsize for d in self.schema.dtypes)

    def with_roles(
        self, target: str | None = None, weights: str | None = None, features: Sequence[str] | None = None
    ) -> Self:
        """Return this source with other roles; what is None stays as it was.

        Raises
        ------
        NotFound
            A name is not a column.
        UsageError
            One column has two roles, or a feature is named twice.
        """
        roles = Roles(
            target if target is not None else self.roles.target,
            weights if weights is not None else self.roles.weights,
            tuple(features) if features is not None else self.roles.features,
            self.roles.sample,
        )
        named = [n for n in (roles.target, roles.weights, *(roles.features or ())) if n is not None]
        for name in named:
            self.schema.require(name, self.label)
        for name in named:
            if named.count(name) > 1:
                both = "the target" if name == roles.target else "the weights" if name == roles.weights else "a feature"
                raise UsageError(f"{self.label}: column {name!r} is {both} and named once more; name it once")
        other = copy.copy(self)
        other.roles = roles
        return other

    def part(self, sample: Sample, label: str) -> Self:
        """Return a part of the rows; all are read, and those of the part are looked at."""
        other = copy.copy(self)
        other.roles, other.label = replace(self.roles, sample=sample), label
        return other

    def __repr__(self) -> str:
        rows = "?" if self.schema.n_rows is None else f"{self.schema.n_rows:,}"
        return f"<{type(self).__name__} {self.label}: {rows} rows x {len(self.schema.names)} columns>"

    def _repr_html_(self) -> str:
        from streamreg.reporting.columns import listed

        schema, roles = self.schema, {self.roles.target: "target", self.roles.weights: "weights"}
        rows = "not known before they are read" if schema.n_rows is None else f"{schema.n_rows:,}"
        kinds = [str(dtype) for dtype in schema.dtypes]
        return listed(self.label, [("rows", rows)], schema.names, {"type": kinds}, roles).html()


def row_ranges(n_rows: int, row_bytes: int, chunk_rows: int = 1, block: int = 1) -> list[tuple[int, int]]:
    """Cut rows into partitions of about 32 MB, along multiples of the storage's `chunk_rows`.

    They are multiples of `block` too, unless storage chunks make that longer than 64 MB. A table of many terabytes
    gets larger partitions rather than millions of them.
    """
    wanted = max(PARTITION_BYTES, n_rows * row_bytes // 65536) // max(1, row_bytes)
    both = math.lcm(chunk_rows, block)
    unit = both if chunk_rows == 1 or both <= 2 * wanted else chunk_rows
    rows = max(1, wanted // unit) * unit
    return [(a, min(a + rows, n_rows)) for a in range(0, n_rows, rows)]
