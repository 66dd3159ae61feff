"""A source in which numbers stand in place of missing values, and columns that say where they were missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from streamreg.errors import DataError
from streamreg.sources.base import BLOCK, Partition, Schema, Source, Watch
from streamreg.sources.chunk import Chunk, Coded, Column, missing
from streamreg.sources.ranges import Known

_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Fill:
    """What stands in place of a column's missing values, and whether there is a column of indicators of them."""

    value: float
    indicator: bool = False


Fills: TypeAlias = Mapping[str, Fill]


def indicator(name: str) -> str:
    """Return the name of the column that is 1 where another one is missing, else 0."""
    return f"{name}[missing]"


def plain(fills: Fills) -> dict[str, list[Any]]:
    """Return fills as JSON has them."""
    return {name: [fill.value, fill.indicator] for name, fill in fills.items()}


def restored(values: Mapping[str, Any]) -> dict[str, Fill]:
    """Undo `plain`."""
    return {name: Fill(float(value), bool(apart)) for name, (value, apart) in values.items()}


@dataclass(slots=True)
class FilledPartition(Partition):
    """A partition of the data, filled as it is read."""

    inner: Partition
    fills: dict[str, Fill]
    label: str
    watch: Watch | None = None

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        chunks = self.inner.chunks(rows)
        for chunk in chunks if self.watch is None else self.watch(chunks):
            vectors: dict[str, Column] = {name: chunk.column(name) for name in chunk.names} | chunk.vectors
            for name, fill in self.fills.items():
                values = vectors[name]
                assert not isinstance(values, Coded), "text is refused before rows are read"
                if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
                    self._require_exact(values, name, chunk)
                absent, filled = missing(values), values.astype(np.float64)
                filled[absent] = fill.value
                vectors[name] = filled
                if fill.indicator:
                    vectors[indicator(name)] = absent.astype(np.float64)
            yield replace(chunk, matrix=np.empty((len(chunk), 0)), names=(), vectors=vectors, low=None)

    def _require_exact(self, values: Any, name: str, chunk: Chunk) -> None:
        known = values[~missing(values)]
        if len(known) and (int(known.max()) > _EXACT or int(known.min()) < -_EXACT):
            raise DataError(
                f"{self.label}, rows from {chunk.start:,}: column {name!r} has integers beyond 2^53, which float64 "
                "rounds, and a mean beside them takes float64; subtract an offset first"
            )


class FilledSource(Source):
    """The columns of another source, some of them without missing values.

    Parameters
    ----------
    inner : Source
    fills : mapping of str to Fill
        By column.
    learned : int
        Passes over the rows that were taken to learn of them.

    Raises
    ------
    NotFound
        A column is not there.
    DataError
        There is a column that is called as an indicator is.
    """

    def __init__(self, inner: Source, fills: Fills, learned: int = 0) -> None:
        for name in fills:
            inner.schema.require(name, inner.label)
        made = tuple(indicator(name) for name, fill in fills.items() if fill.indicator)
        self.inner, self.fills, self.label, self.learned = inner, dict(fills), inner.label, learned
        self.one_pass, self.in_memory = inner.one_pass, inner.in_memory
        schema, number = inner.schema, np.dtype(np.float64)
        dtypes = [number if name in fills else schema.dtype(name) for name in schema.names]
        self.schema = Schema(
            (*schema.names, *made), (*dtypes, *[number] * len(made)), schema.n_rows, schema.zones, schema.refused
        )
        roles = inner.roles
        more = tuple(name for name in made if roles.features is not None and name not in roles.features)
        self.roles = roles if roles.features is None else replace(roles, features=(*roles.features, *more))

    @property
    def where(self) -> str:
        """That of the data."""
        return self.inner.where

    @property
    def table(self) -> str:
        """That of the data."""
        return self.inner.table

    def recipe(self) -> dict[str, Any]:
        """Return what stands in place of missing values."""
        return {**self.inner.recipe(), "fills": plain(self.fills)}

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions of the data."""
        own = {indicator(name): name for name, fill in self.fills.items() if fill.indicator}
        needed = columns if columns is None else tuple(dict.fromkeys(own.get(name, name) for name in columns))
        fills = {name: fill for name, fill in self.fills.items() if needed is None or name in needed}
        return [FilledPartition(part, fills, self.label) for part in self.inner.partitions(block, needed)]

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield nothing: what is known of the data may not hold of what is filled."""
        return iter(())

    def fingerprint(self) -> str:
        """Return that of the data."""
        return self.inner.fingerprint()
