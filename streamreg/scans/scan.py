"""Scan once: the moments of all columns, from which any least-squares question is answered later."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Literal, overload

from streamreg import sources
from streamreg.design.design import Design, Missing
from streamreg.design.policy import checked
from streamreg.errors import DataError, UsageError, renamed, typed
from streamreg.scans.faults import OnFault
from streamreg.scans.filling import filled, with_indicators, with_terms
from streamreg.scans.formulas import encoded
from streamreg.scans.moments_file import Scanned, load
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.grouped import MEMORY, Block, By, Column, Grouped, Hash
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments

Given = Scanned | str | os.PathLike[str]
"""A state, or the path of a file with one."""


@overload
@typed
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
    engine: Any = None,
    formula: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_fault: OnFault | None = None,
    seal: bool = False,
) -> Moments: ...


@overload
@typed
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
    blocks: int | None = None,
    seed: int = 0,
    precision: Literal["float64", "exact"] = "float64",
    memory: int = MEMORY,
    device: str | None = None,
    engine: Any = None,
    formula: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_fault: OnFault | None = None,
    seal: bool = False,
) -> Any: ...


@renamed(stretches="blocks")
@typed
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
    blocks: int | None = None,
    seed: int = 0,
    precision: Literal["float64", "exact"] = "float64",
    memory: int = MEMORY,
    device: str | None = None,
    engine: Any = None,
    formula: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_fault: OnFault | None = None,
    seal: bool = False,
) -> Any:
    """Read the rows once and return the moments of the features and, if there is one, the target.

    Parameters
    ----------
    source : Source, or anything that `streamreg.open` takes
        Its weights, if it has a column for them, are in the moments.
    features : tuple of str, optional
        Default: all columns that have no other role.
    missing : {"error", "drop", "mean", "indicator"}, or dict of str to these
        What to do with missing values: refuse them, leave such rows out, put the mean of the column in their place, or
        put a number there and keep a column of indicators, ``"age[missing]"``. For each column by name, ``"*"`` for
        all others. From a scan with "indicator" models are fitted with "mean", too, and no row is read.
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
    blocks : int, optional
        Keep the moments of so many runs of consecutive rows apart, for the jackknife and the bootstrap.
    seed : int
        Another seed makes other folds.
    precision : {"float64", "exact"}
        "exact": integers, nothing is rounded; ten times the arithmetic.
    memory : int
        Bytes that the moments of all groups may take up.
    device : str, optional
        "gpu", or "gpu:1": where cross-products are taken, by the library that Keras runs on; of float64 moments of all
        rows together.
    engine : None, "threads", "serial", "dask", distributed.Client, or address of a scheduler
        Who works on the rows; default: threads of this process. The result has the same bits on all of them. "dask" is
        the client in use, and an address is like "tcp://host:8786". Workers of a cluster read files under the same
        paths; arrays in the memory of this process travel to them in every pass, which is slow, so save them to a file.
    formula : str, optional
        ``"y ~ a + log(b) + C(c)"``: the columns are its terms. Levels, means and knots are learned in a pass of their
        own. Models of these moments are fitted without a formula.
    checkpoint : path, optional
        A folder in which it is kept, every few seconds, how far the passes over the rows came. After a break the same
        call goes on from there, with any engine and number of threads, to the same bits; then the folder is emptied.
    on_fault : {"fail", "skip"}, optional
        What to do about rows that cannot be read: damaged, or on a store that does not answer when asked four times.
        "fail", the default: `DataError`. "skip": the part of the file around them is left out, a warning says which
        rows and why, and so does the record of the moments.
    seal : bool
        Also write checksums of the rows and columns that are read, to ``<file>.seal``: later scans, `append` and
        resumed runs compare them. It costs no reading.

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
    run = Run.of(threads, engine, progress, on_fault)
    if checkpoint is not None:
        given: dict[str, Any] = {"formula": formula, "folds": folds, "by": by, "blocks": blocks, "seed": seed}
        given |= {"precision": precision, "memory": memory, "device": device, "target": target, "weights": weights}
        given["seal"] = seal
        with run.saved_in(checkpoint) as own:
            return scan(source, features, missing, powers=powers, engine=own, **given)
    if not isinstance(source, Source):
        source = sources.open(source)
    if formula is not None and (features is not None or powers):
        raise UsageError("features and powers, and a formula, both say what the terms are; leave one of them out")
    source = source.with_roles(None if formula is not None else target, weights)
    apart_from = tuple(name for name in (by, folds) if isinstance(name, str))
    source = filled(source, missing, run, features=features, formula=formula, apart=apart_from, near=True)
    features = with_indicators(source, features)
    if formula is not None:
        source = encoded(source, with_terms(source, formula), run)
    source = source.with_roles(target, weights)
    apart = _by(source, folds, by, blocks, seed)
    keys = (apart.name,) if isinstance(apart, Column) else ()
    design = Design.of(source, features, checked(missing), powers, keys)
    if device is not None and (apart is not None or precision == "exact"):
        raise UsageError("a device takes float64 products of all rows together; leave out device, or folds and 'exact'")
    state: Statistic
    if precision == "exact":
        state = IntegerMoments(design.names, target=design.target)
    else:
        state = Moments(design.names, target=design.target, device=device)
    if apart is not None:
        state = Grouped(state, apart, run.bounded(memory))
    state = run.folded(source, design, state, "scan", seal=seal).state
    assert state.record is not None
    state.record = dataclasses.replace(state.record, by=str(apart or ""), precision=precision)
    return state


