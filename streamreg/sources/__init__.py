"""Where rows live: `open` turns a path, arrays, a dask collection or batches into a `Source`."""

import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from streamreg.errors import UsageError
from streamreg.sources.base import Partition, Roles, Schema, Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.rows import all_numbers, is_frame

__all__ = ["Chunk", "Partition", "Roles", "Schema", "Source", "open"]

MissingChunks: TypeAlias = Literal["error", "fill"]
"""What to do about chunks that were never written: refuse them, or read the fill value."""

_SUFFIXES = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".zarr": "zarr",
    ".npy": "npy",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
}
_TABLES = {
    "parquet": "streamreg.sources.arrow.parquet:open_parquet",
    "arrow": "streamreg.sources.arrow.ipc:open_ipc",
}
"""Formats of tables of columns, and what opens a file, a folder, a pattern or a list of files of each."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_CONVERTED = (".xlsx", ".mat", ".npz", ".sas7bdat", ".dta")


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
    query: str | None = None,
) -> Source:
    """Return a source over `data`. No rows are read, but for the first batch of an iterable.

    Parameters
    ----------
    data : path, array, data frame, mapping, tuple, dask array(s), iterable of batches, callable or Source
        A path ends in ``.h5``, ``.hdf5``, ``.hdf``, ``.zarr``, ``.npy``, ``.parquet``, ``.pq``, ``.feather`` or
        ``.arrow``. Tables of columns may be several files: a list of paths, a pattern such as ``"trips/*.parquet"``,
        or a folder, in which ``year=2020`` names a column. ``"duckdb:trips.db"`` is a database, of which `query` is
        read. A tuple is ``(X, y)`` or ``(X, y, weight)``, and so is each batch of an iterable. A callable takes no
        argument and returns a fresh iterator of batches.
        In tuples and batches y is the column ``"y"``, the target, and the weight is the column ``"weight"``; X may be a
        data frame, whose columns keep their names and are found by them in every batch. A mapping has a column for each
        name: numbers, dates or text.
    x : str, optional
        Dataset inside an HDF5 file or Zarr group that holds the matrix: ``"group/X"``.
    target, weights : str, optional
        A column of the matrix, or a vector in the same file: ``"group/y"``. Beside a ``.npy`` file, another one.
    features : sequence of str, optional
        Columns to use; every column without another role if not given.
    columns : sequence of str, optional
        Names for the columns of the matrix, instead of those in the file or x0, x1, ...
    missing_chunks : {"error", "fill"}
        Whether chunks that are not in the storage are refused, or stand for its fill value.
    format : {"hdf5", "zarr", "npy", "parquet", "arrow"}, optional
        What files hold whose names do not tell.
    query : str, optional
        What to read of a database.

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
    if not isinstance(missing_chunks, str) or missing_chunks not in ("error", "fill"):
        raise UsageError(f"missing_chunks is {missing_chunks!r}; it can be 'error' or 'fill'")
    columns, features = _names("columns", columns), _names("features", features)
    if isinstance(data, str) and data.startswith("duckdb:"):
        from streamreg.sources.arrow.sql import open_sql

        _require_columns_named(data, x, columns)
        return open_sql(data, query).with_roles(target, weights, features)
    if query is not None:
        raise UsageError("query= reads a database, as in sr.open('duckdb:trips.db', query='select ...'); leave it out")
    if isinstance(data, str) and "://" in data:
        raise UsageError(f"{data}: only local files can be read; fetch it first")
    if isinstance(data, str | os.PathLike) or _are_paths(data):
        x, target, weights = (_name(n, v) for n, v in (("x", x), ("target", target), ("weights", weights)))
        kind = kind_of(data, format)
        if kind in _TABLES:
            _require_columns_named(data, x, columns)
            source = _load(_TABLES[kind])(data)
        elif isinstance(data, str | os.PathLike):
            source = _open_path(Path(data), kind, x, target, weights, columns, missing_chunks)
        else:
            raise UsageError("a list of files is of tables of columns, such as Parquet; open one file")
    elif x is not None:
        raise UsageError(f"x={x!r} names a dataset inside a file, and data is a {type(data).__name__}; leave x out")
    else:
        source = _open_object(data, columns)
    return source.with_roles(target, weights, features)


def _are_paths(data: Any) -> bool:
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(one, str | os.PathLike) for one in data)


def _load(place: str) -> Callable[[Any], Source]:
    """Return a function by its place, which is imported now."""
    module, _, name = place.partition(":")
    try:
        found: Callable[[Any], Source] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UsageError(f"such tables are read with {error.name}: pip install 'streamreg[tables]'") from None
    return found


def _require_columns_named(data: Any, x: str | None, columns: Sequence[str] | None) -> None:
    """Refuse options that are for matrices."""
    for option, value in (("x", x), ("columns", columns)):
        if value is not None:
            raise UsageError(f"{data}: is a table whose columns have names; leave {option} out")


def kind_of(data: Any, format: str | None = None) -> str | None:
    """Return the format of a file, or of the files of a folder, a pattern or a list; None if it is not known."""
    known = sorted({*_SUFFIXES.values()})
    if format is not None:
        if format not in known:
            raise UsageError(f"format is {format!r}; it can be {', '.join(known)}")
        return format
    path = Path(data[0] if isinstance(data, list | tuple) else data)
    while path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None and path.is_dir():
        inside = (_SUFFIXES.get(file.suffix.lower()) for file in sorted(path.rglob("*")) if file.is_file())
        return next((found for found in inside if found in _TABLES), None)
    return kind


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
        return open_npy(path, target, weights, columns)
    if kind == "hdf5":
        from streamreg.sources.hdf5.open import open_hdf5

        return open_hdf5(path, x, target, weights, columns, missing_chunks)
    if kind == "zarr":
        from streamreg.sources.zarr.open import open_zarr

        return open_zarr(path, x, target, weights, columns, missing_chunks)
    if path.suffix.lower() == ".moments":
        raise UsageError(f"{path}: holds moments, not rows; every linear model takes its path, and sr.load reads it")
    known = ", ".join(_SUFFIXES)
    advice = ""
    if path.suffix.lower() in _CONVERTED:
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
    if _is_dask(first):
        from streamreg.sources.dask import open_dask

        return open_dask(data if isinstance(data, tuple) else (data,), columns)
    if is_frame(data) and not all_numbers(data):
        if columns is not None:
            raise UsageError("data is a frame, whose columns have names; leave columns out")
        return _load("streamreg.sources.arrow.frames:open_frame")(data)
    if not is_frame(first) and hasattr(data, "__arrow_c_stream__"):
        return _load("streamreg.sources.arrow.frames:open_stream")(data)
    if isinstance(first, np.ndarray) or is_frame(first):
        from streamreg.sources.arrays import open_arrays

        return open_arrays(data if isinstance(data, tuple) else (data,), columns)
    library = type(data).__module__.partition(".")[0]
    if library in ("h5py", "zarr"):
        inner = str(getattr(data, "name", None) or "").strip("/")
        raise UsageError(
            f"data is an open {library} object; pass the path of its file" + f", and x={inner!r}" * bool(inner)
        )
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


def _is_row(value: Any) -> bool:
    """Return whether this is a number, or a list of some."""
    return isinstance(value[0] if isinstance(value, list | tuple) and value else value, Real)


def _is_dask(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "dask"
