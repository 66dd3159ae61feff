"""Standard errors that hold where errors differ in variance or are correlated: a second pass over the rows."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design import Design, Missing
from streamreg.errors import ChangedError, DataError, OnePassError, UsageError, require
from streamreg.fold import fold
from streamreg.geometry import Sandwich
from streamreg.models.base import as_source, as_state
from streamreg.models.covariance import Errors, Plan
from streamreg.progress import Progress
from streamreg.result import FitResult
from streamreg.sources.base import Source
from streamreg.stats.clusters import Clusters
from streamreg.stats.keyed import Store
from streamreg.stats.meat import Lagged, Meat
from streamreg.stats.scores import Scores

Float = NDArray[np.float64]

MEMORY = 2**28
"""Bytes of the sums of scores of clusters, beyond which they go to temporary files."""


def robust(
    fit: FitResult,
    source: Any,
    errors: Errors | Mapping[str, Any] = "HC3",
    *,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: bool | None = None,
) -> FitResult:
    """Return a fit with the same estimates, and standard errors and tests that trust less.

    Parameters
    ----------
    fit : FitResult
        Of `sr.Linear`, without ridge.
    source : Source, or anything that `streamreg.open` takes
        The rows of the fit.
    errors : {"HC0", "HC1", "HC2", "HC3"}, {"cluster": column or (column, column)}, or {"newey_west": lags}
        Errors of rows are independent but differ in variance; or are correlated within clusters, which columns of whole
        numbers name, in one or two ways; or are correlated with those of so many rows before.
    memory : int
        Bytes of sums over clusters that are held in memory; beyond it they go to temporary files.
    threads : int, optional
    progress : bool, optional

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
    multiplied by its own factor. HC0 and Newey-West (Bartlett weights) are not multiplied by anything. These are the
    factors of statsmodels. Tests use Student's t with ``n - k`` degrees of freedom, or ``G - 1`` (the smaller G of two
    ways) for clusters, as Stata does and as statsmodels does with ``use_t=True``. Rows that were left out keep their
    place in time for Newey-West.

    Cost: one pass, about ``4 p**2`` operations a row.
    """
    began = time.perf_counter()
    require(fit, FitResult, "robust errors are for the fit that sr.Linear(...).fit(data) returns")
    plan = Plan.of(errors)
    source = rows_twice(source).with_roles(target=fit.target)
    _require_errors(fit, source.label, plan)
    missing: Missing = "drop" if fit.n_missing or fit.model.get("missing") == "drop" else "error"
    design = Design.of(source, fit.columns, missing, fit.powers, plan.keys).with_target()
    scores = _scores(fit)
    frequency = fit.model.get("weights") == "frequency"
    with Store(memory) as store, Progress(f"errors of {source.label}", source.schema.n_rows, shown=progress) as bar:
        statistic = _statistic(plan, scores, frequency, store)
        state = fold(source, design, statistic, threads=threads, progress=bar)
        found, rss = state.result()
    with np.errstate(over="ignore"):
        _require_same_rows(fit, source.label, state.n, float(np.ldexp(rss, 2 * scores.unit)))
    meat, df, note = _corrected(plan, found, fit)
    return _replaced(fit, scores, meat, Sandwich(str(plan), meat, df), note, plan.spec(), time.perf_counter() - began)


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


def _statistic(plan: Plan, scores: Scores, frequency: bool, store: Store) -> Meat | Lagged | Clusters:
    if plan.kind == "cluster":
        return Clusters(scores, ((0,),) if len(plan.keys) == 1 else ((0,), (1,), (0, 1)), store)
    if plan.lags:
        return Lagged(scores, plan.lags)
    return Meat(scores, {"HC2": 2, "HC3": 3}.get(plan.kind, 0), frequency)


def _corrected(plan: Plan, found: Any, fit: FitResult) -> tuple[Float, float, str]:
    """Return the sum with the factors for small samples, the degrees of freedom, and what to say of it."""
    if plan.kind != "cluster":
        return found * (fit.nobs / fit.df_resid if plan.kind == "HC1" else 1.0), fit.df_resid, ""
    counts = [count for _, count in found]
    if min(counts) < 2:
        name = plan.keys[min(counts.index(min(counts)), len(plan.keys) - 1)]
        raise DataError(f"column {name!r} names one cluster only; errors cannot be estimated from that")
    rest = (fit.nobs - 1.0) / fit.df_resid
    parts = [meat * (rest * count / (count - 1.0)) for meat, count in found]
    if len(parts) == 1:
        return parts[0], counts[0] - 1.0, ""
    total = parts[0] + parts[1] - parts[2]
    note = "" if np.linalg.eigvalsh(total)[0] >= 0 else "the covariance of two ways of clustering is not positive"
    return total, min(counts[:2]) - 1.0, note


def _require_errors(fit: FitResult, label: str, plan: Plan) -> None:
    kind = fit.model.get("kind")
    if fit.geometry is None or kind != "linear" or fit.model.get("ridge") or fit.family != "gaussian":
        raise UsageError(f"robust errors are for sr.Linear without ridge, and this is a {kind} fit of {fit.source}")
    if not fit.df_resid > 0:
        raise UsageError(f"{label}: as many coefficients as rows leave no residuals to estimate errors from")
    if plan.kind == "Newey-West" and fit.model.get("weights") == "frequency":
        raise UsageError("Newey-West errors need rows in order of time, and a row that occurred often has no one place")


def _scores(fit: FitResult) -> Scores:
    from scipy.linalg import solve_triangular

    assert fit.geometry is not None
    geometry, p = fit.geometry, len(fit.names)
    kept = geometry.kept
    lower = np.linalg.cholesky(geometry.gram[np.ix_(kept, kept)]) if len(kept) else np.zeros((0, 0))
    basis = np.zeros((p, len(kept)))
    if len(kept):
        basis[kept] = solve_triangular(lower, np.eye(len(kept)), lower=True).T / geometry.norms()[kept][:, None]
    unit = int(np.frexp(fit.sigma)[1]) if np.isfinite(fit.sigma) and fit.sigma > 0 else 0
    offset = geometry.offset if geometry.offset.size else np.zeros(p)
    level = 1.0 / np.sqrt(geometry.weight) if fit.has_intercept else 0.0
    return Scores(fit.centre, offset, fit.at_centre, np.nan_to_num(fit.coef), basis, float(level), unit)


def _require_same_rows(fit: FitResult, label: str, n: int, rss: float) -> None:
    if n != fit.n:
        raise ChangedError(
            f"{label}: {n:,} rows can be used, and the fit used {fit.n:,}; pass the rows that were fitted (none "
            "without a cluster; or fit sr.Linear(errors=...), which leaves those out of both passes)"
        )
    if abs(rss - fit.rss) > 1e-6 * fit.rss + 1e-9 * fit.tss:
        raise ChangedError(
            f"{label}: the residual sum of squares is {rss:.6g} here, and was {fit.rss:.6g} in the fit; pass the rows "
            "that were fitted, with the same weights"
        )


def _replaced(
    fit: FitResult, scores: Scores, meat: Float, sandwich: Sandwich, note: str, spec: Any, seconds: float
) -> FitResult:
    """Return the fit with errors from the sandwich; `meat` is in the orthonormal coordinates of `scores`."""
    assert fit.geometry is not None
    norms, kept = fit.geometry.norms(), fit.geometry.kept
    slopes = scores.basis[kept] * norms[kept][:, None]
    turn = np.zeros((1 + len(kept), scores.width))
    if fit.has_intercept:
        turn[0, 0] = scores.level
    turn[1:, scores.width - len(kept) :] = slopes
    cov = turn @ meat @ turn.T
    errors = np.full(len(fit.names), np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        errors[kept] = np.ldexp(np.sqrt(np.diag(cov)[1:]), scores.unit) / norms[kept]
        errors[np.isnan(fit.std_errors)] = np.nan
        at = np.concatenate([[1.0], -fit.centre[kept] / norms[kept]])
        intercept = float(np.ldexp(np.sqrt(at @ cov @ at), scores.unit))
        cov = np.ldexp(cov, 2 * scores.unit)
    return dataclasses.replace(
        fit,
        std_errors=errors,
        intercept_std_error=intercept if np.isfinite(fit.intercept_std_error) else np.nan,
        passes=fit.passes + 1,
        seconds=fit.seconds + seconds,
        status=note or fit.status,
        model=fit.model | {"errors": spec},
        sandwich=dataclasses.replace(sandwich, cov=cov),
    )
