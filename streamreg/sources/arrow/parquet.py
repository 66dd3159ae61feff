"""Parquet: one file or many, read by row groups, with buffers of bounded size."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamreg.errors import CorruptError
from streamreg.sources.arrow import files as found
from streamreg.sources.arrow.table import Fields, chunk_of, joined, schema_of, usable, with_folders
from streamreg.sources.base import BLOCK, TEXT, Partition, Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.stored.files import file_fingerprint, require_unchanged

SUFFIXES = (".parquet", ".pq", ".parq")

_ROWS = 16384  # of a batch: few enough to stay in cache for 100 columns, many enough to outweigh the calls
_BYTES = 2**25  # of a partition, decoded
_BUFFER = 2**16  # read at a time from a column's pages
_LOOKED_AT = 200_000  # statistics of columns in footers
_FEW = 4  # partitions; row groups so large are decoded by several threads, as there are not enough for all workers


@dataclass(frozen=True, slots=True)
class Part:
    """Row groups of one file, which follow one another."""

    path: str
    seen: str
    groups: tuple[int, ...]
    rows: int
    folders: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class ParquetPartition(Partition):
    """Row groups of one file or of several."""

    start: int
    stop: int
    parts: tuple[Part, ...]
    dtypes: dict[str, np.dtype[Any]]
    parallel: bool

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, about 16,000 at a time.

        Raises
        ------
        ChangedError
            A file was written to, or is gone.
        CorruptError
            A row group cannot be decoded, or has another number of rows than the footer says.
        """
        start = self.start
        size = max(1, _ROWS // rows) * rows
        for part in self.parts:
            require_unchanged(part.path, part.seen)
            count = 0
            for batch in self._batches(part, size):
                if batch.num_rows:
                    yield chunk_of(batch, start, self.dtypes, part.folders, part.path)
                start, count = start + batch.num_rows, count + batch.num_rows
            if count != part.rows:
                raise CorruptError(
                    f"{part.path}, row groups {part.groups[0]} to {part.groups[-1]}: hold {count:,} rows, and the "
                    f"footer says {part.rows:,}; write the file again"
                )
            require_unchanged(part.path, part.seen)

    def _batches(self, part: Part, size: int) -> Iterator[Any]:
        wanted = [name for name in self.dtypes if name not in part.folders]
        text = [name for name in wanted if self.dtypes[name] == TEXT]
        try:
            with pq.ParquetFile(
                part.path,
                read_dictionary=text,
                pre_buffer=False,
                buffer_size=_BUFFER,
                page_checksum_verification=True,  # where the file has them
            ) as file:
                yield from file.iter_batches(
                    batch_size=size, row_groups=list(part.groups), columns=wanted, use_threads=self.parallel
                )
        except (OSError, pa.ArrowException) as error:
            first = str(error).splitlines()[0]
            raise CorruptError(
                f"{part.path}, row groups {part.groups[0]} to {part.groups[-1]}: cannot be decoded ({first}); the file "
                "is damaged, write it again"
            ) from error


class ParquetSource(Source):
    """A table in one Parquet file or several.

    Parameters
    ----------
    label : str
    files : sequence of Path
        In the order of their rows.

    Raises
    ------
    CorruptError
        A footer cannot be read.
    DataError
        A file lacks a column of the first one, or has other things in it.
    """

    def __init__(self, label: str, files: Sequence[Path]) -> None:
        self.label = label
        footers = [_footer(file) for file in files]
        folders = found.parts_of(files, label)
        fields = with_folders(joined([fields for _, fields, _ in footers], files), folders)
        self._files = [
            (str(file), seen, groups, dict(parts))
            for file, (groups, _, seen), parts in zip(files, footers, folders, strict=True)
        ]
        self.schema = schema_of(fields, sum(rows for groups, _, _ in footers for rows in groups))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return runs of row groups, of about 32 MB if row groups are smaller."""
        dtypes = usable(self.schema, columns)
        if not dtypes.keys() - self._files[0][3].keys():  # something must say how many rows there are
            others = usable(self.schema, None)
            dtypes |= dict([(n, d) for n, d in others.items() if n not in self._files[0][3]][:1])
        most = max(1, _BYTES // (8 * max(1, len(dtypes))))
        runs: list[list[Part]] = []
        waiting: list[Part] = []
        for path, seen, groups, folders in self._files:
            at = 0
            while at < len(groups):
                held, stop, rows = sum(part.rows for part in waiting), at + 1, groups[at]
                while stop < len(groups) and held + rows + groups[stop] <= most:
                    rows, stop = rows + groups[stop], stop + 1
                waiting.append(Part(path, seen, tuple(range(at, stop)), rows, folders))
                at = stop
                if held + rows >= most // 2:
                    runs.append(waiting)
                    waiting = []
        runs += [waiting] if waiting else []
        start, out = 0, []
        for run in runs:
            rows = sum(part.rows for part in run)
            if rows:
                out.append(ParquetPartition(start, start + rows, tuple(run), dtypes, len(runs) < _FEW))
            start += rows
        return list(out)

    def fingerprint(self) -> str:
        """Return those of the files."""
        return "parquet " + " ".join(file_fingerprint(path) for path, *_ in self._files)


def open_parquet(given: Any) -> ParquetSource:
    """Return a source over a Parquet file, a list of files, a pattern, or a folder.

    Raises
    ------
    NotFound
        There is no such file.
    CorruptError
        It is no Parquet file, or damaged.
    DataError
        The files are not of one kind.
    """
    paths = found.find(given, SUFFIXES)
    label = str(given) if isinstance(given, str | os.PathLike) else f"{paths[0]} and {len(paths) - 1} more"
    return ParquetSource(label if len(paths) > 1 else str(paths[0]), paths)


def _footer(file: Path) -> tuple[list[int], Fields, str]:
    """Return the rows of each row group, the columns, and the fingerprint of the file."""
    seen = file_fingerprint(file)
    try:
        with pq.ParquetFile(file) as opened:
            meta, schema = opened.metadata, opened.schema_arrow
            rows = [meta.row_group(k).num_rows for k in range(meta.num_row_groups)]
            return rows, Fields.of(schema, _nullable(meta, schema)), seen
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise CorruptError(f"{file}: not a readable Parquet file ({first}); write it again") from error


def _nullable(meta: Any, schema: Any) -> Mapping[str, bool]:
    """Return which integer columns may have missing values, as the statistics of the row groups say."""
    whole = {f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_boolean(f.type)}
    if not whole or meta.num_row_groups * len(whole) > _LOOKED_AT:
        return {}
    found = dict.fromkeys(whole, False)
    for k in range(meta.num_row_groups):
        group = meta.row_group(k)
        for j in range(group.num_columns):
            part = group.column(j)
            if part.path_in_schema in whole:
                counts = part.statistics
                missing = counts is None or not counts.has_null_count or counts.null_count > 0
                found[part.path_in_schema] |= missing
    return found
