"""Moments of more rows: scans of several sources added up, and the rows that were added to a source since."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from streamreg import sources
from streamreg.design.design import Design
from streamreg.errors import DataError, UsageError, typed
from streamreg.scans.formulas import as_fitted
from streamreg.scans.probes import new_rows
from streamreg.scans.run import Run
from streamreg.scans.scan import Given, opened
from streamreg.sources.base import Source
from streamreg.sources.filters.source import FilteredSource
from streamreg.sources.marked import marked_as
from streamreg.stats.base import added as sums
from streamreg.stats.grouped import Block, By, Column, Grouped

_PROBES = 32  # kept when a scan was appended to


@typed
def merge(first: Given, *others: Given) -> Any:
    """Return the moments of the rows of several scans: of other machines, days or files.

    Parameters
    ----------
    first, *others : Moments, IntegerMoments, Grouped, or path of a file of them
        They are not changed. Folds and groups are merged by their numbers; blocks of rows stay apart.

    Raises
    ------
    DataError
        The columns differ, one scan is weighted and another is not, rows were grouped in different ways, or two scans
        hold the same rows.

    Notes
    -----
    Exact moments come out the same to the last bit however they are merged; float64 moments to about 1e-13.
    """
    total = _copy(opened(first))
    label = _label(first, 1)
    for number, other in enumerate(others, 2):
        state = opened(other)
        _require_alike(total, state, label, _label(other, number))
        if isinstance(total, Grouped) and isinstance(total.by, Block) and isinstance(state.by, Block):
            state = state.renumbered(max(total.groups, default=-1) + 1, total.by)
        total.merge(state)
    return total


@typed
def append(
    state: Given, source: Any, *, threads: int | None = None, progress: bool | None = None, engine: Any = None
) -> Any:
    """Return moments that also hold the rows that were added to a source since it was scanned. Only those are read.

    Parameters
    ----------
    state : Moments, IntegerMoments, Grouped, or path of a file of them
        It is not changed.
    source : Source, or anything that `streamreg.open` takes
        The grown data set, with the name that it had. It is read as it was: same columns, weights, folds.
    threads : int, optional
        Workers; the result has the same bits for any number.
    progress : bool, optional
        Show a progress bar; default: on a terminal.
    engine : optional
        Who works on the rows, as in `streamreg.scan`.

    Raises
    ------
    ChangedError
        Old rows are gone or changed, as far as hashes of rows at about seventeen places tell; see
        `streamreg.scans.probes`.
    DataError
        The scan did not read this source.
    UsageError
        The moments do not say which rows they hold.
    """
    run = Run.of(threads, engine, progress)
    held = opened(state)
    record = held.record
    if record is None:
        raise UsageError("these moments do not say which rows they hold; only those of sr.scan can be appended to")
    if not isinstance(source, Source):
        source = sources.open(source)
    source = marked_as(source, record.encoder)
    if record.where and not source.where:
        source = FilteredSource(source, record.where)
    if source.where != record.where:
        told = f"where={record.where!r}" if record.where else "all rows"
        raise UsageError(
            f"{source.label}: {told} was scanned, and where={source.where!r} is not the same; leave it out"
        )
    source = as_fitted(source, record.encoder).with_roles(record.target, record.weights)
    found = [k for k, part in enumerate(record.parts) if part.label == source.label]
    if len(found) != 1:
        labels = ", ".join(part.label for part in record.parts[:5])
        raise DataError(
            f"{source.label} is {'not' if not found else 'more than once'} among what was scanned ({labels}); "
            "scan it, then merge"
        )
    old = record.parts[found[0]]
    by = By.parse(record.by) if record.by else None
    keys = (by.name,) if isinstance(by, Column) else ()
    design = Design.of(source, record.features, record.missing, dict(record.powers), keys)
    rest = new_rows(source, old, design.columns)
    if rest is None:
        return held
    added = run.scan(rest, design, held.fresh(), "scan")
    (part,) = added.record.parts
    probes = old.probes + part.probes
    chosen = np.unique(np.linspace(0, len(probes) - 1, min(len(probes), _PROBES)).round().astype(int))
    grown = dataclasses.replace(
        part,
        rows=old.rows + part.rows,
        missing=old.missing + part.missing,
        weightless=old.weightless + part.weightless,
        filtered=old.filtered + part.filtered,
        missing_in=sums(old.missing_in, part.missing_in),
        probes=tuple(probes[k] for k in chosen),
        faults=old.faults + part.faults,
    )
    total = _copy(held).merge(added)
    parts = tuple(grown if k == found[0] else part for k, part in enumerate(record.parts))
    total.record = dataclasses.replace(record, parts=parts)
    return total


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
