"""Where rows live: `open` turns a path, arrays, a dask collection or batches into a `Source`."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from streamreg.errors import UsageError
from streamreg.sources.base import Partition, Roles, Schema, Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.formats import CONVERTED, DATABASES, STREAMS, SUFFIXES, TABLES, kind_of, load
from streamreg.sources.rows import all_numbers, is_frame

__all__ = ["Chunk", "Partition", "Roles", "Schema", "Source", "open"]

MissingChunks: TypeAlias = Literal["error", "fill", "fault"]
"""What to do about chunks that were never written: refuse them, read the fill value, or take them for damaged rows."""


def open(
    data: Any,
    *,
    x: str | None = None,
    target: str | None = None,
    weights: str | None = None,
    features: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    missing_chunks: MissingChunks = "error",
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    query: str | None = None,
    where: str | None = None,
    na_values: Any = None,
) -> Source:
    """Return a source over `data`. No rows are read, but for the first batch of an iterable, and text.

    Parameters
    ----------
    data : path, array, data frame, mapping, tuple, dask array(s), iterable of batches, callable or Source
        A path ends in ``.h5``, ``.hdf5``, ``.hdf``, ``.zarr``, ``.npy``, ``.npz``, ``.parquet``, ``.pq``, ``.feather``,
        ``.arrow``, ``.csv``, ``.tsv`` or ``.txt``, and the last three also in ``.gz``, ``.bz2``, ``.xz`` or ``.zst``.
        Tables of columns may be several files: a list of paths, a pattern such as ``"trips/*.parquet"``, or a folder,
        in which ``year=2020`` names a column; they may lie elsewhere (``"s3://..."``, by fsspec).
        ``"duckdb:trips.db"`` is a database, of which `query` is read. A data frame of pandas, polars, pyarrow or Dask,
        and a relation of DuckDB, may have columns of any type. A mapping has a column for each name: numbers, dates or
        text.
        A tuple is ``(X, y)`` or ``(X, y, weight)``, and so is each batch of an iterable. A callable takes no argument
        and returns a fresh iterator of batches. In tuples and batches y is the column ``"y"``, the target, and the
        weight is the column ``"weight"``; X may be a data frame, whose columns keep their names and are found by them
        in every batch.
    x : str, optional
        Dataset inside an HDF5 file or Zarr group that holds the matrix: ``"group/X"``.
    target, weights : str, optional
        A column of the matrix, or a vector in the same file: ``"group/y"``. Beside a ``.npy`` file, another one.
    features : sequence of str, optional
        Columns to use; every column without another role if not given.
    columns : sequence of str, optional
        Names for the columns of the matrix, instead of those in the file or x0, x1, ...
    missing_chunks : {"error", "fill", "fault"}
        Whether chunks that are not in the storage are refused, or stand for its fill value. "fault": those of a Zarr
        store are not looked for; their rows cannot be read, and a scan with ``on_fault="skip"`` leaves them out.
    format : {"hdf5", "zarr", "npy", "npz", "parquet", "arrow", "csv"}, optional
        What files hold whose names do not tell.
    options : mapping, optional
        How a CSV file is written: ``delimiter``, ``quote``, ``header``, ``encoding``, ``decimal``, ``na_values`` and
        ``dtypes``, as `streamreg.sources.csv.open.open_csv` describes them.
    query : str, optional
        What to read of a database.
    where : str, optional
        Which rows are used: ``"year >= 2015 and carrier in ('AA', 'UA')"``. Comparisons of columns, numbers, texts and
        ISO dates, ``in``, ``is missing``, ``and``, ``or``, ``not``, ``+ - * / %``; names that are no words stand in
        backquotes. A row passes where the condition is true: where a value is missing, a comparison is not. The other
        rows keep their numbers and are counted. What can be told of row groups of Parquet and of folders is not read.
    na_values : value, list of values, or dict of str to these, optional
        What else stands for a missing value: ``-999``, or ``{"age": [-1, 99], "zone": "unknown"}``. Fits and moments
        remember it.

    Raises
    ------
    UsageError
        The kind of data is not known, or an argument does not go with it.
    NotFound
        No such file, dataset or column.
    CorruptError
        The file is damaged or incomplete.
    DataError
        The data are not a table of numbers.
    """
    if not isinstance(missing_chunks, str) or missing_chunks not in ("error", "fill", "fault"):
        raise UsageError(f"missing_chunks is {missing_chunks!r}; it can be 'error', 'fill' or 'fault'")
    columns, features = _names("columns", columns), _names("features", features)
    if where is not None or na_values is not None:
        given: dict[str, Any] = {"x": x, "columns": columns, "missing_chunks": missing_chunks}
        given |= {"format": format, "options": options, "query": query}
        return _narrowed(data, given, where, na_values, target, weights, features)
    if isinstance(data, str) and data.startswith(DATABASES):
        from streamreg.sources.arrow.sql import open_sql

        _require_columns_named(data, x, columns)
        return open_sql(data, query).with_roles(target, weights, features)
    if query is not None:
        raise UsageError("query= reads a database, as in sr.open('duckdb:trips.db', query='select ...'); leave it out")
    if isinstance(data, str | os.PathLike) or (_are_paths(data) and kind_of(data, format) in TABLES):
        x, target, weights = (_name(n, v) for n, v in (("x", x), ("target", target), ("weights", weights)))
        kind = kind_of(data, format)
        if options is not None and kind != "csv":
            raise UsageError(f"{data}: options are for CSV files; leave them out")
        if kind == "csv":
            _require_columns_named(data, x, None)
            source = load(TABLES[kind])(data, columns, options)
        elif kind in TABLES:
            _require_columns_named(data, x, columns)
            source = load(TABLES[kind])(data)
        elif isinstance(data, str) and "://" in data:
            raise UsageError(
                f"{data}: only local files can be read, but for tables such as Parquet; fetch it first, or pass format"
            )
        else:
            source = _open_path(Path(data), kind, x, target, weights, columns, missing_chunks)
    elif x is not None:
        raise UsageError(f"x={x!r} names a dataset inside a file, and data is a {type(data).__name__}; leave x out")
    else:
        source = _open_object(data, columns)
    return source.with_roles(target, weights, features)


def _narrowed(
    data: Any,
    given: dict[str, Any],
    where: str | None,
    na_values: Any,
    target: str | None,
    weights: str | None,
    features: tuple[Any, ...] | None,
) -> Source:
    """Open data of which certain values are missing, and some rows are used."""
    stored = isinstance(data, str | os.PathLike) and not str(data).startswith(DATABASES)
    if isinstance(na_values, list | tuple) and stored and kind_of(data, given["format"]) == "csv":
        given["options"] = {**(given["options"] or {}), "na_values": [str(value) for value in na_values]}
    source = open(data, target=target, weights=weights, **given)
    if na_values is not None:
        source = load("streamreg.sources.marked:MarkedSource")(source, na_values)
    if where is not None:
        source = load("streamreg.sources.filters.source:FilteredSource")(source, where)
    return source.with_roles(features=features)


def _are_paths(data: Any) -> bool:
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(one, str | os.PathLike) for one in data)


def _require_columns_named(data: Any, x: str | None, columns: Sequence[str] | None) -> None:
    """Refuse options that are for matrices."""
    for option, value in (("x", x), ("columns", columns)):
        if value is not None:
            raise UsageError(f"{data}: is a table whose columns have names; leave {option} out")


def _name(option: str, value: Any) -> str | None:
    """Return a name that was given, a path as text; refuse what is not one."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{option}={value!r} is a {type(value).__name__}; columns and datasets go by name")
    return value


