"""Frames in memory, of pandas, polars, pyarrow and the like, whose columns are of any type; and streams of batches."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from streamreg.errors import DataError, OnePassError
from streamreg.sources.arrow.columns import column
from streamreg.sources.arrow.table import Fields, chunk_of, schema_of, usable
from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk, Column
from streamreg.sources.mapping import ColumnsSource


def open_frame(frame: Any) -> ColumnsSource:
    """Return a source over a frame in memory. Numbers without missing values are not copied.

    Raises
    ------
    DataError
        It cannot be had as a table of Arrow, or holds integers that no type holds.
    """
    label = "frame"
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False) if hasattr(frame, "iloc") else pa.table(frame)
    except Exception as error:  # of whatever library the frame is
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"{label}: is a {type(frame).__name__} that is no table of columns ({first})") from error
    nullable = {name: table.column(name).null_count > 0 for name in table.column_names}
    fields = Fields.of(table.schema, nullable)
    nothing = np.broadcast_to(np.array(None, object), (table.num_rows,))
    columns: dict[str, Column] = {
        name: nothing if dtype.kind == "O" else column(table.column(name), f"{label}, column {name!r}", dtype)
        for name, dtype in fields.dtypes.items()
    }
    return ColumnsSource(label, columns, fields.zones)


class StreamPartition(Partition):
    """All batches of a stream, in one partition."""

    def __init__(self, start_again: Callable[[], Any], one_pass: bool, label: str) -> None:
        self.start, self.stop = 0, None
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self._again, self._one_pass, self._label, self._used = start_again, one_pass, label, False

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield each batch as a chunk.

        Raises
        ------
        OnePassError
            The stream was read before.
        DataError
            What makes the batches fails.
        """
        if self._used and self._one_pass:
            raise OnePassError(f"{self._label}: its rows are gone after the first pass; pass a table or a file")
        self._used, start = True, 0
        try:
            for batch in self._again():
                if batch.num_rows:
                    yield chunk_of(batch, start, self.dtypes, {}, self._label)
                start += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise DataError(f"{self._label}: fails after row {start:,} ({first})") from error


class StreamSource(Source):
    """Batches of Arrow, one after the other; how many rows there are is not known before they are read.

    Parameters
    ----------
    label : str
    schema : pyarrow.Schema
    start_again : callable
        Returns a reader of the batches from the first on.
    one_pass : bool
        Whether it can be called once only.
    """

    def __init__(self, label: str, schema: Any, start_again: Callable[[], Any], one_pass: bool) -> None:
        self.label, self.one_pass = label, one_pass
        self.schema = schema_of(Fields.of(schema), None)
        self._partition = StreamPartition(start_again, one_pass, label)
        self._token = uuid4().hex

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the one partition."""
        self._partition.dtypes = usable(self.schema, columns)
        return [self._partition]

    def fingerprint(self) -> str:
        """Return a token of this object: nothing tells whether another stream would give the same rows."""
        return f"stream {self._token}"


def open_stream(stream: Any) -> StreamSource:
    """Return a source over a reader of batches, which is read once, or over what makes one again and again."""
    label = type(stream).__name__
    if isinstance(stream, pa.RecordBatchReader):
        return StreamSource(label, stream.schema, lambda: stream, True)

    def again() -> Any:
        return pa.RecordBatchReader.from_stream(stream)

    return StreamSource(label, again().schema, again, False)
