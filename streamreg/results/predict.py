"""Fitted values: of rows in memory, and of rows on disk, read and written as a stream."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreg import sources
from streamreg.design.design import Missing
from streamreg.errors import DataError, UsageError
from streamreg.persist import columns as columnar
from streamreg.persist import table_writer
from streamreg.persist.columns import Columns, Field
from streamreg.results.estimates import Estimates, Scale
from streamreg.results.fitted import Network, in_memory, of_rows, refuse_elsewhere, stored_columns
from streamreg.results.intervals import COLUMNS, Interval, Predictions
from streamreg.results.streamed import Asked, stream
from streamreg.scans.carry import fields, stored
from streamreg.scans.formulas import Unseen
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.rows import table

__all__ = ["Asked", "Written", "in_memory", "of_rows", "predict", "predict_to", "predictions"]

Float = NDArray[np.float64]

NAME = COLUMNS[0]
_FORMATS = (*columnar.SUFFIXES, *table_writer.SUFFIXES)


class Written(NamedTuple):
    """What was written: the file, its rows, and how many of them have no prediction as a value is missing."""

    path: str
    rows: int
    missing: int

    def __str__(self) -> str:
        return f"{self.path}: {self.rows:,} predictions" + f", {self.missing:,} of them missing" * bool(self.missing)


def predict(
    fit: Estimates,
    data: Any,
    kind: Scale = "mean",
    *,
    interval: Interval | None = None,
    level: float = 0.95,
    missing: Missing = "drop",
    unseen: Unseen = "error",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> Float | Predictions:
    """Return the fitted values of an array, or of all rows of a source; see `FitResult.predict`."""
    asked = Asked(kind, missing, unseen, interval, level)
    asked.check(fit)
    named = isinstance(data, Source)
    if not named and not fit.encoder and fit.absorbed is None:
        return _shown(asked.of(fit, in_memory(data, fit.columns)), asked)
    if not named:
        refuse_elsewhere(data)
        data = sources.open(data if "formula" in fit.encoder else _named(data, stored_columns(fit)))
        progress = False
    chunks = [chunk for _, chunk in stream(fit, data, asked, engine=Run.of(threads, engine, progress))]
    joined = [[np.asarray(chunk.vectors[name]) for chunk in chunks] for name in asked.names]
    return _shown(tuple(np.concatenate(parts) if parts else np.zeros(0) for parts in joined), asked)


def _shown(found: tuple[Float, ...], asked: Asked) -> Float | Predictions:
    if asked.interval is None:
        return found[0]
    value, error, lower, upper = found
    return Predictions(value, error, lower, upper, asked.interval, asked.level)


def _named(data: Any, columns: tuple[str, ...]) -> Any:
    """Return data whose columns have names: those of a matrix are taken to be these."""
    return sources.open(table(data, "predict", columns)[0], columns=columns) if isinstance(data, np.ndarray) else data


def predictions(
    fit: Estimates | Network,
    source: Source,
    kind: Scale = "mean",
    *,
    missing: Missing = "drop",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    unseen: Unseen = "error",
) -> Iterator[tuple[int, Float]]:
    """Yield (row number, fitted values) for consecutive rows of a source, in order; see `stream` and `Asked`."""
    for start, chunk in stream(fit, source, Asked(kind, missing, unseen), engine=Run.of(threads, engine, progress)):
        yield start, np.asarray(chunk.vectors[NAME])


def predict_to(
    out: str | os.PathLike[str],
    fit: Estimates | Network,
    data: Any,
    kind: Any = "mean",
    *,
    id: str | Sequence[str] = (),
    append: bool = False,
    interval: Interval | None = None,
    level: float = 0.95,
    missing: Missing = "drop",
    unseen: Unseen = "error",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    force: bool = False,
) -> Written:
    """Write fitted values to a file; memory does not grow with the rows.

    Parquet, Feather and CSV have a column ``prediction``, HDF5 and Zarr a dataset of that name, and an .npy file is
    that vector. With `interval` there are ``std_error``, ``lower`` and ``upper`` too, in .npy side by side.

    Parameters
    ----------
    out : path
        The suffix tells the format: .parquet, .feather, .csv, .tsv, .h5, .zarr or .npy. It appears when it is whole.
    fit : FitResult or NetworkResult
    data : Source, or anything that `streamreg.open` takes
    id : str or sequence of str
        Columns of the data, of any type, that stand before the predictions. HDF5 and Zarr hold numbers only.
    append : bool
        All columns of the data stand before the predictions; for Parquet, Feather and CSV.
    kind, interval, level, missing, unseen
        As for `FitResult.predict`.
    threads, progress, engine
        As in `streamreg.scan`. The bytes of the file do not depend on them.
    force : bool
        Replace a file that is there.

    Raises
    ------
    UsageError
        The suffix is not known, the file exists and `force` is false, or it is one that the rows are read from; or the
        fit does not predict what is asked for.
    NotFound
        A column is not in the data.
    DataError
        The file cannot be written, a column cannot, or the number of rows must be known beforehand and is not.
    """
    own = getattr(fit, "asked", None)
    asked = Asked(kind, missing, unseen, interval, level) if own is None else own(kind, missing, unseen, interval)
    asked.check(fit)
    source, path = sources.open(data), Path(out)
    require_format(path, append=append)
    _require_elsewhere(source, path)
    run = Run.of(threads, engine, progress)
    named = (id,) if isinstance(id, str) else tuple(id)
    if append and named:
        raise UsageError("append takes all columns along; leave id out")
    carried = fields(source, stored(source).schema.names if append else named, "append" if append else "id")
    for field in carried:
        if field.name in asked.names:
            raise UsageError(f"{source.label}: has a column {field.name!r}, as predictions are called; rename it")
    rows, absent = 0, 0
    with _writer(path, source, carried, asked.fields(), force) as put:
        for start, chunk in stream(fit, source, asked, tuple(field.name for field in carried), engine=run):
            put(start, chunk)
            rows += len(chunk)
            absent += asked.absent(chunk.vectors)
    return Written(str(path), rows, absent)


def require_format(path: Path, *, append: bool) -> None:
    """Raise `UsageError` if predictions are not written in the format that a suffix tells."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: the suffix tells the format, and it can be {', '.join(_FORMATS)}")
    if append and path.suffix.lower() not in columnar.SUFFIXES:
        raise UsageError(f"{path}: append is for tables of columns: .parquet, .feather or .csv; name columns with id")


