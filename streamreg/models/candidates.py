"""What penalties and subsets share: many candidate lines from the moments of one scan, and cross-validation."""

import dataclasses
import os
import time
from abc import abstractmethod
from collections.abc import Container, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, typed
from streamreg.kernels.blas import one_thread
from streamreg.models import cross_validation
from streamreg.models.base import as_moments, as_source, together
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.needs import Needs
from streamreg.problem import Problem
from streamreg.results.estimates import NAN
from streamreg.results.path import Candidates
from streamreg.scans.faults import OnFault
from streamreg.scans.run import Run
from streamreg.scans.scan import opened, scan, unequal
from streamreg.solve import cholesky
from streamreg.solve.choice_digits import LineDigits
from streamreg.solve.scaled import Scaled
from streamreg.stats.base import SUFFIX, Statistic
from streamreg.stats.grouped import Grouped
from streamreg.stats.moments import Moments
from streamreg.stats.provenance import marked
from streamreg.stats.refilled import refilled_of

Float = NDArray[np.float64]
Found = TypeVar("Found", bound=Candidates)


def _of_moments(data: Any) -> bool:
    """Return whether these are moments of folds, and not rows."""
    if isinstance(data, Statistic):
        return True
    if isinstance(data, str | os.PathLike):
        return str(data).endswith(SUFFIX)
    if isinstance(data, Mapping | tuple):
        return any(isinstance(part, Statistic) for part in (data.values() if isinstance(data, Mapping) else data))
    return isinstance(data, list)


