"""Scan once: the moments of all columns, from which any least-squares question is answered later."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from streamreg import __version__, sources
from streamreg.design import Design, Missing
from streamreg.errors import DataError, UsageError
from streamreg.fold import fold
from streamreg.ledger import Marked, new_rows
from streamreg.progress import Progress
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.grouped import MEMORY, By, Column, Grouped, Hash, Stretch
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments
from streamreg.stats.record import Part, Record
from streamreg.stats.saved import Scanned, load

Given = Scanned | str | os.PathLike[str]
"""A state, or the path of a file with one."""

_PROBES = 32  # kept when a scan was appended to


@overload
def scan(
    source: Any,
    features: tuple[str, ...] | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    powers: Mapping[str, int] | None = None,
    *,
    target: str | None = None,
    weights: str | None = None,
) -> Moments: ...


@overload
def scan(
    source: Any,
    features: tuple[str, ...] | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    powers: Mapping[str, int] | None = None,
    *,
    target: str | None = None,
    weights: str | None = None,
    folds: int | str | None = None,
    by: str | None = None,
    stretches: int | None = None,
    seed: int = 0,
    precision: Literal["float64", "exact"] = "float64",
    memory: int = MEMORY,
) -> Any: ...


def scan(
    source: Any,
    features: tuple[str, ...] | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    powers: Mapping[str, int] | None = None,
    *,
    target: str | None = None,
    weights: str | None = None,
    folds: int | str | None = None,
    by: str | None = None,
    stretches: int | None = None,
    seed: int = 0,
    precision: Literal["float64", "exact"] = "float64",
    memory: int = MEMORY,
) -> Any:
    """Read the rows once and return the moments of the features and, if there is one, the target.

    Parameters
    ----------
    source : Source, or anything that `streamreg.open` takes
        Its weights, if it has a column for them, are in the moments.
    features : tuple of str, optional
        Default: all columns that have no other role.
    missing : {"error", "drop"}
    threads : int, optional
        Workers; the result has the same bits for any number.
    progress : bool, optional
        Show a progress bar; default: on a terminal.
    powers : dict of str to int, optional
        Columns to raise to powers, and the degree.
    target : str, optional
        The column that models explain unless told otherwise; default: the source's target. It may be left out: any
        column of the moments can be the target of a model.
    weights : str, optional
        Default: the source's weights.
    folds : int or str, optional
        Keep the moments of so many folds apart, made by a hash of the row number and `seed`; or of the folds that a
        column of whole numbers names.
    by : str, optional
        Keep the moments of each level of this column apart: whole numbers, or bool.
    stretches : int, optional
        Keep the moments of so many runs of consecutive rows apart, for the jackknife and the bootstrap.
    seed : int
        Another seed makes other folds.
    precision : {"float64", "exact"}
        "exact": integers, nothing is rounded; ten times the arithmetic.
    memory : int
        Bytes that the moments of all groups may take up.

    Returns
    -------
    Moments, or IntegerMoments if `precision` is "exact"; Grouped of these if rows are kept apart.

    Raises
    ------
    DataError
        The rows are missing, damaged or not finite; the message says where.
    UsageError
        A column has two roles, the groups do not fit in `memory`, or rows are to be kept apart in two ways.

    Notes
    -----
    Cost: one pass, also with folds and groups.
    """
    if not isinstance(source, Source):
        source = sources.open(source)
    source = source.with_roles(target, weights)
    apart = _by(source, folds, by, stretches, seed)
    keys = (apart.name,) if isinstance(apart, Column) else ()
    design = Design.of(source, features, missing, powers, keys)
    moments = IntegerMoments if precision == "exact" else Moments
    inner = moments(design.names, target=design.target)
    state: Statistic = inner if apart is None else Grouped(inner, apart, memory)
    state, part = _read(source, design, state, threads, progress)
    state.record = Record(
        (part,), design.features, design.target, design.weights, missing, design.powers, str(apart or ""), precision
    )
    return state


def _by(source: Source, folds: int | str | None, by: str | None, stretches: int | None, seed: int) -> By | None:
    given = [name for name, value in (("folds", folds), ("by", by), ("stretches", stretches)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} both say how rows are kept apart; give one of them")
    if by is not None or isinstance(folds, str):
        return Column(str(by if by is not None else folds))
    if folds is not None:
        if folds < 2:
            raise UsageError(f"folds is {folds}; it takes two or more")
        return Hash(folds, seed)
    if stretches is None:
        return None
    n = source.schema.n_rows
    if n is None:
        raise UsageError(f"{source.label}: its number of rows is not known, so it cannot be cut evenly; use folds=")
    if not 2 <= stretches <= n:
        raise UsageError(f"stretches is {stretches}; it can be 2 to {n:,}, the number of rows")
    return Stretch(-(-n // stretches))


def _read(
    source: Source, design: Design, state: Statistic, threads: int | None, progress: bool | None
) -> tuple[Any, Part]:
    marked = Marked(source)
    with Progress(f"scan {source.label}", source.schema.n_rows, shown=progress) as bar:
        state = fold(marked, design, state, threads=threads, progress=bar)
    weightless = state.n_read - state.n - state.n_missing
    counts = (state.n_read, state.n_missing, weightless)
    return state, Part(source.label, source.fingerprint(), *counts, marked.probes(), __version__)


def merge(first: Given, *others: Given) -> Any:
    """Return the moments of the rows of several scans: of other machines, days or files.

    Parameters
    ----------
    first, *others : Moments, IntegerMoments, Grouped, or path of a file of them
        They are not changed. Folds and groups are merged by their numbers; stretches stay apart.

    Raises
    ------
    DataError
        The columns differ, one scan is weighted and another is not, rows were grouped in different ways, or two scans
        hold the same rows.

    Notes
    -----
    Exact moments come out the same to the last bit however they are merged; float64 moments to about 1e-13.
    """
    total = _copy(_state(first))
    label = _label(first, 1)
    for number, other in enumerate(others, 2):
        state = _state(other)
        _require_alike(total, state, label, _label(other, number))
        if isinstance(total, Grouped) and isinstance(total.by, Stretch) and isinstance(state.by, Stretch):
            state = state.renumbered(max(total.groups, default=-1) + 1, total.by)
        total.merge(state)
    return total


def append(state: Given, source: Any, *, threads: int | None = None, progress: bool | None = None) -> Any:
    """Return moments that also hold the rows that were added to a source since it was scanned. Only those are read.

    Parameters
    ----------
    state : Moments, IntegerMoments, Grouped, or path of a file of them
        It is not changed.
    source : Source, or anything that `streamreg.open` takes
        The grown data set, with the name that it had. It is read as it was: same columns, weights, folds.

    Raises
    ------
    ChangedError
        Old rows are gone or changed, as far as hashes of rows at about seventeen places tell; see `streamreg.ledger`.
    DataError
        The scan did not read this source.
    UsageError
        The moments do not say which rows they hold.
    """
    held = _state(state)
    record = held.record
    if record is None:
        raise UsageError("these moments do not say which rows they hold; only those of sr.scan can be appended to")
    if not isinstance(source, Source):
        source = sources.open(source)
    source = source.with_roles(record.target, record.weights)
    found = [k for k, part in enumerate(record.parts) if part.label == source.label]
    if len(found) != 1:
        labels = ", ".join(part.label for part in record.parts[:5])
        raise DataError(
            f"{source.label} is {'not' if not found else 'more than once'} among what was scanned ({labels}); "
            "scan it, then merge"
        )
    old = record.parts[found[0]]
    rest = new_rows(source, old)
    if rest is None:
        return held
    by = By.parse(record.by) if record.by else None
    keys = (by.name,) if isinstance(by, Column) else ()
    design = Design.of(rest, record.features, record.missing, dict(record.powers), keys)
    added, part = _read(rest, design, held.fresh(), threads, progress)
    probes = old.probes + part.probes
    chosen = np.unique(np.linspace(0, len(probes) - 1, min(len(probes), _PROBES)).round().astype(int))
    grown = dataclasses.replace(
        part,
        rows=old.rows + part.rows,
        missing=old.missing + part.missing,
        weightless=old.weightless + part.weightless,
        probes=tuple(probes[k] for k in chosen),
    )
    total = _copy(held).merge(added)
    parts = tuple(grown if k == found[0] else part for k, part in enumerate(record.parts))
    total.record = dataclasses.replace(record, parts=parts)
    return total


def folds(state: Given) -> dict[int, Any]:
    """Return the moments of each fold or group of a scan, by its number, ready for cross-validation.

    Raises
    ------
    UsageError
        The scan kept no rows apart.
    """
    held = _state(state)
    if not isinstance(held, Grouped):
        raise UsageError("this scan kept no rows apart; scan with folds=10, or by=")
    return {key: held.groups[key] for key in sorted(held.groups)}


def _state(given: Given) -> Any:
    return load(given) if isinstance(given, str | os.PathLike) else given


def _label(given: Given, number: int) -> str:
    return Path(given).name if isinstance(given, str | os.PathLike) else f"scan {number}"


def _copy(state: Any) -> Any:
    return state.fresh().merge(state)


def _require_alike(a: Any, b: Any, a_label: str, b_label: str) -> None:
    """Make sure that two states can be merged; say why not."""
    pair = f"{a_label} and {b_label} do not merge"
    kinds = [type(s.inner if isinstance(s, Grouped) else s).__name__ for s in (a, b)]
    if type(a) is not type(b) or kinds[0] != kinds[1]:
        said = [("groups of " if isinstance(s, Grouped) else "") + kind for s, kind in zip((a, b), kinds, strict=True)]
        raise DataError(f"{pair}: one holds {said[0]}, the other {said[1]}; scan both alike")
    if a.names != b.names:
        alone = [[name for name in x if name not in y] for x, y in ((a.names, b.names), (b.names, a.names))]
        parts = [f"{name} alone has {', '.join(map(repr, only[:5]))}" for name, only in
                 zip((a_label, b_label), alone, strict=True) if only]  # fmt: skip
        raise DataError(f"{pair}: {'; '.join(parts) or 'their columns stand in another order'}; scan both alike")
    if a.record is not None and b.record is not None:
        try:
            a.record.require_apart(b.record)
        except DataError as error:
            raise DataError(f"{pair}: {error}") from None
