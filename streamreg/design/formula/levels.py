"""The levels of a category, and how often each occurs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import expressions
from streamreg.errors import DataError, UsageError
from streamreg.kernels.gram import NAT
from streamreg.sources.chunk import Coded, Column

Level: TypeAlias = str | int | float | bool

MOST = 100_000
"""Levels that a category may have."""


@dataclass(slots=True)
class Levels:
    """How often each level of a column, or value of an expression, occurs.

    Attributes
    ----------
    inner : str
    counts : Counter
        By level; dates are texts.
    """

    inner: str
    counts: Counter[Level] = field(default_factory=Counter)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the expression."""
        return expressions.columns(self.inner)

    def fresh(self) -> Self:
        """Return one without levels."""
        return type(self)(self.inner)

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Count the levels of a block."""
        values = valued(self.inner, table, zones, label, rows.start)
        if isinstance(values, Coded):
            used, times = np.unique(values.codes, return_counts=True)
            found = [None if code < 0 else values.levels[code] for code in used.tolist()]
        else:
            used, times = np.unique(values, return_counts=True)
            found = named(used)
        for level, count in zip(found, times.tolist(), strict=True):
            if level is not None:
                self.counts[level] += count
        self._require_few(label)

    def join(self, other: Self) -> None:
        """Add the counts of later rows."""
        self.counts.update(other.counts)

    def _require_few(self, label: str) -> None:
        if len(self.counts) > MOST:
            raise UsageError(
                f"{label}: {self.inner} has more than {MOST:,} levels, too many for columns of their own; "
                "absorb it, or leave it out"
            )

    def levels(self) -> tuple[Level, ...]:
        """Return the levels in their order."""
        try:
            return tuple(sorted(self.counts))
        except TypeError:
            raise DataError(f"{self.inner}: holds texts and numbers; make them all one or the other") from None


def valued(inner: str, table: Mapping[str, Column], zones: Mapping[str, str], label: str, start: int) -> Column:
    """Return a column as it is, or the values of an expression: whole numbers as such."""
    if inner in table:
        return table[inner]
    found = expressions.value(inner, table, zones, label, start)
    missing = np.isnan(found)
    whole = np.where(missing, 0.0, found)
    if (whole == np.rint(whole)).all() and (np.abs(whole) < 2.0**53).all():
        return np.where(missing, NAT, whole.astype(np.int64))
    return found


def named(values: NDArray[Any]) -> list[Level | None]:
    """Return numbers or dates as levels: plain Python values, dates as text; None for what is missing."""
    if values.dtype.kind == "M":
        return [None if np.isnat(value) else str(value) for value in values]
    if values.dtype == np.int64:
        return [None if value == NAT else value for value in values.tolist()]
    return [None if value != value else value for value in values.tolist()]