class Choice(Weighted, Generic[Found]):
    """Base of the models that fit many candidates."""

    def needs(self) -> Needs:
        """Return what a fit takes: one pass for the moments."""
        return Needs(
            features=self.features,
            target=self.target,
            missing=self.missing,
            moments=self.formula is None,
            formula=self.formula,
        )

    @classmethod
    def wrapped(cls, options: Container[str]) -> str | None:
        """Return "selected": a job fits one line, and so takes the rule that selects it too."""
        return "selected"

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
    ) -> Found:
        """Fit all candidates.

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
        DataError
            The rows are missing, damaged or not finite.
        UsageError
            No target, a column with two roles, or options that do not fit the data.
        """
        data = together(data, y, weight)
        began = time.perf_counter()
        if self.reads_rows:
            found = self._from_rows(data, Run.of(threads, engine, progress))
            return dataclasses.replace(found, seconds=time.perf_counter() - began)
        moments, label, passes = as_moments(data), "moments", 0
        if moments is None:
            source = as_source(data, self.target)
            moments = scan(source, self.features, self.missing, threads, progress, engine=engine)
            label, passes = source.label, 1
        moments, features = refilled_of(moments, self.missing, self.features)
        model = self if features == self.features else self.model_copy(update={"features": features})
        with one_thread(len(moments.names)):
            found = model._fit(model._pose(moments), moments)
        status = found.status if moments.record is None else marked(found.status, moments.record.account())
        seconds = time.perf_counter() - began
        return dataclasses.replace(found, seconds=seconds, source=label, passes=passes, status=status)

    @property
    def reads_rows(self) -> bool:
        """Whether moments do not tell enough, so that a fit reads the rows, several times."""
        return False

    def _from_rows(self, data: Any, run: Run, folds: int = 0, seed: int = 0) -> Found:
        """Return the candidates where a fit reads the rows; cross-validated, if there are folds."""
        raise NotImplementedError

    @typed
    def cross_validate(
        self,
        data: Any,
        folds: int = 10,
        seed: int = 0,
        *,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
    ) -> Found:
        """Fit all candidates to all rows, and measure the error of each on held-out rows.

        For each fold, the candidates are fitted to the merged moments of the others (a search for subsets is repeated
        there), and their squared error on the fold's rows is computed from its moments: no row is read a second time.
        In families other than gaussian the error is the mean deviance; the paths of all folds share each pass over the
        rows, and one more pass measures them.

        Parameters
        ----------
        data : Grouped, path of a file of moments, dict of any to Moments, sequence of Moments, Source, or anything \
that `streamreg.open` takes
            The moments of each fold: what ``sr.scan(data, folds=10)`` returns. Empty folds are left out. Or rows.
        folds, seed : int
            Of rows: folds of a hash of the row number and `seed`, as `streamreg.scan` makes them.
        threads, progress, engine : optional
            Who works on the rows, as in `streamreg.scan`.

        Raises
        ------
        UsageError
            Fewer than two folds, or folds of different columns.

        Notes
        -----
        Cost: k + 1 fits and ``4 k`` merges of ``q**2`` numbers for k folds.
        """
        run = Run.of(threads, engine, progress)
        if not _of_moments(data):
            if folds < 2:
                raise UsageError(f"cross-validation needs two folds or more; folds is {folds}")
            began = time.perf_counter()
            posed, model = self.posed(data, run)
            if model.reads_rows:
                found = model._from_rows(posed, run, folds, seed)
            else:
                source = as_source(posed, model.target)
                scanned = scan(source, model.features, model.missing, engine=run, folds=folds, seed=seed)
                found = dataclasses.replace(model._validated(scanned), source=source.label, passes=1)
            passes = found.passes + getattr(posed, "learned", 0)
            seconds = time.perf_counter() - began
            return dataclasses.replace(found, seconds=seconds, passes=passes, model=self.to_dict())
        if self.reads_rows:
            return self._from_rows(data, run, folds, seed)
        return self._validated(data)

    def _validated(self, folds: Any) -> Found:
        began = time.perf_counter()
        if isinstance(folds, str | os.PathLike):
            folds = opened(folds)
        odd = unequal(folds) if isinstance(folds, Grouped) else ""
        record = folds.record if isinstance(folds, Grouped) else None
        parts = cross_validation.as_folds(folds)
        with one_thread(len(parts[0].names)):
            whole = cross_validation.merged(parts)
            found = self._fit(self._pose(whole), whole)
            if odd and found.status == "ok":
                found = dataclasses.replace(found, status=odd)
            if isinstance(folds, Grouped) and folds.record is not None:
                found = dataclasses.replace(found, status=marked(found.status, folds.record.account()))
            errors, weights = cross_validation.errors(parts, self._pose, lambda train: self._again(train, found))
        changed: dict[str, Any] = {"fold_errors": errors, "fold_weights": weights}
        changed |= {} if record is None else {"provenance": record.account()}
        seconds = time.perf_counter() - began
        return dataclasses.replace(found, source=f"moments of {len(parts)} folds", seconds=seconds, **changed)

    @abstractmethod
    def _fit(self, problem: Problem, moments: Moments) -> Found:
        """Return the candidates for one problem."""

    @abstractmethod
    def _again(self, problem: Problem, found: Found) -> Float:
        """Return the slopes of the same candidates for other rows, shape (m, p)."""

    def _pose(self, moments: Moments) -> Problem:
        return moments.problem(moments.explained(self.target), self.features, self.intercept)

    def _common(
        self, scaled: Scaled, moments: Moments, coef: Float, df: Float, digits: list[LineDigits]
    ) -> dict[str, Any]:
        """Return the fields that all candidates have; `digits` are those of `line_digits` for each."""
        problem = scaled.problem
        full = cholesky.solve(problem)
        nobs = problem.weight if self.weight_kind == "frequency" else float(problem.n)
        rest = nobs - full.rank - self.intercept
        with np.errstate(over="ignore"):
            sigma2 = float(np.ldexp(full.rss, 2 * full.target_exponent)) / rest if rest > 0 else NAN
        centre = problem.mean[0][:-1].copy() if self.intercept else np.zeros(len(problem.names))
        return {
            "names": problem.names,
            "target": problem.target,
            "coef": coef,
            "intercept": scaled.intercepts(coef),
            "has_intercept": self.intercept,
            "rss": scaled.rss(coef),
            "tss": scaled.tss,
            "df": df,
            "sigma2": sigma2,
            "n": moments.n,
            "n_read": moments.n_read,
            "n_missing": moments.n_missing,
            "nobs": nobs,
            "log_weight": 0.0 if self.weight_kind == "frequency" else moments.log_weight,
            "centre": centre,
            "at_centre": scaled.at_means(coef, centre),
            "digits": np.array([line.slopes for line in digits]).reshape(coef.shape),
            "digits_intercept": np.array([line.intercept for line in digits]),
            "digits_rss": np.array([line.rss for line in digits]),
            "fold_errors": np.zeros((len(coef), 0)),
            "fold_weights": np.zeros(0),
            "passes": 0,
            "status": "ok",
            "seconds": NAN,
            "model": self.to_dict(),
            "source": "moments",
            "provenance": {} if moments.record is None else moments.record.account(),
        }
