"""A source whose columns are the terms of a formula: what every model reads when it is given one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, UsageError
from streamreg.sources.base import BLOCK, Partition, Roles, Schema, Source
from streamreg.sources.chunk import Chunk, Column

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

    def encode(
        self, columns: Mapping[str, Column], zones: Mapping[str, str], place: str, start: int
    ) -> tuple[Float, Float | None]:
        """Return the columns `names`, shape (m, len(names)), and what float64 lacks of them; NaN where one is missing.

        `place` and `start`, the name of the data and the number of the first row, are for messages.
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
    watch: Callable[[Iterator[Chunk]], Iterator[Chunk]] | None = None

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
            high, low = self.encoder.encode(found, self.zones, self.label, chunk.start)
            if not self.encoder.names:  # and maybe no column to count the rows of
                high = np.empty((len(chunk), 0))
            yield Chunk(chunk.start, high, self.encoder.names, vectors, low)

    def within(self, start: int, stop: int) -> "EncodedPartition":
        """Return rows `start` to `stop` of these."""
        return replace(self, inner=self.inner.within(start, stop))


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
        dtypes = (*[np.dtype(np.float64)] * len(made), *map(schema.dtype, kept))
        self.schema = Schema((*made, *kept), dtypes, schema.n_rows, schema.zones)
        roles = inner.roles
        self.roles = Roles(encoder.target or roles.target, roles.weights, encoder.features, roles.sample)

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions of the data; what they make is as wide as the formula."""
        beside = frozenset(self.inner.schema.names if columns is None else columns) - set(self.encoder.names)
        if columns is not None and not set(columns) & set(self.encoder.names):
            return self.inner.partitions(block, columns)
        needed = tuple(dict.fromkeys((*self.encoder.columns, *(n for n in self.inner.schema.names if n in beside))))
        zones = self.inner.schema.zones
        return [
            EncodedPartition(part, self.encoder, beside, zones, self.label)
            for part in self.inner.partitions(block, needed)
        ]

    def fingerprint(self) -> str:
        """Return that of the data."""
        return self.inner.fingerprint()
