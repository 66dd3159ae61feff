"""Frames in memory, of pandas, polars, pyarrow and the like, whose columns are of any type."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamreg.errors import DataError
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.source import ArrowSource
from streamreg.sources.checks import column_names


@dataclass(slots=True)
class Table(Stream):
    """A table in memory."""

    table: Any
    label: str
    constants: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:  # type: ignore[override]
        """How many rows there are."""
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield all rows as views."""
        chosen = self.table.select([name for name in self.table.column_names if name in set(columns)])
        if not columns:
            chosen = pa.table({"none": pa.nulls(self.rows)})
        yield from chosen.to_batches(rows)

    def part(self, start: int, stop: int) -> "Table":
        """Return a range of rows alone."""
        return Table(self.table.slice(start, stop - start), self.label)

    def __reduce__(self) -> tuple[Any, ...]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return _from_bytes, (sink.getvalue().to_pybytes(), self.label)


def _from_bytes(content: bytes, label: str) -> Table:
    return Table(pa.ipc.open_stream(content).read_all(), label)


def open_frame(frame: Any, columns: Sequence[str] | None = None) -> ArrowSource:
    """Return a source over a frame in memory. Numbers without missing values are not copied.

    Parameters
    ----------
    frame : data frame
    columns : sequence of str, optional
        Names of its columns; default: its own, or x0, x1, ... where those are the numbers 0 to p - 1.

    Raises
    ------
    DataError
        It cannot be had as a table of Arrow, or has no rows.
    """
    label = f"{type(frame).__module__.partition('.')[0]} {type(frame).__name__}"
    table = as_table(frame, label)
    if columns is not None or list(getattr(frame, "columns", ())) == list(range(table.num_columns)):
        table = table.rename_columns(column_names(columns, table.num_columns, label))
    fields = Fields()
    fields.add(label, table.schema, nullable_of(table))
    return ArrowSource(label, [Table(table, label)], fields, lambda: seen(label, table), in_memory=True)


def as_table(frame: Any, label: str) -> Any:
    """Return a frame as a table of Arrow; of pandas without its index.

    Raises
    ------
    DataError
        It is none.
    """
    try:
        return pa.Table.from_pandas(frame, preserve_index=False) if hasattr(frame, "iloc") else pa.table(frame)
    except Exception as error:  # of whatever library the frame is
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"{label}: is no table of columns of one type each ({first}); convert the column") from error


def nullable_of(table: Any) -> set[str]:
    """Return the columns in which values are missing."""
    return {name for name, values in zip(table.column_names, table.columns, strict=True) if values.null_count}


def seen(label: str, table: Any) -> str:
    """Return shape and addresses of a table in memory."""
    places = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        addresses = [b.address for chunk in values.chunks for b in chunk.buffers() if b is not None]
        places.append(f"{name!r} {values.type} {len(values)} @{hash(tuple(addresses)):x}")
    return f"{label} " + " ".join(places)
