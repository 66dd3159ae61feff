"""What a fit by instrumental variables returns: the coefficients, and what tests say of the instruments."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.inference import statistics
from streamreg.inference.distributions import f_tail
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table
from streamreg.results import sense
from streamreg.results.estimates import NAN

Float = NDArray[np.float64]

WEAK = 10.0
"""First-stage F below which instruments are said to be weak (Staiger and Stock 1997, Econometrica 65, 557-586)."""

_FEW = 6  # digits that are fewer are said


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class InstrumentFit(Result):
    """Outcome of `streamreg.IV`: a line whose endogenous columns are instrumented.

    Attributes
    ----------
    names : tuple of str
        The p columns with a coefficient: exogenous ones, then endogenous ones.
    endogenous, instruments : tuple of str
    coef, std_errors, digits : ndarrays of shape (p,)
        In the units of the data; `digits` are decimal digits of the coefficients to trust.
    covariance : ndarray of shape (p, p)
        Of the slopes.
    intercept, intercept_std_error : float
        0 and NaN without an intercept.
    sigma : float
        Residual standard error, ``sqrt(rss / df_resid)``.
    rss, tss : float
        Of the residuals ``y - x'b``, with the endogenous columns as they are.
    kappa : float
        Of LIML; 1 for two-stage least squares.
    partial_rsquared, first_stage_f : ndarrays of shape (w,)
        Of each endogenous column: the share that the instruments explain of what the exogenous columns leave of it, and
        the F test of the instruments in the first stage.
    cragg_donald : float
        Cragg and Donald's (1993) F of all endogenous columns together; that of the first stage if there is one.
    sargan, sargan_pvalue : float
        Sargan's test of overidentifying restrictions; NaN where there are as many instruments as endogenous columns.
    sargan_df : int
    wu_hausman, wu_hausman_pvalue : float
        F test that least squares would do: that the endogenous columns are exogenous.
    df_first, df_hausman : float
        Degrees of freedom below those F tests.
    df_resid, nobs : float
    n, n_read, n_missing : int
        Rows used, read, and left out for a missing value.
    target, source, method : str
    has_intercept : bool
    passes : int
    seconds : float
    status : str
    model, provenance : dict
    """

    KIND: ClassVar[str] = "fit of instruments"
    _ASKED: ClassVar[tuple[str, ...]] = ("tvalues", "pvalues", "rsquared", "first_stage_pvalues")

    names: tuple[str, ...]
    endogenous: tuple[str, ...]
    instruments: tuple[str, ...]
    coef: Float
    std_errors: Float
    digits: Float
    covariance: Float
    intercept: float
    intercept_std_error: float
    sigma: float
    rss: float
    tss: float
    kappa: float
    partial_rsquared: Float
    first_stage_f: Float
    cragg_donald: float
    sargan: float
    sargan_pvalue: float
    sargan_df: int
    wu_hausman: float
    wu_hausman_pvalue: float
    df_first: float
    df_hausman: float
    df_resid: float
    nobs: float
    n: int
    n_read: int
    n_missing: int
    target: str
    source: str
    method: str
    has_intercept: bool
    passes: int = 0
    seconds: float = NAN
    status: str = "ok"
    model: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<InstrumentFit of {self.target} by {self.method}, {self.n:,} rows: {self.status}>"

    @property
    def tvalues(self) -> Float:
        """Estimate / standard error, shape (p,)."""
        return statistics.t_statistics(self.coef, self.std_errors)

    @property
    def pvalues(self) -> Float:
        """Two-sided p-values of Student's t, shape (p,)."""
        return statistics.t_pvalues(self.tvalues, self.df_resid)

    @property
    def rsquared(self) -> float:
        """``1 - rss / tss``, which may be negative: instruments do not minimise the residuals."""
        return 1.0 - self.rss / self.tss if self.tss > 0 else NAN

    @property
    def first_stage_pvalues(self) -> Float:
        """Of `first_stage_f`, shape (w,)."""
        return f_tail(self.first_stage_f, len(self.instruments), self.df_first)

    @typed
    def conf_int(self, level: float = 0.95) -> Float:
        """Return confidence intervals of the slopes, shape (p, 2)."""
        return statistics.t_interval(self.coef, self.std_errors, self.df_resid, level)

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the coefficients as a table, with at most so many lines beside the intercept, and the tests."""
        keep, one = slice(rows), int(self.has_intercept)
        estimates = np.concatenate([[self.intercept][:one], self.coef[keep]])
        errors = np.concatenate([[self.intercept_std_error][:one], self.std_errors[keep]])
        t = statistics.t_statistics(estimates, errors)
        low, high = statistics.t_interval(estimates, errors, self.df_resid).T
        columns = [
            Column.of("name", [*["intercept"][:one], *self.names[keep]], header=""),
            Column.of("estimate", estimates, lambda v: f"{v:.6g}"),
            Column.of("std_error", errors, lambda v: f"{v:.4g}", "std error"),
            Column.of("t", t, lambda v: f"{v:.3f}"),
            Column.of("p", statistics.t_pvalues(t, self.df_resid), lambda v: f"{v:.3f}", "P>|t|"),
            Column.of("low", low, lambda v: f"{v:.5g}", "low 95%"),
            Column.of("high", high, lambda v: f"{v:.5g}", "high 95%"),
        ]
        return Table(f"Instrumental variables, {self.source}", self._facts(), columns, self._notes(rows))

    def _facts(self) -> list[tuple[str, str]]:
        below, k = f"{self.df_first:.10g}", len(self.instruments)
        facts = [
            ("target", self.target),
            ("method", self.method + f", kappa {self.kappa:.6g}" * (self.method == "liml")),
            ("rows", f"{self.n:,}" + f" ({self.n_missing:,} left out, with a missing value)" * bool(self.n_missing)),
            ("instruments", ", ".join(self.instruments)),
            ("sigma", f"{self.sigma:.6g} on {self.df_resid:.10g} df"),
            ("R2", f"{self.rsquared:.6g}"),
        ]
        for name, f, r2 in zip(self.endogenous, self.first_stage_f, self.partial_rsquared, strict=True):
            facts.append((f"first stage of {name}", f"F = {f:.6g} on {k} and {below} df, partial R2 {r2:.4g}"))
        if len(self.endogenous) > 1:
            facts.append(("Cragg-Donald F", f"{self.cragg_donald:.6g}"))
        facts.append(("Wu-Hausman F", f"{self.wu_hausman:.6g}, p = {self.wu_hausman_pvalue:.4g}"))
        if self.sargan_df:
            facts.append(("Sargan chi2", f"{self.sargan:.6g} on {self.sargan_df} df, p = {self.sargan_pvalue:.4g}"))
        return [*facts, ("status", self.status)]

    def _notes(self, rows: int | None) -> list[str]:
        notes = [] if rows is None or len(self.names) <= rows else [f"... and {len(self.names) - rows:,} more"]
        least = float(self.digits.min(initial=np.inf))
        if least < _FEW:
            worst = self.names[int(np.argmin(self.digits))]
            notes.append(f"About {least:.0f} digits of the coefficient of {worst!r} are right.")
        if self.cragg_donald < WEAK:
            notes.append(
                f"Weak instruments: F of the first stage is {self.cragg_donald:.3g}, below {WEAK:g}. Estimates lean to "
                "those of least squares, and intervals are too short."
            )
        if not self.sargan_df:
            notes.append("As many instruments as endogenous columns: whether they are exogenous cannot be tested.")
        return notes

    def _sense(self) -> None:
        sense.of_instruments(self)
