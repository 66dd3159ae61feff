"""Marginal effects: how the mean of the target changes with columns, averaged over rows."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.inference import statistics
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table

Float = NDArray[np.float64]

KINDS = {
    "dydx": "change of the mean for a change of the column by 1",
    "dyex": "change of the mean for a change of the column by 100 %",
    "eydx": "share by which the mean changes for a change of the column by 1",
    "eyex": "share by which the mean changes for a change of the column by 100 %",
}
"""What is averaged, in words."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class MarginalEffects(Result):
    """Outcome of `streamreg.effects`: an effect for each variable, contrast and group.

    Attributes
    ----------
    variables, contrasts : tuple of str
        What changes, and how: "dY/dX", or "b - a" for a change from level a to b.
    groups : tuple of tuple
        Levels of the columns `by`; each is empty if there are none.
    estimates, std_errors : ndarrays of shape (q,)
        NaN where the data do not determine the effect.
    digits : ndarray of shape (q,)
        Decimal digits of the estimates to trust.
    df : float
        Degrees of freedom of the tests; infinite: they are normal.
    conf_level : float
        Of the intervals.
    kind : {"dydx", "dyex", "eydx", "eyex"}
        What was averaged.
    at : str
        Where: "average" of the rows' effects, "mean" of the columns, or the values that columns were set to.
    by : tuple of str
        Columns whose levels are the groups.
    errors : str
        What the standard errors allow for.
    target, source, family : str
    n, n_missing : int
        Rows used, and left out for a missing value.
    note : str
        What else there is to say.
    status : str
        That of the fit.
    provenance : dict
        Of the rows.
    """

    KIND: ClassVar[str] = "marginal effects"
    _ASKED: ClassVar[tuple[str, ...]] = ("tvalues", "pvalues")

    variables: tuple[str, ...]
    contrasts: tuple[str, ...]
    groups: tuple[tuple[Any, ...], ...]
    estimates: Float
    std_errors: Float
    digits: Float
    df: float
    conf_level: float
    kind: str
    at: str
    by: tuple[str, ...]
    errors: str
    target: str
    source: str
    family: str
    n: int
    n_missing: int
    note: str = ""
    status: str = "ok"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.estimates)

    def __repr__(self) -> str:
        return f"<MarginalEffects of {len(set(self.variables))} variables on {self.target}, {self.n:,} rows>"

    @property
    def tvalues(self) -> Float:
        """Estimate / standard error, shape (q,)."""
        return statistics.t_statistics(self.estimates, self.std_errors)

    @property
    def pvalues(self) -> Float:
        """Two-sided p-values, shape (q,)."""
        return statistics.t_pvalues(self.tvalues, self.df)

    @typed
    def conf_int(self, level: float | None = None) -> Float:
        """Return confidence intervals, shape (q, 2); by default of the level that was asked for."""
        return statistics.t_interval(
            self.estimates, self.std_errors, self.df, self.conf_level if level is None else level
        )

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the effects as a table, with at most so many lines."""
        shown, normal = slice(rows), np.isinf(self.df)
        low, high = self.conf_int()[shown].T
        percent = f"{100 * self.conf_level:.6g}%"
        groups = [
            Column.of(name, [group[k] for group in self.groups[shown]], header=name) for k, name in enumerate(self.by)
        ]
        columns = [
            Column.of("variable", self.variables[shown], header=""),
            Column.of("contrast", self.contrasts[shown]),
            *groups,
            Column.of("estimate", self.estimates[shown], lambda v: f"{v:.6g}", "effect"),
            Column.of("std_error", self.std_errors[shown], lambda v: f"{v:.4g}", "std error"),
            Column.of("t", self.tvalues[shown], lambda v: f"{v:.3f}", "z" if normal else "t"),
            Column.of("p", self.pvalues[shown], lambda v: f"{v:.3f}", "P>|z|" if normal else "P>|t|"),
            Column.of("low", low, lambda v: f"{v:.5g}", f"low {percent}"),
            Column.of("high", high, lambda v: f"{v:.5g}", f"high {percent}"),
        ]
        notes = [f"Effect: {KINDS[self.kind]}; of a contrast, the difference of the means."]
        if rows is not None and len(self) > rows:
            notes.insert(0, f"... and {len(self) - rows:,} more")
        notes += [self.note] if self.note else []
        facts = [
            ("target", self.target),
            ("family", self.family),
            ("rows", f"{self.n:,}" + f" ({self.n_missing:,} left out, with a missing value)" * bool(self.n_missing)),
            ("at", self.at),
            ("errors", self.errors),
        ]
        return Table(f"Marginal effects, {self.source}", facts, columns, notes)

    def _sense(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind {self.kind!r}")
        if not 0.0 < self.conf_level < 1.0:
            raise ValueError(f"level {self.conf_level:g}")
        numbers = (self.estimates, self.std_errors, self.digits)
        lengths = {len(self.variables), len(self.contrasts), len(self.groups)}
        if lengths != {len(self.estimates)} or any(column.shape != (len(self.variables),) for column in numbers):
            raise ValueError("effects and their names are not of one length")
        if any(len(group) != len(self.by) for group in self.groups):
            raise ValueError("groups are not of the columns that make them")
