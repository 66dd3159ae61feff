"""Columns in memory, each an array of its own: numbers, dates and text, under their names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.base import BLOCK, TEXT, Partition, Schema, Source, row_ranges
from streamreg.sources.checks import native
from streamreg.sources.chunk import Chunk, Coded, Column, Texts
from streamreg.sources.rows import array
from streamreg.sources.stored.table import pieces

_PIECE = 2**20  # bytes


@dataclass(slots=True)
class ColumnsPartition(Partition):
    """Rows `start` to `stop` of columns in memory."""

    start: int
    stop: int
    columns: dict[str, Column]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, as views."""
        step = rows * max(1, _PIECE // (8 * rows * max(1, len(self.columns))))
        for a, b in pieces(self.start, self.stop, step):
            vectors = {name: values[a - self.start : b - self.start] for name, values in self.columns.items()}
            yield Chunk(a, np.empty((b - a, 0)), (), vectors)


class ColumnsSource(Source):
    """Columns of one length, in memory.

    Parameters
    ----------
    label : str
    columns : mapping of str to Column
    zones : mapping of str to str, optional
        Time zones of columns that have one.
    """

    in_memory = True

    def __init__(self, label: str, columns: Mapping[str, Column], zones: Mapping[str, str] | None = None) -> None:
        self.label, self._columns = label, dict(columns)
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
            raise DataError(
                f"{label}: column {short!r} has {lengths[short]:,} rows and {long!r} has {lengths[long]:,}; "
                "all must be of one length"
            )
        dtypes = tuple(TEXT if isinstance(v, Coded) else v.dtype for v in self._columns.values())
        self.schema = Schema(tuple(self._columns), dtypes, max(lengths.values(), default=0), dict(zones or {}))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the partitions; those of a worker elsewhere carry their own rows only."""
        wanted = self._columns if columns is None else {n: v for n, v in self._columns.items() if n in set(columns)}
        return [
            ColumnsPartition(a, b, {name: values[a:b] for name, values in wanted.items()})
            for a, b in row_ranges(self.schema.n_rows or 0, 8 * max(1, len(wanted)), 1, block)
        ]

    def fingerprint(self) -> str:
        """Return shapes, types and addresses."""
        found = []
        for name, values in self._columns.items():
            a = values.codes if isinstance(values, Coded) else values
            found.append(f"{name!r} {a.dtype.str} {a.shape} {a.strides} @{a.__array_interface__['data'][0]:x}")
        return "columns " + " ".join(found)


def open_mapping(data: Mapping[Any, Any]) -> ColumnsSource:
    """Return a source over columns in memory.

    Parameters
    ----------
    data : mapping of str to array_like, shape (n,)
        Numbers, dates (datetime64), or text: arrays of str, or lists of str and None.

    Raises
    ------
    DataError
        A column is not of one dimension, holds other objects, or lengths differ; or there is no column.
    """
    if not data:
        raise DataError("mapping: has no columns")
    return ColumnsSource("mapping", {str(name): _column(values, f"column {name!r}") for name, values in data.items()})


def _column(values: Any, label: str) -> Column:
    if isinstance(values, Coded):
        return values
    if isinstance(values, list | tuple) and any(isinstance(value, str) for value in values):
        values = np.array(values, object)
    found = array(values, label)
    if found.ndim != 1:
        raise DataError(f"{label}: has shape {found.shape}; a column has one dimension")
    if found.dtype.kind in "UTO":
        return coded(found, label)
    if found.dtype.kind == "M":
        return found.astype(found.dtype.newbyteorder("="), copy=False)
    return found.astype(native(found.dtype), copy=False) if found.dtype.kind in "fiub" else found


def coded(values: NDArray[Any], label: str) -> Coded:
    """Return an array of texts, of which None and NaN are missing, as numbers of sorted levels.

    Raises
    ------
    DataError
        A value is no text.
    """
    items = values.tolist()
    for row, value in enumerate(items):
        if not (isinstance(value, str) or value is None or value != value):
            raise DataError(
                f"{label}, row {row:,} (from 0): holds {value!r}, a {type(value).__name__}, among texts; make them all "
                "text or all numbers"
            )
    levels = sorted({value for value in items if isinstance(value, str)})
    place = {level: code for code, level in enumerate(levels)}
    codes = np.array([place[v] if isinstance(v, str) else -1 for v in items], np.int32)
    return Coded(codes, Texts(levels))
