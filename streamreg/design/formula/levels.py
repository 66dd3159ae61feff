"""Levels of a category: in which order, under which names, and which row has which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.expressions import Expression
from streamreg.design.formula.rows import Rows
from streamreg.errors import DataError, UsageError, nearest
from streamreg.kernels.gram import NAT
from streamreg.sources.chunk import Coded, missing

Unseen = Literal["error", "reference", "own", "missing"]
"""What to do with a level that the fit has not seen: refuse it, take it for the reference, give it no effect, or
take it for a missing value.

"own" puts zero into all columns of the category. Without an intercept that is a level of its own whose effect is not
known; with one and treatment coding it is the reference; with sum coding it is the mean of the levels.
"""
Level = str | int | float | bool

MISSING = -1
_SPAN = 2**20
"""Between whole numbers whose places are looked up in a table of all that lie between them."""

OTHER = -2
"""Code of a level that was not seen and stands for itself."""


@dataclass(frozen=True)
class Levels:
    """The levels of a category.

    Attributes
    ----------
    values : tuple
        Texts, numbers or truth values, sorted unless the formula says otherwise; or dates as ISO texts.
    dates : bool
        Whether they are dates.
    """

    values: tuple[Level, ...]
    dates: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, values: Iterable[Any], given: Sequence[Any] | None, text: str, dates: bool = False) -> Self:
        """Return the levels found in the rows, or those `given` by the formula, in its order."""
        if given is None:
            return cls(tuple(sorted(values)), dates)
        if not given or len(set(given)) < len(given):
            raise UsageError(f"{text}: levels are a list of different values")
        return cls(tuple(given), dates)

    @property
    def names(self) -> tuple[str, ...]:
        """As names of columns have them."""
        return tuple(map(str, self.values))

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {level: code for code, level in enumerate(self.values)}

    @cached_property
    def _whole(self) -> tuple[int, NDArray[np.int64]] | None:
        """The least level, and the places of all whole numbers up to one beyond the greatest; None if they are many."""
        numbers = [k for k in self.values if isinstance(k, int | float) and not isinstance(k, bool) and k == k // 1]
        if not numbers or len(numbers) < len(self.values):
            return None
        first, last = int(min(numbers)), int(max(numbers))
        if last - first >= _SPAN or max(abs(first), abs(last)) >= 2**53:
            return None
        table = np.full(last - first + 2, OTHER, np.int64)
        table[np.array([int(number) - first for number in numbers])] = np.arange(len(numbers))
        return first, table

    @cached_property
    def _last(self) -> tuple[Sequence[str], NDArray[np.int64]]:
        """The texts that were looked up last, and their places."""
        return (), np.zeros(0, np.int64)

    def place(self, level: Any, text: str) -> int:
        """Return where a level stands. Raises `UsageError` if it is none."""
        if level in self.values and (isinstance(level, str) or not isinstance(self.values[0], str)):
            return self.values.index(level)
        raise UsageError(f"{text}: {level!r} is no level of it{nearest(str(level), self.names)}")

    def codes(self, found: Expression, rows: Rows, unseen: Unseen, reference: int) -> NDArray[np.int32]:
        """Return the place of each row's level, shape (m,); -1 where it is missing, -2 for `unseen` = "own".

        Raises
        ------
        DataError
            A level is not among these, and `unseen` is "error"; with its row.
        """
        values = rows.raw(found)
        if isinstance(values, Coded):
            inner = self._of_texts(values.levels)
            codes: NDArray[Any] = values.codes
        elif self._whole is not None and values.dtype.kind in "iuf":
            first, inner = self._whole
            near = (values >= first) & (values < first + len(inner) - 1)
            if values.dtype.kind == "f":
                near &= values == np.floor(values)
            codes = np.where(near, values, first + len(inner) - 1).astype(np.int64) - first
            codes = np.where(missing(values), MISSING, codes)
        else:
            absent = missing(values)
            distinct, codes = np.unique(values, return_inverse=True)
            inner = self._of_numbers(distinct, rows, found)
            codes = np.where(absent, MISSING, codes)
        table = np.append(inner, MISSING).astype(np.int32)  # the code -1 means the last
        out = table[codes]
        if out.min(initial=0) <= OTHER:
            strange = out == OTHER
            if unseen == "error":
                seen = ", ".join(self.names[:5]) + (", ..." if len(self) > 5 else "")
                rows.refuse(
                    strange,
                    found.text,
                    lambda i: repr(values.levels[values.codes[i]]) if isinstance(values, Coded) else str(values[i]),
                    f"is a level that the fit has not seen ({seen}); predict with unseen='reference', 'own' or "
                    "'missing'",
                )
            if unseen != "own":  # after "error" only rows are left that are not used
                out[strange] = reference if unseen == "reference" else MISSING
        return np.asarray(out, np.int32)

    def _of_texts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        held, table = self._last
        if held != texts:  # a frame has the same ones in every chunk
            table = np.array([self._places.get(text, OTHER) for text in texts], np.int64)
            self.__dict__["_last"] = (texts, table)
        return table

    def _of_numbers(self, distinct: NDArray[Any], rows: Rows, found: Expression) -> NDArray[np.int64]:
        if distinct.dtype.kind == "M":
            place = {np.datetime64(str(level)): code for code, level in enumerate(self.values)} if self.dates else {}
            return np.array([place.get(value, OTHER) for value in distinct], np.int64)
        if self.dates or (self.values and isinstance(self.values[0], str)):
            raise DataError(
                f"{rows.label}: {found.text} holds numbers, and its levels are texts or dates: {self.names[0]}"
            )
        return np.array([self._places.get(value, OTHER) for value in distinct.tolist()], np.int64)


def combined(parts: Sequence[tuple[NDArray[np.int32], int]]) -> NDArray[np.int64]:
    """Return the number of the combination of several codes, the first of which varies fastest.

    Of each there are the codes, shape (m,), and how many levels there are. The least int64 stands for a missing value.
    """
    code, size = parts[0][0].astype(np.int64), parts[0][1]
    for own, count in parts[1:]:
        code += own.astype(np.int64) * size
        size *= count
    for own, _ in parts:
        if own.min(initial=0) < 0:
            code[own < 0] = NAT
    return code
