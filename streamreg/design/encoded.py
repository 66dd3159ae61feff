"""A source whose columns are the terms of a formula: what every model reads when it is given one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, UsageError
from streamreg.sources.base import BLOCK, Partition, Roles, Schema, Source, Watch
from streamreg.sources.chunk import Chunk, Column, missing

Float = NDArray[np.float64]


class Encoder(Protocol):
    """Terms with all that was learned of the data: levels, means, knots. Frozen, and small when pickled.

    Attributes
    ----------
    columns : tuple of str
        What is read.
    features : tuple of str
        Columns of the design, in their order.
    names : tuple of str
        Those of the columns of the design, the target among them, that `encode` makes. The others are columns of the
        data.
    target : str or None
        The column to explain, which is among `names` if it is made of others.
    intercept : bool
    absorbed : tuple of tuples of str
        Columns whose levels each have an effect that is not among the features: several make one factor together.
    replaced : tuple of str
        Those of `names` that take the place of columns of the data: dates as numbers.
    keys : tuple of str
        Whole numbers that `codes` makes: levels of categories that have no columns among `names`.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """See above."""

    @property
    def features(self) -> tuple[str, ...]:
        """See above."""

    @property
    def names(self) -> tuple[str, ...]:
        """See above."""

    @property
    def target(self) -> str | None:
        """See above."""

    @property
    def intercept(self) -> bool:
        """See above."""

    @property
    def absorbed(self) -> tuple[tuple[str, ...], ...]:
        """See above."""

    @property
    def replaced(self) -> tuple[str, ...]:
        """See above."""

    @property
    def keys(self) -> tuple[str, ...]:
        """See above."""

    def codes(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str],
        place: str,
        start: int,
        passed: NDArray[np.bool_] | None = None,
    ) -> Mapping[str, NDArray[np.int64]]:
        """Return the numbers `keys`, each of shape (m,); the least int64 where one is missing."""

    def encode(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str],
        place: str,
        start: int,
        passed: NDArray[np.bool_] | None = None,
    ) -> tuple[Float, Float | None]:
        """Return the columns `names`, shape (m, len(names)), and what float64 lacks of them; NaN where one is missing.

        `place` and `start`, the name of the data and the number of the first row, are for messages. Rows that a filter
        did not let pass are not looked at.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""


@dataclass(slots=True)
class EncodedPartition(Partition):
    """A partition of the data, encoded as it is read."""

    inner: Partition
    encoder: Encoder
    beside: frozenset[str]
    zones: dict[str, str]
    label: str
    watch: Watch | None = None

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        chunks = self.inner.chunks(rows)
        for chunk in chunks if self.watch is None else self.watch(chunks):
            found: dict[str, Column] = {}
            for name in self.encoder.columns:
                try:
                    found[name] = chunk.column(name)
                except KeyError:
                    raise DataError(f"{self.label}, row {chunk.start:,}: column {name!r} is gone") from None
            vectors = {n: v for n, v in chunk.vectors.items() if n in self.beside}
            vectors |= {n: chunk.column(n) for n in chunk.names if n in self.beside}
            if chunk.passed is None or chunk.passed.any():
                high, low = self.encoder.encode(found, self.zones, self.label, chunk.start, chunk.passed)
            else:
                high, low = np.broadcast_to(np.nan, (len(chunk), len(self.encoder.names))), None
            vectors |= self.encoder.codes(found, self.zones, self.label, chunk.start, chunk.passed)
            if not self.encoder.names:  # and maybe no column to count the rows of
                high = np.empty((len(chunk), 0))
            masks = ((name, missing(values)) for name, values in found.items())
            holes = chunk.holes | {name: mask for name, mask in masks if mask.any()}
            yield Chunk(chunk.start, high, self.encoder.names, vectors, low, chunk.passed, chunk.read, holes=holes)

    def cut(self, start: int, stop: int) -> Partition:
        """Return some of the rows."""
        return replace(self, inner=self.inner.cut(start, stop))


class EncodedSource(Source):
    """The columns of another source, and the terms that are made of them.

    Parameters
    ----------
    inner : Source
    encoder : Encoder
    learned : int
        Passes over the rows that were taken to learn of them.

    Raises
    ------
    NotFound
        A column of the formula is not in the data.
    UsageError
        A term is called as a column of the data is.
    """

    def __init__(self, inner: Source, encoder: Encoder, learned: int = 0) -> None:
        for name in encoder.columns:
            inner.schema.require(name, inner.label)
        if both := set(encoder.names) & set(inner.schema.names) - set(encoder.replaced):
            raise UsageError(f"{inner.label}: column {min(both)!r} is called as a term of the formula is; rename it")
        self.inner, self.encoder, self.label, self.learned = inner, encoder, inner.label, learned
        self.one_pass, self.in_memory = inner.one_pass, inner.in_memory
        schema, made = inner.schema, encoder.names
        kept = tuple(name for name in schema.names if name not in encoder.replaced)
        dtypes = (
            *[np.dtype(np.float64)] * len(made),
            *map(schema.dtype, kept),
            *[np.dtype(np.int64)] * len(encoder.keys),
        )
        self.schema = Schema((*made, *kept, *encoder.keys), dtypes, schema.n_rows, schema.zones)
        roles = inner.roles
        self.roles = Roles(encoder.target or roles.target, roles.weights, encoder.features, roles.sample)

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions of the data; what they make is as wide as the formula."""
        (parts,) = self._encoded(columns, lambda needed: [self.inner.partitions(block, needed)])
        return parts

    def runs(self, columns: Sequence[str] | None = None) -> Sequence[Sequence[Partition]]:
        """Return those of the data, encoded."""
        return self._encoded(columns, self.inner.runs)

    def _encoded(
        self, columns: Sequence[str] | None, inner: Callable[[Sequence[str] | None], Sequence[Sequence[Partition]]]
    ) -> Sequence[Sequence[Partition]]:
        made = {*self.encoder.names, *self.encoder.keys}
        beside = frozenset(self.inner.schema.names if columns is None else columns) - made
        if columns is not None and not set(columns) & made:
            return inner(columns)
        needed = tuple(dict.fromkeys((*self.encoder.columns, *(n for n in self.inner.schema.names if n in beside))))
        zones = self.inner.schema.zones
        return [
            [EncodedPartition(part, self.encoder, beside, zones, self.label) for part in parts]
            for parts in inner(needed)
        ]

    @property
    def where(self) -> str:
        """That of the data."""
        return self.inner.where

    def recipe(self) -> dict[str, Any]:
        """Return the terms, and what makes the columns that they read."""
        return {**self.inner.recipe(), **self.encoder.to_dict()}

    @property
    def table(self) -> str:
        """That of the data."""
        return self.inner.table

    def fingerprint(self) -> str:
        """Return that of the data."""
        return self.inner.fingerprint()


def makes(partition: Any) -> bool:
    """Return whether a partition makes its columns of others, so that they are not those of the storage."""
    return hasattr(partition, "watch") or (hasattr(partition, "inner") and makes(partition.inner))


def watched(partition: Any, watch: Watch) -> Any:
    """Return a partition that makes columns, whose rows are looked at as they are stored: as sealed."""
    if hasattr(partition, "inner") and makes(partition.inner):
        return replace(partition, inner=watched(partition.inner, watch))
    return replace(partition, watch=watch)
