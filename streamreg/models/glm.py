"""Logistic, Poisson and other regressions by maximum likelihood, one pass over the rows for each Newton step."""

import dataclasses
import os
import time
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from streamreg.design.design import Design, Missing
from streamreg.errors import DataError, OnePassError, UsageError, typed
from streamreg.families import family
from streamreg.models.base import Device, as_source, together
from streamreg.models.estimates import Origin, centred_line, result
from streamreg.models.estimator import Estimator, with_formula
from streamreg.models.likelihood_digits import digits_of, without_errors
from streamreg.models.linear import Linear
from streamreg.models.needs import Needs
from streamreg.models.newton import Maximum, maximise
from streamreg.problem import Solution
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.solve.conditioning import INDEX
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.opening import OpeningMoments
from streamreg.stats.working import Predictor, WorkingMoments

Float = NDArray[np.float64]

_UNKNOWN = (
    "log-likelihood, AIC and BIC are without binomial coefficients: weights that are numbers of trials, with whole "
    "numbers of successes, would give them"
)


def _known(name: str) -> str:
    try:
        return family(name).name
    except UsageError as error:
        raise ValueError(str(error)) from None


class Glm(Estimator):
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
        Columns depend on others where they do for `Linear`, by one more pass of exact sums. Columns that are nearer to
        each other than about 1e-7 of their size, and do not depend, are too near for a fit in float64: the status
        says so, and their coefficients have no errors.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    features, target, missing
        As for `Linear`.
    weights : {"analytic", "frequency"}
        What the source's weights mean. Coefficients and errors are the same: labels and counts have a known dispersion,
        so a row of weight 3 tells as much as three rows. What differs is the number of observations. A share y of
        weight w counts as w y successes in w trials: as in R, the log-likelihood then has its binomial coefficient, and
        is that of statsmodels for successes and failures. If these are not whole numbers it has none, and the result's
        `log_lik_note` says so.
    device : str, optional
        "gpu", or "gpu:1": where cross-products are taken, as for `Linear`.
    """

    family: Annotated[str, AfterValidator(_known)] = "binomial"
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

    def needs(self) -> Needs:
        """Return what a fit takes: a pass for each step, and one of exact sums if columns may be dependent."""
        line = dataclasses.replace(self._line().needs(), moments=False)
        steps = max(self.max_iterations, 2) + 1
        return line if family(self.family).least_squares else dataclasses.replace(line, passes=steps, at_most=True)

    @typed
    @with_formula
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> FitResult:
        """Estimate the coefficients by maximum likelihood.

        Parameters
        ----------
        data : Source, or anything that `streamreg.open` takes
            It is read several times. For the gaussian family moments do as well.
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        threads : int, optional
            Workers; the result has the same bits for any number.
        progress : bool, optional
            Show a progress bar for each pass; default: on a terminal.
        engine : optional
            Who works on the rows, as in `streamreg.scan`.
        checkpoint : path, optional
            As in `streamreg.scan`.

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
        data = together(data, y, weight)
        began, run = time.perf_counter(), Run.of(threads, engine, progress)
        if family(self.family).least_squares:
            return self._gaussian(data, run)
        if isinstance(data, Statistic):
            raise UsageError(f"a {self.family} fit needs the rows, and moments hold none; pass the source")
        source = as_source(data, self.target)
        if source.one_pass:
            raise OnePassError(f"{source.label}: a {self.family} fit reads the rows several times; use a file or array")
        design = Design.of(source, self.features, self.missing, self.powers).with_target()
        found, opening = self._climb(source, design, run)
        fit = self._result(source, design, found, opening)
        if found.step.solution.dependencies:
            fit = self._ranked(fit, found.step.solution, source, design, run)
        return dataclasses.replace(fit, seconds=time.perf_counter() - began)

    def _ranked(self, fit: FitResult, weighted: Solution, source: Source, design: Design, run: Run) -> FitResult:
        """Decide as `Linear` does, from exact sums, whether the columns that were left out depend on others."""
        from streamreg.solve import exact
        from streamreg.stats.integer_moments import IntegerMoments

        state = run.scan(source, design, IntegerMoments(design.names), "exact pass over")
        found = exact.solve(state.problem(fit.target, None, self.intercept))
        fit = dataclasses.replace(fit, passes=fit.passes + 1)
        apart = [fit.names[j] for j in found.kept if j not in weighted.kept]
        if apart:
            names = ", ".join(apart[:4]) + " and others" * (len(apart) > 4)
            words = (
                f"columns too nearly dependent on others for a {self.family} fit ({names}), so their coefficients are "
                "not told apart; fit their differences from the others instead, or leave columns out"
            )
            status = f"not determined: {words}" if fit.status == "dependent" else f"{fit.status}; {words}"
            return dataclasses.replace(fit, status=status, dependencies=tuple(map(str, found.dependencies)))
        if self.singular == "error":
            raise DataError(f"{source.label}: dependent columns: {'; '.join(map(str, found.dependencies))}")
        if np.array_equal(found.kept, weighted.kept):
            return dataclasses.replace(fit, dependencies=tuple(map(str, found.dependencies)))
        return fit

    def _line(self) -> Linear:
        return Linear(**{name: getattr(self, name) for name in Linear.model_fields if name in type(self).model_fields})

    def _gaussian(self, data: Any, run: Run) -> FitResult:
        fit = self._line().fit(data, engine=run)
        return dataclasses.replace(fit, model=self.to_dict(), deviance=fit.rss, null_deviance=fit.tss)

    def _climb(self, source: Source, design: Design, run: Run) -> tuple[Maximum, OpeningMoments]:
        """Return the maximum, and what the pass before those of Newton's method found."""
        facts, names = family(self.family), design.names
        p = len(names) - 1
        scan = 0

        def read(at: Predictor, move: Predictor | None) -> WorkingMoments:
            nonlocal scan
            scan += 1
            state = WorkingMoments(names, self.family, at, null, move, self.device, whitening)
            return run.scan(source, design, state, f"{self.family} step {scan} on")

        working = not self.intercept
        opening = run.scan(source, design, OpeningMoments.of(names, self.family, working, self.device), "scan")
        null = float(facts.mean(np.zeros(1))[0])
        if self.intercept:
            null = opening.target_mean
            self._require_variation(source, names[-1], null)
        problem = opening.problem(names[-1], None, self.intercept)
        solved = cholesky.solve(problem)
        whitening = _whitening(solved) if solved.condition > INDEX and solved.rank == p else None
        centre, (at, _) = centred_line(problem, slopes := solved.coef)
        start = Predictor(centre, np.zeros(p), float(facts.linked(null)))
        if working:
            first = Predictor(centre, slopes, at - start.at)
        else:
            # From a model without slopes all rows have the same variance: the first Newton step is least squares.
            slope = float(facts.slope(np.array([null]))[0])
            first = Predictor(centre, slopes / slope, (at - null) / slope)
        scans = max(self.max_iterations - 1, 1)
        found = maximise(
            read, facts, start, first, intercept=self.intercept, tolerance=self.tolerance, iterations=scans
        )
        return found, opening

    def _require_variation(self, source: Source, target: str, mean: float) -> None:
        if family(self.family).constant(mean):
            raise DataError(
                f"{source.label}: column {target!r} is {mean:g} in every row, so no {self.family} fit has a finite "
                "intercept; check the column"
            )

    def _result(self, source: Source, design: Design, found: Maximum, opening: OpeningMoments) -> FitResult:
        problem, solution, state = found.step.problem, found.step.solution, found.state
        origin = Origin.of(state.moments, problem.target, source.label, 1 + found.passes, "newton", design.terms)
        origin = dataclasses.replace(origin, encoder={} if design.encoder is None else design.encoder.to_dict())
        sigma = float(np.ldexp(1.0, -solution.target_exponent))
        sums = state.likelihood()
        rss, nobs = sums.rss, sums.weight if self.weights == "frequency" else float(state.n)
        df = nobs - solution.rank - self.intercept
        if not family(self.family).dispersion_known:
            rss = state.pearson()
            sigma *= float(np.sqrt(rss / df)) if df > 0 else NAN
        fit = result(self, problem, solution, origin, sigma)
        # The columns' means as the information weighs them: about these, slopes and level are told apart.
        at = found.at.about(problem.mean[0][:-1]) if self.intercept else found.at
        intercept = at.about(np.zeros(len(at.coef))).at if self.intercept else 0.0
        digits = digits_of(found.errors * fit.std_errors, at.coef, fit.std_errors)
        error0 = fit.intercept_std_error
        digits0 = float(digits_of(found.intercept_error(error0), intercept, error0)) if self.intercept else NAN
        status = found.status
        if status == "ok" and solution.status != "ok":
            status = "dependent" if solution.dependencies else fit.status
        unknown = np.isnan(opening.choices)
        fit = dataclasses.replace(
            fit,
            coef=at.coef,
            intercept=intercept,
            centre=at.centre,
            at_centre=at.at,
            rss=rss,
            tss=sums.tss,
            nobs=nobs,
            df_resid=df,
            digits=digits,
            digits_intercept=digits0,
            digits_se=float(digits_of(found.se_error, 1.0, 0.0)),
            status=status,
            family=self.family,
            deviance=sums.deviance,
            null_deviance=sums.null_deviance,
            log_lik=sums.saturated - sums.deviance / 2 + (0.0 if unknown else opening.choices),
            log_lik_note=_UNKNOWN if unknown else "",
        )
        return fit if found.bounded else without_errors(fit)


class Logistic(Glm):
    """Logistic regression: `Glm` of the binomial family, whose options it has.

    The target holds labels 0 and 1, or shares between; ``predict`` returns probabilities.
    """

    family: Literal["binomial"] = "binomial"


def _whitening(solved: Solution) -> Float:
    """Return the matrix that makes the columns of a solution of full rank orthonormal."""
    norms = np.ldexp(solved.scale, solved.exponent)
    return np.asarray(np.linalg.cholesky(solved.inverse) / norms[:, None])
