"""Many lines fitted to the same moments, one for each penalty or subset, and how to choose among them."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError, typed
from streamreg.inference import statistics
from streamreg.line import Line
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table
from streamreg.results import sense
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.results.predict import in_memory
from streamreg.sources.rows import missing_rows

Float = NDArray[np.float64]
Criterion = Literal["cv", "aic", "bic", "cp"]

_FEW = 6  # digits; fewer are said
_HEADER = ("df", "R2", "AIC", "BIC", "Cp")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Candidates(Result):
    """Candidate lines, the simplest first.

    Attributes
    ----------
    names : tuple of str
        The p features.
    target : str
    coef : ndarray of shape (m, p)
        Slopes of each candidate, in the units of the data.
    intercept : ndarray of shape (m,)
    has_intercept : bool
    rss : ndarray of shape (m,)
    tss : float
    df : ndarray of shape (m,)
        Degrees of freedom that the slopes take up.
    sigma2 : float
        Residual variance of the regression on all features, which Cp needs; NaN without degrees of freedom.
    n, n_read, n_missing : int
        Rows used, read, left out.
    nobs, log_weight : float
        Observations, and the sum of the logarithms of analytic weights.
    centre : ndarray of shape (p,)
    at_centre : ndarray of shape (m,)
        Predictions are ``at_centre + (x - centre)'coef``.
    fold_errors : ndarray of shape (m, k)
        Mean squared error of each candidate on each held-out fold; k is 0 without cross-validation.
    fold_weights : ndarray of shape (k,)
    digits : ndarray of shape (m, p)
        Decimal digits of `coef` to trust, given the columns in use; 0 where rounding leaves open whether one is.
    digits_intercept, digits_rss : ndarray of shape (m,)
        Likewise of the intercepts and of `rss`.
    passes : int
        Times that the rows were read.
    status : str
    seconds : float
    model, source : dict, str
        The specification, and where the rows came from.
    provenance : dict
        As of `FitResult`.
    """

    _APART: ClassVar[tuple[str, ...]] = ("centre", "at_centre")
    _ASKED: ClassVar[tuple[str, ...]] = ("rsquared", "aic", "bic", "cp", "cv", "cv_std_error")
    _LEFT_OUT: ClassVar[tuple[str, ...]] = ()  # columns that the table does not have
    _CV: ClassVar[str] = "CV error"

    names: tuple[str, ...]
    target: str
    coef: Float
    intercept: Float
    has_intercept: bool
    rss: Float
    tss: float
    df: Float
    sigma2: float
    n: int
    n_read: int
    n_missing: int
    nobs: float
    log_weight: float
    centre: Float
    at_centre: Float
    fold_errors: Float
    fold_weights: Float
    passes: int
    status: str
    seconds: float
    model: dict[str, Any]
    source: str
    digits: Float = field(default_factory=lambda: np.zeros((0, 0)))
    digits_intercept: Float = field(default_factory=lambda: np.zeros(0))
    digits_rss: Float = field(default_factory=lambda: np.zeros(0))
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.coef)

    @property
    def log_likelihood(self) -> Float:
        """Gaussian log-likelihood of each candidate, shape (m,)."""
        return np.array([statistics.log_likelihood(float(r), self.nobs, self.log_weight) for r in self.rss])

    @property
    def aic(self) -> Float:
        """Akaike's criterion, with `df` (and the intercept) for the number of parameters; shape (m,)."""
        return 2.0 * (self.df + self.has_intercept) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> Float:
        """Schwarz's criterion, likewise; shape (m,)."""
        return np.asarray(np.log(self.nobs) * (self.df + self.has_intercept) - 2.0 * self.log_likelihood)

    @property
    def cp(self) -> Float:
        """Mallows's Cp (1973, *Technometrics* 15): ``rss / sigma2 - n + 2 (df + intercept)``; shape (m,)."""
        if not self.sigma2 > 0:
            return np.full(len(self), NAN)
        return self.rss / self.sigma2 - self.nobs + 2.0 * (self.df + self.has_intercept)

    @property
    def rsquared(self) -> Float:
        """Share of the total sum of squares explained, shape (m,)."""
        return np.array([statistics.r_squared(self.tss, float(r)) for r in self.rss])

    @property
    def cv(self) -> Float:
        """Held-out mean squared error, over the rows of all folds; shape (m,), NaN without cross-validation."""
        return self._cv()[0]

    @property
    def cv_std_error(self) -> Float:
        """Standard error of `cv` over folds, ``sqrt(weighted variance / (k - 1))``; shape (m,)."""
        return self._cv()[1]

    def _cv(self) -> tuple[Float, Float]:
        if not self.fold_weights.size:
            return np.full(len(self), NAN), np.full(len(self), NAN)
        return statistics.weighted_mean_and_error(self.fold_errors, self.fold_weights)

    @typed
    def best(self, by: Criterion | None = None) -> int:
        """Return the position of the candidate with the least criterion (default: "cv" if cross-validated, else "bic").

        Raises
        ------
        UsageError
            The criterion is not known here.
        """
        by = by or ("cv" if self.fold_weights.size else "bic")
        if by not in ("cv", "aic", "bic", "cp"):
            raise UsageError(f"choose by 'cv', 'aic', 'bic' or 'cp', not by {by!r}")
        values = np.asarray(getattr(self, by))
        if np.isnan(values).all():
            why = "cross-validate first" if by == "cv" else "it needs more rows than independent columns"
            raise UsageError(f"{by} is not known for these candidates: {why}")
        return int(np.nanargmin(values))

    def one_standard_error(self) -> int:
        """Return the position of the simplest candidate whose error is within one standard error of the least.

        The rule of Breiman et al. (1984, *Classification and Regression Trees*, section 3.4.3).
        """
        k, cv = self.best("cv"), self.cv
        return int(np.flatnonzero(cv <= cv[k] + self.cv_std_error[k])[0])

    def _place(self, k: int | None) -> int:
        """Return the position of a candidate, from the end if negative; None: that of the best."""
        k = self.best() if k is None else k
        if not -len(self) <= k < len(self):
            raise UsageError(f"no candidate {k}; there are {len(self)}, numbered from 0")
        return k

    @typed
    def candidate(self, k: int | None = None) -> FitResult:
        """Return one candidate (default: `best`) as a result. It has no standard errors: the choice would bias them."""
        k = self._place(k)
        used = int(np.count_nonzero(self.coef[k]))
        nothing = np.full(len(self.names), np.nan)
        return FitResult(
            names=self.names,
            target=self.target,
            coef=self.coef[k],
            intercept=float(self.intercept[k]),
            has_intercept=self.has_intercept,
            std_errors=nothing,
            intercept_std_error=NAN,
            rss=float(self.rss[k]),
            tss=self.tss,
            n=self.n,
            n_read=self.n_read,
            n_missing=self.n_missing,
            nobs=self.nobs,
            df_resid=float(self.nobs - self.df[k] - self.has_intercept),
            rank=used,
            identifiable=np.ones(len(self.names), dtype=bool),
            dependencies=(),
            passes=self.passes,
            method="float64",
            condition=NAN,
            digits=self.digits[k] if self.digits.size else nothing,
            digits_intercept=float(self.digits_intercept[k]) if self.digits.size else NAN,
            digits_se=NAN,
            centre=self.centre,
            at_centre=float(self.at_centre[k]),
            status=self.status,
            seconds=self.seconds,
            model=self.model,
            source=self.source,
            log_weight=self.log_weight,
            training={"candidate": self.label(k)},
            df_slopes=float(self.df[k]),
            provenance=self.provenance,
        )

    def predict(self, x: ArrayLike) -> Float:
        """Return the fitted values of every candidate, shape (rows, m), for rows of shape (rows, p) or a data frame."""
        rows, absent = missing_rows(in_memory(x, self.names))
        fitted = Line(self.centre, self.coef, self.at_centre).values(rows)
        if absent is not None:
            fitted[absent] = np.nan
        return fitted

    def label(self, k: int) -> str:
        """Return how to call a candidate."""
        return str(k)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.target}: {len(self.coef)} candidates on {len(self.names)} columns>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a table of the candidates; `rows` of them, evenly spaced (None: all)."""
        shown = np.arange(len(self))
        if rows is not None and rows < len(self):
            shown = np.unique(np.linspace(0, len(self) - 1, max(rows, 2)).round().astype(int))
        facts = [
            ("target", self.target),
            ("rows", f"{self.n:,}" + (f" of {self.n_read:,}" if self.n_read != self.n else "")),
            ("features", str(len(self.names))),
            ("candidates", str(len(self))),
            ("folds", str(self.fold_weights.size) if self.fold_weights.size else "-"),
            ("seconds", f"{self.seconds:.3g}"),
        ]
        labels, used = [self.label(int(k)) for k in shown], np.count_nonzero(self.coef, axis=1)
        columns = [Column("candidate", "", labels, labels), Column.of("used", used[shown])]
        numbers = {name.lower(): name for name in _HEADER if name.lower() not in self._LEFT_OUT}
        if self.fold_weights.size:
            numbers |= {"cv": self._CV, "cv_std_error": "std error"}
        for name, header in numbers.items():
            values = getattr(self, {"r2": "rsquared"}.get(name, name))[shown]
            columns.append(Column.of(name, values, lambda v: "-" if np.isnan(v) else f"{v:.6g}", header))
        notes = [f"Least {name}: {self.label(self.best(by))}" for by, name in self._known()]
        if self.fold_weights.size:
            notes.append(f"Simplest within one standard error: {self.label(self.one_standard_error())}")
        if len(shown) < len(self):
            notes.insert(0, f"{len(shown)} of {len(self)} candidates.")
        if self.status == "dependent":
            notes.append("Some features depend on others, as far as float64 tells; no candidate holds all of them.")
        elif self.status != "ok":
            notes.append(self.status)
        if (least := np.fmin.reduce(self.digits, axis=None, initial=16.0)) < _FEW:
            notes.append(
                f"Rounding leaves {least:.0f} digits of some slopes (`digits` says which): columns depend on each "
                "other so nearly that float64 moments do not give more. Penalise more, or leave one of them out."
            )
        return Table(f"{self.KIND} of {self.source}", facts, columns, notes)

    def _known(self) -> list[tuple[Criterion, str]]:
        every: dict[Criterion, str] = {"cv": self._CV, "aic": "AIC", "bic": "BIC", "cp": "Cp"}
        return [(by, name) for by, name in every.items() if not np.isnan(getattr(self, by)).all()]

    def _sense(self) -> None:
        sense.of_candidates(self)
