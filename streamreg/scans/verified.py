"""What reading all rows of a source and comparing them with its seal found."""

from dataclasses import dataclass
from typing import ClassVar

from streamreg.errors import typed
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table


@dataclass(frozen=True, slots=True)
class Verified(Final):
    """What `verify` found: all rows were read, and so many of them were compared with a seal."""

    KIND: ClassVar[str] = "check of rows"

    label: str
    rows: int
    proven: int
    columns: int
    left: tuple[str, ...] = ()

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return how many rows were compared with a seal, and how many were only read."""
        counts = [self.proven, self.rows - self.proven]
        columns = [Column.of("state", ["as sealed", "read, not sealed"], header="rows"), Column.of("rows", counts)]
        return Table(self.label, [("columns", f"{self.columns:,}")], columns, [self.summary()])

    @typed
    def summary(self, rows: int | None = 20) -> str:
        """Return what was found in a few sentences."""
        every = f"{self.label}: {self.rows:,} rows x {self.columns:,} columns can be read."
        if self.proven:
            rest = self.rows - self.proven
            left = f" {rest:,} rows came later, and are not proven: seal the file again." if rest else ""
            if self.left:
                names = ", ".join(map(repr, self.left))
                left += f" Sealed columns were not read: {names}; name a dataset of its own with --target or --weights."
            return f"{every} {self.proven:,} rows are those that were sealed.{left}"
        return (
            f"{every} There is no seal: beyond what the checksums of its format show, changed values would not be "
            f"noticed. streamreg seal {self.label} makes one."
        )
