"""How well models predict, and whether one is worth more than another: the values that `score` returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from streamreg.errors import typed
from streamreg.families import family
from streamreg.persist.archive import plain
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table

Worth = Literal["worth it", "suffices", "worse", "uncertain"]

_CERTAIN = 2.0  # standard errors


@dataclass(frozen=True, slots=True)
class Score:
    """How well one model predicts. What does not apply to the family is NaN.

    Attributes
    ----------
    name : str
    explained : float
        R2: share of the squared error about the mean of these rows that is explained; of the deviance, in families
        other than gaussian.
    explained_error : float
        Its standard error.
    rmse : float
        Root mean squared error (gaussian).
    log_loss, accuracy, auc : float
        Mean cross-entropy, share of labels that are rightly guessed, area under the ROC curve (binomial).
    auc_error : float
        How far `auc` may be off, because scores are counted in bins.
    deviance : float
        Mean deviance of a row.
    """

    name: str
    explained: float
    explained_error: float
    rmse: float
    log_loss: float
    accuracy: float
    auc: float
    auc_error: float
    deviance: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What one model explains more than the baseline, on the same rows.

    Attributes
    ----------
    name, baseline : str
    points : float
        Difference of `Score.explained`, in percent of what there is to explain.
    error : float
        Standard error of the difference: of paired rows.
    verdict : {"worth it", "suffices", "worse", "uncertain"}
        Whether the model is worth it, the baseline suffices, the model is worse, or the rows are too few to tell.
    """

    name: str
    baseline: str
    points: float
    error: float
    verdict: Worth

    def __str__(self) -> str:
        places = min(max(0, -math.floor(math.log10(self.error))), 6) if self.error > 0 else 3
        more = f"{self.name} explains {abs(self.points):.{places}f} +- {self.error:.{places}f} points"
        if self.verdict == "worth it":
            return f"{more} more than {self.baseline}: worth it"
        if self.verdict == "worse":
            return f"{more} less than {self.baseline}: keep {self.baseline}"
        sign = "more" if self.points >= 0 else "less"
        if self.verdict == "suffices":
            return f"{self.baseline} suffices: {more} {sign}"
        return f"{more} {sign} than {self.baseline}: too few rows to tell, so keep {self.baseline} for now"


@dataclass(frozen=True, repr=False, slots=True)
class Scorecard(Final):
    """Outcome of `score`.

    Attributes
    ----------
    scores : mapping of str to Score
    gains : tuple of Gain
        Of each model but the baseline.
    baseline : str
    family : str
    n : int
        Rows scored.
    source : str
    notes : tuple of str
    provenance : dict
        As of `FitResult`: of the rows that were scored.
    """

    KIND: ClassVar[str] = "scores"

    scores: Mapping[str, Score]
    gains: tuple[Gain, ...]
    baseline: str
    family: str
    n: int
    source: str
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def __repr__(self) -> str:
        return f"<Scorecard of {', '.join(self.scores)} on {self.n:,} rows of {self.source}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a table with a line for each of the first `rows` models."""
        shown = list(self.scores.values())[:rows]
        columns = [Column.of("model", [one.name for one in shown])]
        for header, name in family(self.family).scores:
            digits = 2 if header == "+-" else 5
            values = [getattr(one, name) for one in shown]
            columns.append(Column(name, header, values, [f"{value:.{digits}g}" for value in values]))
        notes = [f"{str(g)[0].upper()}{str(g)[1:]}." for g in self.gains] + list(self.notes)
        wide = max((s.auc_error for s in self.scores.values() if not np.isnan(s.auc_error)), default=0.0)
        if wide:
            notes.append(f"AUC is known to {wide:.2g}: scores are counted in bins of a thousandth of a logit.")
        return Table(f"{self.n:,} rows of {self.source}", [], columns, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return Final.to_dict(self) | {"gains": [plain(g) | {"sentence": str(g)} for g in self.gains]}


def worthwhile(points: float, error: float, worth: float) -> Worth:
    """Return what a gain of so many points, known so well, means; `worth` is the least that is of interest."""
    least, most = points - _CERTAIN * error, points + _CERTAIN * error
    if most < 0:
        return "worse"
    if least > 0:
        return "worth it" if points >= worth else "suffices"
    return "suffices" if most < worth else "uncertain"
