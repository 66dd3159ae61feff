"""Estimates from resampled rows: what the jackknife and the bootstrap return."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.inference import statistics
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table

Float = NDArray[np.float64]

_FEW = 6  # digits; fewer are said


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Resampled(Final):
    """Estimates, and those from resampled rows.

    Attributes
    ----------
    kind : {"jackknife", "bootstrap"}
    names : tuple of str
    estimates : ndarray of shape (k,)
        From all rows.
    replicates : ndarray of shape (b, k)
    groups : int
        How many groups of rows were resampled.
    degenerate : int
        Replicates left out, because their rows determine fewer coefficients than all rows do.
    digits : ndarray of shape (k,)
        Decimal digits of the estimates and of each replicate to trust, the least of all; NaN for a function's numbers.
    provenance : dict
        As of `FitResult`.
    """

    KIND: ClassVar[str] = "resampling"
    _ASKED: ClassVar[tuple[str, ...]] = ("std_errors", "bias")

    kind: str
    names: tuple[str, ...]
    estimates: Float
    replicates: Float
    groups: int
    degenerate: int = 0
    digits: Float = field(default_factory=lambda: np.zeros(0))
    provenance: dict[str, Any] = field(default_factory=dict)

    def cov(self) -> Float:
        """Return the covariance of the estimates, shape (k, k)."""
        away = self.replicates - self.replicates.mean(axis=0)
        b = len(away)
        factor = (b - 1) / b if self.kind == "jackknife" else 1 / (b - 1)
        return np.asarray(away.T @ away * factor)

    @property
    def std_errors(self) -> Float:
        """Standard errors, shape (k,)."""
        return np.sqrt(np.diag(self.cov()))

    @property
    def bias(self) -> Float:
        """Estimated bias, shape (k,)."""
        away = self.replicates.mean(axis=0) - self.estimates
        return np.asarray(away * (len(self.replicates) - 1 if self.kind == "jackknife" else 1))

    @typed
    def conf_int(self, level: float = 0.95) -> Float:
        """Return intervals, shape (k, 2): percentiles of a bootstrap; Student's t with G - 1 df for a jackknife."""
        if self.kind == "jackknife":
            return statistics.t_interval(self.estimates, self.std_errors, self.groups - 1, level)
        statistics.require_level(level)
        return np.asarray(np.quantile(self.replicates, [0.5 - level / 2, 0.5 + level / 2], axis=0).T)

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a table of estimates, errors and intervals, of the first `rows` estimates."""
        numbers = (self.estimates, self.std_errors, self.bias, *self.conf_int().T)
        names = ("estimate", "std_error", "bias", "low", "high")
        headers = ("estimate", "std error", "bias", "[0.025", "0.975]")
        columns = [Column.of("term", self.names[:rows], header="")]
        for name, header, values in zip(names, headers, numbers, strict=True):
            columns.append(Column.of(name, values[:rows], lambda v: f"{v:.5g}", header))
        notes = [] if rows is None or len(self.names) <= rows else [f"... and {len(self.names) - rows} more"]
        if self.degenerate:
            notes.append(f"{self.degenerate} replicates were left out: their rows determine fewer coefficients.")
        least = np.fmin.reduce(self.digits, initial=16.0)
        if least < _FEW:
            notes.append(
                f"Rounding leaves {least:.0f} digits of some estimates and replicates: columns depend on each other so "
                "nearly that float64 moments do not give more. Leave one of them out."
            )
        facts = [("groups", f"{self.groups:,}"), ("replicates", f"{len(self.replicates):,}")]
        return Table(self.kind, facts, columns, notes)

    def __repr__(self) -> str:
        return f"<{self.kind} of {len(self.names)} estimates: {len(self.replicates):,} replicates>"

    def _sense(self) -> None:
        k = len(self.names)
        if self.estimates.shape != (k,) or self.replicates.ndim != 2 or self.replicates.shape[1] != k:
            raise ValueError(f"estimates and replicates are not of {k} names")
