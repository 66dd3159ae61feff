"""A source in which certain values stand for missing ones: -999, "unknown"."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, UsageError
from streamreg.kernels.gram import NAT
from streamreg.sources.base import BLOCK, Partition, Schema, Source, Watch
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.sources.filters.comparisons import compared
from streamreg.sources.filters.operands import moment
from streamreg.sources.ranges import Known

Marks = dict[str, tuple[Any, ...]]
"""By column: numbers, texts, or dates as days since 1970."""


@dataclass(slots=True)
class MarkedPartition(Partition):
    """A partition of the data, in which marks become missing values as it is read."""

    inner: Partition
    marks: Marks
    label: str
    watch: Watch | None = None

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        chunks = self.inner.chunks(rows)
        for chunk in chunks if self.watch is None else self.watch(chunks):
            matrix, vectors = chunk.matrix, dict(chunk.vectors)
            if matrix.dtype.kind == "f":
                for j, name in enumerate(chunk.names):
                    if name in self.marks and (found := _found(matrix[:, j], self.marks[name])).any():
                        matrix = matrix.copy() if matrix is chunk.matrix else matrix
                        matrix[found, j] = np.nan
                yield replace(chunk, matrix=matrix, vectors=vectors | self._marked(vectors))
                continue
            vectors = {name: chunk.column(name) for name in chunk.names} | vectors
            vectors |= self._marked(vectors)
            yield replace(chunk, matrix=np.empty((len(chunk), 0)), names=(), vectors=vectors)

    def _marked(self, vectors: Mapping[str, Column]) -> dict[str, Column]:
        return {name: self._without(vectors[name], name) for name in self.marks if name in vectors}

    def _without(self, values: Column, name: str) -> Column:
        found = _found(values, self.marks[name])
        if isinstance(values, Coded):
            return Coded(np.where(found, -1, values.codes).astype(np.int32), values.levels)
        if values.dtype.kind == "M":
            return np.where(found, np.datetime64("NaT"), values)
        if values.dtype.kind == "f":
            return np.where(found, values.dtype.type(np.nan), values)
        if values.dtype == np.uint64 and values.max(initial=0) > np.iinfo(np.int64).max:
            raise DataError(f"{self.label}: column {name!r} has integers beyond 2^63 and missing values; convert it")
        out: NDArray[np.int64] = values.astype(np.int64)
        out[found] = NAT
        return out


def _found(values: Column, marks: Sequence[Any]) -> NDArray[np.bool_]:
    total = np.zeros(len(values), bool)
    for mark in marks:
        total |= compared(values, "==", mark)
    return total


class MarkedSource(Source):
    """The columns of another source, without the values that stand for missing ones.

    Parameters
    ----------
    inner : Source
    na_values : value, sequence of values, or mapping of str to these
        For all columns that can have them, or by column.

    Raises
    ------
    NotFound
        A column is not there.
    UsageError
        A column cannot have such a value.
    """

    def __init__(self, inner: Source, na_values: Any) -> None:
        self.inner, self.label, self.roles = inner, inner.label, inner.roles
        self.one_pass, self.in_memory = inner.one_pass, inner.in_memory
        self.given = na_values
        schema = inner.schema
        self.marks = _marks(na_values, schema, inner.label)
        whole = np.dtype(np.int64)
        dtypes = [
            whole if name in self.marks and dtype.kind in "iu" else dtype
            for name, dtype in zip(schema.names, schema.dtypes, strict=True)
        ]
        self.schema = Schema(schema.names, tuple(dtypes), schema.n_rows, schema.zones, schema.refused)

    @property
    def where(self) -> str:
        """That of the data."""
        return self.inner.where

    @property
    def table(self) -> str:
        """That of the data."""
        return self.inner.table

    def recipe(self) -> dict[str, Any]:
        """Return what stands for missing values."""
        plain = {name: list(values) for name, values in _each(self.given, self.schema.names).items()}
        return {**self.inner.recipe(), "na_values": {name: plain[name] for name in self.marks}}

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions of the data."""
        return [MarkedPartition(part, self.marks, self.label) for part in self.inner.partitions(block, columns)]

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield those of the data, in which there may be more missing values."""
        for first, last, known in self.inner.ranges(columns):
            yield first, last, {n: replace(r, holes=True) if n in self.marks else r for n, r in known.items()}

    def fingerprint(self) -> str:
        """Return that of the data, and the marks."""
        return f"{self.inner.fingerprint()} without {sorted(self.recipe()['na_values'].items())}"


def marked_as(source: Source, recipe: Mapping[str, Any]) -> Source:
    """Return a source with the marks of an earlier one, where it has these columns and no marks of its own."""
    held: Any = source
    while held is not None:
        if isinstance(held, MarkedSource):
            return source
        held = getattr(held, "inner", None)
    marks = {n: values for n, values in recipe.get("na_values", {}).items() if n in source.schema.names}
    return MarkedSource(source, marks) if marks else source


def _each(given: Any, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    if isinstance(given, Mapping):
        return {str(name): _listed(values) for name, values in given.items()}
    return dict.fromkeys(names, _listed(given))


def _listed(values: Any) -> tuple[Any, ...]:
    return (values,) if isinstance(values, str) or not hasattr(values, "__iter__") else tuple(values)


def _marks(given: Any, schema: Schema, label: str) -> Marks:
    """Return the marks that each column can have."""
    marks: Marks = {}
    for name, values in _each(given, schema.names).items():
        kind = schema.dtype(schema.require(name, f"{label}, na_values")).kind
        found = tuple(m for value in values if (m := _as(value, kind, schema.zones.get(name))) is not None)
        if isinstance(given, Mapping) and len(found) < len(values):
            wrong = next(v for v in values if _as(v, kind, schema.zones.get(name)) is None)
            raise UsageError(f"{label}, na_values: column {name!r} cannot have the value {wrong!r}")
        if found:
            marks[name] = found
    return marks


def _as(value: Any, kind: str, zone: str | None) -> float | str | Fraction | None:
    """Return a value as a column of a kind has it; None if it cannot."""
    if kind == "T":
        return value if isinstance(value, str) else None
    try:
        if kind == "M":
            return moment(str(value), zone, "na_values")
        if kind not in "fiu" or isinstance(value, bool):
            return None
        number = int(value) if isinstance(value, int) else float(value)
    except (ValueError, TypeError, UsageError):
        return None
    return number if abs(number) < 1e308 else None
