"""Dask data frames: each of their partitions is computed by the worker that needs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
import pyarrow as pa

from streamreg.errors import DataError
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.frames import as_table, nullable_of
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.source import ArrowSource

_dask: Any = dask  # without types of its own


@dataclass(slots=True)
class DaskPart(Stream):
    """One partition of a data frame; a pickled one carries its part of the work only."""

    frame: Any
    rows: int
    label: str
    constants: dict[str, Any] = field(default_factory=dict)

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Compute the partition in this thread, and yield its rows."""
        chosen = self.frame[list(columns)] if columns else self.frame.iloc[:, :1]
        table = as_table(chosen.compute(scheduler="synchronous"), self.label)
        yield from table.to_batches(rows)


def open_dask_frame(frame: Any) -> ArrowSource:
    """Return a source over a dask data frame. It is computed once to find types and numbers of rows.

    Raises
    ------
    DataError
        A partition cannot be computed, has no columns of one type each, or has other columns than the first.
    """
    label = "dask data frame"
    try:
        told = _dask.compute(*(_dask.delayed(_told)(part) for part in frame.to_delayed()))
    except Exception as error:  # of whatever work gives the rows
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"{label}: cannot be computed ({type(error).__name__}: {first})") from error
    fields, streams = Fields(), list[Stream]()
    for k, (rows, schema, nullable) in enumerate(told):
        where = f"{label}, partition {k}"
        if rows or (k == len(told) - 1 and not streams):
            fields.add(where, schema, nullable)
            streams.append(DaskPart(frame.partitions[k], rows, where))
    return ArrowSource(label, streams, fields, lambda: f"dask {frame._name}")


def _told(part: Any) -> tuple[int, Any, set[str]]:
    table: pa.Table = as_table(part, "dask data frame")
    return len(part), table.schema.remove_metadata(), nullable_of(table)
