"""Marginal effects of any fit, from one pass over rows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.errors import DataError, OnePassError, UsageError, nearest, require, typed
from streamreg.families import family
from streamreg.inference.statistics import require_level
from streamreg.models.base import as_source
from streamreg.models.questions import questions
from streamreg.results.base import FitResult
from streamreg.results.intervals import require_errors, spread
from streamreg.results.marginal import MarginalEffects
from streamreg.results.slopes import Kind, Question, Slopes
from streamreg.scans.formulas import as_fitted
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.sources.chunk import Coded, Column
from streamreg.stats.base import block_rows
from streamreg.stats.learning import AsStored
from streamreg.stats.margins import Margins
from streamreg.stats.means import Means

Float = NDArray[np.float64]

_MEMORY = 2**27  # bytes of the sums of one group
_EXACT, _DIFFERENCES = 16.0, 9.0  # digits of derivatives of terms


@typed
def effects(
    fit: FitResult,
    data: Any,
    variables: str | Sequence[str] | None = None,
    *,
    kind: Kind = "dydx",
    contrasts: Mapping[str, Any] | None = None,
    at: str | Mapping[str, Any] = "average",
    by: str | Sequence[str] = (),
    missing: str | None = None,
    level: float = 0.95,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> MarginalEffects:
    """Return by how much the mean of the target changes with columns of the data, averaged over rows.

    Of a number this is the slope ``d mean / d column``, whatever terms the column is in: powers, logarithms, splines,
    interactions. Of a category it is the difference of the means at a level and at the reference.

    Parameters
    ----------
    fit : FitResult
        Of `Linear` or `Glm`, with standard errors, robust or not.
    data : Source, or anything that `streamreg.open` takes
        The rows to average over: those of the fit, or others. Its weights, if it has some, weigh the average.
    variables : str or sequence of str, optional
        Columns of the data; default: all that the terms are made of.
    kind : {"dydx", "dyex", "eydx", "eyex"}
        Of slopes: the derivative, or an elasticity, ``d log(mean)`` (ey) or ``d log(column)`` (ex).
    contrasts : mapping of str to pair of values, optional
        Columns whose effect is the difference between two values, the reference first: ``{"treated": (0, 1)}``.
    at : "average", "mean", or mapping of str to value
        Average the effects of all rows; or give the effect at the means of the columns, which takes a pass more; or
        set columns to these values in every row, and average.
    by : str or sequence of str
        Columns whose levels are groups with averages of their own.
    missing : {"error", "drop"}, optional
        What to do about rows with a missing value; default: as in the fit.
    level : float
        Of the confidence intervals.
    threads, progress, engine : optional
        As in `streamreg.scan`.

    Raises
    ------
    UsageError
        The fit has no standard errors, or there is no such column, contrast or kind.
    NotFound
        The data lack a column of the fit.
    DataError
        Values are missing, and were not in the fit; or a level is not known to the fit.

    Notes
    -----
    Standard errors are by the delta method: ``sqrt(J V J')`` with V the covariance of the coefficients and J the
    derivative of the average (Greene 2018, *Econometric Analysis*, 17.3.2). The rows count as given: errors do not
    allow for their being a sample. Tests and intervals use the fit's degrees of freedom. These are the effects of
    margins in Stata, of marginaleffects, and of ``get_margeff`` in statsmodels. Derivatives of terms that a formula
    makes are taken by central differences, which give some 9 digits.

    Cost: one pass; for each number, two evaluations more of the terms, if a formula makes them.
    """
    require(fit, FitResult, "marginal effects are of the fit that sr.Linear(...).fit(data) or sr.Glm returns")
    require_level(level)
    require_errors(fit, "marginal effects")
    if fit.absorbed is not None and not (family(fit.family).least_squares and kind == "dydx"):
        raise UsageError("of fits with absorbed effects there are slopes of lines only: kind='dydx'")
    run = Run.of(threads, engine, progress)
    source = as_source(data, None)
    if source.one_pass and at == "mean":
        raise OnePassError(f"{source.label}: effects at the means take two passes, and its rows can be read only once")
    source = as_fitted(source, {name: value for name, value in fit.encoder.items() if name != "formula"})
    encoder = FormulaEncoder.from_dict(fit.encoder).without_target() if "formula" in fit.encoder else None
    groups = (by,) if isinstance(by, str) else tuple(by)
    asked, note = questions(fit, encoder, source, variables, contrasts or {})
    if any(q.pair is not None for q in asked) and kind != "dydx":
        raise UsageError(f"contrasts are differences of means; kind={kind!r} is for numbers, so name them: variables=")
    fixed = _fixed(at, asked, source, encoder, fit)
    slim = dataclasses.replace(fit, geometry=None, sandwich=None, absorbed=None)
    rows = Slopes(slim, asked, kind, encoder, fixed, source.schema.zones, source.label)
    if 8 * rows.size > _MEMORY:
        raise UsageError(
            f"{len(asked):,} effects of {len(fit.names):,} terms are too many at once; name some: variables="
        )
    for name in (*rows.columns, *groups):
        source.schema.require(name, source.label)
    drop = fit.n_missing > 0 if missing is None else missing == "drop"
    if missing not in (None, "error", "drop"):
        raise UsageError(f"missing is {missing!r}; it can be 'error' or 'drop'")
    weights = source.roles.weights
    if at == "mean":
        if groups:
            raise UsageError("effects at the means have no groups; take at='average'")
        sums, n, lost, record = _at_means(rows, source, drop, run)
    else:
        length = block_rows(len(rows.columns) + (2 * len(fit.names) if encoder else len(fit.names)))
        state = Margins(rows, groups, weights, source.label, drop, length)
        found = run.scan(source, AsStored(source.label, state.columns), state, "effects of")
        sums, n, lost = found.total(), found.n, found.n_missing
        record = found.record
    return _result(fit, rows, sums, {
        "conf_level": level,
        "kind": kind,
        "at": at if isinstance(at, str) else ", ".join(f"{name} = {value}" for name, value in at.items()),
        "by": groups,
        "n": n,
        "n_missing": lost,
        "note": note,
        "source": source.label,
        "provenance": {} if record is None else record.account(),
    })  # fmt: skip


def _result(
    fit: FitResult, rows: Slopes, sums: Mapping[tuple[Any, ...], Float], about: dict[str, Any]
) -> MarginalEffects:
    count, p = len(rows.questions), len(fit.names)
    estimates, errors, digits = [], [], []
    for vector in sums.values():
        weight, vector = vector[0], vector[1:] / vector[0]
        values, levels, slopes = vector[:count], vector[count : 2 * count], vector[2 * count :].reshape(count, p)
        error = spread(fit, levels, slopes)
        estimates.append(np.where(np.isnan(error), np.nan, values))
        errors.append(error)
        digits.append(_digits(fit, rows, values, levels, slopes))
        assert weight > 0
    return MarginalEffects(
        variables=tuple(q.variable for q in rows.questions) * len(sums),
        contrasts=tuple(q.contrast for q in rows.questions) * len(sums),
        groups=tuple(group for group in sums for _ in rows.questions),
        estimates=np.concatenate(estimates),
        std_errors=np.concatenate(errors),
        digits=np.concatenate(digits),
        df=float(fit.df_test),
        errors=fit.errors,
        target=fit.target,
        family=fit.family,
        status=fit.status,
        **about,
    )


def _digits(fit: FitResult, rows: Slopes, values: Float, levels: Float, slopes: Float) -> Float:
    """Return the digits of effects that those of the coefficients leave."""
    own = np.where(np.isfinite(fit.digits), fit.digits, 0.0)
    off = np.abs(slopes) @ (np.abs(fit.line.coef) * 10.0**-own)
    least = fit.digits_intercept if np.isfinite(fit.digits_intercept) else float(own.min(initial=_EXACT))
    off += np.abs(levels) * abs(fit.at_centre) * 10.0**-least
    made = rows.encoder is not None or bool(fit.powers)
    best = np.array([_DIFFERENCES if made and q.pair is None else _EXACT - 1.0 for q in rows.questions])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -np.log10(off / np.abs(values) + 10.0**-best)
    return np.asarray(np.clip(np.nan_to_num(found, nan=0.0), 0.0, best))


def _fixed(
    at: str | Mapping[str, Any],
    asked: Sequence[Question],
    source: Source,
    encoder: FormulaEncoder | None,
    fit: FitResult,
) -> dict[str, Any]:
    """Return the columns that are set to one value."""
    if isinstance(at, str):
        if at not in ("average", "mean"):
            raise UsageError(f"at is {at!r}; it can be 'average', 'mean', or values of columns: {{'age': 40}}")
        return {}
    read = fit.columns if encoder is None else (*encoder.columns, *fit.columns[len(fit.terms_of) :])
    for name, value in at.items():
        if name not in read:
            raise UsageError(f"at: no term of the fit is made of {name!r}{nearest(name, read)}")
        text = source.schema.dtype(source.schema.require(name, source.label)).kind == "T"
        if text != isinstance(value, str) or not (text or np.isscalar(value)):
            raise UsageError(f"at: column {name!r} cannot be {value!r}; give one {'text' if text else 'number'}")
    if both := {q.variable for q in asked if q.pair is not None} & set(at):
        raise UsageError(f"at: {min(both)!r} is what the contrast is about, and cannot be one value")
    return dict(at)


def _at_means(rows: Slopes, source: Source, drop: bool, run: Run) -> tuple[dict[tuple[Any, ...], Float], int, int, Any]:
    """Return the sums of one row that has the mean of each column, and the counts of the rows."""
    for name in rows.columns:
        if source.schema.dtype(name).kind not in "iufb":
            raise UsageError(f"at='mean': column {name!r} has no mean; take at='average', or values: at={{...}}")
    design = Design.of(source, rows.columns, "drop" if drop else "error")
    state = run.scan(source, dataclasses.replace(design, target=None), Means(range(len(rows.columns))), "means of")
    means: dict[str, Column | Coded] = {}
    for k, name in enumerate(rows.columns):
        mean = state.mean(k)
        if mean is None:
            raise DataError(f"{source.label}: no rows without missing values; nothing to average")
        means[name] = np.array([mean])
    return {(): rows.sums(means, np.ones(1), 0)}, state.n, state.n_missing, state.record
