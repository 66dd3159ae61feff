"""One line out of many: a penalty or a subset chosen by a rule, in one pass over the rows."""

import dataclasses
import time
from typing import Any, Literal

from pydantic import Field, SkipValidation

from streamreg.errors import typed
from streamreg.models.base import as_source, together
from streamreg.models.candidates import Choice
from streamreg.models.wrapper import Around
from streamreg.results.base import FitResult
from streamreg.scans.scan import scan

Rule = Literal["cv", "one_standard_error", "aic", "bic", "cp"]


class Chosen(Around):
    """The candidate of a `Penalised` or `Subsets` model that a rule picks.

    Parameters
    ----------
    model : Penalised or Subsets
    choose : {"cv", "one_standard_error", "aic", "bic", "cp"}
        The least held-out error; the simplest candidate within one standard error of it; or the least criterion.
    folds : int
        For the first two: folds of the cross-validation, made by a hash of the row number and `seed`.
    seed : int
    """

    model: SkipValidation[Choice[Any]]
    choose: Rule = "cv"
    folds: int = Field(default=10, ge=2)
    seed: int = 0

    @property
    def by_folds(self) -> bool:
        """Whether the rule needs the moments of folds apart."""
        return self.choose in ("cv", "one_standard_error")

    @typed
    def fit(
        self, data: Any, y: Any = None, weight: Any = None, *, threads: int | None = None, progress: bool | None = None
    ) -> FitResult:
        """Read the rows once, fit all candidates, and return the chosen one: without errors, which ignore the choice.

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite.
        UsageError
            The rule cannot be applied to these candidates.
        """
        data = together(data, y, weight)
        began, source = time.perf_counter(), as_source(data, self.target)
        kept: dict[str, Any] = {"folds": self.folds, "seed": self.seed} if self.by_folds else {}
        moments = scan(source, self.features, self.model.missing, threads, progress, **kept)
        fit = self.choose_from(moments, source.label)
        return dataclasses.replace(fit, passes=1, seconds=time.perf_counter() - began)

    def choose_from(self, moments: Any, label: str) -> FitResult:
        """Do the same with the moments of a scan, of folds apart if the rule needs them. No row is read."""
        found = self.model.cross_validate(moments) if self.by_folds else self.model.fit(moments)
        k = found.one_standard_error() if self.choose == "one_standard_error" else found.best(self.choose)
        fit: FitResult = found.candidate(k)
        return dataclasses.replace(fit, passes=0, source=label, model=self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the options of model and rule together, as a job file has them."""
        own = self.model_dump(mode="json", exclude={"model"})
        return {**self.model.to_dict(), **own}
