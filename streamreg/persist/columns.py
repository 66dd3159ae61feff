"""Write tables of columns of any type as they are made, and always whole: Parquet, Feather or CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreg.errors import DataError, MissingExtra, UsageError
from streamreg.persist.atomic import whole
from streamreg.persist.table_writer import require_replaceable

SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".csv", ".tsv")
COMPRESSION = {
    "parquet": ("zstd", "snappy", "gzip", "lz4", "none"),
    "feather": ("lz4", "zstd", "none"),
    "csv": ("none",),
}
"""Compressions of each format, the default first."""

PutRows = Callable[[Mapping[str, Any]], None]
"""``put(columns)`` writes some rows below those before; calls come in order."""

_KINDS = {".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather"}
_GROUP_ROWS, _GROUP_BYTES = 2**16, 2**25
_UNITS = {"Y": "D", "M": "D", "W": "D", "D": "D", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
_MISSING = np.iinfo(np.int64).min  # of integers, as chunks have it


@dataclass(frozen=True, slots=True)
class Field:
    """A column that is written: its name, its type in a chunk, and the time zone of dates that have one."""

    name: str
    dtype: np.dtype[Any]
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is to be written.

    Attributes
    ----------
    fields : sequence of Field
    chunk_rows : int, optional
        Rows of a row group of Parquet, or a batch of Feather. Default: 65,536, or as many as 32 MB hold.
    compression : str, optional
        Default: zstd for Parquet, lz4 for Feather.
    """

    fields: Sequence[Field]
    chunk_rows: int | None = None
    compression: str | None = None

    def group_rows(self) -> int:
        """Return the rows of a group: they depend on the columns alone, not on how rows come."""
        width = sum(f.dtype.itemsize for f in self.fields)
        return self.chunk_rows or max(1024, min(_GROUP_ROWS, _GROUP_BYTES // max(width, 1)))

    def codec(self, path: Path) -> str:
        """Return the compression. Raises `UsageError` if the format of `path` has not the one asked for."""
        known = COMPRESSION[kind_of(path)]
        if self.compression is not None and self.compression not in known:
            raise UsageError(
                f"{path}: compression {self.compression!r} is not for this format; {' or '.join(known)} is"
            )
        return self.compression or known[0]


def kind_of(path: Path) -> str:
    """Return the format that a name tells: "parquet", "feather" or "csv"."""
    return _KINDS.get(path.suffix.lower(), "csv")


@contextmanager
def create(
    path: Path, layout: Columns, *, force: bool = False, check: Callable[[Path], None] | None = None
) -> Iterator[PutRows]:
    """Open `path` for writing; it appears under its name only when the block has ended well.

    Missing values (NaN, the least int64, NaT, the code -1) are nulls in Parquet and Feather, and empty in CSV. The
    bytes do not depend on how many rows come at a time.

    Parameters
    ----------
    path : Path
    layout : Columns
    force : bool
        Replace a file that is there.
    check : callable, optional
        Looks at the file before it appears, and may refuse it.

    Raises
    ------
    UsageError
        The suffix is not known, an option does not go with it, or the file exists and `force` is false.
    NotFound
        No such folder.
    MissingExtra
        pyarrow is not installed.
    DataError
        A column cannot be written, or the file cannot: disk full, no permission. Nothing is left behind.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: the suffix tells the format, and it can be {', '.join(SUFFIXES)}")
    codec = layout.codec(path)
    require_replaceable(path, force)
    _library()
    with whole(path) as temporary:
        writer = {"parquet": _parquet, "feather": _feather, "csv": _csv}[kind_of(path)]
        with writer(temporary, layout, codec) as put:
            yield put
        if check is not None:
            check(temporary)


def _library() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("such tables are written with pyarrow; pip install 'streamreg[tables]'") from error
    return pyarrow


def arrow_type(field: Field) -> Any:
    """Return the Arrow type of a column.

    Raises
    ------
    DataError
        There is none.
    """
    pa, dtype = _library(), field.dtype
    if dtype.kind == "T":
        return pa.string()
    if dtype.kind == "M" and (unit := _UNITS.get(np.datetime_data(dtype)[0])) is not None:
        return pa.date32() if unit == "D" else pa.timestamp(unit, field.zone or None)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise DataError(f"column {field.name!r} is of type {dtype}, which cannot be written; leave it out")
    return pa.from_numpy_dtype(dtype)


def _nullable(field: Field) -> bool:
    """Return whether values may be missing: of integers and truth values only int64 has a number that says so."""
    return field.dtype.kind not in "iub" or field.dtype == np.int64


def arrow_of(values: Any, field: Field, kind: Any) -> Any:
    """Return a column of a chunk as an array of Arrow, of type `kind`, with nulls where values are missing."""
    pa = _library()
    if field.dtype.kind == "T":
        codes = pa.array(values.codes, mask=values.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.levels, pa.string())).dictionary_decode()
    if field.dtype.kind == "M":
        unit = "D" if pa.types.is_date32(kind) else kind.unit
        values = values.astype(f"M8[{unit}]", copy=False)
        whole_numbers = values.view(np.int64)
        if unit == "D" and (abs(whole_numbers[~np.isnat(values)]) >= 2**31).any():
            raise DataError(f"column {field.name!r}: holds days that a date does not, beyond five million years")
        numbers = whole_numbers.astype(np.int32) if unit == "D" else whole_numbers
        return pa.array(numbers, mask=np.isnat(values)).view(kind)
    values = np.ascontiguousarray(values, field.dtype)
    absent = None
    if field.dtype.kind == "f":
        absent = np.isnan(values)
    elif field.dtype == np.int64:
        absent = values == _MISSING
    return pa.array(values, kind, mask=absent if absent is not None and absent.any() else None)


class _Groups:
    """Gathers rows until they make a group, and hands groups on."""

    def __init__(self, layout: Columns, write: Callable[[Any], None]) -> None:
        pa = _library()
        self._fields, self._rows, self._write = layout.fields, layout.group_rows(), write
        self.schema = pa.schema([pa.field(f.name, arrow_type(f), nullable=_nullable(f)) for f in layout.fields])
        self._held: list[Any] = []

    def put(self, columns: Mapping[str, Any]) -> None:
        """Take some rows."""
        pa = _library()
        arrays = [arrow_of(columns[f.name], f, self.schema.field(k).type) for k, f in enumerate(self._fields)]
        self._held.append(pa.Table.from_arrays(arrays, schema=self.schema))
        if sum(map(len, self._held)) >= self._rows:
            self._give(self._rows)

    def _give(self, least: int) -> None:
        pa = _library()
        table, start = pa.concat_tables(self._held), 0
        while len(table) - start >= least and start < len(table):
            self._write(table.slice(start, self._rows).combine_chunks())
            start += self._rows
        rest = table.slice(start)
        self._held = [rest.combine_chunks()] if len(rest) else []

    def end(self) -> None:
        """Hand on what is left."""
        if self._held:
            self._give(1)


@contextmanager
def _parquet(path: Path, layout: Columns, codec: str) -> Iterator[PutRows]:
    import pyarrow.parquet as pq

    groups = _Groups(layout, lambda table: writer.write_table(table, row_group_size=len(table)))
    options: dict[str, Any] = {
        "compression": codec,
        "write_page_checksum": True,
        "use_dictionary": [f.name for f in layout.fields if f.dtype.kind == "T"],
    }
    with pq.ParquetWriter(path, groups.schema, **options) as writer:
        yield groups.put
        groups.end()


@contextmanager
def _feather(path: Path, layout: Columns, codec: str) -> Iterator[PutRows]:
    pa = _library()
    options = pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec)
    groups = _Groups(layout, lambda table: writer.write_table(table))
    with path.open("wb") as file, pa.ipc.new_file(file, groups.schema, options=options) as writer:
        yield groups.put
        groups.end()


@contextmanager
def _csv(path: Path, layout: Columns, codec: str) -> Iterator[PutRows]:
    from streamreg.persist import delimited

    mark = "\t" if path.suffix.lower() == ".tsv" else ","
    kinds = [arrow_type(f) for f in layout.fields]
    with path.open("wb") as file:
        file.write(delimited.header([f.name for f in layout.fields], mark))

        def put(columns: Mapping[str, Any]) -> None:
            arrays = [arrow_of(columns[f.name], f, kind) for f, kind in zip(layout.fields, kinds, strict=True)]
            file.write(delimited.lines(arrays, mark))

        yield put
