"""A source of which a condition lets some rows pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreg.errors import DataError, nearest
from streamreg.sources.base import BLOCK, Partition, Schema, Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.sources.filters.conditions import Condition
from streamreg.sources.filters.grammar import parse
from streamreg.sources.ranges import Known


@dataclass(slots=True)
class FilteredPartition(Partition):
    """A partition of the data; its rows are all there, and those that do not pass are marked."""

    inner: Partition
    condition: Condition
    label: str

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        for chunk in self.inner.chunks(rows):
            try:
                passed = self.condition.truth(chunk).true
            except KeyError as error:
                known = (*chunk.names, *chunk.vectors)
                name = str(error.args[0])
                raise DataError(
                    f"{self.label}, row {chunk.start:,}: column {name!r} is gone{nearest(name, known)}"
                ) from None
            yield replace(chunk, passed=passed if chunk.passed is None else passed & chunk.passed)


@dataclass(slots=True)
class UnreadPartition(Partition):
    """Rows of which the storage tells that none can pass; in place of their values there are missing ones and zeros."""

    start: int
    stop: int
    dtypes: dict[str, np.dtype[Any]]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        for start in range(self.start, self.stop, max(rows, 2**16)):
            m = min(max(rows, 2**16), self.stop - start)
            vectors = {name: _nothing(dtype, m) for name, dtype in self.dtypes.items()}
            yield Chunk(start, np.empty((m, 0)), (), vectors, passed=np.zeros(m, bool), read=False)


def _nothing(dtype: np.dtype[Any], m: int) -> Column:
    if dtype.kind == "T":
        return Coded(np.broadcast_to(np.int32(-1), m), ())
    return np.broadcast_to(np.zeros((), dtype), m)


class FilteredSource(Source):
    """The rows of another source that a condition lets pass. The others keep their numbers, and are counted.

    Parameters
    ----------
    inner : Source
    where : str
        The condition; see `streamreg.sources.filters.grammar.parse`.

    Raises
    ------
    UsageError
        It cannot be read, or compares what cannot be compared.
    NotFound
        It names a column that is not there.
    """

    def __init__(self, inner: Source, where: str) -> None:
        self.inner, self.label, self.schema, self.roles = inner, inner.label, inner.schema, inner.roles
        self.one_pass, self.in_memory = inner.one_pass, inner.in_memory
        self.condition = parse(where).bound(inner.schema, inner.label)
        self._where = where.strip()
        self._columns = tuple(dict.fromkeys(self.condition.columns))
        self._unread: list[tuple[int, int]] | None = None

    @property
    def where(self) -> str:
        """The condition, and that of the source below where it has one."""
        return f"({self.inner.where}) and ({self._where})" if self.inner.where else self._where

    @property
    def table(self) -> str:
        """The inner source's."""
        return self.inner.table

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions of the data. Those in which no row can pass are not read."""
        needed = columns if columns is None else tuple(dict.fromkeys((*columns, *self._columns)))
        found: list[Partition] = []
        for part in self.inner.partitions(block, needed):
            if self._is_unread(part):
                assert part.stop is not None
                found.append(UnreadPartition(part.start, part.stop, _dtypes(self.schema, needed)))
            else:
                found.append(FilteredPartition(part, self.condition, self.label))
        return found

    def unread(self) -> list[tuple[int, int]]:
        """Return runs of rows of which the storage tells that none can pass."""
        if self._unread is None:
            runs: list[tuple[int, int]] = []
            for start, stop, known in self.inner.ranges(self._columns):
                if self.condition.possible(known)[0]:
                    continue
                if runs and runs[-1][1] == start:
                    start, _ = runs.pop()
                runs.append((start, stop))
            self._unread = runs
        return self._unread

    def _is_unread(self, part: Partition) -> bool:
        stop = part.stop
        return stop is not None and any(a <= part.start and stop <= b for a, b in self.unread())

    def recipe(self) -> dict[str, Any]:
        """Return that of the data."""
        return self.inner.recipe()

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Return those of the data."""
        yield from self.inner.ranges(columns)

    def fingerprint(self) -> str:
        """Return that of the data, and the condition."""
        return f"{self.inner.fingerprint()} where {self._where}"


def _dtypes(schema: Schema, columns: Sequence[str] | None) -> dict[str, np.dtype[Any]]:
    pairs = zip(schema.names, schema.dtypes, strict=True)
    return {name: dtype for name, dtype in pairs if dtype.kind != "O" and (columns is None or name in columns)}