def _names(option: str, value: Any) -> tuple[Any, ...] | None:
    """Return the names that were given, one of which may stand alone."""
    if value is None or isinstance(value, str):
        return None if value is None else (value,)
    if not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise UsageError(f"{option}={value!r} is a {type(value).__name__}; pass a list of names")
    return tuple(value)


def _open_path(
    path: Path,
    kind: str | None,
    x: str | None,
    target: str | None,
    weights: str | None,
    columns: Sequence[str] | None,
    missing_chunks: MissingChunks,
) -> Source:
    if kind == "npy":
        from streamreg.sources.npy import open_npy

        if x is not None:
            raise UsageError(f"{path}: x={x!r} names a dataset, and a .npy file holds one array only; leave x out")
        from streamreg.sources.npz import open_records

        if (records := open_records(path)) is not None:
            _require_columns_named(path, x, columns)
            return records
        return open_npy(path, target, weights, columns)
    if kind == "hdf5":
        from streamreg.sources.hdf5.open import open_hdf5

        return open_hdf5(path, x, target, weights, columns, missing_chunks)
    if kind == "zarr":
        from streamreg.sources.zarr.open import open_zarr

        return open_zarr(path, x, target, weights, columns, missing_chunks)
    if path.suffix.lower() == ".moments":
        raise UsageError(f"{path}: holds moments, not rows; every linear model takes its path, and sr.load reads it")
    known = ", ".join(SUFFIXES)
    advice = ""
    if path.suffix.lower() in CONVERTED:
        advice = (
            "; write such a table as Parquet, CSV, .npy or HDF5 once, or pass a function that yields batches (X, y)"
        )
    raise UsageError(f"{path}: the suffix {path.suffix!r} is not known; one of {known} tells the format{advice}")


