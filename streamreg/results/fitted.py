"""Fitted values and linear predictors of rows in memory, and which columns they need."""

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import parts_of
from streamreg.design.filled import indicator, restored
from streamreg.design.terms import Terms
from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.results.estimates import Estimates, Scale
from streamreg.sources.base import Source
from streamreg.sources.checks import native
from streamreg.sources.chunk import missing as absent_in
from streamreg.sources.rows import missing_rows, table
from streamreg.stats.base import Statistic

Float = NDArray[np.float64]


class Network(Protocol):
    """What predicts besides a fit: it takes rows of columns that it names."""

    encoder: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in the order in which `predict` takes them."""

    def predict(self, x: NDArray[Any]) -> Float:
        """Return the predictions of rows, shape (m,)."""


def of_rows(fit: Estimates, table: NDArray[Any], kind: Scale) -> Float:
    """Return the fitted values of a matrix of the columns of a fit; NaN where an integer is missing."""
    rows, absent = missing_rows(table)
    eta = linear(fit, rows)
    if absent is not None:
        eta[absent] = np.nan
    return eta if kind == "link" else family(fit.family).mean(eta)


def factors(fit: "Estimates | Network") -> tuple[str, ...]:
    """Return the absorbed factors, whose levels a prediction needs beside the columns."""
    absorbed = fit.absorbed if isinstance(fit, Estimates) else None
    return () if absorbed is None else tuple(absorbed.names.tolist())


def needed(fit: "Estimates | Network") -> tuple[str, ...]:
    """Return the columns that a prediction reads: those of the fit, then those of its absorbed factors."""
    own = columns_of(fit)
    return tuple(dict.fromkeys((*own, *(name for key in factors(fit) for name in parts_of(key)))))


def columns_of(fit: Any) -> tuple[str, ...]:
    """Return the columns that rows of a fit or a network have."""
    found: tuple[str, ...] = getattr(fit, "columns", None) or fit.names
    return found


def filled_rows(fit: Any, data: Any) -> Any:
    """Return rows in memory with numbers in place of missing values, and indicators, as the columns of a fit have them.

    What has those columns already stays as it is.
    """
    fills, names = restored(fit.encoder.get("fills", {})), needed(fit)
    columns = stored_columns(fit)
    if not fills or "formula" in fit.encoder or (columns != names and getattr(data, "shape", ())[1:] == (len(names),)):
        return data
    found = in_memory(data, columns)
    made: dict[str, NDArray[Any]] = {name: found[:, k] for k, name in enumerate(columns)}
    for name, fill in fills.items():
        if name in made:
            absent = absent_in(made[name])
            made[indicator(name)] = absent.astype(np.float64)
            made[name] = np.where(absent, fill.value, made[name].astype(np.float64))
    return np.column_stack([made[name] for name in names])


def stored_columns(fit: Any) -> tuple[str, ...]:
    """Return the columns of the data that a prediction without a formula reads."""
    made = {indicator(name) for name, fill in restored(fit.encoder.get("fills", {})).items() if fill.indicator}
    return tuple(name for name in needed(fit) if name not in made)


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


def linear(fit: Estimates, rows: NDArray[Any]) -> Float:
    """Return the linear predictors of rows, shape (m,), of which none misses a value."""
    terms, low, moved = expanded(fit, rows)
    eta = fit.line.values(terms, low)
    return eta if moved is None else eta + moved


def expanded(fit: Estimates, rows: NDArray[Any]) -> tuple[NDArray[Any], Float | None, Float | None]:
    """Return the terms of rows, what these lack to the exact values, and by how much offsets move the predictor."""
    low, offset = None, None
    if beside := fit.likelihood.get("beside"):
        p = len(fit.columns) - len(beside)
        rows, offset = rows[:, :p], offsets(tuple(beside), rows[:, p:].astype(np.float64))
    if fit.powers:
        rows, low = Terms.of(fit.terms_of, fit.powers).expand(rows)
    return rows, low, offset


def offsets(roles: tuple[str, ...], values: Float) -> Float:
    """Return by how much offsets and exposures move the linear predictors of rows; NaN where an exposure is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.log(v) if role == "exposure" else v for role, v in zip(roles, values.T, strict=True)]
    total = np.asarray(sum(parts))
    return np.where(np.isfinite(total), total, np.nan)
