"""Fitted values: of rows in memory, and of rows on disk, read and written as a stream."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreg import sources
from streamreg.design.batch import Batch
from streamreg.design.columns import parts_of
from streamreg.design.design import Design, Missing
from streamreg.design.filled import indicator, restored
from streamreg.design.terms import Terms
from streamreg.errors import DataError, UsageError
from streamreg.families import family
from streamreg.persist import table_writer
from streamreg.results.estimates import Estimates, Scale
from streamreg.scans.formulas import Unseen, as_fitted
from streamreg.scans.run import Run
from streamreg.sources.base import Partition, Source
from streamreg.sources.checks import native
from streamreg.sources.chunk import missing as absent_in
from streamreg.sources.rows import missing_rows, table
from streamreg.stats.base import Statistic

Float = NDArray[np.float64]

NAME = "prediction"


class Network(Protocol):
    """What predicts besides a fit: it takes rows of columns that it names."""

    encoder: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in the order in which `predict` takes them."""

    def predict(self, x: NDArray[Any]) -> Float:
        """Return the predictions of rows, shape (m,)."""


def predict(fit: Estimates, data: Any, kind: Scale = "mean", unseen: Unseen = "error") -> Float:
    """Return the fitted values of an array, or of all rows of a source; see `FitResult.predict`."""
    if kind not in ("mean", "link"):
        raise UsageError(f"predict: no kind {kind!r}; it can be 'mean' or 'link'")
    if isinstance(data, Source):
        return np.concatenate([values for _, values in predictions(fit, data, kind, unseen=unseen)])
    if fit.encoder or fit.absorbed is not None:
        refuse_elsewhere(data)
        source = sources.open(data if "formula" in fit.encoder else _named(data, _stored(fit)))
        found = [v for _, v in predictions(fit, source, kind, missing="drop", progress=False, unseen=unseen)]
        return np.concatenate(found) if found else np.zeros(0)
    return of_rows(fit, in_memory(data, fit.columns), kind)


def filled_rows(fit: Any, data: Any) -> Any:
    """Return rows in memory with numbers in place of missing values, and indicators, as the columns of a fit have them.

    What has those columns already stays as it is.
    """
    fills, names = restored(fit.encoder.get("fills", {})), needed(fit)
    stored = _stored(fit)
    if not fills or "formula" in fit.encoder or (stored != names and getattr(data, "shape", ())[1:] == (len(names),)):
        return data
    found = in_memory(data, stored)
    columns: dict[str, NDArray[Any]] = {name: found[:, k] for k, name in enumerate(stored)}
    for name, fill in fills.items():
        if name in columns:
            absent = absent_in(columns[name])
            columns[indicator(name)] = absent.astype(np.float64)
            columns[name] = np.where(absent, fill.value, columns[name].astype(np.float64))
    return np.column_stack([columns[name] for name in names])


def _stored(fit: Any) -> tuple[str, ...]:
    """Return the columns of the data that a prediction without a formula reads."""
    made = {indicator(name) for name, fill in restored(fit.encoder.get("fills", {})).items() if fill.indicator}
    return tuple(name for name in needed(fit) if name not in made)


def _named(data: Any, columns: tuple[str, ...]) -> Any:
    """Return data whose columns have names: those of a matrix are taken to be these."""
    return sources.open(table(data, "predict", columns)[0], columns=columns) if isinstance(data, np.ndarray) else data


def of_rows(fit: Estimates, table: NDArray[Any], kind: Scale) -> Float:
    """Return the fitted values of a matrix of the columns of a fit; NaN where an integer is missing."""
    rows, absent = missing_rows(table)
    eta = _linear(fit, rows)
    if absent is not None:
        eta[absent] = np.nan
    return eta if kind == "link" else family(fit.family).mean(eta)


def factors(fit: "Estimates | Network") -> tuple[str, ...]:
    """Return the absorbed factors, whose levels a prediction needs beside the columns."""
    absorbed = fit.absorbed if isinstance(fit, Estimates) else None
    return () if absorbed is None else tuple(absorbed.names.tolist())


def needed(fit: "Estimates | Network") -> tuple[str, ...]:
    """Return the columns that a prediction reads: those of the fit, then those of its absorbed factors."""
    own = fit.columns if isinstance(fit, Estimates) else fit.names
    return tuple(dict.fromkeys((*own, *(name for key in factors(fit) for name in parts_of(key)))))


def in_memory(data: Any, columns: tuple[str, ...]) -> NDArray[Any]:
    """Return rows in memory as a matrix of these columns, which a data frame may have in any order, beside others.

    Raises
    ------
    UsageError
        There are no rows: moments, or a path.
    DataError
        Not a table of numbers with these columns; see `streamreg.sources.rows.table`.
    """
    refuse_elsewhere(data)
    if isinstance(data, Source):
        raise UsageError("these predictions are of rows in memory; read the source first")
    rows, _ = table(data, "predict", columns, others=True)
    return rows.astype(native(rows.dtype), copy=False)


def refuse_elsewhere(data: Any) -> None:
    """Raise `UsageError` if data hold no rows, or are the path of a file."""
    if isinstance(data, Statistic):
        raise UsageError("moments hold no rows, and predictions are made of rows; pass the source that was scanned")
    if isinstance(data, str | os.PathLike):
        raise UsageError(f"predict takes rows: open the file first, fit.predict(sr.open({str(data)!r}))")


