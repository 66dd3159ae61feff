"""One line out of many: a penalty or a subset selected by a rule, in one pass over the rows."""

import dataclasses
import os
import time
from typing import Any, Literal, Self

from pydantic import Field, SkipValidation, model_validator

from streamreg.design.policy import fills
from streamreg.errors import require, typed
from streamreg.models.base import as_source, as_state, together
from streamreg.models.candidates import Choice
from streamreg.models.estimator import with_run
from streamreg.models.needs import Needs
from streamreg.models.wrapper import Wrapper
from streamreg.results.base import FitResult
from streamreg.scans.faults import OnFault
from streamreg.scans.run import Run
from streamreg.scans.scan import scan
from streamreg.sources.base import Source
from streamreg.stats.grouped import Hash

Rule = Literal["cv", "one_standard_error", "aic", "bic", "cp"]


class Selected(Wrapper):
    """The candidate of a `Penalised` or `Subsets` model that a rule selects.

    Parameters
    ----------
    model : Penalised or Subsets
        May be given by its place: ``sr.Selected(sr.Penalised(), rule="cv")``.
    rule : {"cv", "one_standard_error", "aic", "bic", "cp"}
        The least held-out error; the simplest candidate within one standard error of it; or the least criterion.
    folds : int
        For the first two: folds of the cross-validation, made by a hash of the row number and `seed`.
    seed : int
        Another seed makes other folds.
    """

    model: SkipValidation[Choice[Any]]
    rule: Rule = "cv"
    folds: int = Field(default=10, ge=2)
    seed: int = 0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        require(self.model, Choice, "a rule selects among the lines of sr.Penalised(...) or sr.Subsets(...)")
        return self

    @property
    def by_folds(self) -> bool:
        """Whether the rule needs the moments of folds apart."""
        return self.rule in ("cv", "one_standard_error")

    def needs(self) -> Needs:
        """Return what the fit takes: the moments of folds apart, if the rule needs them."""
        apart = Hash(self.folds, self.seed) if self.by_folds and not self.model.reads_rows else None
        return dataclasses.replace(self.model.needs(), apart=apart)

    @typed
    @with_run
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
        """Read the rows once, fit all candidates, and return the selected one: without errors, which ignore the choice.

        Parameters
        ----------
        data : Source, moments of `streamreg.scan` or the path of their file, or anything that `streamreg.open` takes
            From moments no row is read; a rule that measures held-out error takes those of ``sr.scan(data, folds=10)``,
            and their folds.
        threads : int, optional
        progress : bool, optional
        engine, checkpoint, on_fault : see `streamreg.scan`

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite.
        UsageError
            The rule cannot be applied to these candidates.
        """
        data = together(data, y, weight)
        began, needs = time.perf_counter(), self.needs()
        if as_state(data) is not None:
            fit = self._among(data, "moments")
            return dataclasses.replace(fit, seconds=time.perf_counter() - began)
        source = as_source(data, needs.target)
        if fills(self.model.missing):
            source, inner = self.model.posed(source, run := Run.of(threads, engine, progress))
            whole = self.model_copy(update={"model": inner}).fit(source, engine=run)
            return dataclasses.replace(whole, passes=whole.passes + source.learned, model=self.to_dict())
        if self.model.reads_rows:
            return self._of_rows(source, Run.of(threads, engine, progress), began)
        kept: dict[str, Any] = needs.scan_options()
        moments = scan(source, needs.features, self.model.missing, threads, progress, engine=engine, **kept)
        fit = self._among(moments, source.label)
        return dataclasses.replace(fit, passes=1, seconds=time.perf_counter() - began)

    def fit_from(self, moments: Any, source: Source, **workers: Any) -> FitResult:
        """Do the same with the moments of a scan, of folds apart if the rule needs them."""
        inside = self.model.model_copy(update={"features": self.needs().columns(source)})
        fit = self.model_copy(update={"model": inside})._among(moments, source.label)
        return dataclasses.replace(fit, passes=1, model=self.to_dict())

    def _of_rows(self, source: Source, run: Run, began: float) -> FitResult:
        """Do the same where the candidates are fitted to the rows, several passes of which all folds share."""
        if self.by_folds:
            found = self.model.cross_validate(source, self.folds, self.seed, engine=run)
        else:
            found = self.model.fit(source, engine=run)
        fit = self._chosen(found)
        return dataclasses.replace(fit, model=self.to_dict(), seconds=time.perf_counter() - began)

    def _among(self, moments: Any, label: str) -> FitResult:
        found = self.model.cross_validate(moments) if self.by_folds else self.model.fit(moments)
        return dataclasses.replace(self._chosen(found), passes=0, source=label, model=self.to_dict())

    def _chosen(self, found: Any) -> FitResult:
        k = found.one_standard_error() if self.rule == "one_standard_error" else found.best(self.rule)
        fit: FitResult = found.candidate(k)
        return fit
