"""Standard errors that hold where errors differ in variance or are correlated: a second pass over the rows."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design, Missing
from streamreg.design.leaving import Leaving
from streamreg.errors import DataError, OnePassError, UsageError, require, typed
from streamreg.inference import statistics
from streamreg.inference.covariance import Sandwich
from streamreg.line import Line
from streamreg.models.base import as_source, as_state
from streamreg.models.covariance import MEMORY, Errors, Plan
from streamreg.models.robust_digits import NONE, digits
from streamreg.models.robust_rows import beside, require_errors, require_same_rows, scores_of
from streamreg.results.base import FitResult
from streamreg.scans.formulas import as_fitted
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.levels.within import Within, WithinLevels
from streamreg.stats.sandwich.clusters import Clusters
from streamreg.stats.sandwich.group_sums import Store
from streamreg.stats.sandwich.meat import Lagged, Meat
from streamreg.stats.sandwich.scores import Scores

Float = NDArray[np.float64]


@typed
def robust(
    fit: FitResult,
    source: Any,
    errors: Errors | Mapping[str, Any] = "HC3",
    *,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> FitResult:
    """Return a fit with the same estimates, and standard errors and tests that trust less.

    Parameters
    ----------
    fit : FitResult
        Of `sr.Linear` or `sr.Glm`, without a penalty.
    source : Source, or anything that `streamreg.open` takes
        The rows of the fit.
    errors : {"HC0", "HC1", "HC2", "HC3"}, {"cluster": column or (column, column)}, or {"newey_west": lags}
        Errors of rows are independent but differ in variance; or are correlated within clusters, which columns of whole
        numbers name, in one or two ways; or are correlated with those of so many rows before.
    memory : int
        Bytes of sums over clusters that are held in memory; beyond it they go to temporary files.
    threads : int, optional
    progress : bool, optional
    engine : optional
        Who works on the rows, as in `streamreg.scan`.

    Raises
    ------
    ChangedError
        The rows are not those of the fit.
    UsageError
        The fit has no standard errors to replace, or the source can be read only once.

    Notes
    -----
    With k parameters, n rows (the sum of weights if these are frequencies) and G clusters, the covariance is multiplied
    by ``n / (n - k)`` for HC1 and by ``G / (G - 1) * (n - 1) / (n - k)`` for clusters; two ways (Cameron, Gelbach &
    Miller 2011, *Journal of Business & Economic Statistics* 29) are the sum of both less the intersection, each
    multiplied by its own factor. Absorbed factors that are nested in clusters do not count in k (Cameron & Miller 2015,
    *Journal of Human Resources* 50, section II.C). HC0 and Newey-West (Bartlett weights) are not multiplied by
    anything. These are the factors of statsmodels. Tests use Student's t with ``n - k`` degrees of freedom, or
    ``G - 1`` (the smaller G of two ways) for clusters, as Stata does and as statsmodels does with ``use_t=True``. Rows
    that were left out keep their place in time for Newey-West. Of a generalised linear model the scores are those of
    its likelihood and the bread is the expected information (Huber 1967, *Proc. 5th Berkeley Symposium*), as in
    R's sandwich; statsmodels takes the observed one, which is the same with a canonical link, and does not multiply
    HC1. Where the dispersion is known tests stay normal.

    Cost: one pass, about ``4 p**2`` operations a row.
    """
    run = Run.of(threads, engine, progress)
    require(fit, FitResult, "robust errors are for the fit that sr.Linear(...).fit(data) returns")
    return replaced(fit, source, errors, run, memory=memory)


def replaced(
    fit: FitResult,
    data: Any,
    errors: Any,
    run: Run,
    within: Within | None = None,
    memory: int = MEMORY,
    leaving: Leaving | None = None,
) -> FitResult:
    """Do as `robust`.

    `within` is what to take from the rows where factors are absorbed, and `leaving` which of them are left out, if that
    is known already.
    """
    began, plan = time.perf_counter(), Plan.of(errors)
    source = as_fitted(rows_twice(data), fit.encoder).with_roles(target=fit.target)
    require_errors(fit, source.label, plan)
    missing: Missing = "drop" if fit.n_missing or fit.model.get("missing") == "drop" else "error"
    factors = () if fit.absorbed is None else tuple(fit.absorbed.names.tolist())
    keys = tuple(dict.fromkeys((*factors, *plan.keys)))
    design = Design.of(source, fit.terms_of, missing, fit.powers, keys, beside(fit)).with_target()
    passes = 1
    if factors and within is None:
        from streamreg.models.elimination import read

        design, first, passes = read(design, source, factors, run, str(fit.model.get("singletons", "keep")))
        within, passes = first.within(), passes + 1
    elif leaving is not None:
        design = dataclasses.replace(design, leaving=leaving)
    scores = scores_of(fit)
    if within is not None:
        scores = dataclasses.replace(
            scores, line=Line(0.0 * fit.centre, scores.line.coef, 0.0), offset=0.0 * scores.offset
        )
    frequency = fit.model.get("weight_kind") == "frequency"
    nested: tuple[int, ...] = ()
    with Store(run.bounded(memory)) as store:
        places = tuple(keys.index(key) for key in plan.keys)
        statistic = _statistic(plan, scores, frequency, store, places)
        if within is None:
            state = run.scan(source, design, statistic, "errors of")
        else:
            outer = run.scan(source, design, WithinLevels(statistic, within, places), "errors of")
            state, nested = outer.inner, outer.nested()
        found, rss = state.result()
    with np.errstate(over="ignore"):
        require_same_rows(fit, source.label, state.n, float(np.ldexp(rss, 2 * scores.unit)))
    meat, gross, df, note = _corrected(plan, found, fit, nested)
    spent = time.perf_counter() - began
    fit = dataclasses.replace(fit, passes=fit.passes + passes - 1)
    return _replaced(fit, scores, (meat, gross), df, note, plan, _most(plan, found), spent)


def rows_twice(data: Any) -> Source:
    """Return `data` as a source that can be read again.

    Raises
    ------
    UsageError
        It cannot: an iterator, or moments, which hold no rows.
    """
    if as_state(data) is not None:
        raise UsageError(
            "robust errors need the rows, and moments hold none; fit with errors='classical', then call "
            "sr.robust(fit, source, errors) with the source that was scanned"
        )
    source = as_source(data)
    if source.one_pass:
        raise OnePassError(f"{source.label}: robust errors take a second pass, and its rows are gone after the first")
    return source


def _statistic(
    plan: Plan, scores: Scores, frequency: bool, store: Store, places: tuple[int, ...]
) -> Meat | Lagged | Clusters:
    if plan.kind == "cluster":
        each = tuple((place,) for place in places)
        return Clusters(scores, each if len(each) == 1 else (*each, places), store)
    if plan.lags:
        return Lagged(scores, plan.lags)
    return Meat(scores, {"HC2": 2, "HC3": 3}.get(plan.kind, 0), frequency)


def _corrected(plan: Plan, found: Any, fit: FitResult, nested: tuple[int, ...]) -> tuple[Float, Float, float, str]:
    """Return the sum with the factors for small samples, degrees of freedom, and what to say of it.

    Absorbed factors that are `nested` in clusters do not count among the parameters. Second comes the sum of what it is
    a sum or a difference of, which is what rounding errors are relative to.
    """
    known = np.isinf(fit.df_test)
    if plan.kind != "cluster":
        meat = found * (fit.nobs / fit.df_resid if plan.kind == "HC1" else 1.0)
        return meat, meat, np.inf if known else fit.df_resid, ""
    counts = [count for _, count in found]
    if min(counts) < 2:
        name = plan.keys[min(counts.index(min(counts)), len(plan.keys) - 1)]
        raise DataError(f"column {name!r} names one cluster only; errors cannot be estimated from that")
    df_resid = fit.df_resid
    if nested and fit.absorbed is not None:
        others = tuple(f for f in range(len(fit.absorbed.names)) if f not in nested)
        df_resid += fit.absorbed.df - fit.absorbed.df_of(others)
    rest = (fit.nobs - 1.0) / df_resid
    parts = [meat * (rest * count / (count - 1.0)) for meat, count in found]
    if len(parts) == 1:
        return parts[0], parts[0], np.inf if known else counts[0] - 1.0, ""
    total = parts[0] + parts[1] - parts[2]
    note = "" if np.linalg.eigvalsh(total)[0] >= 0 else "the covariance of two ways of clustering is not positive"
    return total, sum(parts), np.inf if known else min(counts[:2]) - 1.0, note


def _most(plan: Plan, found: Any) -> tuple[float, str]:
    """Return a bound of the rank of a sum of scores, and why it is one: the scores of all rows add up to zero."""
    if plan.kind != "cluster":
        return np.inf, ""
    counts = [count for _, count in found][:2]
    said = " and ".join(f"{count:,} clusters of {key!r}" for count, key in zip(counts, plan.keys, strict=True))
    return sum(count - 1 for count in counts), f"{said} leave no more"


def _replaced(
    fit: FitResult,
    scores: Scores,
    sums: tuple[Float, Float],
    df: float,
    note: str,
    plan: Plan,
    most: tuple[float, str],
    seconds: float,
) -> FitResult:
    """Return the fit with errors from the sandwich; `sums` are those of `_corrected`, in orthonormal coordinates."""
    assert fit.geometry is not None
    geometry, unit = fit.geometry, scores.unit
    norms, kept = geometry.norms(), geometry.kept
    r, meat = len(kept), sums[0]
    whole, gross = np.zeros((2, 1 + r, 1 + r))
    for out, part in zip((whole, gross), sums, strict=True):
        out[1 + r - scores.width :, 1 + r - scores.width :] = part
    turn = np.zeros((1 + r, 1 + r))
    turn[0, 0] = scores.level
    turn[1:, 1:] = geometry.root.T
    cov = turn @ whole @ turn.T
    errors = np.full(len(fit.names), np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        variance = np.diag(cov)[1:]
        least = NONE * np.diag(geometry.inverse) * np.diag(gross)[1:].max(initial=0.0)
        # No residual tells of a coefficient that single rows determine: a zero is not its error.
        told = (variance > least) | (fit.rss == 0)
        errors[kept] = np.ldexp(np.sqrt(np.where(told, variance, np.nan)), unit) / norms[kept]
        errors[np.isnan(fit.std_errors)] = np.nan
        at = np.concatenate([[scores.level], -geometry.along(fit.centre[None, :])[0]])
        intercept = float(np.ldexp(np.sqrt(at @ whole @ at), unit))
    trusted = digits(fit, whole, gross)
    with np.errstate(over="ignore"):
        cov, whole = np.ldexp(cov, 2 * unit), np.ldexp(whole, 2 * unit)
    rank, reason = statistics.rank_of(meat), note or "few rows have a residual that tells of them"
    if most[0] <= rank:
        rank, reason = int(most[0]), most[1]
    return dataclasses.replace(
        fit,
        std_errors=errors,
        intercept_std_error=intercept if np.isfinite(fit.intercept_std_error) else np.nan,
        digits_se=float(np.fmin(fit.digits_se, trusted)),
        passes=fit.passes + 1,
        seconds=fit.seconds + seconds,
        status=note or fit.status,
        model=fit.model | {"errors": plan.spec()},
        sandwich=Sandwich(str(plan), cov, df, whole, rank, reason if rank < scores.width else ""),
    )
