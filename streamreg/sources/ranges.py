"""What a storage knows of runs of rows before they are read."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Range:
    """What is known of a column in some rows.

    Attributes
    ----------
    low, high : number, str or None
        No value lies beyond; None: not known. Of dates: days since 1970, exactly (Fraction). NaN is no value.
    some : bool
        Whether there may be values.
    holes : bool
        Whether values may be missing.
    """

    low: Any = None
    high: Any = None
    some: bool = True
    holes: bool = True

    @classmethod
    def of(cls, value: Any) -> "Range":
        """Return the range of a column that holds one value, or None in all rows."""
        return cls(value, value, value is not None, value is None)

    def texts(self) -> "Range":
        """Return the same of a column of text, which whole numbers of other files may be, too."""
        if self.low is None or isinstance(self.low, str):
            return self
        return Range.of(str(self.low)) if self.low == self.high else Range(some=self.some, holes=self.holes)


Known = tuple[int, int, dict[str, Range]]
"""The first row of a run, the one after its last, and the ranges of columns."""
