"""Factors that are categories: each level of a column has an indicator, or is compared with a reference."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import expressions
from streamreg.design.formula.learning import Learner
from streamreg.design.formula.levels import Level, Levels, named, valued
from streamreg.design.formula.numeric import Place
from streamreg.errors import DataError
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Coding = Literal["treatment", "sum", "onehot", "reference"]
Unseen = Literal["error", "reference", "missing"]

MISSING, UNSEEN = -1, -2


@dataclass(frozen=True, slots=True)
class Category:
    """A column, or an expression of columns, whose values are levels.

    Attributes
    ----------
    text : str
    inner : str
    coding : {"treatment", "sum", "onehot", "reference"}
        The last two always have the same columns: one for every level, or for every level but the reference. The others
        have as many as the terms before them leave to tell.
    reference : str, int, float, bool or None
        The level that the others are compared with; None: the first one (for sums, the last one).
    levels : tuple or None
        In their order; None: not learned yet.
    unseen : {"error", "reference", "missing"}
        What to do with a level that did not occur when the levels were learned.
    """

    text: str
    inner: str
    coding: Coding = "treatment"
    reference: Level | None = None
    levels: tuple[Level, ...] | None = None
    unseen: Unseen = "error"

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""
        return expressions.columns(self.inner)

    def learns(self) -> Learner | None:
        """Return what finds the levels, unless they are known."""
        return Levels(self.inner) if self.levels is None else None

    def learned(self, state: Any) -> "Category":
        """Return the category with the levels that were found.

        Raises
        ------
        DataError
            There are none, or the reference is not among them.
        """
        levels = state.levels()
        if not levels:
            raise DataError(f"{self.text}: every value is missing, so it has no levels")
        if self.reference is not None and self.reference not in levels:
            shown = ", ".join(map(repr, levels[:8])) + ", ..." * (len(levels) > 8)
            raise DataError(f"{self.text}: no level {self.reference!r} for a reference; there is {shown}")
        return replace(self, levels=levels)

    @property
    def _left_out(self) -> int:
        """The level that has no column of its own where the others are compared with it."""
        assert self.levels is not None, "levels are learned before use"
        if self.reference is not None:
            return self.levels.index(self.reference)
        return len(self.levels) - 1 if self.coding == "sum" else 0

    @property
    def spans(self) -> bool:
        """Whether its columns, one for each level, add up to the constant, so that one may have to be left out."""
        return self.coding in ("treatment", "sum")

    def _compared(self, reduced: bool) -> bool:
        """Return whether one level has no column, and the others are compared with it."""
        return self.coding == "reference" or (reduced and self.spans)

    def width(self, reduced: bool) -> int:
        """Return how many columns it makes."""
        assert self.levels is not None, "levels are learned before use"
        return len(self.levels) - self._compared(reduced)

    def coded_names(self, reduced: bool) -> tuple[str, ...]:
        """Return the names of its columns, as R and patsy's heirs write them."""
        assert self.levels is not None, "levels are learned before use"
        if not self._compared(reduced) or self.coding == "reference":
            kept = [k for k in range(len(self.levels)) if k != self._left_out or not self._compared(reduced)]
            return tuple(f"{self.text}[{self.levels[k]}]" for k in kept)
        mark = {"treatment": "T", "sum": "S"}[self.coding]
        out = self._left_out
        return tuple(f"{self.text}[{mark}.{level}]" for k, level in enumerate(self.levels) if k != out)

    def coded(self, table: Mapping[str, Column], reduced: bool, place: Place) -> Float:
        """Return its columns, shape (m, width); NaN where the level is missing.

        Raises
        ------
        DataError
            A level that was not seen when the levels were learned, with its row, if `unseen` is "error".
        """
        assert self.levels is not None, "levels are learned before use"
        out = self._left_out
        values = valued(self.inner, table, place.zones, place.label, place.start)
        found = codes(values, self.levels)
        if (unseen := found == UNSEEN).any():
            found = self._placed(found, unseen, values, place)
        matrix = np.zeros((self.width(reduced), len(found)))
        compared = self._compared(reduced)
        moved = np.arange(len(self.levels))
        if compared:
            moved[out + 1 :] -= 1
            moved[out] = -1
        at = np.where(found >= 0, moved[found], -1)
        rows = np.flatnonzero(at >= 0)
        matrix[at[rows], rows] = 1.0
        if compared and self.coding == "sum":
            matrix[:, found == out] = -1.0
        matrix[:, found == MISSING] = np.nan
        return matrix.T

    def _placed(self, found: NDArray[Any], unseen: NDArray[np.bool_], values: Column, place: Place) -> NDArray[Any]:
        """Return codes in which unseen levels are missing, or the reference."""
        if self.unseen == "error":
            row = int(np.argmax(unseen))
            shown = values[row : row + 1]
            value = repr(shown.texts()[0]) if hasattr(shown, "texts") else str(shown[0])
            raise DataError(
                f"{place.label}, row {place.start + row:,} (from 0), column {self.inner!r}: level {value} did not "
                "occur in the rows of the fit; take it for the reference with unseen='reference', or leave such rows "
                "without a prediction with unseen='missing'"
            )
        return np.where(unseen, self._left_out if self.unseen == "reference" else MISSING, found)


def codes(values: Column, levels: tuple[Level, ...]) -> NDArray[np.int64]:
    """Return the place of each value among levels, shape (m,); MISSING or UNSEEN where it has none."""
    place = {level: k for k, level in enumerate(levels)}
    if isinstance(values, Coded):
        known = np.array([*(place.get(level, UNSEEN) for level in values.levels), MISSING], np.int64)
        return known[values.codes]
    used, where = np.unique(values, return_inverse=True)
    return np.array([place.get(level, UNSEEN) if level is not None else MISSING for level in named(used)], np.int64)[
        where
    ]
