"""CSV files as a source: their rows in partitions that start and end at blocks."""

import hashlib
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from streamreg.errors import ChangedError, DataError
from streamreg.kernels import csvscan
from streamreg.sources.arrow.source import chunk_of, usable
from streamreg.sources.base import BLOCK, Partition, Schema, Source, row_ranges
from streamreg.sources.chunk import Chunk
from streamreg.sources.csv.borders import Borders
from streamreg.sources.csv.dialect import Dialect
from streamreg.sources.csv.parse import Parser
from streamreg.sources.csv.streams import compression_of, reading
from streamreg.sources.stored.files import file_fingerprint


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One file: its fingerprint, its columns in order, where its records are, and what folders say of it."""

    path: str
    seen: str
    names: tuple[str, ...]
    borders: Borders
    folders: dict[str, Any]


@dataclass(slots=True)
class CsvPartition(Partition):
    """Rows `start` to `stop` of a source, which lie in some ranges of one file, whose first row is `origin`."""

    start: int
    stop: int
    origin: int
    file: CsvFile
    dialect: Dialect
    dtypes: dict[str, np.dtype[Any]]
    types: dict[str, Any]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, a range of the file at a time.

        Raises
        ------
        DataError
            A record has more or fewer fields than the header, or a cell is not of its column's type.
        ChangedError
            The file was written to, or is gone.
        """
        file, borders = self.file, self.file.borders
        types = self.types or {file.names[0]: pa.binary()}  # rows are counted by some column
        parser = Parser(file.path, self.dialect, file.names, types)
        with reading(file.path, file.seen) as read:
            for k in range(len(borders.offsets) - 1):
                first, last = borders.rows[k] + self.origin, borders.rows[k + 1] + self.origin
                start, stop = max(first, self.start), min(last, self.stop)
                if start >= stop:
                    continue
                data = read(borders.offsets[k], borders.offsets[k + 1])
                if len(data) < borders.offsets[k + 1] - borders.offsets[k]:
                    raise ChangedError(f"{file.path}: was cut since it was opened; open it anew")
                begin, end = (0 if row == first else len(data) if row == last else self._end(data, row - first)
                              for row in (start, stop))  # fmt: skip
                table = parser.table(data[begin:end], start - self.origin, stop - start)
                self._require_present(table, start - self.origin)
                yield chunk_of(table, start, self.dtypes, file.path, file.folders)

    def within(self, start: int, stop: int) -> "CsvPartition":
        """Return rows `start` to `stop` of these."""
        return replace(self, start=start, stop=stop)

    def _require_present(self, table: Any, row: int) -> None:
        """Refuse a missing value where the type of a column has none."""
        for name, dtype in self.dtypes.items():
            if dtype.kind in "bu" and name not in self.file.folders and table.column(name).null_count:
                where = row + table.column(name).is_null().index(True).as_py()
                kind = "bool" if dtype.kind == "b" else "float64"
                raise DataError(
                    f"{self.file.path}, row {where:,} (from 0), column {name!r}: is missing, and was not in the "
                    "rows that the column's type was learned from; in options, give its type, "
                    f"dtypes={{{name!r}: {kind!r}}}"
                )

    def _end(self, data: Any, records: int) -> int:
        """Return where some records of a range end."""
        if not self.file.borders.regular:
            return csvscan.walk(data, csvscan.RECORD, *self.dialect.bytes, records)[1]
        return csvscan.scan(data, 0, *self.dialect.bytes, records)[1].at


class CsvSource(Source):
    """A table in one CSV file or several.

    Parameters
    ----------
    label : str
    files : sequence of CsvFile
        In the order of their rows.
    dialect : Dialect
    types : mapping of str to DataType
        Arrow's types of the columns that are in the files.
    schema : Schema
        Of all columns, those that folders name among them.
    """

    def __init__(
        self,
        label: str,
        files: Sequence[CsvFile],
        dialect: Dialect,
        types: Mapping[str, Any],
        schema: Schema,
    ) -> None:
        self.label, self._files, self._dialect, self._types = label, files, dialect, dict(types)
        self.schema = schema

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the partitions, of about 32 MB of text each; of a compressed file, one.

        Raises
        ------
        DataError
            A column is asked for that has no type.
        """
        for name in columns or ():
            if name in self.schema.refused:
                raise DataError(f"{self.label}: column {name!r} {self.schema.refused[name]}")
        dtypes = usable(self.schema, columns)
        types = {name: kind for name, kind in self._types.items() if name in dtypes}
        out: list[Partition] = []
        origin = 0
        for file in self._files:
            offsets, rows = file.borders.offsets, file.borders.rows
            end = origin + rows[-1]
            if compression_of(file.path):
                cuts = [origin, end]
            else:
                size = row_ranges(end, max(1, (offsets[-1] - offsets[0]) // max(1, rows[-1])), 1, block)
                cuts = sorted({origin, end, *(a for a, _ in size if origin < a < end)})
            for start, stop in itertools.pairwise(cuts):
                part = replace(file, borders=_within(file.borders, start - origin, stop - origin))
                if start < stop:
                    out.append(CsvPartition(start, stop, origin, part, self._dialect, dtypes, types))
            origin = end
        return out

    def fingerprint(self) -> str:
        """Return a hash of those of the files, and of how they are read."""
        files = [(file.path, file_fingerprint(file.path), file.names) for file in self._files]
        kinds = {name: str(kind) for name, kind in self._types.items()}
        return "csv " + hashlib.sha256(repr((files, self._dialect, kinds)).encode()).hexdigest()[:32]


def _within(borders: Borders, start: int, stop: int) -> Borders:
    """Return the ranges that hold some rows."""
    first, last = bisect_right(borders.rows, start, 0, len(borders.rows) - 1) - 1, bisect_left(borders.rows, stop)
    return Borders(borders.offsets[first : last + 1], borders.rows[first : last + 1], borders.regular)
