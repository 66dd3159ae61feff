"""Write the rows of any source to a file of another format, as a stream."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreg import sources
from streamreg.errors import DataError, UsageError, typed
from streamreg.persist import atomic, columns, table_writer
from streamreg.persist.columns import Columns, Field
from streamreg.scans.carry import fields
from streamreg.scans.run import Run
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk, Column, below, missing

_FORMATS = (*columns.SUFFIXES, *table_writer.SUFFIXES)
_MATRIX = "X"
Put = Callable[[Chunk], None]


class Converted(NamedTuple):
    """What was written: the file, its rows and its columns."""

    path: str
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.path}: {self.rows:,} rows x {self.columns:,} columns"


@typed
def convert(
    data: Any,
    out: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    chunk_rows: int | None = None,
    compression: str | None = None,
    force: bool = False,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    **opening: Any,
) -> Converted:
    """Write the rows of a source to a file of another format; memory does not grow with them.

    Every value comes back from the file as it was, or the column is refused by name. Of a filtered source the rows
    that pass are written. HDF5, Zarr and .npy files hold one matrix of numbers, of the type that all columns have, else
    float64. Parquet, HDF5 and Zarr carry checksums.

    Parameters
    ----------
    data : Source, or anything that `streamreg.open` takes
    out : path
        The suffix tells the format: .parquet, .feather, .csv, .tsv, .h5, .zarr or .npy. It appears when it is whole.
    names : sequence of str, optional
        Columns to write, in this order; default: all.
    chunk_rows : int, optional
        Rows of a row group or chunk.
    compression : str, optional
        Default: zstd for Parquet and Zarr, lz4 for Feather, else none.
    force : bool
        Replace a file that is there.
    threads, progress, engine
        As in `streamreg.scan`. The bytes of the file do not depend on them.
    opening : optional
        Options of `streamreg.open`, such as ``where``.

    Raises
    ------
    UsageError
        The suffix is not known, or the file exists and `force` is false.
    NotFound
        A column is not in the data.
    DataError
        The format cannot hold a column, or the file cannot be written; the message says why. Nothing is left behind.
    """
    source, path = sources.open(data, **opening), Path(out)
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: the suffix tells the format, and it can be {', '.join(_FORMATS)}")
    for name in source.paths:
        if Path(name).exists() and path.exists() and Path(name).samefile(path):
            raise UsageError(f"{path}: is what is read; choose another name")
    chosen = fields(source, source.schema.names if names is None else tuple(names), "convert")
    if not chosen:
        raise UsageError(f"{source.label}: there is no column to write")
    run, rows = Run.of(threads, engine, progress), 0
    writer = _table if path.suffix.lower() in columns.SUFFIXES else _matrix
    wanted = tuple(field.name for field in chosen)
    with writer(path, source, chosen, chunk_rows, compression, force) as put:
        for _, chunk in run.map(partial(_of_partition, names=wanted), source, wanted, "convert"):
            put(chunk)
            rows += len(chunk)
    return Converted(str(path), rows, len(chosen))


def _of_partition(partition: Partition, *, names: tuple[str, ...]) -> Chunk:
    """Return the columns of the rows of a partition that pass."""
    parts: dict[str, list[Column]] = {name: [] for name in names}
    rows = 0
    for chunk in partition.chunks(4096):
        passing = chunk.passing()
        rows += len(passing)
        for name in names if len(passing) else ():
            parts[name].append(passing.column(name).copy())
    made = {name: below(found) for name, found in parts.items() if found}
    return Chunk(partition.start, np.empty((rows, 0)), (), made)


@contextmanager
def _table(
    path: Path, source: Source, chosen: Sequence[Field], chunk_rows: int | None, compression: str | None, force: bool
) -> Iterator[Put]:
    check = partial(_require_same, path=path, chosen=chosen) if columns.kind_of(path) == "csv" else None
    with columns.create(path, Columns(chosen, chunk_rows, compression), force=force, check=check) as put:
        yield lambda chunk: put(chunk.vectors) if len(chunk) else None


def _require_same(written: Path, *, path: Path, chosen: Sequence[Field]) -> None:
    """Make sure that columns of a CSV file are read as what they were: a text such as "NA" or "12" is not."""
    options = {"delimiter": "\t"} if path.suffix.lower() == ".tsv" else {}
    found = sources.open(written, format="csv", options=options).schema
    for field in chosen:
        if field.dtype.kind in "TM" and (found.dtype(field.name).kind, found.zones.get(field.name, "")) != (
            field.dtype.kind,
            field.zone,
        ):
            what = "text that would be read as numbers, dates or missing values"
            what = what if field.dtype.kind == "T" else "dates that would be read as others"
            raise DataError(f"{path}: column {field.name!r} holds {what}; write .parquet, or leave it out")


@contextmanager
def _matrix(
    path: Path, source: Source, chosen: Sequence[Field], chunk_rows: int | None, compression: str | None, force: bool
) -> Iterator[Put]:
    for field in chosen:
        if field.dtype.kind in "TM":
            what = "text" if field.dtype.kind == "T" else "dates"
            raise DataError(f"{path}: holds numbers, and column {field.name!r} holds {what}; write .parquet")
    rows = source.schema.n_rows
    if rows is None or source.where:
        raise DataError(f"{source.label}: the number of rows is not known beforehand; write .parquet, .feather or .csv")
    types = {field.dtype for field in chosen}
    dtype = types.pop() if len(types) == 1 else np.dtype(np.float64)
    names, at = [field.name for field in chosen], 0
    layout = table_writer.Layout(
        {_MATRIX: len(names)},
        rows,
        str(dtype),
        names,
        chunk_rows,
        compression or ("zstd" if path.suffix == ".zarr" else "none"),
        checksums=path.suffix in (".h5", ".zarr"),
    )
    with table_writer.create(path, layout, force=force) as put:

        def write(chunk: Chunk) -> None:
            nonlocal at
            if len(chunk):
                parts = [_exact(chunk.vectors[name], dtype, name, path, at) for name in names]
                put(at, **{_MATRIX: np.column_stack(parts)})
                at += len(chunk)

        yield write
    if path.suffix == ".npy":
        with atomic.whole(Path(f"{path}.json")) as temporary:
            temporary.write_text(json.dumps({"columns": names}))


def _exact(values: Any, dtype: np.dtype[Any], name: str, path: Path, start: int) -> NDArray[Any]:
    """Return numbers in another type, which holds them all."""
    if values.dtype == dtype:
        return np.asarray(values)
    absent = missing(values)
    found = np.where(absent, np.nan, values.astype(dtype))
    if values.dtype.kind in "iu":
        known = np.where(absent, 0.0, found)
        large = np.abs(known) >= 2.0**62  # it may round to what int64 does not hold
        wrong = ~absent & (large | (np.where(large, 0.0, known).astype(values.dtype) != values))
        if wrong.any():
            raise DataError(
                f"{path}: row {start + int(np.argmax(wrong)):,} of column {name!r} is a whole number with more digits "
                "than float64 has, which columns of unlike types share here; write .parquet, or leave it out"
            )
    return np.asarray(found)
