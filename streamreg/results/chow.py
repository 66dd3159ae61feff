"""Chow's test of one line for all groups."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from streamreg.errors import typed
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table


@dataclass(frozen=True, slots=True)
class ChowTest(Final):
    """Outcome of `GroupFits.chow`.

    Attributes
    ----------
    fvalue : float
    df_num, df_denom : float
    pvalue : float
    rss_pooled : float
        Residual sum of squares of one line for all groups.
    rss_groups : float
        The sum of those of the groups' own lines.
    provenance : dict
        Of the fits.
    """

    KIND: ClassVar[str] = "Chow test"

    fvalue: float
    df_num: float
    df_denom: float
    pvalue: float
    rss_pooled: float
    rss_groups: float
    provenance: dict[str, Any] = field(default_factory=dict)

    @typed
    def summary(self, rows: int | None = 20) -> str:
        """Return the test in a line."""
        return f"F = {self.fvalue:.6g} on {self.df_num:.10g} and {self.df_denom:.10g} df, p = {self.pvalue:.4g}"

    __str__ = summary

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the residual sums of squares that are compared, and the test."""
        facts = [
            ("F", f"{self.fvalue:.6g} on {self.df_num:.10g} and {self.df_denom:.10g} df"),
            ("P > F", f"{self.pvalue:.4g}"),
        ]
        columns = [
            Column.of("line", ["one for all groups", "one for each group"], header=""),
            Column.of("rss", [self.rss_pooled, self.rss_groups], lambda v: f"{v:.6g}", "residual sum of squares"),
        ]
        return Table("Chow test: one line for all groups?", facts, columns)