def _open_object(data: Any, columns: Sequence[str] | None) -> Source:
    if isinstance(data, Source):
        if columns is not None:
            raise UsageError(f"{data.label}: is open already and its columns have names; pass columns when opening it")
        return data
    first = data[0] if isinstance(data, tuple) and data else data
    if _is_dask(data) and hasattr(data, "dtypes") and hasattr(data, "columns"):
        _require_columns_named("data", None, columns)
        return load("streamreg.sources.arrow.dask:open_dask_frame")(data)
    if _is_dask(first):
        from streamreg.sources.dask import open_dask

        return open_dask(data if isinstance(data, tuple) else (data,), columns)
    if is_frame(data) and not all_numbers(data):
        return load("streamreg.sources.arrow.frames:open_frame")(data, columns)
    if not is_frame(data) and (
        hasattr(data, "__arrow_c_stream__") or hasattr(data, "get_fragments") or type(data).__name__ in STREAMS
    ):
        _require_columns_named("data", None, columns)
        return load("streamreg.sources.arrow.streams:open_stream")(data)
    if isinstance(first, np.ndarray) or is_frame(first):
        from streamreg.sources.arrays import open_arrays

        return open_arrays(data if isinstance(data, tuple) else (data,), columns)
    if type(first).__module__.partition(".")[0] in ("h5py", "zarr"):
        raise UsageError(_opened_elsewhere(data if isinstance(data, tuple) else (data,)))
    if type(first).__module__.partition(".")[0] == "scipy":
        what = "is a sparse matrix" if first is data else f"begins with a {type(first).__name__}, which is sparse"
        raise UsageError(f"data {what}; pass its .toarray(), or batches of rows: (x[a:b].toarray(), y[a:b])")
    if isinstance(data, Mapping):
        from streamreg.sources.mapping import open_mapping

        if columns is not None:
            raise UsageError("data is a mapping, whose columns have names; leave columns out")
        return open_mapping(data)
    if isinstance(data, list) and data and _is_row(data[0]):
        raise UsageError("data is a list of numbers; pass numpy.asarray(data), or a list of batches (X, y)")
    if isinstance(data, tuple) and data and not isinstance(first, tuple):
        raise UsageError(
            f"data is a tuple that begins with a {type(first).__name__}; make arrays of its parts, by "
            "numpy.asarray(...), .to_numpy() or .toarray()"
        )
    if isinstance(data, Callable | Iterable):  # type: ignore[arg-type]  # a union of protocols
        from streamreg.sources.iterables import open_batches

        return open_batches(data, columns)
    raise UsageError(
        f"data is a {type(data).__name__}; pass a path, an array, a tuple (X, y) or (X, y, weight), a dask array, "
        "an iterable of such tuples, or a function that returns one"
    )


def _opened_elsewhere(parts: tuple[Any, ...]) -> str:
    """Say how rows are read from the file of open datasets, which would otherwise be read into memory as a whole."""
    library = type(parts[0]).__module__.partition(".")[0]
    names = [str(getattr(part, "name", None) or "").strip("/") for part in parts]
    path = getattr(getattr(parts[0], "file", None), "filename", None)
    where = "the path of its file" if path is None else repr(str(path))
    options = [f"{word}={name!r}" for word, name in zip(("x", "target", "weights"), names, strict=False) if name]
    return (
        f"data {'begins with' if len(parts) > 1 else 'is'} an open {library} object, which is not read as a stream; "
        f"pass its path: sr.open({', '.join([where, *options])})"
    )


def _is_row(value: Any) -> bool:
    """Return whether this is a number, or a list of some."""
    return isinstance(value[0] if isinstance(value, list | tuple) and value else value, Real)


def _is_dask(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "dask"
