"""Profile likelihood intervals, beside those of Wald."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class ProfileIntervals(Result):
    """Outcome of `streamreg.profile_intervals`.

    Attributes
    ----------
    names : tuple of str
    estimates, lower, upper : ndarrays of shape (q,)
        An end is infinite where the likelihood does not fall so far in that direction.
    wald : ndarray of shape (q, 2)
        The intervals of `FitResult.conf_int`.
    conf_level : float
    passes : int
        Over the rows.
    target, source, family : str
    status : str
        "ok", or which ends were not found.
    provenance : dict
        Of the fit.
    """

    KIND: ClassVar[str] = "profile likelihood intervals"

    names: tuple[str, ...]
    estimates: Float
    lower: Float
    upper: Float
    wald: Float
    conf_level: float
    passes: int
    target: str
    source: str
    family: str
    status: str = "ok"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<ProfileIntervals of {len(self.names)} coefficients of {self.target}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a line for each of the first coefficients."""
        shown, percent = slice(rows), f"{100 * self.conf_level:.6g}%"
        numbers = {"estimate": self.estimates, f"low {percent}": self.lower, f"high {percent}": self.upper}
        numbers |= {"Wald low": self.wald[:, 0], "Wald high": self.wald[:, 1]}
        names = ("estimate", "low", "high", "wald_low", "wald_high")
        columns = [Column.of("term", self.names[shown], header="")]
        columns += [
            Column.of(name, values[shown], lambda v: f"{v:.6g}", header)
            for name, (header, values) in zip(names, numbers.items(), strict=True)
        ]
        facts = [("target", self.target), ("family", self.family), ("passes", str(self.passes))]
        notes = [] if self.status == "ok" else [f"Status: {self.status}."]
        if np.isinf(self.lower).any() or np.isinf(self.upper).any():
            notes.append("An end is infinite where the likelihood does not fall so far in that direction.")
        return Table(f"Profile likelihood intervals, {self.source}", facts, columns, notes)

    def _sense(self) -> None:
        count = (len(self.names),)
        if self.wald.shape != (*count, 2) or any(v.shape != count for v in (self.estimates, self.lower, self.upper)):
            raise ValueError("intervals and names are not of one length")
        if not 0.0 < self.conf_level < 1.0:
            raise ValueError(f"level {self.conf_level:g}")
