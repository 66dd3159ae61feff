"""Least squares from one pass over the rows, or two where the data need them."""

import dataclasses
import os
import time
from collections.abc import Container
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import Field, field_validator

from streamreg.design.design import Design
from streamreg.errors import DataError, UsageError, typed
from streamreg.models.base import Device, as_source, as_state, together
from streamreg.models.covariance import MEMORY, Errors, clusters
from streamreg.models.estimates import Origin, result
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.needs import Needs
from streamreg.problem import ExactProblem, Problem, Solution
from streamreg.results.base import FitResult
from streamreg.scans.faults import OnFault
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.moments import Moments
from streamreg.stats.refilled import refilled_of

S = TypeVar("S", bound=Statistic)
AnyProblem = Problem | ExactProblem
Solved = tuple[AnyProblem, Solution, Origin]


class Linear(Weighted):
    """Ordinary, weighted or ridge least squares.

    Parameters
    ----------
    intercept : bool
        Whether the line may have a constant.
    ridge : float
        Penalty added to the squared error: ``ridge * sum(coef**2)``, in the units of the data, the intercept free (the
        convention of scikit-learn). Ridge estimates are biased, so no standard errors are given.
    precision : {"auto", "float64", "exact"}
        "float64": cross-products in float64, one pass. "exact": the exact Gram matrix, one pass of about ten times the
        arithmetic. "auto": float64 first, and a second pass only where the predicted digits fall short of `digits`.
    digits : int
        Decimal digits that "auto" aims for. A second pass is taken where the error of a coefficient may exceed
        ``10**-digits`` of the larger of itself and a hundred standard errors; where that pass takes a fifth of a second
        at most, of the larger of itself and a thousandth of its standard error. Of the standard errors 6 digits are
        aimed for, and above 10 as many. The exact solution of more than 1000 columns takes from 7 s to minutes: it is
        left where 6 digits are there without, and `status` says so.
    singular : {"minimum-norm", "drop", "error"}
        What to return for columns that depend on others: the shortest solution; NaN for the later columns, as R does;
        or an error that names them.
    powers : dict of str to int
        The degree of each column to raise to powers: 3 for x adds x^2 and x^3, expanded with twice the
        digits of float64 ("double-double").
    features : tuple of str, optional
        Columns to regress on; default: all that have no other role.
    target : str, optional
        Column to explain; default: the source's target.
    missing : {"error", "drop", "mean", "indicator"}, or dict of str to these
        What to do with missing values; by column: ``{"age": "mean", "*": "drop"}``. Means stay with the fit.
    weight_kind : {"analytic", "frequency"}
        What the source's weights mean: the precision of a row (as in statsmodels WLS), or how often it occurred.
    errors : {"classical", "HC0", "HC1", "HC2", "HC3"}, {"cluster": columns} or {"newey_west": lags}
        What the standard errors allow for. All but the first take one more pass: see `streamreg.robust`. The columns
        that name clusters are features only if `features` has them.
    absorb : str or tuple of str
        Factors: columns of whole numbers, text or dates. The model holds an effect of each level, as it would
        with indicator columns, and they are not among the coefficients; see `FitResult.effects`. One pass; a second
        one only where little is left of a column within the levels and the digits need it.
    singletons : {"keep", "drop"}
        With `absorb`, what to do with rows that are alone in a level: they change no slope, but count among the rows.
        "drop" leaves them out, and rows that are then alone, as pyfixest and reghdfe do; that is one more pass.
    device : str, optional
        "gpu", or "gpu:1": where the cross-products of the first pass are taken, by the library that Keras runs on, in
        double precision. Default: the processors, by this package's own kernel.
    """

    ridge: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    precision: Literal["auto", "float64", "exact"] = "auto"
    digits: int = Field(default=10, ge=1, le=15)
    singular: Literal["minimum-norm", "drop", "error"] = "minimum-norm"
    powers: dict[str, int] = Field(default_factory=dict)
    errors: Literal["classical"] | Errors = "classical"
    absorb: tuple[str, ...] = ()
    singletons: Literal["keep", "drop"] = "keep"
    device: Device | None = None

    @field_validator("absorb", mode="before")
    @classmethod
    def _some_factors(cls, value: Any) -> Any:
        names = (value,) if isinstance(value, str) else value
        if isinstance(names, list | tuple) and len(set(map(str, names))) < len(names):
            raise ValueError("a factor is named twice; name it once")
        return names

    @field_validator("errors", mode="before")
    @classmethod
    def _known_errors(cls, value: Any) -> Any:
        clusters(value)
        return value

    def needs(self) -> Needs:
        """Return what a fit takes: a second pass if the digits or the errors need it."""
        climbs, robust = self.precision == "auto", self.errors != "classical"
        return Needs(
            features=self.features,
            target=self.target,
            formula=self.formula,
            powers=self.powers,
            missing=self.missing,
            keys=tuple(dict.fromkeys((*self.absorb, *clusters(self.errors)))),
            moments=not (
                self.formula or self.absorb or self.powers or self.device or robust or self.precision == "exact"
            ),
            passes=1 + climbs + robust + (self.formula is not None),
            at_most=climbs or self.formula is not None,
            memory=MEMORY if clusters(self.errors) else 0,
            exact=self.precision != "float64",
        )

    @classmethod
    def wrapped(cls, options: Container[str]) -> str | None:
        """Return "by_group" if the options name a column of groups."""
        return "by_group" if "by" in options else None

    def fit_from(self, moments: Any, source: Source, **workers: Any) -> FitResult:
        """Estimate with the moments of a scan in place of the first pass."""
        found = self.fit(source, moments=moments, **workers)
        return dataclasses.replace(found, passes=found.passes + 1)

    @typed
    @with_formula
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        moments: Moments | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        on_fault: OnFault | None = None,
    ) -> FitResult:
        """Estimate the coefficients.

        Parameters
        ----------
        data : Source, moments of `streamreg.scan` or the path of their file, or anything that `streamreg.open` takes
            From moments no row is read.
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        moments : Moments, optional
            Of an earlier `scan` of these rows, which saves the first pass; the second is taken if the digits need it.
        threads : int, optional
            Workers; the result has the same bits for any number.
        progress : bool, optional
            Show a progress bar; default: on a terminal.
        engine, checkpoint, on_fault : optional
            Who works on the rows, and what is done about breaks and faults, as in `streamreg.scan`.

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite, and the message says where; or columns are dependent and
            `singular` is "error".
        UsageError
            No target, a column with two roles, or options that exclude each other.
        """
        data = together(data, y, weight)
        began, run = time.perf_counter(), Run.of(threads, engine, progress)
        if self.device and self.precision == "exact":
            raise UsageError("exact cross-products are taken on the processors; leave out precision='exact', or device")
        if self.errors != "classical":
            if self.ridge:
                raise UsageError("ridge estimates are biased, so no errors are given; leave out errors, or the ridge")
            from streamreg.models.robust import rows_twice

            data = rows_twice(data)
        if self.absorb:
            from streamreg.models.absorbed import with_errors

            return with_errors(self, data, moments, run, began)
        state = as_state(data)
        if moments is not None:
            if not isinstance(moments, Moments):
                raise UsageError(f"moments are those of a scan in float64, and this is a {type(moments).__name__}")
            if state is not None or self.precision == "exact":
                raise UsageError(
                    "moments stand for the first pass over rows in float64; leave them out where there is none"
                )
        problem, found, origin = self._scan(data, moments, run) if state is None else self._from_state(state)
        if self.singular == "error" and found.dependencies:
            raise DataError(f"{origin.label}: dependent columns: {'; '.join(map(str, found.dependencies))}")
        fit = result(self, problem, found, dataclasses.replace(origin, seconds=time.perf_counter() - began))
        if self.errors == "classical":
            return fit
        from streamreg.models.robust import robust

        return robust(fit, data, self.errors, engine=run)

    def _from_state(self, state: Statistic) -> Solved:
        """Solve from moments of an earlier scan."""
        from streamreg.stats.integer_moments import IntegerMoments

        if not isinstance(state, Moments | IntegerMoments):
            raise UsageError(f"a line cannot be fitted from {type(state).__name__}; pass a source, or moments")
        if self.powers:
            raise UsageError("powers are made from rows; scan with powers, and name them as features ('x^2')")
        state, features = refilled_of(state, self.missing, self.features)
        exact = isinstance(state, IntegerMoments)
        if self.precision == "exact" and not exact:
            raise UsageError("these moments are float64; scan with precision='exact', or fit the source itself")
        origin = Origin.of(state, state.explained(self.target), "moments", 0, "exact" if exact else "float64")
        return *self._solve(state, origin.target, features), origin

    def _scan(self, data: Any, known: Moments | None, run: Run) -> Solved:
        """Read the rows, and again if the ladder says so."""
        source = as_source(data, self.target)
        keys = clusters(self.errors)
        design = Design.of(source, self.features, self.missing, self.powers, keys).with_target()
        assert design.target is not None
        terms = design.terms

        def read(statistic: S, what: str) -> S:
            return run.scan(source, design, statistic, what)

        if self.precision == "exact":
            from streamreg.stats.integer_moments import IntegerMoments

            exact = read(IntegerMoments(design.names), "exact scan of")
            origin = Origin.of(exact, design.target, source.label, 1, "exact", terms)
            return *self._solve(exact, design.target, None), origin
        moments = read(Moments(design.names, device=self.device), "scan") if known is None else known.only(design.names)
        problem, found = self._solve(moments, design.target, None)
        origin = Origin.of(moments, design.target, source.label, int(known is None), "float64", terms)
        if self.precision == "float64":
            return problem, found, origin
        return self._climb(source, moments, (problem, found, origin), read)

    def _climb(self, source: Source, moments: Moments, solved: Solved, read: Any) -> Solved:
        """Take the second pass that the first one asks for, if it does."""
        problem, found, origin = solved
        from streamreg.solve.ladder import next_level, settles

        wanted = self.digits, self.digits if self.digits > 10 else 6
        level = next_level(found, *wanted)
        if settles(found, *wanted):
            note = (
                f"{self.digits} digits of {len(found.digits):,} columns would take an exact solution, which is slow: "
                f"{max(found.least_digits, found.digits_after_residuals):.0f} are there without; precision='exact' "
                "gives them"
            )
            origin = dataclasses.replace(origin, note=note)
        if level == "float64":
            return problem, found, origin
        if source.one_pass:
            note = (
                f"float64 cross-products do not give {self.digits} digits here, and {source.label} can be read only "
                "once; precision='exact' gives them in one pass"
            )
            return problem, found, dataclasses.replace(origin, note=note)
        climbed = dataclasses.replace(origin, method=level, passes=origin.passes + 1)
        if level == "residuals":
            from streamreg.solve.refine import refine
            from streamreg.stats.residuals import Residuals

            assert isinstance(problem, Problem)
            again = read(Residuals.of(problem, found), "residual pass over")
            return problem, refine(problem, found, again), climbed
        from streamreg.stats.integer_moments import Grid, IntegerMoments

        exact = read(IntegerMoments(moments.names, Grid.of(moments)), "exact pass over")
        return *self._solve(exact, origin.target, None), climbed

    def _solve(self, state: Any, target: str, features: tuple[str, ...] | None) -> tuple[AnyProblem, Solution]:
        problem = state.problem(target, features, self.intercept).penalised(self.ridge)
        # What overflows is a coefficient, and `result` refuses it by name.
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(problem, Problem):
                return problem, cholesky.solve(problem)
            from streamreg.solve import exact

            return problem, exact.solve(problem)
