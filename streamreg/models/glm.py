"""Logistic, Poisson and other regressions by maximum likelihood, one pass over the rows for each Newton step."""

import dataclasses
import os
import time
from collections.abc import Container
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator

from streamreg.design.design import Design
from streamreg.errors import DataError, OnePassError, UsageError, typed
from streamreg.families import family, spelt
from streamreg.models.base import Device, as_source, together
from streamreg.models.climb import climb
from streamreg.models.covariance import Errors, clusters
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.likelihood import fitted
from streamreg.models.linear import Linear
from streamreg.models.needs import Needs
from streamreg.problem import Solution
from streamreg.results.base import FitResult
from streamreg.scans.faults import OnFault
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic


def known_family(name: str) -> str:
    """Return the name of a family; raise `ValueError` if there is no such."""
    try:
        family(name)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return name


class Glm(Weighted):
    """A generalised linear model.

    Parameters
    ----------
    family : str
        The distribution of the target: "binomial" (labels 0 and 1, or shares between), "poisson" (counts), "gaussian",
        "gamma", "inverse_gaussian", "tweedie", "negative_binomial"; or "quasi_binomial" and "quasi_poisson", whose
        dispersion is estimated.
    link : str, optional
        What the linear predictor is of the mean: "logit", "probit", "cloglog", "cauchit", "log", "identity", "inverse",
        "inverse_squared", "sqrt" or "power(k)". By default the logit for labels and shares, the identity for the
        gaussian family, which then is `Linear`, and the log for all others.
    power : float, optional
        Of the tweedie family: the variance is proportional to this power of the mean. By default it is that, between 1
        and 2, at which the likelihood is greatest, with its dispersion at its maximum, too (the density is Wright's
        series; Dunn & Smyth 2005, *Statistics and Computing* 15).
    alpha : float, optional
        Of the negative binomial family: the variance is ``mean + alpha mean**2``. By default it is estimated by maximum
        likelihood with the coefficients. `FitResult.likelihood` has the estimate and its standard error, by name.
    dispersion : {"auto", "pearson", "deviance"} or float
        What variances are multiplied by: Pearson's statistic or the deviance over the residual degrees of freedom, or a
        number. "auto": 1 for labels and counts, Pearson's for other families.
    offset, exposure : str, optional
        Columns that the linear predictor is moved by; the exposure by its logarithm, with the log link.
    trials : str, optional
        Column with the number of trials of each row, of which the target are those with success.
    intercept : bool
        Whether the linear predictor may have a constant.
    ridge : float
        Penalty added to the deviance: ``ridge * sum(coef**2)``, as `Linear` adds it to the squared error. In the terms
        of scikit-learn it is ``1 / C`` of LogisticRegression, and alpha times the sum of weights of PoissonRegressor.
        The estimates are biased, so no standard errors are given.
    max_iterations : int
        Passes over the rows, at most; below 4 no sample is taken.
    tolerance : float
        Distance to the maximum, in standard errors, at which to stop. One more step is then taken, which squares it.
        From some 262,144 rows on, a fit begins with that to a sample of them: ranges spread over the rows, the same in
        any storage, which are read first and not counted as a pass. The last step is then taken as soon as it is sure
        to end within this distance, and `digits` say what it reached.
    singular : {"minimum-norm", "error"}
        What to do about columns that depend on others: return the shortest solution, or an error that names them.
        Columns depend on others where they do for `Linear`, by one more pass of exact sums. Columns that are nearer to
        each other than about 1e-7 of their size, and do not depend, are too near for a fit in float64: the status
        says so, and their coefficients have no errors.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    features, target, missing
        As for `Linear`.
    weight_kind : {"analytic", "frequency"}
        What the source's weights mean. Coefficients and errors are the same: labels and counts have a known dispersion,
        so a row of weight 3 tells as much as three rows. What differs is the number of observations. A share y of
        weight w counts as w y successes in w trials: as in R, the log-likelihood then has its binomial coefficient, and
        is that of statsmodels for successes and failures. If these are not whole numbers it has none, and the result's
        `log_lik_note` says so.
    errors : {"classical", "HC0", "HC1", "HC2", "HC3"}, {"cluster": columns} or {"newey_west": lags}
        What the standard errors allow for, as for `Linear`: all but the first take one more pass.
    device : str, optional
        "gpu", or "gpu:1": where cross-products are taken, as for `Linear`.
    """

    family: Annotated[str, AfterValidator(known_family)] = "binomial"
    link: str | None = None
    power: float | None = None
    alpha: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    dispersion: Literal["auto", "pearson", "deviance"] | Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = "auto"
    offset: str | None = None
    exposure: str | None = None
    trials: str | None = None
    ridge: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    max_iterations: int = Field(default=50, ge=1)
    tolerance: float = Field(default=1e-8, gt=0.0, allow_inf_nan=False)
    singular: Literal["minimum-norm", "error"] = "minimum-norm"
    powers: dict[str, int] = Field(default_factory=dict)
    errors: Literal["classical"] | Errors = "classical"
    device: Device | None = None

    @field_validator("errors", mode="before")
    @classmethod
    def _known_errors(cls, value: Any) -> Any:
        clusters(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            facts = family(self.spelling)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if self.unknown and self.ridge:
            raise ValueError(f"{self.unknown} is not estimated under a penalty; give it, or leave ridge out")
        if self.exposure is not None and facts.link != "log":
            raise ValueError(f"an exposure goes with the log link, and this is the {facts.link} link; use an offset")
        if self.trials is not None and not facts.labels:
            raise ValueError(f"trials go with the binomial family, and this is {facts.name}")
        return self

    @property
    def unknown(self) -> str:
        """The option of the family that is not given, and so is estimated; empty: none."""
        given = "(" in self.family or self.power is not None or self.alpha is not None
        return "" if given else family(self.family).parameter

    @property
    def spelling(self) -> str:
        """The family with its parameter and link, as `streamreg.families.family` takes it."""
        facts = family(self.family)
        given = self.power if self.alpha is None else self.alpha
        if facts.least_squares and self.link in (None, facts.link):
            # A line, unless something is asked for that lines do not have.
            return self.family if not self.beside and self.dispersion == "auto" else f"{self.family}/{facts.link}"
        return spelt(self.family, given, self.link)

    @property
    def beside(self) -> dict[str, str]:
        """Columns that stand beside the features, by role."""
        named = {role: getattr(self, role) for role in ("offset", "exposure", "trials")}
        return {role: column for role, column in named.items() if column is not None}

    @classmethod
    def wrapped(cls, options: Container[str]) -> str | None:
        """Return "by_group" if the options name a column of groups."""
        return "by_group" if "by" in options else None

    def needs(self) -> Needs:
        """Return what a fit takes: a pass for each step, and one of exact sums if columns may be dependent."""
        line = dataclasses.replace(self.line().needs(), moments=False, beside=self.beside)
        steps = max(self.max_iterations, 2) + 1
        steps = steps * (3 if self.unknown else 1) + (self.errors != "classical")  # 3: also for its estimate and after
        return line if family(self.spelling).least_squares else dataclasses.replace(line, passes=steps, at_most=True)

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
        on_fault: OnFault | None = None,
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
        engine, checkpoint, on_fault : optional
            Who works on the rows, and what is done about breaks and faults, as in `streamreg.scan`.

        Returns
        -------
        FitResult
            Errors come from the inverse of the expected (Fisher) information, as in statsmodels and R; tests are from
            the normal distribution, or from t where the dispersion is estimated. Its status says so if the labels can
            be separated, and then there are no errors.

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
        if family(self.spelling).least_squares:
            return self._gaussian(data, run)
        if isinstance(data, Statistic):
            raise UsageError(f"a {self.family} fit needs the rows, and moments hold none; pass the source")
        source = as_source(data, self.target)
        if source.one_pass:
            raise OnePassError(f"{source.label}: a {self.family} fit reads the rows several times; use a file or array")
        if self.ridge and self.errors != "classical":
            raise UsageError("ridge estimates are biased, so no errors are given; leave out errors, or the ridge")
        keys = clusters(self.errors)
        design = Design.of(source, self.features, self.missing, self.powers, keys, self.beside).with_target()
        model, told = self, dict[str, Any]()
        if self.unknown:
            from streamreg.models.parameter import maximised

            model, path, told = maximised(self, source, design, run)
        else:
            path = climb(self, source, design, run)
        fit = fitted(model, source, design, path, run)
        fit = dataclasses.replace(fit, likelihood=fit.likelihood | told, model=self.to_dict())
        solution = path.found.step.solution
        if solution.dependencies:
            fit = self._ranked(fit, solution, source, design, run)
        fit = dataclasses.replace(fit, seconds=time.perf_counter() - began)
        if self.errors == "classical" or not fit.status.startswith(("ok", "dependent", "incomplete")):
            return fit
        from streamreg.models.robust import robust

        return robust(fit, source, self.errors, engine=run)

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
            status = f"not determined: {words}" if fit.status.startswith("dependent") else f"{fit.status}; {words}"
            return dataclasses.replace(fit, status=status, dependencies=tuple(map(str, found.dependencies)))
        if self.singular == "error":
            raise DataError(f"{source.label}: dependent columns: {'; '.join(map(str, found.dependencies))}")
        if np.array_equal(found.kept, weighted.kept):
            return dataclasses.replace(fit, dependencies=tuple(map(str, found.dependencies)))
        return fit

    def line(self) -> Linear:
        """Return the line that this is in the gaussian family."""
        return Linear(**{name: getattr(self, name) for name in Linear.model_fields if name in type(self).model_fields})

    def _gaussian(self, data: Any, run: Run) -> FitResult:
        fit = self.line().fit(data, engine=run)
        return dataclasses.replace(fit, model=self.to_dict(), deviance=fit.rss, null_deviance=fit.tss)


class Logistic(Glm):
    """Logistic regression: `Glm` of the binomial family, whose options it has.

    The target holds labels 0 and 1, or shares between; ``predict`` returns probabilities.
    """

    family: Literal["binomial"] = "binomial"
