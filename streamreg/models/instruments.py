"""Instrumental variables from one scan: two-stage least squares and LIML."""

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator

from streamreg.errors import DataError, NotFound, UsageError, nearest, typed
from streamreg.inference.distributions import f_tail
from streamreg.inference.statistics import f_test
from streamreg.kernels.blas import one_thread
from streamreg.models.base import as_moments, as_source, together
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.needs import Needs
from streamreg.problem import Problem
from streamreg.results.estimates import NAN
from streamreg.results.instruments import InstrumentFit
from streamreg.scans.faults import OnFault
from streamreg.scans.scan import scan
from streamreg.solve import cholesky
from streamreg.solve.instruments import Instrumented, solve
from streamreg.solve.scaled import Scaled
from streamreg.sources.base import Source
from streamreg.stats.moments import Moments
from streamreg.stats.provenance import marked
from streamreg.stats.refilled import refilled_of

_BRACKET = re.compile(r"\[([^\[\]~]*)~([^\[\]~]*)\]")


class IV(Weighted):
    """A line with endogenous columns, by instrumental variables.

    Parameters
    ----------
    endogenous : tuple of str
        Columns that are correlated with the error. In a formula they stand in brackets, with the instruments:
        ``"y ~ a + [b ~ z1 + z2]"``.
    instruments : tuple of str
        Columns that stand for them: at least as many, and not in the line themselves.
    method : {"2sls", "liml"}
        Two-stage least squares, or limited-information maximum likelihood, which leans less to least squares where
        there are many weak instruments.
    intercept, features, target, missing, weight_kind
        As in `sr.Linear`.

    Notes
    -----
    Those of the features that are neither endogenous nor instruments are exogenous: in the line, and instruments of
    themselves.

    All of it is made from the moments of the columns: no row is read after the scan. Standard errors are
    ``s**2 (X'PX)^-1`` with ``s**2 = rss / (n - p)``, and t has ``n - p`` degrees of freedom (the option ``small`` of
    Stata, ``debiased`` of linearmodels).
    """

    endogenous: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    method: Literal["2sls", "liml"] = "2sls"

    @model_validator(mode="before")
    @classmethod
    def _bracket(cls, given: Any) -> Any:
        """Take endogenous columns and instruments out of the brackets of a formula, which then has them as terms."""
        formula = given.get("formula") if isinstance(given, dict) else None
        if not isinstance(formula, str) or not (found := _BRACKET.findall(formula)):
            return given
        if len(found) > 1 or given.get("endogenous") or given.get("instruments"):
            raise ValueError("endogenous columns and instruments are said twice; write one [endogenous ~ instruments]")
        parts = [tuple(name.strip(" `") for name in part.split("+") if name.strip()) for part in found[0]]
        terms = " + ".join(part.strip() for part in found[0])
        return {**given, "formula": _BRACKET.sub(terms, formula), "endogenous": parts[0], "instruments": parts[1]}

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if not self.endogenous:
            raise ValueError("endogenous is empty; name columns, or fit sr.Linear if none is endogenous")
        names = (*self.endogenous, *self.instruments)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is named twice among the endogenous columns and instruments; name it once")
        if len(self.instruments) < len(self.endogenous):
            raise ValueError(
                f"{len(self.endogenous)} endogenous columns take as many instruments at least, and there are "
                f"{len(self.instruments)}"
            )
        return self

    @property
    def gives(self) -> Literal["instruments"]:
        """What `fit` returns: a line by instruments."""
        return "instruments"

    def needs(self) -> Needs:
        """Return what a fit takes: one pass for the moments."""
        return Needs(
            features=self._read(),
            target=self.target,
            missing=self.missing,
            moments=self.formula is None,
            formula=self.formula,
        )

    def fit_from(self, moments: Any, source: Source, **workers: Any) -> InstrumentFit:
        """Estimate with the moments of a scan in place of the first pass."""
        own = self.model_copy(update={"features": self.needs().columns(source)})
        found = own.fit(moments, **workers)
        return dataclasses.replace(found, source=source.label, model=self.to_dict(), passes=found.passes + 1)

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
    ) -> InstrumentFit:
        """Estimate the coefficients.

        Parameters
        ----------
        data : Moments or the path of their file, Source, or anything that `streamreg.open` takes
            From moments no row is read; else they are read once.
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        threads : int, optional
        progress : bool, optional
        engine, checkpoint, on_fault : optional
            Who works on the rows, and what is done about breaks and faults, as in `streamreg.scan`.

        Raises
        ------
        NotFound
            An endogenous column or an instrument is not there.
        DataError
            Columns of the line, or instruments, depend on each other, or the instruments do not determine the line.
        UsageError
            No target, or a column with two roles.
        """
        data = together(data, y, weight)
        began = time.perf_counter()
        moments, label, passes = as_moments(data), "moments", 0
        if moments is None:
            source = as_source(data, self.target)
            moments = scan(source, self._read(), self.missing, threads, progress, engine=engine)
            label, passes = source.label, 1
        with one_thread(len(moments.names)):
            fit = self._solve(moments, label)
        return dataclasses.replace(fit, passes=passes, seconds=time.perf_counter() - began)

    def _read(self) -> tuple[str, ...] | None:
        if self.features is None:
            return None
        return tuple(dict.fromkeys((*self.features, *self.endogenous, *self.instruments)))

    def _solve(self, moments: Moments, label: str) -> InstrumentFit:
        target = moments.explained(self.target)
        moments, features = refilled_of(moments, self.missing, self._read())
        columns = [name for name in (moments.names if features is None else features) if name != target]
        special = (*self.endogenous, *self.instruments)
        for name in special:
            if name == target:
                raise UsageError(f"{name!r} is the target; it is neither endogenous nor an instrument")
            if name not in columns:
                raise NotFound(f"no column {name!r}{nearest(name, columns)}; there is {', '.join(columns)}")
        exogenous = [name for name in columns if name not in special]
        problem = moments.problem(target, [*exogenous, *special], self.intercept)
        least = len(exogenous) + len(self.instruments) + self.intercept
        if moments.n <= least:
            raise DataError(f"{label}: {moments.n:,} rows are too few for the first stage, of {least} coefficients")
        for what, own in (("the line", self.endogenous), ("the first stage", self.instruments)):
            _independent(moments.problem(target, [*exogenous, *own], self.intercept), what, label)
        scaled = Scaled.of(problem)
        found = solve(scaled, len(exogenous), len(self.endogenous), self.method)
        return self._result(moments, label, scaled, found, exogenous)

    def _result(
        self, moments: Moments, label: str, scaled: Scaled, found: Instrumented, exogenous: Sequence[str]
    ) -> InstrumentFit:
        problem, w, z = scaled.problem, len(self.endogenous), len(self.instruments)
        p, account = len(exogenous) + w, {} if moments.record is None else moments.record.account()
        nobs = problem.weight if self.weight_kind == "frequency" else float(problem.n)
        df, df_first = nobs - p - self.intercept, nobs - len(exogenous) - z - self.intercept
        if df_first <= 0:
            raise DataError(f"{label}: rows that count {nobs:g} are too few for the first stage; see weight_kind")
        units = np.ldexp(scaled.target_norm / scaled.norm, scaled.target_exponent - scaled.exponent)[:p]
        coef = found.coef * units
        total = float(np.ldexp(scaled.target_norm**2, 2 * scaled.target_exponent))
        variance = found.rss / df
        covariance = variance * found.inverse * np.multiply.outer(units, units)
        mean = problem.mean[0][:p]
        slack = 1.0 / problem.weight * variance * total + float(mean @ covariance @ mean)
        # The test of the residuals of the first stage has one more coefficient for each endogenous column.
        df_hausman = df - w
        hausman = f_test(found.exogenous, found.augmented, w, int(df_hausman)) if df_hausman > 0 else (NAN, NAN)
        over, sargan = z - w, nobs * found.over if z > w else NAN
        return InstrumentFit(
            names=(*exogenous, *self.endogenous),
            endogenous=self.endogenous,
            instruments=self.instruments,
            coef=coef,
            std_errors=np.sqrt(np.maximum(np.diag(covariance), 0.0)),
            digits=found.digits,
            covariance=covariance,
            intercept=_intercept(problem, coef) if self.intercept else 0.0,
            intercept_std_error=float(np.sqrt(max(slack, 0.0))) if self.intercept else NAN,
            sigma=float(np.sqrt(variance * total)),
            rss=found.rss * total,
            tss=scaled.tss,
            kappa=found.kappa,
            partial_rsquared=found.strength,
            first_stage_f=found.strength / (1.0 - found.strength) * df_first / z,
            cragg_donald=found.least * df_first / z,
            sargan=sargan,
            sargan_pvalue=float(f_tail(sargan / over, over, np.inf)) if over else NAN,
            sargan_df=over,
            wu_hausman=hausman[0],
            wu_hausman_pvalue=hausman[1],
            df_first=df_first,
            df_hausman=df_hausman,
            df_resid=df,
            nobs=nobs,
            n=moments.n,
            n_read=moments.n_read,
            n_missing=moments.n_missing,
            target=problem.target,
            source=label,
            method=self.method,
            has_intercept=self.intercept,
            status=marked("ok", account),
            model=self.to_dict(),
            provenance=account,
        )


def _independent(problem: Problem, what: str, label: str) -> None:
    """Raise `DataError` if columns depend on each other, or float64 moments do not tell whether they do."""
    found = cholesky.solve(problem)
    if found.dependencies:
        raise DataError(f"{label}: dependent columns in {what}: {'; '.join(map(str, found.dependencies))}")
    if found.status == "uncertain":
        raise DataError(f"{label}: columns of {what} depend on each other so nearly that moments do not tell; drop one")


def _intercept(problem: Problem, coef: Any) -> float:
    mean = problem.mean[0]
    return float(mean[-1] - mean[: len(coef)] @ coef)
