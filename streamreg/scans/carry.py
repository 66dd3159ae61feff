"""Columns of a source as they are, taken along beside what is made of the rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from streamreg.design.encoded import EncodedPartition, EncodedSource
from streamreg.errors import DataError
from streamreg.persist.columns import Field
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk, Column, below


def stored(source: Source) -> Source:
    """Return the source whose columns are those of the data, without terms of a formula."""
    return source.inner if isinstance(source, EncodedSource) else source


def fields(source: Source, names: Sequence[str], what: str) -> tuple[Field, ...]:
    """Return the fields of columns of the data; `what` says in errors who asks for them.

    Raises
    ------
    NotFound
        There is no such column.
    DataError
        A column is of a type that cannot be used.
    """
    plain = stored(source)
    schema = plain.schema
    for name in names:
        if schema.dtype(schema.require(name, plain.label)).kind == "O":
            why = schema.refused.get(name, "is of a type that cannot be used")
            raise DataError(f"{plain.label}: {what}: column {name!r} {why}; leave it out by naming the others")
    return tuple(Field(name, schema.dtype(name), schema.zones.get(name, "")) for name in names)


@dataclass(slots=True)
class Carrier:
    """Gathers columns of the data as a partition is read, whatever is made of the rows.

    Attributes
    ----------
    names : tuple of str
    """

    names: tuple[str, ...]
    _parts: dict[str, list[Column]] = field(default_factory=dict)

    def watched(self, partition: Partition, rows: int) -> Iterator[Chunk]:
        """Yield the chunks of a partition, and keep a copy of the columns of each."""
        if isinstance(partition, EncodedPartition):  # what the formula is made of may be called as what it makes
            yield from replace(partition, watch=self._kept).chunks(rows)
        else:
            yield from self._kept(partition.chunks(rows))

    def _kept(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            for name in self.names:
                self._parts.setdefault(name, []).append(chunk.column(name).copy())
            yield chunk

    def columns(self) -> dict[str, Column]:
        """Return what was gathered; empty if there was no row."""
        return {name: below(parts) for name, parts in self._parts.items()}


def carried(partition: Partition, names: tuple[str, ...]) -> Chunk:
    """Return some columns of all rows of a partition."""
    carrier, rows = Carrier(names), 0
    for chunk in carrier.watched(partition, 4096):
        rows += len(chunk)
    return Chunk(partition.start, np.empty((rows, 0)), (), carrier.columns())