Put = Callable[[int, Chunk], None]


def _writer(
    path: Path, source: Source, carried: Sequence[Field], predicted: Sequence[Field], force: bool
) -> AbstractContextManager[Put]:
    if path.suffix.lower() in columnar.SUFFIXES:
        return _columns(path, Columns((*carried, *predicted)), force)
    for field in (*carried, *(one for one in predicted if one.dtype.kind in "TM")):
        if path.suffix == ".npy" or field.dtype.kind in "TM":
            raise UsageError(
                f"{path}: does not hold column {field.name!r} beside predictions; write .parquet, .feather or .csv"
            )
    if source.schema.n_rows is None:
        raise DataError(
            f"{source.label}: its number of rows is not known, which {path.suffix} needs; write .parquet or .csv"
        )
    arrays = dict.fromkeys(field.name for field in (*carried, *predicted))
    dtypes = {field.name: field.dtype.str for field in carried}
    return _arrays(path, table_writer.Layout(arrays, source.schema.n_rows, dtypes=dtypes), force)


@contextmanager
def _columns(path: Path, layout: Columns, force: bool) -> Iterator[Put]:
    with columnar.create(path, layout, force=force) as put:
        yield lambda start, chunk: put(chunk.vectors)


@contextmanager
def _arrays(path: Path, layout: table_writer.Layout, force: bool) -> Iterator[Put]:
    with table_writer.create(path, layout, force=force) as put:
        yield lambda start, chunk: put(start, **chunk.vectors)


def _require_elsewhere(source: Source, out: Path) -> None:
    """Refuse to write over rows that are read, or into the folder that they are read from."""
    for name in stored(source).paths or (source.label,):
        rows = Path(name)
        if rows.exists() and out.exists() and rows.samefile(out):
            raise UsageError(f"{out}: holds the rows that predictions are made of; choose another name")
    folder = Path(stored(source).label)
    if folder.is_dir() and folder.resolve() in out.resolve().parents:
        raise UsageError(f"{out}: lies in the folder that rows are read from, and would be read as one of its files")
