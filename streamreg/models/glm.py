"""Logistic, Poisson and other regressions by maximum likelihood, one pass over the rows for each Newton step."""

import dataclasses
import time
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from streamreg.design import Design, Missing
from streamreg.errors import DataError, OnePassError, UsageError
from streamreg.families import family
from streamreg.fold import fold
from streamreg.models.base import Device, Spec, as_source
from streamreg.models.estimates import Origin, centred_line, result
from streamreg.models.linear import Linear
from streamreg.models.newton import Maximum, maximise
from streamreg.progress import Progress
from streamreg.result import NAN, FitResult
from streamreg.solve import cholesky
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.working import Predictor, TargetMoments, WorkingMoments

Float = NDArray[np.float64]


class Glm(Spec):
    """A generalised linear model with the canonical link of its family.

    Parameters
    ----------
    family : {"binomial", "poisson", "gaussian"}
        Labels 0 and 1 (or shares between), whose logit is linear; counts, whose logarithm is linear; or real numbers,
        for which this is `Linear`.
    intercept : bool
        Whether the linear predictor may have a constant.
    max_iterations : int
        Passes over the rows, at most.
    tolerance : float
        Distance to the maximum, in standard errors, at which to stop. One more step is then taken, which squares it.
    singular : {"minimum-norm", "error"}
        What to do about columns that depend on others: return the shortest solution, or an error that names them.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    features, target, missing
        As for `Linear`.
    weights : {"analytic", "frequency"}
        What the source's weights mean. Coefficients and errors are the same: labels and counts have a known dispersion,
        so a row of weight 3 tells as much as three rows. What differs is the number of observations.
    device : str, optional
        "gpu", or "gpu:1": where cross-products are taken, as for `Linear`.
    """

    family: Literal["binomial", "poisson", "gaussian"] = "binomial"
    intercept: bool = True
    max_iterations: int = Field(default=50, ge=1)
    tolerance: float = Field(default=1e-8, gt=0.0, allow_inf_nan=False)
    singular: Literal["minimum-norm", "error"] = "minimum-norm"
    powers: dict[str, int] = Field(default_factory=dict)
    features: tuple[str, ...] | None = None
    target: str | None = None
    missing: Missing = "error"
    weights: Literal["analytic", "frequency"] = "analytic"
    device: Device | None = None

    def fit(self, data: Any, *, threads: int | None = None, progress: bool | None = None) -> FitResult:
        """Estimate the coefficients by maximum likelihood.

        Parameters
        ----------
        data : Source, or anything that `streamreg.open` takes
            It is read several times. For the gaussian family moments do as well.
        threads : int, optional
            Workers; the result has the same bits for any number.
        progress : bool, optional
            Show a progress bar for each pass; default: on a terminal.

        Returns
        -------
        FitResult
            Errors come from the inverse Fisher information, and tests from the normal distribution. Its status says
            so if the labels can be separated, and then there are no errors.

        Raises
        ------
        DataError
            A target that the family cannot have, with its row; a target that is the same in every row; rows that are
            missing or damaged.
        OnePassError
            The rows can be read only once.
        UsageError
            No target, or a column with two roles.
        """
        began = time.perf_counter()
        if self.family == "gaussian":
            return self._gaussian(data, threads, progress)
        if isinstance(data, Statistic):
            raise UsageError(f"a {self.family} fit needs the rows, and moments hold none; pass the source")
        source = as_source(data, self.target)
        if source.one_pass:
            raise OnePassError(f"{source.label}: a {self.family} fit reads the rows several times; use a file or array")
        design = Design.of(source, self.features, self.missing, self.powers).with_target()
        found, passes, null = self._climb(source, design, threads, progress)
        return self._result(source, design, found, passes, null, began)

    def _gaussian(self, data: Any, threads: int | None, progress: bool | None) -> FitResult:
        shared = {name: getattr(self, name) for name in Linear.model_fields if name in type(self).model_fields}
        fit = Linear(**shared).fit(data, threads=threads, progress=progress)
        return dataclasses.replace(fit, model=self.to_dict(), deviance=fit.rss, null_deviance=fit.tss)

    def _climb(
        self, source: Source, design: Design, threads: int | None, progress: bool | None
    ) -> tuple[Maximum, int, float]:
        """Return the maximum, the passes before those of Newton's method, and the mean of the model without columns."""
        facts, names = family(self.family), design.names
        p = len(names) - 1
        scan = 0

        def read(at: Predictor, move: Predictor | None) -> WorkingMoments:
            nonlocal scan
            scan += 1
            state = WorkingMoments(names, self.family, at, null, move, self.device)
            title = f"{self.family} step {scan} on {source.label}"
            with Progress(title, source.schema.n_rows, shown=progress) as bar:
                return fold(source, design, state, threads=threads, progress=bar)

        start, first, passes = Predictor(np.zeros(p), np.zeros(p), 0.0), None, 0
        null = float(facts.mean(np.zeros(1))[0])
        if self.intercept:
            # The first Newton step from a model without slopes is least squares: all rows have the same variance.
            with Progress(f"scan {source.label}", source.schema.n_rows, shown=progress) as bar:
                empty = TargetMoments.of(names, self.family, self.device)
                moments = fold(source, design, empty, threads=threads, progress=bar)
            problem = moments.problem(names[-1])
            null, passes = float(problem.mean[0][p]), 1
            self._require_variation(source, names[-1], null)
            centre, (at, _) = centred_line(problem, slopes := cholesky.solve(problem).coef)
            variance = float(facts.variance(np.array([null]))[0])
            start = Predictor(centre, np.zeros(p), float(facts.linked(null)))
            first = Predictor(centre, slopes / variance, (at - null) / variance)
        scans = self.max_iterations - passes
        limits = {"intercept": self.intercept, "tolerance": self.tolerance, "iterations": max(scans, 1)}
        return maximise(read, facts, start, first, **limits), passes, null  # type: ignore[arg-type]  # limits by name

    def _require_variation(self, source: Source, target: str, mean: float) -> None:
        if mean == 0 or (mean == 1 and self.family == "binomial"):
            raise DataError(
                f"{source.label}: column {target!r} is {mean:g} in every row, so no {self.family} fit has a finite "
                "intercept; check the column"
            )

    def _result(
        self, source: Source, design: Design, found: Maximum, passes: int, null: float, began: float
    ) -> FitResult:
        problem, solution, state = found.step.problem, found.step.solution, found.state
        if self.singular == "error" and solution.dependencies:
            raise DataError(f"{source.label}: dependent columns: {'; '.join(map(str, solution.dependencies))}")
        origin = Origin.of(state.moments, problem.target, source.label, passes + found.passes, "newton", design.terms)
        sigma = float(np.ldexp(1.0, -solution.target_exponent))
        fit = result(self, problem, solution, origin, sigma)
        # The columns' means as the information weighs them: about these, slopes and level are told apart.
        sums, at = state.likelihood(), found.at.about(problem.mean[0][:-1]) if self.intercept else found.at
        nobs = sums.weight if self.weights == "frequency" else float(state.n)
        errors = fit.std_errors if found.bounded else np.full(len(at.coef), np.nan)
        intercept = at.about(np.zeros(len(at.coef))).at if self.intercept else 0.0
        intercept_error = fit.intercept_std_error if found.bounded else NAN
        wrong = found.step.errors * errors
        wrong0 = found.step.level_error + 1e-16 * abs(at.at)
        status = found.status
        if status == "ok" and solution.status != "ok":
            status = "dependent" if solution.dependencies else fit.status
        return dataclasses.replace(
            fit,
            coef=at.coef,
            intercept=intercept,
            std_errors=errors,
            intercept_std_error=intercept_error,
            centre=at.centre,
            at_centre=at.at,
            rss=sums.rss,
            tss=sums.tss,
            nobs=nobs,
            df_resid=nobs - solution.rank - self.intercept,
            digits=_digits(wrong, at.coef, errors),
            digits_intercept=float(_digits(wrong0, intercept, intercept_error)) if self.intercept else NAN,
            status=status,
            seconds=time.perf_counter() - began,
            geometry=fit.geometry if found.bounded else None,
            family=self.family,
            deviance=sums.deviance,
            null_deviance=sums.null_deviance,
            log_lik=sums.saturated - sums.deviance / 2,
        )


class Logistic(Glm):
    """Logistic regression: `Glm` of the binomial family, whose options it has.

    The target holds labels 0 and 1, or shares between; ``predict`` returns probabilities.
    """

    family: Literal["binomial"] = "binomial"


def _digits(wrong: ArrayLike, value: ArrayLike, error: ArrayLike) -> Float:
    """Return decimal digits, given rounding errors; below a thousandth of a standard error they mean nothing."""
    size = np.maximum(np.abs(value), 1e-3 * np.asarray(error))
    return np.asarray(np.clip(-np.log10(np.maximum(wrong, 1e-16 * size) / size), 0.0, 15.3))
