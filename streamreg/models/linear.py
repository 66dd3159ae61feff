"""Least squares from one pass over the rows."""

import dataclasses
import time
from typing import Any, Literal

import numpy as np
from pydantic import Field

from streamreg.design import Design, Missing
from streamreg.fold import fold
from streamreg.kernels import doubledouble as dd
from streamreg.models.base import Spec, as_source
from streamreg.problem import Problem, Solution
from streamreg.progress import Progress
from streamreg.result import NAN, FitResult, Geometry
from streamreg.solve import cholesky
from streamreg.sources.base import Source
from streamreg.stats.moments import Moments


class Linear(Spec):
    """Ordinary, weighted or ridge least squares.

    Parameters
    ----------
    intercept : bool
        Whether the line may have a constant.
    ridge : float
        Penalty added to the squared error: ``ridge * sum(coef**2)``, in the units of the data, the intercept free (the
        convention of scikit-learn). Ridge estimates are biased, so no standard errors are given.
    features : tuple of str, optional
        Columns to regress on; default: all that have no other role.
    target : str, optional
        Column to explain; default: the source's target.
    missing : {"error", "drop"}
        What to do with rows that hold NaN.
    weights : {"analytic", "frequency"}
        What the source's weights mean: the precision of a row (as in statsmodels WLS), or how often it occurred.
    """

    intercept: bool = True
    ridge: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    features: tuple[str, ...] | None = None
    target: str | None = None
    missing: Missing = "error"
    weights: Literal["analytic", "frequency"] = "analytic"

    def fit(self, data: Any, *, threads: int | None = None, progress: bool | None = None) -> FitResult:
        """Estimate the coefficients.

        Parameters
        ----------
        data : Source, Moments, or anything that `streamreg.open` takes
            From `Moments` no row is read.
        threads : int, optional
            Workers; the result has the same bits for any number.
        progress : bool, optional
            Show a progress bar; default: on a terminal.

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite; the message says where.
        UsageError
            No target, or a column with two roles.
        """
        began = time.perf_counter()
        if isinstance(data, Moments):
            moments, label, passes = data, "moments", 0
            target = self.target or data.names[-1]
        else:
            source = as_source(data).with_roles(target=self.target)
            moments, label, passes = scan(source, self.features, self.missing, threads, progress), source.label, 1
            target = source.roles.target or ""
        problem = moments.problem(target, self.features, self.intercept)
        return self._result(problem, self._solve(problem), moments, label, passes, began)

    def _solve(self, problem: Problem) -> Solution:
        if not self.ridge:
            return cholesky.solve(problem)
        found = cholesky.solve(problem.penalised(self.ridge))
        penalty = self.ridge * float(np.sum(np.ldexp(found.coef, -found.target_exponent) ** 2))
        return dataclasses.replace(found, rss=max(found.rss - penalty, 0.0))

    def _result(
        self, problem: Problem, found: Solution, moments: Moments, label: str, passes: int, began: float
    ) -> FitResult:
        p, k = len(problem.names), found.rank + self.intercept
        nobs = problem.weight if self.weights == "frequency" else float(problem.n)
        df = nobs - k
        with np.errstate(over="ignore"):
            rss, tss = (float(np.ldexp(v, 2 * found.target_exponent)) for v in (found.rss, found.tss))
        sigma = np.sqrt(found.rss / df) if df > 0 and not self.ridge else NAN
        errors = np.full(p, np.nan)
        # Divided first and scaled last: with units of 1e200 the squares would not fit.
        relative = sigma * np.sqrt(np.maximum(np.diag(found.inverse), 0.0)) / found.scale[found.kept]
        errors[found.kept] = np.ldexp(relative, found.target_exponent - found.exponent[found.kept])
        errors[~found.identifiable] = np.nan
        centre, at_centre = _centre(problem, found)
        return FitResult(
            names=problem.names,
            target=problem.target,
            coef=found.coef,
            intercept=found.intercept,
            has_intercept=self.intercept,
            std_errors=errors,
            intercept_std_error=float(np.ldexp(sigma * np.sqrt(found.mean_leverage), found.target_exponent)),
            rss=rss,
            tss=tss,
            n=moments.n,
            n_read=moments.n_read,
            n_missing=moments.n_missing,
            nobs=nobs,
            df_resid=df,
            rank=found.rank,
            identifiable=found.identifiable,
            dependencies=tuple(map(str, found.dependencies)),
            passes=passes,
            level="float64",
            condition=found.condition,
            digits=found.digits,
            digits_intercept=found.digits_intercept,
            digits_se=found.digits_se,
            centre=centre,
            at_centre=at_centre,
            status="dependent" if len(found.kept) < p else "ok",
            seconds=time.perf_counter() - began,
            model=self.to_dict(),
            source=label,
            log_weight=0.0 if self.weights == "frequency" else moments.total().log_weight,
            geometry=Geometry(
                found.gram, found.inverse, found.kept, found.scale, found.exponent, found.null_space, problem.weight
            ),
        )


def scan(
    source: Source,
    features: tuple[str, ...] | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
) -> Moments:
    """Read the rows once and return the moments of the features and the target.

    Raises
    ------
    UsageError
        The source has no target.
    """
    design = Design.of(source, features, missing).with_target()
    with Progress(f"scan {source.label}", source.schema.n_rows, shown=progress) as bar:
        return fold(source, design, Moments(design.names), threads=threads, progress=bar)


def _centre(problem: Problem, found: Solution) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float]:
    """Return a point near the means, and the fitted value there, good to the last digit."""
    p = len(problem.names)
    if not problem.intercept:
        return np.zeros(p), 0.0
    centre = problem.mean[0][:p].copy()
    offset = dd.add_float(dd.take(problem.mean, slice(p)), -centre)
    at = dd.subtract(dd.take(problem.mean, p), dd.dot(offset, dd.from_float(found.coef)))
    return centre, float(at[0])