def _linear(fit: Estimates, rows: NDArray[Any]) -> Float:
    low, moved = None, None
    if beside := fit.likelihood.get("beside"):
        p = len(fit.columns) - len(beside)
        rows, moved = rows[:, :p], _moved(tuple(beside), rows[:, p:].astype(np.float64))
    if fit.powers:
        rows, low = Terms.of(fit.terms_of, fit.powers).expand(rows)
    eta = fit.line.values(rows, low)
    return eta if moved is None else eta + moved


def _moved(roles: tuple[str, ...], values: Float) -> Float:
    """Return by how much offsets and exposures move the linear predictors of rows; NaN where an exposure is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.log(v) if role == "exposure" else v for role, v in zip(roles, values.T, strict=True)]
    total = np.asarray(sum(parts))
    return np.where(np.isfinite(total), total, np.nan)


def predictions(
    fit: Estimates | Network,
    source: Source,
    kind: Scale = "mean",
    *,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    unseen: Unseen = "error",
) -> Iterator[tuple[int, Float]]:
    """Yield (row number, fitted values) for consecutive rows of a source, in order.

    Parameters
    ----------
    fit : FitResult or NetworkResult
    source : Source
        Must have the columns of the fit; others, a target among them, are not looked at.
    kind : {"mean", "link"}
        The mean of the target, or the linear predictor, which a network does not have.
    missing : {"error", "drop"}
        "drop": the prediction for a row with NaN is NaN, so that predictions stay beside their rows.
    engine : optional
        Who works on the rows, as in `streamreg.scan`; a network predicts in this process.
    unseen : {"error", "reference", "own", "missing"}
        A level of a category or of an absorbed factor that did not occur in the fit is refused, taken for the
        reference, given no effect, or has no prediction. Of absorbed factors the reference is one with the mean
        of their effects, and so is no effect.

    Raises
    ------
    NotFound
        A column of the fit is not in the source.
    NonFiniteError
        Infinity, or NaN unless `missing` is "drop".
    UsageError
        The linear predictor of a network is asked for.
    """
    if kind != "mean" and not isinstance(fit, Estimates):
        raise UsageError(f"a network predicts means, and has no {kind}; leave kind out")
    run = Run.of(threads, engine, progress)
    if not (run.engine.in_process or isinstance(fit, Estimates)):
        raise UsageError("a network predicts in this process; leave out engine")
    columns = fit.columns if isinstance(fit, Estimates) else fit.names
    source = as_fitted(source, fit.encoder, target=False, unseen=unseen)
    for name in needed(fit):
        source.schema.require(name, source.label)
    design = Design(source.label, columns, missing=missing, keys=factors(fit))
    work = partial(_of_partition, fit=fit, design=design, kind=kind, unseen=unseen)
    yield from run.map(work, source, design.columns, "predict")


def _of_partition(
    partition: Partition, *, fit: Estimates | Network, design: Design, kind: Scale, unseen: Unseen
) -> Float:
    pieces = []
    for chunk in partition.chunks(4096):
        if isinstance(fit, Estimates) and fit.absorbed is not None:
            pieces.append(_with_effects(fit, design.batch(chunk), kind, unseen))
            continue
        x, complete = design.rows(chunk)
        values = np.full(len(chunk), np.nan)
        values[complete] = of_rows(fit, x, kind) if isinstance(fit, Estimates) else fit.predict(x)
        pieces.append(values)
    return np.concatenate(pieces) if pieces else np.zeros(0)


def _with_effects(fit: Estimates, batch: Batch, kind: Scale, unseen: Unseen) -> Float:
    """Return the fitted values of rows with levels of absorbed factors; NaN for those with a missing value."""
    assert fit.absorbed is not None
    assert batch.keys is not None
    eta = _linear(fit, batch.x) + fit.absorbed.at(batch.keys, unseen, batch.labels)
    values = np.full(batch.read, np.nan)
    values[slice(None) if batch.kept is None else batch.kept] = eta if kind == "link" else family(fit.family).mean(eta)
    return values


def predict_to(
    out: str | os.PathLike[str],
    fit: Estimates | Network,
    source: Source,
    kind: Scale = "mean",
    *,
    missing: Missing = "error",
    unseen: Unseen = "error",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    force: bool = False,
) -> int:
    """Write fitted values to an HDF5, Zarr or npy file and return how many; memory does not grow with the rows.

    HDF5 and Zarr hold them in dataset ``prediction``. The other parameters are those of `predictions`.

    Raises
    ------
    UsageError
        The suffix is not known, the file exists and `force` is false, or it is the one that the rows are read from.
    DataError
        The file cannot be written, or the number of rows is not known beforehand.
    """
    run = Run.of(threads, engine, progress)
    if source.schema.n_rows is None:
        raise DataError(f"{source.label}: its number of rows is not known; predictions need a file or an array")
    rows = Path(source.label)
    if rows.exists() and Path(out).exists() and rows.samefile(out):
        raise UsageError(f"{out}: holds the rows that predictions are made of; choose another name")
    layout = table_writer.Layout({NAME: None}, source.schema.n_rows)
    with table_writer.create(Path(out), layout, force=force) as put:
        for start, values in predictions(fit, source, kind, missing=missing, unseen=unseen, engine=run):
            put(start, **{NAME: values})
    return source.schema.n_rows
