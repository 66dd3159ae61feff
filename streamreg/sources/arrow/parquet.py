"""Parquet files: row groups are decoded batch by batch, only the columns that are needed."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamreg.errors import CorruptError, StreamregError
from streamreg.sources.arrow.files import File, opened
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.statistics import range_of
from streamreg.sources.ranges import Known

LANE_ROWS = 2**15
"""A lane is a run of row groups with so many rows a column: a reader of many columns keeps many threads busy."""

_BUFFER = 2**16
_LOOKED_AT = 100_000


@dataclass(slots=True)
class RowGroups(Stream):
    """Row groups of a file, from `first` on; `starts` are the numbers of their first rows."""

    file: File
    first: int
    starts: tuple[int, ...]
    rows: int
    label: str
    constants: dict[str, Any]

    def entry(self, row: int) -> int:
        """Return the first row of the row group that a row is in."""
        return self.starts[bisect_right(self.starts, row) - 1]

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield what the footer says of each row group."""
        metadata, constant = footer(self.file), self.constant_ranges(columns)
        place = {metadata.schema.column(k).path: k for k in range(metadata.num_columns)}
        asked = [name for name in columns if name in place and name not in constant]
        for k, (a, b) in enumerate(pairwise((*self.starts, self.rows))):
            group = metadata.row_group(self.first + k)
            yield a, b, constant | {name: range_of(group.column(place[name])) for name in asked}

    def pieces(self, least: int) -> "list[RowGroups]":
        """Return runs of row groups that have so many rows."""
        stops = [*self.starts[1:], self.rows]
        return _runs(self.file, self.first, [b - a for a, b in zip(self.starts, stops, strict=True)], least)

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield all rows from a row group on; text comes as codes of a dictionary that grows within a row group."""
        self.file.require_unchanged()
        with opened(self.file.path) as where:
            metadata = footer(self.file)
            schema = metadata.schema.to_arrow_schema()
            text = [name for name in columns if _is_text(schema.field(name).type)]
            with pq.ParquetFile(
                where,
                metadata=metadata,
                read_dictionary=text,
                pre_buffer=False,
                buffer_size=_BUFFER,
                page_checksum_verification=True,
            ) as file:
                groups = range(self.first + bisect_right(self.starts, start) - 1, self.first + len(self.starts))
                if columns:
                    yield from file.iter_batches(rows, row_groups=groups, columns=list(columns), use_threads=True)
                else:
                    yield from _without_columns(self.rows - start, rows)
        self.file.require_unchanged()


def _without_columns(total: int, rows: int) -> Iterator[Any]:
    for start in range(0, total, rows):
        nulls = pa.nulls(min(rows, total - start))
        yield pa.record_batch([nulls], ["none"])


@lru_cache(maxsize=8)
def footer(file: File) -> Any:
    """Return the metadata of a file.

    Raises
    ------
    CorruptError
        They cannot be read.
    """
    try:
        with opened(file.path) as where:
            return pq.read_metadata(where)
    except StreamregError:
        raise
    except Exception as error:  # of the library, whatever a damaged file makes it raise
        raise CorruptError(
            f"{file.path}: not a readable Parquet file ({str(error)[:200]}); it is damaged or cut short, copy or write "
            "it again"
        ) from error


def described(file: File) -> tuple[Any, set[str], list[RowGroups]]:
    """Return the schema of a file, the integers and booleans that may be missing, and its row groups in runs.

    Raises
    ------
    CorruptError
        It cannot be read.
    """
    metadata = footer(file)
    try:
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, NotImplementedError) as error:
        raise CorruptError(f"{file.path}: its columns cannot be read ({error}); write it again") from error
    counts = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    wanted = LANE_ROWS * max(1, len(schema.names))
    runs = _runs(file, 0, counts, wanted)
    return schema, _nullable(metadata, schema), runs


def _runs(file: File, first: int, counts: Sequence[int], wanted: int) -> list[RowGroups]:
    """Return row groups, of which the first one and the rows of each are given, in runs of so many rows."""
    runs: list[RowGroups] = []
    starts, rows, last = list[int](), 0, first + len(counts) - 1
    for k, count in enumerate(counts, first):
        starts.append(rows)
        rows += count
        if rows >= wanted or k == last:
            if rows:
                label = f"{file.path}, row groups {first}-{k}" if k > first else f"{file.path}, row group {k}"
                runs.append(RowGroups(file, first, tuple(starts), rows, label, dict(file.constants)))
            first, starts, rows = k + 1, [], 0
    return runs


def _nullable(metadata: Any, schema: Any) -> set[str]:
    """Return the columns of integers and booleans in which values are missing, or may be as nothing is said of it."""
    names = {f.name for f in schema if f.nullable and (pa.types.is_integer(f.type) or pa.types.is_boolean(f.type))}
    if not names or len(names) * metadata.num_row_groups > _LOOKED_AT:
        return names
    place = {metadata.schema.column(k).path: k for k in range(metadata.num_columns)}
    return {
        name
        for name in names
        if any(_nulls(metadata.row_group(k).column(place[name])) for k in range(metadata.num_row_groups))
    }


def _nulls(chunk: Any) -> bool:
    if not chunk.num_values:
        return False
    statistics = chunk.statistics
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
