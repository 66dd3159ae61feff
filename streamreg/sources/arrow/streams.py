"""Tables that another library makes batch by batch: readers, lazy frames, data sets, relations of DuckDB."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import pyarrow as pa

from streamreg.errors import DataError, OnePassError, StreamregError
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.frames import open_frame
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.source import ArrowSource, chunk_of, usable
from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk

Make = Callable[[Sequence[str], int], Any]
"""Return an iterable of batches or tables with some columns, of about so many rows; none: of one column at least."""


class Made(Stream):
    """Rows that a function makes anew whenever they are read."""

    def __init__(self, label: str, rows: int, make: Make) -> None:
        self.label, self.rows, self.constants, self._make = label, rows, {}, make

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield all rows."""
        for batch in self._make(columns, rows):
            yield from batch.to_batches() if isinstance(batch, pa.Table) else [batch]


class ReaderPartition(Partition):
    """All batches of a reader, once."""

    def __init__(self, reader: Any, label: str) -> None:
        self.start, self.stop = 0, None
        self.dtypes: dict[str, Any] = {}
        self._reader, self._label = reader, label

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield each batch as a chunk.

        Raises
        ------
        OnePassError
            The reader was read before.
        DataError
            What makes the batches fails.
        """
        if self._reader is None:
            raise OnePassError(
                f"{self._label}: its rows are gone after the first pass; pass a table, a file or a query"
            )
        reader, self._reader, start = self._reader, None, 0
        try:
            for batch in reader:
                if len(batch):
                    yield chunk_of(batch, start, self.dtypes, self._label)
                start += len(batch)
        except StreamregError:
            raise
        except Exception as error:  # of whatever makes the batches
            first = (str(error).splitlines() or [""])[0]
            raise DataError(f"{self._label}: fails after row {start:,} ({first})") from error


class ReaderSource(Source):
    """Batches that come once; how many rows there are is not known before they are read."""

    one_pass = True

    def __init__(self, reader: Any) -> None:
        self.label = type(reader).__name__
        self._fields = Fields()
        self._fields.add(self.label, reader.schema, set(reader.schema.names))
        self.schema = self._fields.schema(None)
        self._partition = ReaderPartition(reader, self.label)
        self._token = uuid4().hex

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the one partition."""
        self._partition.dtypes = usable(self.schema, columns)
        self._fields.require(list(self._partition.dtypes), self.label)
        return [self._partition]

    def fingerprint(self) -> str:
        """Return a token of this object."""
        return f"reader {self._token}"


def open_stream(data: Any) -> Source:
    """Return a source over what gives batches of Arrow: read once, or made anew for each pass.

    Raises
    ------
    DataError
        What makes the batches fails.
    """
    if isinstance(data, pa.RecordBatchReader):
        return ReaderSource(data)
    opener = {"LazyFrame": _lazy, "DuckDBPyRelation": _relation}.get(type(data).__name__)
    if opener is None:
        opener = _data_set if hasattr(data, "get_fragments") else open_frame
    try:
        return opener(data)
    except StreamregError:
        raise
    except Exception as error:  # of whatever makes the batches
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"{type(data).__name__}: cannot be read ({first})") from error


def made(label: str, schema: Any, nullable: set[str], streams: Sequence[Stream]) -> ArrowSource:
    """Return a source over streams of one schema, which nothing tells from others but itself."""
    fields, token = Fields(), uuid4().hex
    fields.add(label, schema, nullable)
    return ArrowSource(label, streams, fields, lambda: f"{label} {token}")


def counted(schema: Any) -> list[str]:
    """Return the columns whose missing values must be counted: integers and booleans."""
    return [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_boolean(f.type)]


def _lazy(frame: Any) -> ArrowSource:
    """Return a source over a lazy frame of polars, which is run for each pass."""
    import polars as pl

    schema = pa.table(frame.collect_schema().to_frame()).schema
    whole = counted(schema)
    told = frame.select(pl.len().alias("rows"), *(pl.col(n).null_count().name.prefix("of ") for n in whole)).collect()
    nullable = {name for name in whole if told[f"of {name}"][0]}
    stream = Made("LazyFrame", int(told["rows"][0]), partial(_of_lazy, frame, schema.names[0]))
    return made("LazyFrame", schema, nullable, [stream])


def _of_lazy(frame: Any, first: str, columns: Sequence[str], rows: int) -> Iterator[Any]:
    chosen = frame.select([*columns] or [first])
    if hasattr(chosen, "collect_batches"):
        yield from map(pa.table, chosen.collect_batches(chunk_size=rows, maintain_order=True))
    else:
        yield pa.table(chosen.collect())


def _relation(relation: Any) -> ArrowSource:
    """Return a source over a relation of DuckDB, which is run for each pass."""
    schema, rows, nullable = told_of(relation)
    return made("relation", schema, nullable, [Made("relation", rows, partial(reader_of, relation))])


def told_of(relation: Any) -> tuple[Any, int, set[str]]:
    """Return the schema of a relation of DuckDB, its rows, and the integers and booleans that are missing somewhere."""
    schema = reader_of(relation.limit(0), relation.columns, 1).schema
    whole = counted(schema)
    rows, *present = relation.aggregate(", ".join(["count(*)", *(f"count({_quoted(n)})" for n in whole)])).fetchall()[0]
    return schema, rows, {name for name, count in zip(whole, present, strict=True) if count < rows}


def reader_of(relation: Any, columns: Sequence[str], rows: int) -> Any:
    """Return a reader of some columns of a relation of DuckDB."""
    chosen = relation.project(", ".join(map(_quoted, columns)) or "1")
    return chosen.to_arrow_reader(rows) if hasattr(chosen, "to_arrow_reader") else chosen.fetch_record_batch(rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _data_set(data: Any) -> ArrowSource:
    """Return a source over a data set of pyarrow; each of its files is read by one reader, without reading ahead."""
    streams = [
        Made(getattr(part, "path", "fragment"), part.count_rows(), partial(_of_fragment, part, data.schema))
        for part in data.get_fragments()
    ]
    nullable = {field.name for field in data.schema if field.nullable}
    return made(type(data).__name__, data.schema, nullable, streams)


def _of_fragment(fragment: Any, schema: Any, columns: Sequence[str], rows: int) -> Any:
    import pyarrow.dataset as ds

    options: dict[str, Any] = {"batch_readahead": 1, "fragment_readahead": 1}
    if isinstance(fragment, ds.ParquetFileFragment):
        options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(use_buffered_stream=True, pre_buffer=False)
    return fragment.to_batches(schema=schema, columns=list(columns), batch_size=rows, **options)