def _by(source: Source, folds: int | str | None, by: str | None, blocks: int | None, seed: int) -> By | None:
    given = [name for name, value in (("folds", folds), ("by", by), ("blocks", blocks)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} both say how rows are kept apart; give one of them")
    if by is not None or isinstance(folds, str):
        return Column(str(by if by is not None else folds))
    if folds is not None:
        if not 2 <= folds < 2**31:
            raise UsageError(f"folds is {folds}; it takes two or more, and each keeps moments of its own in memory")
        return Hash(folds, seed)
    if blocks is None:
        return None
    n = source.schema.n_rows
    if n is None:
        raise UsageError(f"{source.label}: its number of rows is not known, so it cannot be cut evenly; use folds=")
    if not 2 <= blocks <= n:
        raise UsageError(f"blocks is {blocks}; it can be 2 to {n:,}, the number of rows")
    return Block(-(-n // blocks))


@typed
def folds(state: Given) -> dict[int, Any]:
    """Return the moments of each fold or group of a scan, by its number, ready for cross-validation.

    Parameters
    ----------
    state : Grouped, or path of its file

    Raises
    ------
    DataError
        A fold has no rows.
    UsageError
        The scan kept no rows apart.
    """
    held = opened(state)
    if not isinstance(held, Grouped):
        raise UsageError("this scan kept no rows apart; scan with folds=10, or by=")
    if isinstance(held.by, Hash) and (empty := sorted(set(range(held.by.folds)) - set(held.groups))):
        raise DataError(
            f"fold {empty[0]} of {held.by.folds} has no rows; {held.n:,} rows are too few for so many folds: scan with "
            "fewer folds, or another seed"
        )
    return {key: held.groups[key] for key in sorted(held.groups)}


def unequal(state: Grouped[Any]) -> str:
    """Say which fold has far more or fewer rows than chance gives it (5 standard deviations); empty if none has."""
    if not isinstance(state.by, Hash) or not state.n:
        return ""
    share = state.n / state.by.folds
    away = {key: abs(part.n - share) for key, part in state.groups.items()}
    far = max(away, key=lambda key: away[key])
    if away[far] <= 5.0 * (share * (1.0 - 1.0 / state.by.folds)) ** 0.5:
        return ""
    return (
        f"fold {far} holds {state.groups[far].n:,} of {state.n:,} rows, where {share:,.0f} are its share: rows were "
        "left out in a pattern"
    )


def opened(given: Given) -> Any:
    """Return a state: itself, or what is in its file.

    Raises
    ------
    UsageError
        It is neither a state nor a path.
    """
    if isinstance(given, str | os.PathLike):
        return load(given)
    if not isinstance(given, Statistic):
        raise UsageError(f"{given!r} is no scan; pass what sr.scan returned, or the path of a file of moments")
    return given
